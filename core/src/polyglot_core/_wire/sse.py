"""The framer for server-sent events.

It follows the HTML standard, section 9.2 (event streams): the encoding is UTF-8 regardless of the response's headers,
one leading byte order mark is dropped, lines end with LF, CR or CRLF, comments and unknown fields are skipped, and an
unterminated last block is discarded. `flush_at_eof` is the only deviation; some dialects need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_core._wire.messages import CR, LARGEST_EVENT, LF, Chunk, too_large

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SSEFramer"]

_BOM = b"\xef\xbb\xbf"

_BLANK_LINE = b"\n\n"

_FIELD = b"data: "

_SKIP = len(_FIELD)

_MOST_DIGITS = 10  # of `retry`: 10**10 ms are 116 days, and int() raises for a number of more than 4,300 digits

_NEXT_FIELD = _BLANK_LINE + _FIELD

_HEAD, _PAYLOAD, _TAIL = slice(_SKIP), slice(_SKIP, -2), slice(-2, None)


class SSEFramer:
    """Splits a response of server-sent events. Each block with data is a chunk; comments and `retry` are not.

    Attributes:
        retry: The last reconnection time that the server sent, in milliseconds, or None.
    """

    __slots__ = ("_at_start", "_between", "_flush", "_last_id", "_limit", "_open", "_returned", "retry")

    def __init__(self, *, flush_at_eof: bool = False, limit: int = LARGEST_EVENT) -> None:
        self.retry: int | None = None
        self._flush = flush_at_eof
        self._at_start = True  # a byte order mark may follow
        self._returned = False  # the last read ended with CR: an LF that follows belongs to it
        self._open = bytearray()  # the incomplete block
        self._limit = limit
        self._last_id: str | None = None
        self._between = False  # at the start of a block, and none of the states above applies

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the chunks that `data` completes.

        Raises:
            LimitExceeded: A block is too large.
        """
        # The usual read of a streamed response is one block of one data line. (Slices and `in` are faster than
        # methods.)
        if self._between and data[_HEAD] == _FIELD and data[_TAIL] == _BLANK_LINE:
            payload = data[_PAYLOAD]
            if LF not in payload and CR not in payload:
                return (Chunk(payload, payload),)
        chunks = self._feed(data)
        self._between = not (self._at_start or self._returned or self._open or self._last_id is not None)
        return chunks

    def _feed(self, data: bytes) -> list[Chunk]:
        if self._at_start:
            data = self._without_mark(data)
        if self._returned or CR in data:
            data = self._with_line_feeds(data)
        if not data:
            return []
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
        """Return the last block without its closing blank line if `flush_at_eof` is set, else nothing."""
        block = self._with_open(b"").rstrip(b"\n")
        return self._chunks(block, len(block)) if self._flush and block.strip() else []

    def _chunks(self, data: bytes, end: int) -> list[Chunk]:
        """Return the chunks of the blocks up to `end`."""
        # Nearly always each block is one line of data. Then one split yields the payloads; the number of line feeds
        # proves that there were no other lines.
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
