"""What the simulators of the command read of a request: its prompt, and the schema that a response is to fit."""

from __future__ import annotations

from typing import Any

__all__ = ["prompt_of", "sample_for", "schema_of"]

_DEEPEST = 8  # levels of a sample; a schema may refer to itself

_VALUES: dict[str, object] = {"string": "word", "integer": 1, "number": 1.5, "boolean": True, "null": None}


def prompt_of(body: object) -> str:
    """Return the text of the last message."""
    messages = body.get("messages") if isinstance(body, dict) else None
    last = messages[-1] if isinstance(messages, list) and messages else {}
    content = last.get("content") if isinstance(last, dict) else None
    if isinstance(content, list):
        content = " ".join(part["text"] for part in content if isinstance(part, dict) and "text" in part)
    return content if isinstance(content, str) else ""


def schema_of(body: object) -> dict[str, Any] | None:
    """Return the JSON Schema that a request asks for; None if there is none."""
    value = body
    for name in ("response_format", "json_schema", "schema"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None


def sample_for(schema: dict[str, Any]) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a value that fits the types, the members, and the listed values of a schema; None where it has neither."""
    return _sample(schema, schema.get("$defs", {}), _DEEPEST)


def _sample(schema: Any, definitions: dict[str, Any], depth: int) -> Any:  # noqa: ANN401 (as above)
    if not isinstance(schema, dict) or depth < 0:
        return None
    if isinstance(reference := schema.get("$ref"), str):
        return _sample(definitions.get(reference.rpartition("/")[2]), definitions, depth - 1)
    for name in ("const", "enum", "anyOf", "oneOf"):
        if name in schema:
            first = schema[name] if name == "const" else next(iter(schema[name]), None)
            return first if name in {"const", "enum"} else _sample(first, definitions, depth - 1)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object" or "properties" in schema:
        return {name: _sample(each, definitions, depth - 1) for name, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [_sample(schema.get("items"), definitions, depth - 1)]
    return _VALUES.get(str(kind))
