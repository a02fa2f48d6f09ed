"""Reads JSON of unknown shape without exceptions: a provider's response may lack any field, or have one of any type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from polyglot_core._values.json_values import encode_json
from polyglot_core._values.models import Model
from polyglot_core._values.unreadable import parse

__all__ = ["get", "models", "number", "objects", "parse", "text"]


def get(value: object, path: str) -> Any:  # noqa: ANN401 (any JSON value)
    """Return the value at a path, or None if there is none.

    A path consists of field names and list indexes, separated by dots: ``get(value, "choices.0.delta.content")``.
    """
    for name in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def number(value: object, *paths: str) -> int | None:
    """Return the whole number at the first of the paths that has one, or None. A float such as ``5.0`` counts."""
    for path in paths:
        found = get(value, path)
        if type(found) is int or (type(found) is float and found.is_integer()):
            return int(found)
    return None


def objects(value: object) -> list[dict[str, Any]]:
    """Return the objects in a list. Items of other types are skipped; a value that is not a list has no objects."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """Return the JSON text of a value, such as the arguments of a tool call; ``""`` for null.

    A string is returned unchanged: it is taken to be JSON text already.

    Raises:
        RequestError: The value is of a user's request, and cannot be written as JSON.
    """
    if value is None:
        return ""
    return value if isinstance(value, str) else encode_json(value, "The value").decode()


_KINDS: dict[str, type] = {"id": str, "name": str, "created": datetime, "context_tokens": int, "output_tokens": int}


def models(listed: object, paths: Mapping[str, Sequence[str]]) -> list[Model]:
    """Return the models in a provider's list of objects.

    Args:
        listed: The list.
        paths: Field of `Model` → paths at which the objects may have it. The first value that is neither empty nor 0
            counts: providers write these for what is not known. ``created`` is text as in RFC 3339, or seconds since
            1970. A value of a wrong type is not read, and stays in `raw`.

    Raises:
        msgspec.DecodeError: It is no list, or one of the models has no id.
    """
    rows: list[Any] = listed if isinstance(listed, list) else [None]
    found = [{name: _value(row, where, _KINDS[name]) for name, where in paths.items()} for row in rows]
    if not all(fields["id"] for fields in found):
        raise msgspec.DecodeError("it has no list of models with ids")
    return [Model(raw=row, **fields) for row, fields in zip(rows, found, strict=True)]


def _value(row: object, paths: Sequence[str], kind: type) -> Any:  # noqa: ANN401 (of that kind)
    found = next((value for path in paths if (value := get(row, path))), None)
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError:
        return None
