"""Framing of a stream: server-sent events, and the JSON that Google sends instead of events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from polyglot_core.plugin import Chunk, JSONArrayFramer, SSEFramer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["StreamFramer"]

_OPENINGS = (b"{", b"[")
_FIELD, _LINE_END = b"data: ", b"\r\n"
_HEAD, _PAYLOAD, _TAIL = slice(len(_FIELD)), slice(len(_FIELD), -2 * len(_LINE_END)), slice(-len(_LINE_END), None)
_LINE_ENDS = (b"\n", b"\r")
_IN_THE_MIDDLE = tuple(map(re.compile, (rb"\n[{\[]", rb"\r[{\[]")))  # ten times as fast as one pattern for both


class StreamFramer:
    """Frames events until a line begins with a brace or a bracket, as no field of an event can; from there JSON.

    An error in the middle of a stream is sent like this, and a whole stream as one JSON array if a gateway drops
    ``alt=sse``.

    Attributes:
        media_types: Media types that a stream may have.
        leftovers: The lines beside the events.
    """

    media_types: ClassVar[frozenset[str]] = frozenset({"text/event-stream", "application/json"})

    __slots__ = ("_framer", "_in_line", "_limit", "leftovers")

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        events = SSEFramer(flush_at_eof=True, limit=limit)
        self.leftovers = events.leftovers
        self._framer: SSEFramer | JSONArrayFramer = events
        self._in_line = False  # the last read ended within a line

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the chunks that `data` completes.

        Raises:
            LimitExceeded: An event or an object is larger than `limits.event`.
        """
        framer = self._framer
        if type(framer) is SSEFramer and framer.between and _is_one_field(data):
            payload = data[_PAYLOAD]
            return (Chunk(payload, payload),)
        if (place := self._json_begins(data)) is None:
            return self._framer.feed(data)
        before = [*self._framer.feed(data[:place]), *self._framer.finish()]
        self._framer = JSONArrayFramer(limit=self._limit)
        return [*before, *self._framer.feed(data[place:])]

    def _json_begins(self, data: bytes) -> int | None:
        """Return the index at which JSON follows the events, or None."""
        if not data or type(self._framer) is JSONArrayFramer:
            return None
        at_start = not self._in_line and data[:1] in _OPENINGS
        self._in_line = data[-1:] not in _LINE_ENDS
        if at_start:
            return 0
        return min((found.end() - 1 for each in _IN_THE_MIDDLE if (found := each.search(data))), default=None)

    def finish(self) -> Sequence[Chunk]:
        """Return the last block without its blank line, or truncated JSON, which fails to decode."""
        return self._framer.finish()


def _is_one_field(data: bytes) -> bool:
    """Return True for the usual read: a line of data and the blank line behind it, and nothing else."""
    end = len(data) - 4
    return (
        data[_HEAD] == _FIELD and data.find(b"\r") == end and data.find(b"\n") == end + 1 and data[_TAIL] == _LINE_END
    )
