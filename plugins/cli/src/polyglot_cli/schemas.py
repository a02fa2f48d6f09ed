"""``--schema``: a JSON Schema, a file with one, or a short form such as ``name, age int, tags[]``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

__all__ = ["read_schema"]

_TYPES = {
    "str": "string", "string": "string", "text": "string", "int": "integer", "integer": "integer", "float": "number",
    "number": "number", "bool": "boolean", "boolean": "boolean",
}  # fmt: skip
_FIELD = re.compile(
    r"(?P<name>[^\s:\[\]{}]+?)(?P<list>\[\])?(?:\s+(?P<type>\w+)(?P<typed_list>\[\])?)?(?:\s*:\s*(?P<what>.+))?"
)


def read_schema(given: str) -> dict[str, Any]:
    """Return the schema that the option means.

    The short form is a list of fields, separated by commas: a name, a type unless it is a text (``int``, ``float``,
    ``bool``), ``[]`` after either for a list, and after a colon a description. Every field is required.

    Args:
        given: JSON text, the short form, or the path of a file with one of them.

    Raises:
        click.UsageError: It is none of these.
    """
    text = given.strip()
    if text.startswith("{"):
        return _from_json(text, "--schema")
    if text.endswith(".json") or (text and "," not in text and " " not in text and Path(text).is_file()):
        return _from_file(text)
    return _from_fields(text)


def _from_file(path: str) -> dict[str, Any]:
    try:
        return _from_json(Path(path).read_text("utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"The schema {path} cannot be read: {error}.") from error


def _from_json(text: str, where: str) -> dict[str, Any]:
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{where} is not JSON: {error}.") from error
    if not isinstance(schema, dict):
        raise click.UsageError(f"{where} is not a JSON Schema, which is an object.")
    return schema


def _from_fields(text: str) -> dict[str, Any]:
    fields = [_field(each.strip()) for each in text.split(",") if each.strip()]
    if not fields:
        raise click.UsageError("--schema is empty; give fields, as in 'name, age int, tags[]'.")
    properties = dict(fields)
    if len(properties) < len(fields):
        raise click.UsageError("--schema has a field twice.")
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _field(text: str) -> tuple[str, dict[str, Any]]:
    found = _FIELD.fullmatch(text)
    kind = found and (found["type"] or "str")
    if found is None or kind not in _TYPES:
        raise click.UsageError(
            f"--schema: {text!r} is not a field, as in 'age int'. Types are str, int, float, bool; [] is a list."
        )
    schema: dict[str, Any] = {"type": _TYPES[kind]}
    if found["list"] or found["typed_list"]:
        schema = {"type": "array", "items": schema}
    if found["what"]:
        schema["description"] = found["what"]
    return found["name"], schema
