"""What was received and is no part of the response: kept, up to a limit, as the possible reason of its end."""

from __future__ import annotations

import re

from msgspec import Struct, field

__all__ = ["Leftovers", "is_field"]

_MOST_BYTES = 4096
_MOST_NOTES = 32
_VENDOR_FIELD = re.compile(rb"[A-Za-z][\w.-]*:")


def is_field(line: bytes) -> bool:
    """Return whether a line is a field of an event stream, be it the vendor's."""
    return _VENDOR_FIELD.match(line) is not None


class Leftovers(Struct):
    """Lines and objects of a body that are no part of the response, and notes on what was read in spite of a defect.

    Attributes:
        text: The lines that were kept, up to 4 KiB, joined with line feeds.
        objects: Objects that describe an error, but did not end the response where they were received.
        telling: Whether a line is more than a field that an event stream allows and clients ignore, or an object has an
            error.
        notes: What was odd and how it was read, each sentence once.
    """

    text: bytearray = field(default_factory=bytearray)
    objects: list[bytes] = []
    telling: bool = False
    notes: list[str] = []

    def keep(self, line: bytes) -> None:
        """Keep a line that is not blank, up to the limit."""
        if not line.strip():
            return
        self.telling = self.telling or not is_field(line)
        left = _MOST_BYTES - len(self.text)
        if left > 0:
            self.text += (b"\n" if self.text else b"") + line[:left]

    def keep_object(self, data: bytes, *, telling: bool = False) -> None:
        """Keep an object, if it is the first one and not too large. An error in it is `telling`."""
        self.telling = self.telling or telling
        if not self.objects and len(data) <= _MOST_BYTES:
            self.objects.append(data)

    def note(self, text: str) -> None:
        """Add a note, unless it was added before."""
        if len(self.notes) < _MOST_NOTES and text not in self.notes:
            self.notes.append(text)
