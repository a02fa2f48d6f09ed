"""What a line of Markdown may begin: fences, headings, breaks, quotations and items of lists. As in CommonMark."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = [
    "DELIMITERS",
    "Fence",
    "Marker",
    "fence_of",
    "indent_of",
    "is_break",
    "is_heading",
    "is_quotation",
    "is_underline",
    "marker_of",
]

_FENCE = re.compile(r"( {0,3})(`{3,}(?=[^`]*$)|~{3,})(.*)")
_HEADING = re.compile(r" {0,3}#{1,6}(?: |$)")
_BREAK = re.compile(r" {0,3}(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,})$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+) *$")
_QUOTATION = re.compile(r" {0,3}>")
_MARKER = re.compile(r"( {0,3})([-+*]|\d{1,9}[.)])( +|$)")
DELIMITERS = re.compile(r" {0,3}\|? *:?-+:? *(?:\| *:?-+:? *)*\|? *$")
"""The line below the header of a table."""

_CODE_INDENT = 4


class Fence(NamedTuple):
    """The opening line of a block of code.

    Attributes:
        indent: Spaces before it, which are removed from the lines of code too.
        mark: The backticks or tildes.
        info: What follows them.
    """

    indent: int
    mark: str
    info: str

    @property
    def language(self) -> str:
        """Return the name of the language; empty if there is none."""
        return self.info.split(maxsplit=1)[0].strip("{}.,") if self.info else ""

    def is_closed_by(self, line: str) -> bool:
        """Return True if a line closes the block."""
        stripped = line.strip()
        return indent_of(line) < _CODE_INDENT and len(stripped) >= len(self.mark) and set(stripped) == {self.mark[0]}


class Marker(NamedTuple):
    """The marker of an item.

    Attributes:
        column: Spaces before it.
        sign: A bullet, or the sign after the number.
        number: The number; None for a bullet.
        width: Columns from the start of the line to the text of the item.
        rest: The text after it.
    """

    column: int
    sign: str
    number: int | None
    width: int
    rest: str


def indent_of(line: str) -> int:
    """Return how many spaces a line begins with."""
    return len(line) - len(line.lstrip(" "))


def fence_of(line: str) -> Fence | None:
    """Return the fence that a line opens; None if it opens none."""
    found = _FENCE.match(line)
    return Fence(len(found[1]), found[2], found[3].strip()) if found else None


def is_heading(line: str) -> bool:
    """Return True if a line is a heading."""
    return _HEADING.match(line) is not None


def is_break(line: str) -> bool:
    """Return True if a line is a thematic break."""
    return _BREAK.match(line) is not None


def is_underline(line: str) -> bool:
    """Return True if a line makes the paragraph above it a heading."""
    return _UNDERLINE.match(line) is not None


def is_quotation(line: str) -> bool:
    """Return True if a line begins a quotation."""
    return _QUOTATION.match(line) is not None


def marker_of(line: str) -> Marker | None:
    """Return the marker with which a line begins an item; None if it begins none."""
    found = _MARKER.match(line)
    if found is None or is_break(line):
        return None
    before, mark, space = found.groups()
    rest = line[found.end() :]
    spaces = len(space) if rest and len(space) <= _CODE_INDENT else 1
    number = None if mark in "-+*" else int(mark[:-1])
    rest = " " * max(0, len(space) - spaces) + rest if rest else ""
    return Marker(len(before), mark[-1], number, len(before) + len(mark) + spaces, rest)
