"""The framings: which framer splits a response body into chunks. A framer does not interpret the chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from polyglot_core._wire.json_framers import JSONArrayFramer, NDJSONFramer
from polyglot_core._wire.messages import LARGEST_EVENT, Chunk
from polyglot_core._wire.sse import SSEFramer

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core._wire.messages import Framer, WireRequest

__all__ = ["FRAMERS", "WholeFramer", "fits", "framer_for", "media_type", "media_types"]


class WholeFramer:
    """Reads a response that is not a stream: the whole body is one chunk."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open = bytearray()

    def feed(self, data: bytes) -> tuple[Chunk, ...]:
        """Buffer the bytes. No chunk is complete before the end of the body."""
        self._open += data
        return ()

    def finish(self) -> tuple[Chunk, ...]:
        """Return the body as one chunk, or nothing if it is blank."""
        body = bytes(self._open)
        return (Chunk(body, body, "whole"),) if body.strip() else ()


_EVENT_STREAM = frozenset({"text/event-stream"})
_JSON_TYPES = frozenset({"application/json", "text/json", "application/problem+json"})

_NDJSON_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json"})


class Framing(NamedTuple):
    """A row of `FRAMERS`.

    Attributes:
        make: Creates a framer for the response to a request; the second argument is the largest chunk in bytes.
        media_types: Media types that a response of this framing may have.
    """

    make: Callable[[WireRequest, int], Framer]
    media_types: frozenset[str]


FRAMERS: dict[str, Framing] = {
    "sse": Framing(lambda wire, limit: SSEFramer(flush_at_eof=wire.flush_at_eof, limit=limit), _EVENT_STREAM),
    "ndjson": Framing(lambda _wire, limit: NDJSONFramer(limit=limit), _NDJSON_TYPES),
    "json-array": Framing(lambda _wire, limit: JSONArrayFramer(limit=limit), _JSON_TYPES),
    "whole": Framing(lambda _wire, _limit: WholeFramer(), _JSON_TYPES),
}
"""The framings of core, by the name in `WireRequest.framing`."""


def framer_for(wire: WireRequest, limit: int = LARGEST_EVENT) -> Framer:
    """Return a new framer for the response to `wire`, which raises for an event of more than `limit` bytes.

    Raises:
        KeyError: The framing has no row in `FRAMERS`.
    """
    return FRAMERS[wire.framing].make(wire, limit) if isinstance(wire.framing, str) else wire.framing(limit=limit)


def fits(wire: WireRequest, found: str) -> bool:
    """Return whether a media type fits the framing of the request.

    Any type fits a driver's own framer, unless its class lists some in `media_types`.
    """
    expected = media_types(wire)
    return expected is None or found in expected or (wire.framing == "whole" and found.endswith("+json"))


def media_types(wire: WireRequest) -> frozenset[str] | None:
    """Return the media types that the framing of a request lists; None if it lists none."""
    framing = FRAMERS[wire.framing] if isinstance(wire.framing, str) else wire.framing
    types: frozenset[str] | None = getattr(framing, "media_types", None)
    return types


def media_type(content_type: str | None) -> str | None:
    """Return the media type of a Content-Type header in lower case without parameters; None if there is none."""
    if not content_type:
        return None
    return content_type.partition(";")[0].strip().lower() or None
