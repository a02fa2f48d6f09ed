"""Framers for responses of JSON texts: one per line, or the elements of an array."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from polyglot_core._wire.messages import LARGEST_EVENT, LF, Chunk, too_large

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["JSONArrayFramer", "JSONBodyFramer", "NDJSONFramer"]

_QUOTE, _BACKSLASH, _OPEN_BRACE = b'"\\{'

_JSON_MARKS = re.compile(rb'["\\{}]')


class NDJSONFramer:
    """Splits a response with one JSON text per line. Blank lines are skipped; the last line needs no line end."""

    __slots__ = ("_limit", "_open")

    def __init__(self, *, limit: int = LARGEST_EVENT) -> None:
        self._open = bytearray()  # the incomplete line
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
        """Return the last line, if it is not blank.

        Raises:
            LimitExceeded: It is too large.
        """
        if len(self._open) > self._limit:
            raise too_large(self._limit)
        line = bytes(self._open).strip()
        self._open.clear()
        return (Chunk(line, line),) if line else ()


class JSONArrayFramer:
    """Splits a response that is one JSON array into its elements, which must be objects, as soon as each is complete.

    It counts braces outside strings and reads each byte once. If the body is a single object instead of an array, that
    object is the chunk: providers send errors in this form.
    """

    __slots__ = ("_depth", "_escaped", "_limit", "_open", "_quoted")

    def __init__(self, *, limit: int = LARGEST_EVENT) -> None:
        self._limit = limit
        self._open = bytearray()  # the incomplete object
        self._depth = 0  # number of open braces
        self._quoted = False
        self._escaped = False  # the last read ended with a backslash in a string

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the elements that `data` completes.

        Raises:
            LimitExceeded: An element is too large.
        """
        chunks: list[Chunk] = []
        start, unescaped = 0, int(self._escaped)
        self._escaped = unescaped > len(data)
        for match in _JSON_MARKS.finditer(data):
            index = match.start()
            if index < unescaped:
                continue
            mark = data[index]
            if mark == _BACKSLASH:
                unescaped = index + 1 + self._quoted  # a backslash outside a string escapes nothing
                self._escaped = unescaped > len(data)
            elif mark == _QUOTE:
                self._quoted = not self._quoted
            elif not self._quoted and mark == _OPEN_BRACE:
                self._depth += 1
                start = index if self._depth == 1 else start
            elif not self._quoted and self._depth:
                self._depth -= 1
                if not self._depth:
                    chunks.append(self._element(data[start : index + 1]))
        if self._depth:
            self._open += data[start:]
            if len(self._open) > self._limit and not chunks:  # else return these first, and raise at the next read
                raise too_large(self._limit)
        return chunks

    @property
    def between(self) -> bool:
        """Whether no element is incomplete."""
        return not self._depth

    def finish(self) -> Sequence[Chunk]:
        """Return an incomplete element as a chunk. It cannot be parsed, so the response is reported as truncated.

        Raises:
            LimitExceeded: It is too large.
        """
        if len(self._open) > self._limit:
            raise too_large(self._limit)
        element = bytes(self._open)
        self._open.clear()
        return (Chunk(element, element),) if element else ()

    def _element(self, last: bytes) -> Chunk:
        element = b"".join((self._open, last))
        self._open.clear()
        return Chunk(element, element)


class JSONBodyFramer:
    """Splits a response of JSON objects that was not requested in this form: a single one, lines, or an array.

    A single object is the whole response; each of several objects is a part. The first one is therefore held until the
    next one, or until the end of the body.
    """

    __slots__ = ("_array", "_held", "_several")

    def __init__(self, *, limit: int = LARGEST_EVENT) -> None:
        self._array = JSONArrayFramer(limit=limit)
        self._held: Chunk | None = None
        self._several = False

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the objects that `data` completes. Raises as `JSONArrayFramer.feed` does."""
        chunks = self._array.feed(data)
        if self._several or not chunks:
            return chunks
        if self._held is None and len(chunks) == 1:
            self._held = chunks[0]
            return ()
        self._several = True
        held, self._held = self._held, None
        return chunks if held is None else [held, *chunks]

    def finish(self) -> Sequence[Chunk]:
        """Return the single object as a whole response, or an incomplete object, which cannot be parsed."""
        last, held = self._array.finish(), self._held
        if self._several or (held is not None and last):
            return last if held is None else [held, *last]
        return [Chunk(chunk.data, chunk.raw, "whole") for chunk in (last if held is None else (held,))]
