"""JSON texts into chunks: one a line, or the elements of an array."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from polyglot_core._wire.messages import LARGEST_EVENT, LF, Chunk, too_large

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["JSONArrayFramer", "NDJSONFramer"]

_QUOTE, _BACKSLASH, _OPEN_BRACE = b'"\\{'

_JSON_MARKS = re.compile(rb'["\\{}]')


class NDJSONFramer:
    """One JSON text a line; blank lines are passed over. A last line without its line end counts."""

    __slots__ = ("_limit", "_open")

    def __init__(self, *, limit: int = LARGEST_EVENT) -> None:
        self._open = bytearray()  # the line that has no end yet
        self._limit = limit

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the lines that `data` completes.

        Raises:
            LimitExceeded: A line is too large.
        """
        if LF not in data:
            self._open += data
            if len(self._open) > self._limit:
                raise too_large(self._limit)
            return ()
        *lines, rest = b"".join((self._open, data)).split(b"\n")
        self._open[:] = rest
        return [Chunk(line, line) for line in map(bytes.strip, lines) if line]

    def finish(self) -> Sequence[Chunk]:
        """The last line."""
        line = bytes(self._open).strip()
        self._open.clear()
        return (Chunk(line, line),) if line else ()


class JSONArrayFramer:
    """The elements of one JSON array, each as soon as it is complete: objects only, as the dialects send them.

    It counts braces outside of strings and looks at each byte once. A body that is no array but one object is that
    object: it is how an error comes.
    """

    __slots__ = ("_depth", "_escaped", "_limit", "_open", "_quoted")

    def __init__(self, *, limit: int = LARGEST_EVENT) -> None:
        self._limit = limit
        self._open = bytearray()  # the object that has no end yet
        self._depth = 0  # how many objects are open
        self._quoted = False
        self._escaped = False  # the last read ended in a backslash within a string

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the elements that `data` completes.

        Raises:
            LimitExceeded: An element is too large.
        """
        chunks: list[Chunk] = []
        start, passed = 0, int(self._escaped)
        self._escaped = passed > len(data)
        for match in _JSON_MARKS.finditer(data):
            place = match.start()
            if place < passed:
                continue
            mark = data[place]
            if mark == _BACKSLASH:
                passed = place + 1 + self._quoted  # outside of a string it escapes nothing
                self._escaped = passed > len(data)
            elif mark == _QUOTE:
                self._quoted = not self._quoted
            elif not self._quoted and mark == _OPEN_BRACE:
                self._depth += 1
                start = place if self._depth == 1 else start
            elif not self._quoted and self._depth:
                self._depth -= 1
                if not self._depth:
                    chunks.append(self._element(data[start : place + 1]))
        if self._depth:
            self._open += data[start:]
            if len(self._open) > self._limit and not chunks:  # else those are handed out first
                raise too_large(self._limit)
        return chunks

    def finish(self) -> Sequence[Chunk]:
        """What is left of an element without its end; nobody can read it, and that says that the body was cut."""
        element = bytes(self._open)
        self._open.clear()
        return (Chunk(element, element),) if element else ()

    def _element(self, last: bytes) -> Chunk:
        element = b"".join((self._open, last))
        self._open.clear()
        return Chunk(element, element)
