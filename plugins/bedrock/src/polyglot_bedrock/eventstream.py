"""AWS event-stream frames: the binary framing of Bedrock's streams.

A frame is total length and header length (4 bytes each, big endian), their CRC-32, headers, payload, and the CRC-32 of
all before it. Limits are those of AWS's own clients: 128 KiB of headers, 32,767 bytes in one of them, 16 MiB a frame.
Lengths are checked before the rest of a frame is buffered.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from typing import TYPE_CHECKING

from polyglot_core.errors import LimitExceeded, Malformed, Truncated
from polyglot_core.plugin import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MEDIA_TYPE", "EventStreamFramer"]

MEDIA_TYPE = "application/vnd.amazon.eventstream"

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_SHORTEST_FRAME = _PRELUDE.size + _CHECKSUM.size
_LONGEST_FRAME = 16 * 1024 * 1024
_LONGEST_HEADERS = 128 * 1024
_LONGEST_VALUE = 32_767


class EventStreamFramer:
    """Frames a body: each chunk has a payload, headers as text, and as event the type that the headers name.

    A broken frame raises `Malformed`, after the chunks before it were returned; nothing after it can be read. A frame
    that is truncated by the end of the body raises `Truncated`.
    """

    __slots__ = ("_broken", "_encoded", "_headers", "_limit", "_open", "_wanted")

    media_types = frozenset({MEDIA_TYPE})

    def __init__(self, *, limit: int = _LONGEST_FRAME) -> None:
        self._limit = limit
        self._open = bytearray()  # the frame that has not ended
        self._wanted = _PRELUDE.size  # bytes that the buffer must hold before parsing it is worthwhile
        self._broken: Malformed | LimitExceeded | None = None
        self._encoded, self._headers = b"", dict[str, str]()  # of the last frame

    @staticmethod
    def recognizes(data: bytes) -> bool | None:
        """Return whether a body begins with the lengths of a frame and their checksum; None if it is too short."""
        if len(data) < _PRELUDE.size:
            return None if data[:1] in {b"", b"\0", b"\1"} else False  # of a length of 16 MiB at most
        try:
            _lengths(data, 0)
        except Malformed:
            return False
        return True

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the frames that `data` completes.

        Raises:
            Malformed: A checksum, a length or a header is wrong.
            LimitExceeded: A frame is larger than `limits.event`.
        """
        if self._broken is not None:
            raise self._broken
        if len(self._open) + len(data) < self._wanted:
            self._open += data
            return ()
        chunks: list[Chunk] = []
        try:
            self._read(b"".join((self._open, data)) if self._open else data, chunks)
        except (Malformed, LimitExceeded) as error:
            self._broken = error
            if not chunks:
                raise
        return chunks

    def finish(self) -> Sequence[Chunk]:
        """Return no chunk: a frame that is not complete is none.

        Raises:
            Malformed, LimitExceeded: The error found in the last bytes.
            Truncated: The body ended within a frame.
        """
        if self._broken is not None:
            raise self._broken
        if self._open:
            msg = "The stream ended in the middle of a frame. What was received before is kept as a partial response."
            raise Truncated(msg)
        return ()

    def _read(self, data: bytes, chunks: list[Chunk]) -> None:
        offset = 0
        self._wanted = _PRELUDE.size
        while len(data) - offset >= _PRELUDE.size:
            total, headers = _lengths(data, offset)
            if total > self._limit:
                raise LimitExceeded(f"A frame of the response has {total} bytes; limits.event allows {self._limit}.")
            if len(data) - offset < total:
                self._wanted = total
                break
            chunks.append(self._frame(data[offset : offset + total], headers))
            offset += total
        self._open[:] = data[offset:]

    def _frame(self, frame: bytes, headers_length: int) -> Chunk:
        body = len(frame) - _CHECKSUM.size
        if zlib.crc32(frame[:body]) != _CHECKSUM.unpack_from(frame, body)[0]:
            raise _malformed("its checksum is wrong")
        end = _PRELUDE.size + headers_length
        # Nearly all frames have the headers of the one before.
        if (encoded := frame[_PRELUDE.size : end]) != self._encoded:
            self._encoded, self._headers = encoded, _headers(encoded)
        headers = dict(self._headers)
        event = headers.get(":event-type") or headers.get(":exception-type") or headers.get(":error-code")
        return Chunk(frame[end:body], frame, "part", event, None, headers)


def _lengths(data: bytes, offset: int) -> tuple[int, int]:
    """Return total and header length of the frame at `offset`, once they are received and valid."""
    total, headers, checksum = _PRELUDE.unpack_from(data, offset)
    if zlib.crc32(data[offset : offset + _PRELUDE.size - _CHECKSUM.size]) != checksum:
        raise _malformed("the checksum of its lengths is wrong")
    if not _SHORTEST_FRAME <= total <= _LONGEST_FRAME:
        raise _malformed(f"a frame of {total} bytes is not allowed")
    if headers > min(_LONGEST_HEADERS, total - _SHORTEST_FRAME):
        raise _malformed(f"headers of {headers} bytes do not fit a frame of {total}")
    return total, headers


# Type byte → number of bytes and how to read them; the two types with a length of their own are not here.
_FIXED: dict[int, tuple[int, Callable[[bytes], str]]] = {
    0: (0, lambda _: "true"),
    1: (0, lambda _: "false"),
    2: (1, lambda value: str(int.from_bytes(value, signed=True))),
    3: (2, lambda value: str(int.from_bytes(value, signed=True))),
    4: (4, lambda value: str(int.from_bytes(value, signed=True))),
    5: (8, lambda value: str(int.from_bytes(value, signed=True))),
    8: (8, lambda value: str(int.from_bytes(value, signed=True))),
    9: (16, lambda value: str(uuid.UUID(bytes=value))),
}
_BYTES, _STRING = 6, 7


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    offset = 0
    while offset < len(data):
        name, offset = _take(data, offset + 1, data[offset])
        if not name:
            raise _malformed("a header has no name")
        kind, offset = _take(data, offset, 1)
        value, offset = _value(data, offset, kind[0])
        text = _text(name)
        if text in found:
            raise _malformed(f"the header {text!r} is there twice")
        found[text] = value
    return found


def _value(data: bytes, offset: int, kind: int) -> tuple[str, int]:
    if kind in _FIXED:
        length, read = _FIXED[kind]
        value, offset = _take(data, offset, length)
        return read(value), offset
    if kind not in {_BYTES, _STRING}:
        raise _malformed(f"a header is of the unknown type {kind}")
    prefix, offset = _take(data, offset, _LENGTH.size)
    length = _LENGTH.unpack(prefix)[0]
    if length > _LONGEST_VALUE:
        raise _malformed(f"a header of {length} bytes is not allowed")
    value, offset = _take(data, offset, length)
    return (_text(value) if kind == _STRING else value.hex()), offset


def _take(data: bytes, offset: int, length: int) -> tuple[bytes, int]:
    if offset + length > len(data):
        raise _malformed("a header extends beyond the end of the headers")
    return data[offset : offset + length], offset + length


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _malformed("a header is not UTF-8") from None


def _malformed(why: str) -> Malformed:
    return Malformed(f"A binary frame of the response is malformed: {why}.")
