"""The text of a candidate, addressed as Google's sources address it: by offsets in bytes of UTF-8."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

__all__ = ["NOWHERE", "Place", "TextOffsets"]

_STEP = 4096  # bytes between two positions whose number of characters is kept
_TOLERANCE = 64  # bytes by which offsets may be wrong, for example because the model's text was normalized
_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))


class Place(NamedTuple):
    """A stretch of a block's text, in characters.

    Attributes:
        block: Number of the block; -1 if it is not known.
        start: Offset of the first character; None with `end` if the stretch is not known.
        end: Offset after the last character.
    """

    block: int
    start: int | None = None
    end: int | None = None


NOWHERE = Place(-1)


class TextOffsets:
    """Converts offsets in bytes of a text that grows. The time is linear in the text and in the number of places.

    Attributes:
        pieces: The pieces of the text, to which the next one is appended.
    """

    __slots__ = ("_blocks", "_characters", "_encoded", "_offsets", "_read", "_starts", "pieces")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._starts: dict[int, int] = {}  # block, by the number of pieces before it
        self._encoded = bytearray()
        self._read = 0  # pieces that are encoded
        self._blocks: list[tuple[int, int]] = []  # offset in bytes and number of each block
        self._offsets: dict[int, int] = {}  # the same, by number
        self._characters = [0]  # before each multiple of _STEP

    def begin(self, block: int) -> None:
        """Begin a block with the next piece."""
        self._starts[len(self.pieces)] = block

    def place(self, start: object, end: object, *, text: object = None, part: object = None) -> Place:
        """Return the place of a stretch.

        Args:
            start: Offset in bytes of its beginning; None is 0.
            end: Offset in bytes of its end.
            text: The text that must be there, if it is known.
            part: Number of the part that the offsets count from; otherwise they count from the beginning.
        """
        if not isinstance(end, int) or not isinstance(start or 0, int):
            return NOWHERE
        self._encode()
        first, last = int(start or 0), end  # type: ignore[call-overload]  # checked above
        wanted = text.encode("utf-8", "replace") if isinstance(text, str) else None
        own = self._offsets.get(part, 0) if isinstance(part, int) else 0
        for base in (own, 0) if own else (0,):
            if (found := self._find(base + first, base + last, wanted)) is not None:
                return self._place(*found)
        return NOWHERE

    def _find(self, start: int, end: int, wanted: bytes | None) -> tuple[int, int] | None:
        """Return the offsets of a stretch; slightly different ones if the wanted text is there, and only there."""
        encoded, length = self._encoded, end - start
        if not 0 <= start < end or wanted == b"":
            return None
        if wanted is None:
            return (start, end) if end <= len(encoded) else None
        if len(wanted) == length and encoded.startswith(wanted, start):
            return start, end
        if abs(len(wanted) - length) > _TOLERANCE:  # so that the time of the search is linear in the wanted text
            return None
        low, high = max(0, start - _TOLERANCE), end + _TOLERANCE
        at = encoded.find(wanted, low, high)
        return (at, at + len(wanted)) if at >= 0 and encoded.find(wanted, at + 1, high) < 0 else None

    def _place(self, start: int, end: int) -> Place:
        at = bisect_right(self._blocks, start, key=lambda each: each[0]) - 1
        if at < 0:
            return NOWHERE
        offset, block = self._blocks[at]
        limit = self._blocks[at + 1][0] if at + 1 < len(self._blocks) else len(self._encoded)
        before = self._count(offset)
        return Place(block, self._count(start) - before, self._count(min(end, limit)) - before)

    def _encode(self) -> None:
        """Encode the pieces that were added since the last time."""
        encoded = self._encoded
        for number in range(self._read, len(self.pieces)):
            if (block := self._starts.pop(number, None)) is not None:
                self._blocks.append((len(encoded), block))
                self._offsets[block] = len(encoded)
            encoded += self.pieces[number].encode("utf-8", "replace")
        self._read = len(self.pieces)
        for step in range(len(self._characters), len(encoded) // _STEP + 1):
            self._characters.append(self._characters[-1] + _length(encoded[(step - 1) * _STEP : step * _STEP]))

    def _count(self, offset: int) -> int:
        """Return the number of characters before an offset in bytes."""
        step = offset // _STEP
        return self._characters[step] + _length(self._encoded[step * _STEP : offset])


def _length(encoded: bytes | bytearray) -> int:
    return len(encoded.translate(None, _CONTINUATION_BYTES))
