"""Compressed bodies, decompressed as the bytes are received and within bounds.

httpx 0.28 turns 336 bytes of ``gzip, gzip`` into one piece of 104 MB, so bodies are read raw and inflated here.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from polyglot_core.errors import LimitExceeded, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Inflater", "inflater_for"]

_DECODED_AT_ONCE = 1024 * 1024  # bytes; a larger piece is made in steps, so a bomb is never whole in memory
_CLOSER_AND_CLOSER = (4096, 64, 1)  # bytes; steps towards the damage
_SMALLEST_BOMB = 16 * 1024 * 1024  # bytes to which any response may inflate, whatever the ratio


class Inflater:
    """Decompresses gzip or deflate incrementally, and stops at a decompression bomb."""

    def __init__(self, window: int, largest_ratio: int) -> None:
        self._window = window
        self._zlib = zlib.decompressobj(window)
        self._largest_ratio = largest_ratio
        self._damage: zlib.error | None = None
        self._raw = self._decoded = 0

    def decode(self, data: bytes) -> bytes:
        """Return the next bytes, decompressed. What precedes damage is returned; the next call raises.

        Raises:
            TransportError: The compressed data is corrupt.
            LimitExceeded: The decompressed body exceeds `limits.inflation`.
        """
        self._check()
        self._raw += len(data)
        pieces: list[bytes] = []
        while data:
            if self._zlib.eof:  # a body of gzip may have several members, and zeros behind the last
                if not (data := data.lstrip(b"\0")):
                    break
                self._zlib = zlib.decompressobj(self._window)
            pieces.append(self._inflated(data))
            self._count(len(pieces[-1]))
            data = b"" if self._damage else self._zlib.unconsumed_tail or self._zlib.unused_data
        inflated = b"".join(pieces)
        if not inflated:
            self._check()
        return inflated

    def finish(self) -> None:
        """Check the end of the body.

        Raises:
            TransportError: The compressed data is incomplete or corrupt.
        """
        self._check()
        if self._raw and not self._zlib.eof:
            msg = "The compressed response body is incomplete."
            raise TransportError(msg, "encoding", phase="stream")

    def _check(self) -> None:
        """Raise the damage that was found, if any was."""
        if self._damage is not None:
            msg = f"The compressed response body is corrupt: {self._damage}."
            raise TransportError(msg, "encoding", phase="stream") from self._damage

    def _inflated(self, data: bytes) -> bytes:
        """Return the next of `data`, decompressed, up to a bound or up to the damage."""
        before = self._zlib.copy()
        try:
            return self._zlib.decompress(data, _DECODED_AT_ONCE)
        except zlib.error as error:
            self._damage = error.with_traceback(None)  # whose frames lead to the request, and so to the key
            return _up_to_damage(before, data)

    def _count(self, size: int) -> None:
        self._decoded += size
        if self._decoded > max(_SMALLEST_BOMB, self._largest_ratio * self._raw):
            msg = f"The body inflates {self._raw} bytes to {self._decoded}. Raise limits.inflation to allow more."
            raise LimitExceeded(msg)


def _up_to_damage(
    inflating: zlib._Decompress,  # pyright: ignore[reportPrivateUsage]  # its type has no other name
    data: bytes,
) -> bytes:
    """Return what decompresses of `data` before the damage: zlib returns nothing of a damaged piece."""
    inflated, place = bytearray(), 0
    for size in _CLOSER_AND_CLOSER:
        while place < len(data):
            before = inflating.copy()
            try:
                inflated += inflating.decompress(data[place : place + size])
            except zlib.error:
                inflating = before
                break
            place += size
    return bytes(inflated)


_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def inflater_for(headers: Mapping[str, str], largest_ratio: int) -> Inflater | None:
    """Return an inflater for the response's encoding that allows `largest_ratio` bytes for each, or None.

    Raises:
        TransportError: The encoding was not requested and is unknown, or the body is encoded several times.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        return None
    if encoding not in _WINDOWS:
        msg = f"The response body is encoded as {encoding!r}, which was not requested and is not supported."
        raise TransportError(msg, "encoding", phase="headers", retryable=False)
    return Inflater(_WINDOWS[encoding], largest_ratio)
