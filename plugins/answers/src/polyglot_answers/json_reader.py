"""Reads a JSON text in pieces: after each piece, the value received so far is there as plain Python objects."""

# Theory of operation: one value that grows in place
# --------------------------------------------------
#
# A stream delivers a JSON text in pieces of a few characters, and the value so far is read after each. To parse the
# text so far again each time is quadratic. This reader is fed each character once: it keeps the containers that are
# still open on a stack, appends to them, and never copies one.
#
# *What is shown.* Containers, as soon as they open; strings, as far as they were received; numbers, if what was
# received is one, although more digits may follow; a literal such as `true` only when it is complete, and a member of
# an object only with its value. A string or number that may still grow is *provisional*: it is placed in its container
# at the end of each piece, and taken out again by the next.
#
# *Strings.* The text of a string grows by concatenation. CPython extends a string in place if nothing else has it;
# so the provisional string is removed from its container before it is extended. A long string then costs linear time,
# unless the caller keeps each of the values.
#
# *Errors.* What is not JSON raises `JSONFault` with the position, and the value so far stays. Nothing is repaired.

from __future__ import annotations

import re
from typing import Any

__all__ = ["JSONFault", "JSONReader"]

_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER_PART = re.compile(r"[-+.eE0-9]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_SPACE = re.compile(r"[ \t\n\r]*")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_MOST_DEPTH = 512
_MOST_DIGITS = 4000  # `int` refuses more than 4,300
_ESCAPE_LENGTH = len("\\u0000")
_HIGH, _LOW = range(0xD800, 0xDC00), range(0xDC00, 0xE000)


class JSONFault(ValueError):
    """A text is not JSON.

    Attributes:
        reason: What is wrong.
        position: Offset of the character at which it was found.
    """

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"The text is not JSON: {reason}, at character {position}.")
        self.reason = reason
        self.position = position


class _Nothing:
    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Any = _Nothing()
"""The value before anything of it was received."""


class JSONReader:
    """Reads one JSON text in pieces.

    Args:
        members_of: Path of a list in the value, as names of members; its elements are collected in `closed` as soon as
            each is complete. An empty path is the value itself; None collects nothing.
        or_bare: True to collect the elements of the value itself too, if it is a list.

    Attributes:
        value: The value received so far, which grows in place; `NOTHING` before its first character.
        complete: True if the value is complete. White space may follow.
        closed: The complete elements of the list at `members_of`, in order. The reader only appends.
    """

    __slots__ = (
        *(
            "_before",
            "_escape",
            "_expects",
            "_key",
            "_literal",
            "_literal_value",
            "_or_bare",
            "_pieces",
            "_place",
            "_position",
        ),
        *("_provisional", "_stack", "_string", "_watched", "closed", "complete", "value"),
    )

    def __init__(self, members_of: tuple[str, ...] | None = None, *, or_bare: bool = False) -> None:
        self.value: Any = NOTHING
        self.complete = False
        self.closed: list[Any] = []
        self._stack: list[Any] = []  # open containers
        self._place: list[str | None] = []  # for each of them, the name of the member that is read; None in a list
        self._expects = "value"
        self._position = 0  # of the piece that is read
        self._string: str | None = None  # the string that is read
        self._key = False  # it is the name of a member
        self._escape = ""  # an incomplete escape sequence
        self._literal = ""  # what is left of a literal
        self._literal_value: bool | None = None
        self._before: Any = NOTHING  # what the provisional value has replaced
        self._pieces: list[str] = []  # of a number
        self._provisional = False  # the last member of the innermost container may still grow
        self._watched = None if members_of is None else list(members_of)
        self._or_bare = or_bare

    def feed(self, text: str) -> None:
        """Read the next piece.

        Raises:
            JSONFault: The text is not JSON.
        """
        if not text:
            return
        if self._provisional:
            self._take_back()
        at, size = 0, len(text)
        while at < size:
            if self._string is not None:
                at = self._read_string(text, at)
            elif self._pieces:
                at = self._read_number(text, at)
            elif self._literal:
                at = self._read_literal(text, at)
            else:
                at = self._read_structure(text, at)
        self._position += size
        self._show()

    def close(self) -> Any:
        """End the text, and return the value.

        Raises:
            JSONFault: The value is not complete.
        """
        if self._pieces and not self._stack:
            if self._provisional:
                self._take_back()
            self._end_number(self._position)
        if not self.complete:
            raise JSONFault(
                "the text ends within the value" if self.value is not NOTHING else "no value", self._position
            )
        return self.value

    # Strings

    def _read_string(self, text: str, at: int) -> int:
        if self._escape:
            return self._read_escape(text, at)
        match = _PLAIN.match(text, at)
        end = at if match is None else match.end()
        if end > at:
            string = self._string
            self._string = None  # so that there is no other reference, and it is extended in place
            string += text[at:end]  # type: ignore[operator]  # it is a string here
            self._string = string
        if end == len(text):
            return end
        if text[end] == '"':
            self._end_string()
            return end + 1
        if text[end] == "\\":
            self._escape = "\\"
            return end + 1
        raise self._fault("a control character in a string", end)

    def _read_escape(self, text: str, at: int) -> int:
        escape = self._escape + text[at]
        if len(escape) == 2 and escape[1] != "u":
            if (plain := _ESCAPES.get(escape[1])) is None:
                raise self._fault("an invalid escape", at)
            self._append(plain)
        elif not self._may_continue(escape):
            raise self._fault("an invalid escape", at)
        elif len(escape) == _ESCAPE_LENGTH:
            code = int(escape.removeprefix("\\u"), 16)
            if code in _LOW:
                raise self._fault("half of a surrogate pair", at)
            self._escape = escape
            if code not in _HIGH:
                self._append(chr(code))
            return at + 1
        elif len(escape) == 2 * _ESCAPE_LENGTH:
            low = int(escape[_ESCAPE_LENGTH + 2 :], 16)
            if low not in _LOW:
                raise self._fault("half of a surrogate pair", at)
            high = int(escape[2:_ESCAPE_LENGTH], 16)
            self._append(chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)))
        else:
            self._escape = escape
        return at + 1

    @staticmethod
    def _may_continue(escape: str) -> bool:
        r"""Return whether an escape is the beginning of ``\u0000``, or of two of them."""
        half = escape if len(escape) <= _ESCAPE_LENGTH else escape[_ESCAPE_LENGTH:]
        return half[:1] == "\\" and half[1:2] in {"", "u"} and all(digit in _DIGITS for digit in half[2:])

    def _append(self, plain: str) -> None:
        self._escape = ""
        string = self._string
        self._string = None
        string += plain  # type: ignore[operator]  # as above
        self._string = string

    def _end_string(self) -> None:
        string, self._string = self._string, None
        if self._key:
            self._key = False
            self._place[-1] = string
            self._expects = "colon"
        else:
            self._complete(string)

    # Numbers and literals

    def _read_number(self, text: str, at: int) -> int:
        match = _NUMBER_PART.match(text, at)
        end = at if match is None else match.end()
        if end > at:
            self._pieces.append(text[at:end])
        if end < len(text):
            self._end_number(self._position + end)
        return end

    def _end_number(self, position: int) -> None:
        number = self._number()
        if number is NOTHING:
            raise JSONFault("an invalid number", position)
        self._pieces.clear()
        self._complete(number)

    def _number(self) -> Any:
        if len(self._pieces) > 1:
            self._pieces[:] = ["".join(self._pieces)]
        digits = self._pieces[0]
        match = _NUMBER.fullmatch(digits)
        if match is None:
            return NOTHING
        if match[1] or match[2] or len(digits) > _MOST_DIGITS:
            return float(digits)
        return int(digits)

    def _read_literal(self, text: str, at: int) -> int:
        wanted = self._literal
        found = text[at : at + len(wanted)]
        if not wanted.startswith(found):
            raise self._fault("an invalid literal", at)
        self._literal = wanted[len(found) :]
        if not self._literal:
            self._complete(self._literal_value)
        return at + len(found)

    # Structure

    def _read_structure(self, text: str, at: int) -> int:
        match = _SPACE.match(text, at)
        at = at if match is None else match.end()
        if at == len(text):
            return at
        mark, expects = text[at], self._expects
        if expects == "value" or (expects == "value or ]" and mark != "]"):
            return self._begin_value(mark, at)
        if mark == '"' and expects in {"name", "name or }"}:
            self._string, self._key = "", True
        elif mark == ":" and expects == "colon":
            self._expects = "value"
        elif mark == "," and expects == "comma":
            self._expects = "value" if self._place[-1] is None else "name"
        elif expects in (_ENDS_LIST if self._in_list() else _ENDS_OBJECT).get(mark, ()):
            self._end_container()
        else:
            raise self._fault(f"unexpected {mark!r}", at)
        return at + 1

    def _begin_value(self, mark: str, at: int) -> int:
        """Begin a value with its first character, and return the position after what was read of it."""
        if mark in "{[":
            if len(self._stack) == _MOST_DEPTH:
                raise self._fault(f"more than {_MOST_DEPTH} nested values", at)
            opened: Any = {} if mark == "{" else []
            self._put(opened)
            self._stack.append(opened)
            self._place.append("" if mark == "{" else None)
            self._expects = "name or }" if mark == "{" else "value or ]"
        elif mark == '"':
            self._string = ""
        elif mark == "-" or mark in _DECIMALS:
            self._pieces.append(mark)
        elif mark in _LITERALS:
            self._literal, self._literal_value = _LITERALS[mark]
            return at
        else:
            raise self._fault(f"unexpected {mark!r}", at)
        return at + 1

    def _in_list(self) -> bool:
        return bool(self._place) and self._place[-1] is None

    def _put(self, value: Any) -> None:
        """Place a value in the innermost container, or as the whole value."""
        if not self._stack:
            self.value = value
        elif (name := self._place[-1]) is None:
            self._stack[-1].append(value)
        else:
            self._stack[-1][name] = value

    def _complete(self, value: Any) -> None:
        self._put(value)
        self._after(value)

    def _end_container(self) -> None:
        self._place.pop()
        self._after(self._stack.pop())

    def _after(self, value: Any) -> None:
        """Record that a value is complete."""
        self._expects = "comma" if self._stack else "end"
        self.complete = not self._stack
        if self._watched is not None and self._in_list() and self._is_watched(self._place[:-1]):
            self.closed.append(value)

    def _is_watched(self, place: list[str | None]) -> bool:
        return place == self._watched or (self._or_bare and not place)

    # Provisional values

    def _show(self) -> None:
        """Place a string or a number that may still grow."""
        if self._string is not None and not self._key:
            shown: Any = self._string
        elif self._pieces:
            shown = self._number()
        else:
            return
        if shown is not NOTHING:
            self._provisional = True
            self._before = (
                self._stack[-1].get(self._place[-1], NOTHING)
                if self._stack and self._place[-1] is not None
                else NOTHING
            )
            self._put(shown)

    def _take_back(self) -> None:
        """Remove the value that `_show` has placed."""
        self._provisional = False
        if not self._stack:
            self.value = NOTHING
        elif (name := self._place[-1]) is None:
            self._stack[-1].pop()
        elif self._before is NOTHING:
            del self._stack[-1][name]
        else:  # a name that occurs twice
            self._stack[-1][name] = self._before

    def _fault(self, reason: str, at: int) -> JSONFault:
        return JSONFault(reason, self._position + at)


_ENDS_LIST = {"]": {"value or ]", "comma"}}
_ENDS_OBJECT = {"}": {"name or }", "comma"}}
_DIGITS = frozenset("0123456789abcdefABCDEF")
_DECIMALS = frozenset("0123456789")
