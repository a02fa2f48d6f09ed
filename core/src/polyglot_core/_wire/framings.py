"""Bytes into chunks. A framer reads one body, in any split, and knows nothing of what the chunks mean.

The SSE framer keeps to the HTML standard, section 9.2 (event streams): UTF-8 whatever the header says, one leading byte
order mark dropped, lines ended by LF, CR or CRLF, comments and unknown fields passed over, and an unfinished last block
discarded. `flush_at_eof` is the one deviation; some dialects need it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from polyglot_core._values.limits import Limits
from polyglot_core._wire.eventstream import EventStreamFramer
from polyglot_core._wire.messages import Chunk
from polyglot_core.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyglot_core._wire.messages import Framer, WireRequest

__all__ = ["FRAMERS", "JSONArrayFramer", "NDJSONFramer", "SSEFramer", "WholeFramer", "framer_for", "media_type"]

_BOM = b"\xef\xbb\xbf"
_LF, _CR = b"\n\r"  # as numbers: looking for a number in bytes takes an eighth of the time
_BLANK_LINE = b"\n\n"
_FIELD = b"data: "
_SKIP = len(_FIELD)
_MOST_DIGITS = 10  # of `retry`: more milliseconds are a quarter of a year, and Python reads no number of thousands
_QUOTE, _BACKSLASH, _OPEN_BRACE = b'"\\{'
_JSON_MARKS = re.compile(rb'["\\{}]')
_NEXT_FIELD = _BLANK_LINE + _FIELD
_HEAD, _PAYLOAD, _TAIL = slice(_SKIP), slice(_SKIP, -2), slice(-2, None)


_LARGEST = Limits().event


def _too_large(limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"An event of the answer is larger than {limit} bytes; larger ones are allowed by limits.event."
    )


class WholeFramer:
    """The whole body is one chunk."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open = bytearray()

    def feed(self, data: bytes) -> tuple[Chunk, ...]:
        """Keep the bytes; there is nothing to hand out before the end."""
        self._open += data
        return ()

    def finish(self) -> tuple[Chunk, ...]:
        """The body, or nothing if it is empty."""
        body = bytes(self._open)
        return (Chunk(body, body, "whole"),) if body.strip() else ()


class SSEFramer:
    """Server-sent events. Each block that has data is a chunk; `retry` and comments stay here.

    Attributes:
        retry: Milliseconds that the server last asked a client to wait before it reconnects, or None.
    """

    __slots__ = ("_at_start", "_between", "_flush", "_last_id", "_limit", "_open", "_returned", "retry")

    def __init__(self, *, flush_at_eof: bool = False, limit: int = _LARGEST) -> None:
        self.retry: int | None = None
        self._flush = flush_at_eof
        self._at_start = True  # a byte order mark may still come
        self._returned = False  # the last read ended in CR: an LF that follows belongs to it
        self._open = bytearray()  # the block that has no end yet
        self._limit = limit
        self._last_id: str | None = None
        self._between = False  # between two blocks, with nothing of the above to mind

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the chunks that `data` completes.

        Raises:
            LimitExceeded: A block is too large.
        """
        # A server that sends as it thinks sends one line of data at a time. (Slices and `in`, because methods cost
        # more.)
        if self._between and data[_HEAD] == _FIELD and data[_TAIL] == _BLANK_LINE:
            payload = data[_PAYLOAD]
            if _LF not in payload and _CR not in payload:
                return (Chunk(payload, payload),)
        chunks = self._feed(data)
        self._between = not (self._at_start or self._returned or self._open or self._last_id is not None)
        return chunks

    def _feed(self, data: bytes) -> list[Chunk]:
        if self._at_start:
            data = self._without_mark(data)
        if self._returned or _CR in data:
            data = self._with_line_feeds(data)
        if not data:
            return []
        if self._open:
            # Only what is new can end the block, so it alone is looked at: a long block costs its length.
            if _BLANK_LINE not in self._open[-1:] + data:
                return self._keep(data)
            data = self._with_open(data)
        end = data.rfind(_BLANK_LINE)
        if end < 0:
            return self._keep(data)
        if end + 2 < len(data):  # not too much of it yet, whatever the limit: first the blocks before it are handed out
            self._open += data[end + 2 :]
        return self._chunks(data, end)

    def _keep(self, data: bytes) -> list[Chunk]:
        """Keep more of the block that has no end yet; there is nothing to return."""
        self._open += data
        if len(self._open) > self._limit:
            raise _too_large(self._limit)
        return []

    def _with_open(self, data: bytes) -> bytes:
        """`data` behind what was kept of its block."""
        data = b"".join((self._open, data))
        self._open.clear()
        return data

    def finish(self) -> list[Chunk]:
        """The block without its closing blank line, where the dialect lets it count."""
        block = self._with_open(b"").rstrip(b"\n")
        return self._chunks(block, len(block)) if self._flush and block.strip() else []

    def _chunks(self, data: bytes, end: int) -> list[Chunk]:
        """The chunks of the blocks up to `end`."""
        # Nearly always every block is one line of data. Then one split gives the payloads, and counting the line feeds
        # proves that it was so.
        if data.startswith(_FIELD) and self._last_id is None:
            payloads = data[_SKIP:end].split(_NEXT_FIELD)
            if data.count(b"\n", 0, end) == 2 * (len(payloads) - 1):
                return [Chunk(payload, payload) for payload in payloads]
        chunks = (self._read_block(block) for block in data[:end].split(_BLANK_LINE))
        return [chunk for chunk in chunks if chunk is not None]

    def _read_block(self, block: bytes) -> Chunk | None:
        event: str | None = None
        lines: list[bytes] = []
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                lines.append(value)
            elif name == b"event":
                event = value.decode("utf-8", "replace") or None
            elif name == b"id" and b"\0" not in value:
                self._last_id = value.decode("utf-8", "replace")
            elif name == b"retry" and value.isdigit() and len(value) <= _MOST_DIGITS:
                self.retry = int(value)
        if not lines:
            return None
        data = lines[0] if len(lines) == 1 else b"\n".join(lines)
        return Chunk(data, data, "part", event, self._last_id)

    def _without_mark(self, data: bytes) -> bytes:
        data = self._with_open(data)
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._open += data
            return b""
        self._at_start = False
        return data.removeprefix(_BOM)

    def _with_line_feeds(self, data: bytes) -> bytes:
        if self._returned and data:
            data = data.removeprefix(b"\n")
            self._returned = False
        if data:
            self._returned = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class NDJSONFramer:
    """One JSON text a line; blank lines are passed over. A last line without its line end counts."""

    __slots__ = ("_limit", "_open")

    def __init__(self, *, limit: int = _LARGEST) -> None:
        self._open = bytearray()  # the line that has no end yet
        self._limit = limit

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the lines that `data` completes.

        Raises:
            LimitExceeded: A line is too large.
        """
        if _LF not in data:
            self._open += data
            if len(self._open) > self._limit:
                raise _too_large(self._limit)
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

    def __init__(self, *, limit: int = _LARGEST) -> None:
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
                raise _too_large(self._limit)
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


_EVENT_STREAM = frozenset({"text/event-stream"})
_JSON_TYPES = frozenset({"application/json", "text/json", "application/problem+json"})

_NDJSON_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json"})
_AWS_TYPES = frozenset({"application/vnd.amazon.eventstream"})


class Framing:
    """A row of `FRAMERS`: how to make a framer for a request, and which media types its bodies have."""

    __slots__ = ("make", "media_types")

    def __init__(self, make: Callable[[WireRequest, int], Framer], media_types: frozenset[str]) -> None:
        self.make = make
        self.media_types = media_types


FRAMERS: dict[str, Framing] = {
    "sse": Framing(lambda wire, limit: SSEFramer(flush_at_eof=wire.flush_at_eof, limit=limit), _EVENT_STREAM),
    "ndjson": Framing(lambda _wire, limit: NDJSONFramer(limit=limit), _NDJSON_TYPES),
    "json-array": Framing(lambda _wire, limit: JSONArrayFramer(limit=limit), _JSON_TYPES),
    "aws-eventstream": Framing(lambda _wire, limit: EventStreamFramer(limit=limit), _AWS_TYPES),
    "whole": Framing(lambda _wire, _limit: WholeFramer(), _JSON_TYPES),
}
"""The framings that core knows, by the name that a `WireRequest` gives."""


def framer_for(wire: WireRequest, limit: int = _LARGEST) -> Framer:
    """A new framer for the answer to `wire`, whose events are no larger than `limit` bytes.

    Raises:
        KeyError: The framing has no row in `FRAMERS`.
    """
    return FRAMERS[wire.framing].make(wire, limit) if isinstance(wire.framing, str) else wire.framing(limit=limit)


def media_type(content_type: str | None) -> str | None:
    """The media type of a Content-Type header, without parameters and in lower case; None where there is none."""
    if not content_type:
        return None
    return content_type.partition(";")[0].strip().lower() or None
