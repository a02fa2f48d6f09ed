"""The framing of a stream: server-sent events, and the JSON that Google sends where events should be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from polyglot_core.plugin import JSONArrayFramer, SSEFramer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_core.plugin import Chunk

__all__ = ["StreamFramer"]

_OPENINGS = (b"{", b"[")
_LINE_ENDS = (b"\n", b"\r")
_IN_THE_MIDDLE = re.compile(rb"[\n\r][{\[]")


class StreamFramer:
    """Events, until a line begins as no field of an event can: with a brace or a bracket. From there it is JSON.

    So comes an error in the middle of a stream, and a whole stream as one JSON array where a gateway lost ``alt=sse``.

    Attributes:
        media_types: Media types that a stream may have.
    """

    media_types: ClassVar[frozenset[str]] = frozenset({"text/event-stream", "application/json"})

    __slots__ = ("_framer", "_in_line", "_limit")

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._framer: SSEFramer | JSONArrayFramer = SSEFramer(flush_at_eof=True, limit=limit)
        self._in_line = False  # the last read ended within a line

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the chunks that `data` completes.

        Raises:
            LimitExceeded: An event or an object is too large.
        """
        if (place := self._json_begins(data)) is None:
            return self._framer.feed(data)
        before = [*self._framer.feed(data[:place]), *self._framer.finish()]
        self._framer = JSONArrayFramer(limit=self._limit)
        return [*before, *self._framer.feed(data[place:])]

    def _json_begins(self, data: bytes) -> int | None:
        """Where events give way to JSON, or None."""
        if not data or type(self._framer) is JSONArrayFramer:
            return None
        at_start = not self._in_line and data[:1] in _OPENINGS
        self._in_line = data[-1:] not in _LINE_ENDS
        if at_start:
            return 0
        found = _IN_THE_MIDDLE.search(data)
        return None if found is None else found.end() - 1

    def finish(self) -> Sequence[Chunk]:
        """The last block without its blank line; or what there is of JSON that broke off, which no one can decode."""
        return self._framer.finish()
