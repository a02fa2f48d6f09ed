"""Requests with JSON bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_core._wire.messages import WireRequest

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["json_request", "merged"]

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
