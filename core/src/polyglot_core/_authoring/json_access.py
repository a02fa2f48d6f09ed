"""JSON on the wire: how a request is sent as JSON, and how JSON is looked at of which nobody promised the shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_core._wire.messages import WireRequest

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["at", "count", "json_request", "json_text", "merged", "objects", "read_json"]

_JSON = "application/json"
_STREAMS = {"ndjson": "application/x-ndjson"}
_EVENTS = "text/event-stream"


def json_request(url: str, body: object, *, stream: bool, **reading: Any) -> WireRequest:  # noqa: ANN401 (see below)
    """A request with a JSON body, whose answer is JSON, or a stream of it.

    Args:
        url: Absolute URL.
        body: The body, to be encoded.
        stream: Whether the answer is to be a stream.
        reading: Further fields of the `WireRequest`: how the answer is to be read. `framing` is that of a stream.
    """
    framing, headers = reading.pop("framing", "sse"), reading.pop("headers", {})
    accept = _STREAMS.get(framing, _EVENTS) if stream else _JSON
    return WireRequest(
        url=url,
        body=msgspec.json.encode(body),
        headers={"content-type": _JSON, "accept": accept, **headers},
        framing=framing if stream else "whole",
        **reading,
    )


def merged(body: Mapping[str, Any], extra: Mapping[str, Any], *, lists: Collection[str] = ("tools",)) -> dict[str, Any]:
    """The body with `extra` laid over it: objects field by field, and what is in `lists` behind what is there already.

    So the provider's own tools stand beside the user's, and a further setting leaves the others as they are.
    """
    laid = dict(extra)
    for name, value in extra.items():
        before = body.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            laid[name] = {**before, **value}
        elif isinstance(before, list) and isinstance(value, (list, tuple)) and name in lists:
            laid[name] = [*before, *value]
    return {**body, **laid}


def read_json(text: bytes | str, otherwise: object = None) -> Any:  # noqa: ANN401 (any JSON value)
    """The value of a JSON text, or `otherwise` for what is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return otherwise


def at(value: object, place: str) -> Any:  # noqa: ANN401 (any JSON value)
    """What stands at a place such as ``a.b`` or ``a.0.b``; None where there is nothing."""
    for name in place.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def count(value: object, *places: str) -> int | None:
    """The count at the first of the places that holds one; None where none does. A float may be one: ``5.0``."""
    for place in places:
        found = at(value, place)
        if type(found) is int or (type(found) is float and found.is_integer()):
            return int(found)
    return None


def objects(value: object) -> list[dict[str, Any]]:
    """The objects in a list, or none where there is no list; whatever else is in it is passed over."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def json_text(value: object) -> str:
    """The JSON text of a value, such as a call's arguments; a text is taken for one already, and null is none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
