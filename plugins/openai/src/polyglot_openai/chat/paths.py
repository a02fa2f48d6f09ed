"""Values at paths such as ``a.b`` inside objects."""

from __future__ import annotations

from typing import Any

__all__ = ["laid_over", "put", "without"]

_JSONObject = dict[str, Any]


def put(value: object, path: str) -> _JSONObject:
    """Return an object with `value` at a path; an empty one if there is no value or no path."""
    if value is None or not path:
        return {}
    nested = value
    for name in reversed(path.split(".")):
        nested = {name: nested}
    return nested if isinstance(nested, dict) else {}


def laid_over(fields: _JSONObject, more: _JSONObject) -> _JSONObject:
    """Return `fields` with `more` laid over them, objects field by field at any depth."""
    joined = dict(fields)
    for name, value in more.items():
        before = joined.get(name)
        both = isinstance(before, dict) and isinstance(value, dict)
        joined[name] = laid_over(before, value) if both else value  # type: ignore[arg-type]  # both are objects
    return joined


def without(fields: _JSONObject, path: str) -> _JSONObject:
    """Return `fields` without the value at a path, and without objects that are empty then."""
    if not path:
        return fields
    name, _, rest = path.partition(".")
    if name not in fields:
        return fields
    kept = dict(fields)
    inner = kept.pop(name)
    if rest and isinstance(inner, dict) and (left := without(inner, rest)):
        kept[name] = left
    elif rest and not isinstance(inner, dict):
        kept[name] = inner
    return kept
