"""Compressed bodies, undone as the bytes come and within bounds.

httpx 0.28 turns 336 bytes of ``gzip, gzip`` into one piece of 104 MB, so bodies are read raw and inflated here.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from polyglot_core.errors import LimitExceeded, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Inflater", "inflater_for"]

_DECODED_AT_ONCE = 1024 * 1024  # bytes; a larger piece is made in steps, so a bomb never stands in memory whole
_CLOSER_AND_CLOSER = (4096, 64, 1)  # bytes; steps towards the place of the damage
_SMALLEST_BOMB = 16 * 1024 * 1024  # bytes that any answer may inflate to, whatever the ratio


class Inflater:
    """Undoes gzip or deflate as the bytes come, and stops at a bomb."""

    def __init__(self, window: int, largest_ratio: int) -> None:
        self._window = window
        self._zlib = zlib.decompressobj(window)
        self._largest_ratio = largest_ratio
        self._damage: zlib.error | None = None
        self._raw = self._decoded = 0

    def decode(self, data: bytes) -> bytes:
        """The next bytes, inflated. What stood before damage is returned, and the damage is raised after it.

        Raises:
            TransportError: The compressed data is broken.
            LimitExceeded: It inflates beyond all measure.
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
        """The body is over.

        Raises:
            TransportError: The compressed data is not, or is broken.
        """
        self._check()
        if self._raw and not self._zlib.eof:
            msg = "The answer is compressed, and its end is missing."
            raise TransportError(msg, "encoding", phase="stream")

    def _check(self) -> None:
        """Raise the damage that was found, if any was."""
        if self._damage is not None:
            msg = f"The answer is compressed, and broken: {self._damage}."
            raise TransportError(msg, "encoding", phase="stream") from self._damage

    def _inflated(self, data: bytes) -> bytes:
        """The next of `data` up to a bound, or up to where it is broken."""
        before = self._zlib.copy()
        try:
            return self._zlib.decompress(data, _DECODED_AT_ONCE)
        except zlib.error as error:
            self._damage = error.with_traceback(None)  # whose frames lead to the request, and so to the key
            return _up_to_damage(before, data)

    def _count(self, size: int) -> None:
        self._decoded += size
        if self._decoded > max(_SMALLEST_BOMB, self._largest_ratio * self._raw):
            msg = f"The answer inflates {self._raw} bytes to {self._decoded}; more is allowed by limits.inflation."
            raise LimitExceeded(msg)


def _up_to_damage(
    inflating: zlib._Decompress,  # pyright: ignore[reportPrivateUsage]  # its type has no other name
    data: bytes,
) -> bytes:
    """What there is of `data` before it breaks: zlib itself gives nothing of a piece that holds damage."""
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
    """What undoes the answer's encoding, as long as no byte becomes more than `largest_ratio` bytes; None for none.

    Raises:
        TransportError: It is encoded in a way that was not asked for and is not known, or several times over.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        return None
    if encoding not in _WINDOWS:
        msg = f"The answer is encoded as {encoding!r}, which was not asked for and cannot be read."
        raise TransportError(msg, "encoding", phase="headers", retryable=False)
    return Inflater(_WINDOWS[encoding], largest_ratio)
