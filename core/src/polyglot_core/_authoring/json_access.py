"""JSON on the wire: how a request is sent as JSON, and how JSON is looked at of which nobody promised the shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from polyglot_core._values.unreadable import UNREADABLE

__all__ = ["get", "number", "objects", "parse", "text"]


def parse(text: bytes | str, otherwise: object = None) -> Any:  # noqa: ANN401 (any JSON value)
    """The value of a JSON text, or `otherwise` for what is none."""
    try:
        return msgspec.json.decode(text)
    except UNREADABLE:
        return otherwise


def get(value: object, place: str) -> Any:  # noqa: ANN401 (any JSON value)
    """What stands at a place such as ``a.b`` or ``a.0.b``; None where there is nothing."""
    for name in place.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def number(value: object, *places: str) -> int | None:
    """The count at the first of the places that holds one; None where none does. A float may be one: ``5.0``."""
    for place in places:
        found = get(value, place)
        if type(found) is int or (type(found) is float and found.is_integer()):
            return int(found)
    return None


def objects(value: object) -> list[dict[str, Any]]:
    """The objects in a list, or none where there is no list; whatever else is in it is passed over."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """The JSON text of a value, such as a call's arguments; a text is taken for one already, and null is none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
