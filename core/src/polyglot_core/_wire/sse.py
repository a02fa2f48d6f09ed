"""The framer for server-sent events.

It follows the HTML standard, section 9.2 (event streams): the encoding is UTF-8 regardless of the response's headers,
one leading byte order mark is dropped, lines end with LF, CR or CRLF, and comments are skipped. It deviates where the
standard would lose a part of a response that a client of a browser never receives:

- The last block counts without its closing blank line if its data is whole JSON, or in any case with `flush_at_eof`.
- A field ``error`` is an event of that name, with or without data.
- A line that is no field but JSON, as of a server that drops the framing, is data. Any other line is kept in
  `leftovers`.
- A second ``event`` field behind data begins another event.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from polyglot_core._wire.leftovers import Leftovers, is_field
from polyglot_core._wire.messages import CR, LARGEST_EVENT, LF, Chunk, is_json, lines_of, too_large

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FIELDS", "SSEFramer"]

FIELDS = (b"data", b"event", b"id", b"retry", b"error")
"""Names of the fields of a block; the last one is not in the standard."""

_BOM = b"\xef\xbb\xbf"

_BLANK_LINE = b"\n\n"

_FIELD = b"data: "

_SKIP = len(_FIELD)

_MOST_DIGITS = 10  # of `retry`: 10**10 ms are 116 days, and int() raises for a number of more than 4,300 digits

_CRLF = b"\r\n"

_BLANK_CRLF = _CRLF + _CRLF

_NEXT_FIELD, _NEXT_CRLF_FIELD = _BLANK_LINE + _FIELD, _BLANK_CRLF + _FIELD

_EVENT = b"event: "

_NAMED = len(_EVENT)

_DATA_LINE = b"\n" + _FIELD

_HEAD, _EVENT_HEAD = slice(_SKIP), slice(_NAMED)

_TAIL, _CRLF_TAIL = slice(-2, None), slice(-4, None)

_BRACKETS = (b"{", b"[")

_QUIET_FIELDS = frozenset({b"", b"id", b"retry"})

_ERROR = "error"

_END_MARK = b"[DONE]"

_NOT_IN_NAMES = re.compile(rb"[^!-~]+")

_SHOWN = 100  # bytes of a line that a note quotes


class SSEFramer:
    """Splits a response of server-sent events. Each block with data is a chunk; comments and `retry` are not.

    Attributes:
        retry: The last reconnection time that the server sent, in milliseconds, or None.
        leftovers: The lines that are no fields, and notes on what was odd.
        between: True if a read that begins now begins a block, and no state of the stream changes how it is read. Then
            a block of one line of data is a chunk with that data, and nothing else.
    """

    __slots__ = (
        *("_at_start", "_first", "_flush", "_held", "_last_id", "_limit", "_open", "_returned"),
        *("between", "leftovers", "retry"),
    )

    def __init__(self, *, flush_at_eof: bool = False, limit: int = LARGEST_EVENT) -> None:
        self.retry: int | None = None
        self.leftovers = Leftovers()
        self._flush = flush_at_eof
        self._at_start = True  # a byte order mark may follow
        self._returned = False  # the last read ended with CR: an LF that follows belongs to it
        self._open = bytearray()  # the incomplete block
        self._limit = limit
        self._last_id: str | None = None
        self._first = True  # no chunk was returned
        self._held: bytes | None = None  # JSON without a framing, which is the whole body if nothing follows it
        self.between = False

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the chunks that `data` completes.

        Raises:
            LimitExceeded: A block is too large.
        """
        # The usual read of a streamed response is one block: a line of data, in some dialects behind the name of the
        # event. (Slices and `in` are faster than methods.)
        if self.between:
            if data[_HEAD] == _FIELD:
                end = -2 if data[_TAIL] == _BLANK_LINE else -4 if data[_CRLF_TAIL] == _BLANK_CRLF else 0
                payload = data[_SKIP:end]
                if end and LF not in payload and CR not in payload:
                    return (Chunk(payload, payload),)
            elif data[_EVENT_HEAD] == _EVENT and data[_TAIL] == _BLANK_LINE:
                name, _, payload = data[_NAMED:-2].partition(_DATA_LINE)
                if payload and LF not in name and LF not in payload and CR not in data:
                    return (Chunk(payload, payload, "part", name.decode("utf-8", "replace") or None),)
        chunks = self._feed(data)
        odd = self._at_start or self._returned or self._first
        self.between = not (odd or self._open or self._last_id is not None)
        return chunks

    def _feed(self, data: bytes) -> list[Chunk]:
        if self._at_start:
            data = self._without_mark(data)
        if self._returned or CR in data:
            if chunks := self._crlf_chunks(data):
                return chunks
            data = self._with_line_feeds(data)
        return self._complete(data) if data else []

    def _crlf_chunks(self, data: bytes) -> list[Chunk]:
        """Return the chunks of a read whose blocks are one line of data each and end with CRLF; none for any other.

        The first block may be the end of any block, and behind the last one anything may follow.

        Most bytes are not copied then, as they are if every CRLF is replaced.
        """
        start = data.find(_BLANK_CRLF) + 4 if self._open else 0
        end = data.rfind(_BLANK_CRLF, start)
        if end < 0 or self._first or self._returned or self._last_id is not None or not data.startswith(_FIELD, start):
            return []
        payloads = data[start + _SKIP : end].split(_NEXT_CRLF_FIELD)
        breaks = 2 * (len(payloads) - 1)
        if data.count(b"\n", start, end) != breaks or data.count(b"\r", start, end) != breaks:
            return []
        before = self._complete(self._with_line_feeds(data[:start])) if start else []
        chunks = [*before, *[Chunk(payload, payload, "part", None, self._last_id) for payload in payloads]]
        rest = self._with_line_feeds(data[end + 4 :])
        if _BLANK_LINE in rest:  # the last line end is a CR whose LF has not been read, or of another kind
            return [*chunks, *self._complete(rest)]
        self._open += rest
        return chunks

    def _complete(self, data: bytes) -> list[Chunk]:
        """Return the chunks that bytes complete whose lines end with LF."""
        if self._open:
            # Only new bytes can end the block, so only they are searched: a long block costs linear time.
            if _BLANK_LINE not in self._open[-1:] + data:
                return self._keep(data)
            data = self._with_open(data)
        end = data.rfind(_BLANK_LINE)
        if end < 0:
            return self._keep(data)
        if end + 2 < len(data):  # the limit is checked at the next read, so that complete blocks are returned first
            self._open += data[end + 2 :]
        return self._chunks(data, end)

    def _keep(self, data: bytes) -> list[Chunk]:
        """Buffer bytes of the incomplete block, and return no chunks."""
        self._open += data
        if len(self._open) > self._limit:
            raise too_large(self._limit)
        return []

    def _with_open(self, data: bytes) -> bytes:
        """Return the buffered bytes of the block followed by `data`, and clear the buffer."""
        data = b"".join((self._open, data))
        self._open.clear()
        return data

    def finish(self) -> list[Chunk]:
        """Return the last block without its closing blank line, if it counts; else nothing.

        JSON without a framing that is the only content of the body is a whole response.

        Raises:
            LimitExceeded: The block is too large.
        """
        if len(self._open) > self._limit:
            raise too_large(self._limit)
        block = self._with_open(b"").rstrip(b"\n")
        last = self._chunks(block, len(block)) if block.strip() else []
        if last and not self._flush:
            last = [chunk for chunk in last if _counts_unterminated(chunk)]
            if last:
                self.leftovers.note("The last event of the stream was read without the blank line that ends an event.")
        held, self._held = self._held, None
        return [*last, Chunk(held, held, "whole")] if held is not None else last

    def _chunks(self, data: bytes, end: int) -> list[Chunk]:
        """Return the chunks of the blocks up to `end`."""
        # Nearly always each block is one line of data. Then one split yields the payloads; the number of line feeds
        # proves that there were no other lines.
        chunks: list[Chunk] = []
        if data.startswith(_FIELD) and self._last_id is None:
            payloads = data[_SKIP:end].split(_NEXT_FIELD)
            if data.count(b"\n", 0, end) == 2 * (len(payloads) - 1):
                chunks = [Chunk(payload, payload) for payload in payloads]
        if not chunks:
            last_id = self._last_id
            for block in data[:end].split(_BLANK_LINE):
                head, _, payload = block.partition(_DATA_LINE)
                if payload and head[_EVENT_HEAD] == _EVENT and LF not in head and LF not in payload:
                    name = head[_NAMED:].decode("utf-8", "replace") or None
                    chunks.append(Chunk(payload, payload, "part", name, last_id))
                else:
                    self._read_block(block, chunks)
                    last_id = self._last_id
        if self._first and chunks:
            self._first = False
            if self._held is not None:
                chunks.insert(0, Chunk(self._held, self._held))
                self._held = None
        return chunks

    def _read_block(self, block: bytes, chunks: list[Chunk]) -> None:  # noqa: C901 (a branch for each field; hot)
        """Append the chunk of a block to `chunks`; several, or none, if the block is odd."""
        event: str | None = None
        data: bytes | bytearray | None = None  # one buffer: a list of the lines takes ten times their memory
        odd: bytearray | None = None
        for line in lines_of(block):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data = value if data is None else _joined(data, value)
            elif name == b"event":
                if event is not None and data is not None:
                    chunks.append(self._chunk(data, event))
                    data = None
                event = value.decode("utf-8", "replace") or None
            elif name in _QUIET_FIELDS:
                self._note_field(name, value)
            elif (found := _data_in(line)) is not None:
                self.leftovers.note("A line of the stream was read as data although its field name is misspelled.")
                data = found if data is None else _joined(data, found)
            elif _plain(name) == b"event":
                self.leftovers.note("The name of an event was read although the name of its field is misspelled.")
                event = value.decode("utf-8", "replace") or event
            elif name.strip().lower() == b"error":
                chunks.append(Chunk(value, line, "part", _ERROR))
            else:
                odd = bytearray(line) if odd is None else _joined(odd, line)
        if data is not None or (event is not None and event.lower() == _ERROR):
            chunks.append(self._chunk(data or b"", event))
        if odd is not None:
            self._read_odd(bytes(odd), chunks)

    def _note_field(self, name: bytes, value: bytes) -> None:
        """Keep the value of ``id`` or ``retry``, if it is valid. A line without a name is a comment, or blank."""
        if name == b"id" and b"\0" not in value:
            self._last_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MOST_DIGITS:
            self.retry = int(value)

    def _chunk(self, data: bytes | bytearray, event: str | None) -> Chunk:
        payload = bytes(data)
        return Chunk(payload, payload, "part", event, self._last_id)

    def _read_odd(self, text: bytes, chunks: list[Chunk]) -> None:
        """Append chunks of the lines without a field name that are JSON to `chunks`, and keep the others."""
        whole = text.lstrip().startswith(_BRACKETS) and is_json(text)
        for line in (text,) if whole else lines_of(text):
            if not (whole or (line.lstrip().startswith(_BRACKETS) and is_json(line))):
                self._leave_out(line)
                continue
            self.leftovers.note("A line of the stream was read as data although it has no field name.")
            if self._first and self._held is None and not chunks:
                self._held = line
            else:
                chunks.append(Chunk(line, line))

    def _leave_out(self, line: bytes) -> None:
        """Keep a line that is no part of the response, with a note unless clients of the standard ignore it too."""
        if _plain(line):
            self.leftovers.keep(line)
            if not is_field(line):
                shown = line[:_SHOWN].decode("utf-8", "replace")
                self.leftovers.note(f"A line of the stream that is no field was left out: {shown!r}.")

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


def _joined(buffer: bytes | bytearray, line: bytes) -> bytearray:
    """Return the lines in `buffer`, changed in place if possible, and one more."""
    joined = buffer if isinstance(buffer, bytearray) else bytearray(buffer)
    joined += b"\n"
    joined += line
    return joined


def _data_in(line: bytes) -> bytes | None:
    """Return the JSON in a line whose field name is ``data`` but for its case, or what `_plain` removes."""
    name, _, value = line.partition(b":")
    value = value.strip()
    return value if _plain(name) == b"data" and value.startswith(_BRACKETS) else None


def _plain(name: bytes) -> bytes:
    """Return a name in lower case, without white space, byte order marks, NUL and other bytes that no name has."""
    return _NOT_IN_NAMES.sub(b"", name).lower()


def _counts_unterminated(chunk: Chunk) -> bool:
    """Return whether the last event, which its blank line does not end, was received in full."""
    if chunk.event == _ERROR:
        return True
    first = next(iter(lines_of(chunk.data)), b"").strip()
    return first == _END_MARK or any(each.startswith(_BRACKETS) and is_json(each) for each in (first, chunk.data))
