"""Styled text, its width on a terminal, and how it is broken into rows."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

from wcwidth import iter_graphemes, wcswidth

from polyglot_cli.control_sequences import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["ASCII", "UNICODE", "Glyphs", "Span", "encode", "hard_wrap", "plain", "styled", "width_of", "wrap"]

_PIECES = re.compile(r" +|\n|[^ \n]+")
_CLOSING = frozenset("\u3001\u3002\uff0c\uff0e\uff01\uff1f\uff1a\uff1b\uff09\u300d\u300f\u3011\u3009\u300b\u3015")
"""Punctuation that does not begin a row in Chinese and Japanese."""


class Span(NamedTuple):
    """A piece of text in one style.

    Attributes:
        text: The text, without control characters other than a line break.
        style: Parameters of an SGR sequence, such as ``1;36``; empty for none.
    """

    text: str
    style: str = ""


class Glyphs(NamedTuple):
    """The characters that are drawn beside the text."""

    bullets: str
    bar: str
    rule: str
    column: str
    crossing: str
    thought: str


UNICODE = Glyphs("•◦▪", "│", "─", "│", "┼", "┆")
ASCII = Glyphs("-*+", "|", "-", "|", "+", ":")


def styled(text: str, *styles: str) -> Span:
    """Return a span of cleaned text; styles that are empty are left out."""
    return Span(clean(text).expandtabs(4), ";".join(filter(None, styles)))


def plain(spans: Iterable[Span]) -> str:
    """Return the text of spans."""
    return "".join(span.text for span in spans)


def encode(spans: Iterable[Span], *, colour: bool) -> str:
    """Return spans with their SGR sequences, or without any."""
    if not colour:
        return plain(spans)
    runs = [(style, plain(run)) for style, run in itertools.groupby(spans, key=lambda span: span.style)]
    return "".join(f"\x1b[{style}m{text}\x1b[0m" if style and text else text for style, text in runs)


def width_of(text: str) -> int:
    """Return the number of terminal columns of a text without control characters."""
    if text.isascii():
        return len(text)
    return sum(max(0, wcswidth(grapheme)) for grapheme in iter_graphemes(text))


def wrap(spans: Iterable[Span], width: int) -> list[list[Span]]:
    """Break spans into rows between words, and within words that are wider than a row.

    Rows are filled greedily. Therefore a row is final as soon as the next one has begun.
    """
    rows: list[list[Span]] = [[]]
    used, space = 0, 0
    for word in _words(spans):
        text = plain(word)
        if text == "\n":
            rows.append([])
            used = space = 0
        elif text.isspace():
            space = len(text) if used else 0
        else:
            length = width_of(text)
            if used and used + space + length > width:
                rows.append([])
                used = space = 0
            if space:
                rows[-1].append(Span(" " * space, word[0].style if rows[-1][-1].style == word[0].style else ""))
            used += space
            space = 0
            used = _add(rows, word, used, width)
    return rows


def hard_wrap(spans: Iterable[Span], width: int) -> list[list[Span]]:
    """Break spans into rows at any character, as for code."""
    rows: list[list[Span]] = [[]]
    _add(rows, spans, 0, width)
    return rows


def _add(rows: list[list[Span]], spans: Iterable[Span], used: int, width: int) -> int:
    """Add spans to the last row, and to further rows where they do not fit. Return the width of the last one."""
    for span in spans:
        length = width_of(span.text)
        if used + length <= width:
            rows[-1].append(span)
            used += length
            continue
        kept = ""
        for grapheme in iter_graphemes(span.text):
            length = max(0, wcswidth(grapheme))
            if used and used + length > width:
                rows[-1].append(Span(kept, span.style))
                rows.append([])
                kept, used = "", 0
            kept += grapheme
            used += length
        rows[-1].append(Span(kept, span.style))
    return used


def _words(spans: Iterable[Span]) -> Iterator[Sequence[Span]]:
    """Yield words, spaces and line breaks. A word may have several styles."""
    word: list[Span] = []
    for text, style in spans:
        for piece in _PIECES.findall(text):
            if piece == "\n" or piece[0] == " ":
                if word:
                    yield word
                word = []
                yield [Span(piece, style)]
            elif piece.isascii():
                word.append(Span(piece, style))
            else:
                for part, breaks in _breakable(piece):
                    if breaks and word:
                        yield word
                        word = []
                    word.append(Span(part, style))
    if word:
        yield word


def _breakable(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a word, and whether a row may begin with each: text may be broken beside wide characters."""
    part, breaks, after_wide = "", False, False
    for grapheme in iter_graphemes(text):
        wide, closing = wcswidth(grapheme) > 1, grapheme in _CLOSING
        if (wide or after_wide) and not closing:
            if part:
                yield part, breaks
            part, breaks = "", True
        part += grapheme
        after_wide = wide
    yield part, breaks
