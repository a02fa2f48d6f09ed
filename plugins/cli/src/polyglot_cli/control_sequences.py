"""Removes control sequences from text for a terminal, and shows characters that are invisible.

A model's text is untrusted. Written to a terminal unchanged, it could rewrite the screen, fill the clipboard or hide
words. The code does no I/O; a sequence that is split across two pieces is still recognized.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Cleaner", "clean", "one_line"]

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2028\u2029\u2060-\u2064\u206a-\u206f\u2800\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_JOINERS = "\u200c\u200d\ufe0e\ufe0f"  # of emoji and of scripts such as Arabic
_HARMLESS = re.compile(rf"[^\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{_BIDI}{_INVISIBLE}{_JOINERS}]*")
_SHOWN = re.compile(f"[\ud800-\udfff{_BIDI}{_INVISIBLE}]")
_KEYCAPS = "0123456789#*"  # with a variation selector they are emoji
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_ESCAPE = "\x1b"
_BELL = "\x07"
_CANCELS = "\x18\x1a"  # CAN and SUB cancel any open sequence
_CSI, _OSC, _STRING_END = "\x9b", "\x9d", "\x9c"
_STRINGS = "\x90\x98\x9d\x9e\x9f"  # DCS, SOS, OSC, PM, APC
_C1_OFFSET = 0x40  # ESC and a character of @A…_ are the C1 control with that offset


class Cleaner:
    """Cleans a text that is received in pieces. The result does not depend on how it is split.

    It removes control characters except tab and newline, and whole sequences: ESC with its parameters, CSI, OSC, DCS,
    APC, PM, SOS. Characters that change the direction of writing, or are invisible, are shown, as in ``<U+202E>``; a
    joiner is not where it may belong to an emoji or to a script other than Latin. A string sequence that never ends
    would swallow the rest of the text, so `finish` returns its content, cleaned.
    """

    def __init__(self) -> None:
        self._take: Callable[[str], str] = self._ground
        self._swallowed: list[str] = []
        self._bell_ends = False
        self._last = ""  # the last character of the text, which a joiner joins

    def feed(self, text: str) -> str:
        """Return the next piece, cleaned; empty while a sequence is open."""
        if self._take == self._ground and _HARMLESS.fullmatch(text):
            self._last = text[-1:] or self._last
            return text
        return "".join([self._take(character) for character in text])

    def finish(self) -> str:
        """Return the content of an unterminated string sequence, and reset the cleaner."""
        rest = "".join([self._plain(character) for character in _CONTROL.sub("", "".join(self._swallowed))])
        self._swallowed.clear()
        self._take = self._ground
        self._last = ""
        return rest

    # Each state returns the text for the next character, or nothing, and may change the state.

    def _ground(self, character: str) -> str:
        if character == _ESCAPE:
            self._take = self._escape
        elif character == _CSI:
            self._take = self._csi
        elif character in _STRINGS:
            self._open_string(character)
        elif not _CONTROL.match(character):
            return self._plain(character)
        return ""

    def _plain(self, character: str) -> str:
        """Return a character of the text, or its number if it is invisible where it stands."""
        last, self._last = self._last, character
        if character in _JOINERS:
            return character if _may_be_joined(last, character) else _number(character)
        return _number(character) if _SHOWN.match(character) else character

    def _escape(self, character: str) -> str:
        if "@" <= character <= "_":
            return self._again(chr(ord(character) + _C1_OFFSET))
        if " " <= character <= "/":
            return ""  # an intermediate: the sequence continues
        if "0" <= character <= "~":
            return self._end()
        return self._again(character)

    def _csi(self, character: str) -> str:
        if " " <= character <= "?":
            return ""  # a parameter or an intermediate
        if "@" <= character <= "~":
            return self._end()
        return self._again(character)

    def _string(self, character: str) -> str:
        if character == _ESCAPE:
            self._take = self._string_escape
        elif character == _STRING_END or character in _CANCELS or (self._bell_ends and character == _BELL):
            return self._end()
        else:
            self._swallowed.append(character)
        return ""

    def _string_escape(self, character: str) -> str:
        self._swallowed.clear()  # ESC ends the string whether it is ESC \ or the start of another sequence
        self._take = self._escape
        return self._escape(character)

    def _open_string(self, introducer: str) -> None:
        self._bell_ends = introducer == _OSC
        self._take = self._string

    def _again(self, character: str) -> str:
        """Abandon the sequence and process `character` as plain text."""
        self._take = self._ground
        return self._ground(character)

    def _end(self) -> str:
        self._swallowed.clear()
        self._take = self._ground
        return ""


def clean(text: str) -> str:
    """Return a whole text, cleaned."""
    cleaner = Cleaner()
    return cleaner.feed(text) + cleaner.finish()


def one_line(text: str) -> str:
    """Return a whole text, cleaned, with white space collapsed to single spaces."""
    return " ".join(clean(text).split())


def _may_be_joined(last: str, joiner: str) -> bool:
    """Return True if a joiner behind this character may be part of an emoji, or of a word in another script."""
    if last == "\ufe0f":  # an emoji with its variation selector
        return joiner == "\u200d"
    if last in _KEYCAPS:
        return bool(last) and joiner in "\ufe0e\ufe0f"
    return last > "\xa0" and last not in _JOINERS and not _SHOWN.match(last)


def _number(character: str) -> str:
    return f"<U+{ord(character):04X}>"
