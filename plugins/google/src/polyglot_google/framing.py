"""The framing of a stream: server-sent events, and the JSON that Google sends where events should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from polyglot_core.plugin import JSONArrayFramer, SSEFramer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_core.plugin import Chunk

__all__ = ["StreamFramer"]

_OPENINGS = (b"{", b"[")
_LINE_ENDS = (b"\n", b"\r")


class StreamFramer:
    """Events, until a line begins as no field of an event can: with a brace or a bracket. From there it is JSON.

    So comes an error in the middle of a stream, and a whole stream as one JSON array where a gateway lost ``alt=sse``.

    Attributes:
        media_types: Media types that a stream may have.
    """

    media_types: ClassVar[frozenset[str]] = frozenset({"text/event-stream", "application/json"})

    __slots__ = ("_events", "_in_line", "_objects")

    def __init__(self) -> None:
        self._events = SSEFramer(flush_at_eof=True)
        self._objects: JSONArrayFramer | None = None
        self._in_line = False  # the last read ended within a line

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the chunks that `data` completes."""
        if self._objects is not None:
            return self._objects.feed(data)
        if not data:
            return ()
        # This is the hot path. (Slices and `in`, because methods cost more.)
        if b"\n{" not in data and b"\n[" not in data and (self._in_line or data[:1] not in _OPENINGS):
            self._in_line = data[-1:] not in _LINE_ENDS
            return self._events.feed(data)
        place = _first_json_line(data) if self._in_line or data[:1] not in _OPENINGS else 0
        self._objects = JSONArrayFramer()
        before = [*self._events.feed(data[:place]), *self._events.finish()]
        return [*before, *self._objects.feed(data[place:])]

    def finish(self) -> Sequence[Chunk]:
        """The last block without its blank line; or what there is of JSON that broke off, which no one can decode."""
        return self._events.finish() if self._objects is None else self._objects.finish()


def _first_json_line(data: bytes) -> int:
    return min(place + 1 for opening in _OPENINGS if (place := data.find(b"\n" + opening)) >= 0)
