"""Breaks pieces into rows of the terminal's width."""

from __future__ import annotations

from copy import copy
from itertools import zip_longest
from typing import TYPE_CHECKING

from polyglot_cli.markdown.pieces import Blank, Code, Flow, Piece, Prefix, Rule, TablePart
from polyglot_cli.markdown.spans import UNICODE, Glyphs, Span, hard_wrap, plain, width_of, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Layout", "Row"]

Row = list[Span]
"""A row of the terminal."""

_DIM = "2"
_NARROWEST = 8
"""Columns that a block has at least, whatever is drawn to its left."""
_NARROWEST_CELL = 6
"""Columns of a cell below which a table is shown as a list of its cells."""
_LONGEST_WORD = 16
"""Columns of a word up to which it is not broken in a cell."""


class Layout:
    """Places pieces below each other. The last row of a paragraph that continues is kept.

    Args:
        base: Style of what is drawn beside the text.
        glyphs: The characters to draw.
    """

    def __init__(self, base: str = "", glyphs: Glyphs = UNICODE) -> None:
        self._glyphs = glyphs
        self._dim = base or _DIM
        self._kept: tuple[Prefix, Row] | None = None
        self._columns: list[int] | None = None

    def rows(self, pieces: Iterable[Piece], width: int) -> list[Row]:
        """Return the rows that the pieces complete, at most `width` columns wide."""
        return [row for piece in pieces for row in self._placed(piece, width)]

    def open_rows(self, pieces: Iterable[Piece], width: int) -> list[Row]:
        """Return the rows that follow those returned so far, as though nothing else followed."""
        return copy(self).rows(pieces, width)

    def _placed(self, piece: Piece, width: int) -> Iterator[Row]:
        prefix = _fitted(piece.prefix, width)
        if isinstance(piece, Blank):
            yield _stripped([*prefix.rest])
        elif isinstance(piece, Rule):
            left = width - width_of(plain(prefix.first))
            yield [*prefix.first, Span(self._glyphs.rule * min(left, 40), self._dim)]
        elif isinstance(piece, TablePart):
            yield from _beside(prefix, self._table(piece, width - width_of(plain(prefix.rest))))
        else:
            yield from self._text(piece, prefix, width)

    def _text(self, piece: Flow | Code, prefix: Prefix, width: int) -> Iterator[Row]:
        spans: Row = [*piece.spans]
        if self._kept is not None:
            prefix = Prefix(_fitted(self._kept[0], width).first, prefix.rest)
            spans = [*self._kept[1], *spans]
        broken = (wrap if isinstance(piece, Flow) else hard_wrap)(spans, width - width_of(plain(prefix.first)))
        self._kept = None
        if not piece.ends:
            last = broken.pop()
            self._kept = Prefix(prefix.rest if broken else prefix.first, prefix.rest), last
        yield from _beside(prefix, broken)

    # Tables

    def _table(self, part: TablePart, width: int) -> Iterator[Row]:
        if part.first:
            self._columns = _column_widths([part.header, *part.rows], width)
        columns = self._columns
        if columns is None:
            yield from self._records(part, width)
            return
        if part.first:
            yield from self._table_row(part.header, part.alignments, columns)
            rule = self._glyphs.rule
            yield [Span(f"{rule}{self._glyphs.crossing}{rule}".join(rule * column for column in columns), self._dim)]
        for row in part.rows:
            yield from self._table_row(row, part.alignments, columns)

    def _table_row(
        self, cells: Sequence[Sequence[Span]], alignments: Sequence[str], columns: Sequence[int]
    ) -> Iterator[Row]:
        broken = [wrap(cell, column) for cell, column in zip(cells, columns, strict=False)]
        for texts in zip_longest(*broken):
            row: Row = []
            for index, (text, column) in enumerate(zip(texts, columns, strict=False)):
                if index:
                    row.append(Span(f" {self._glyphs.column} ", self._dim))
                row += _aligned(text or [], alignments[index], column)
            yield _stripped(row)

    def _records(self, part: TablePart, width: int) -> Iterator[Row]:
        """Yield each row as a list of its cells, for a terminal that is too narrow for columns."""
        for row in part.rows:
            for title, cell in zip(part.header, row, strict=False):
                yield from wrap([*title, Span(": ", self._dim), *cell], max(1, width))
            yield [Span(self._glyphs.rule * min(3, width), self._dim)]
        if part.first and not part.rows:
            yield from wrap([span for title in part.header for span in (*title, Span(" "))], max(1, width))


def _column_widths(rows: Sequence[Sequence[Sequence[Span]]], width: int) -> list[int] | None:
    """Return the widths of the columns; None if the terminal is too narrow for them.

    Columns that are narrower than an equal share keep their width, and the others share what is left, so that each can
    hold its words.
    """
    columns = [*zip(*rows, strict=False)]
    natural = [max(1, *map(_natural, column)) for column in columns]
    least = [
        max(min(_NARROWEST_CELL, most), *map(_longest_word, column))
        for most, column in zip(natural, columns, strict=True)
    ]
    left, reserved, open_columns = width - 3 * (len(natural) - 1), sum(least), len(natural)
    if reserved > left:
        return None
    widths = dict.fromkeys(range(len(natural)), 0)
    for index in sorted(widths, key=lambda column: natural[column]):
        reserved -= least[index]
        share = min(left // open_columns, left - reserved)
        widths[index] = min(natural[index], max(least[index], share))
        left -= widths[index]
        open_columns -= 1
    return [widths[index] for index in range(len(natural))]


def _natural(cell: Sequence[Span]) -> int:
    return max(map(width_of, plain(cell).split("\n")))


def _longest_word(cell: Sequence[Span]) -> int:
    """Return the width of the longest word of a cell that is not to be broken; text of wide characters may be."""
    widths = [(width_of(word), len(word)) for word in plain(cell).split()]
    return min(_LONGEST_WORD, max((width for width, length in widths if width == length), default=0))


def _aligned(spans: Sequence[Span], alignment: str, column: int) -> Row:
    left_over = max(0, column - width_of(plain(spans)))
    before = {"right": left_over, "center": left_over // 2}.get(alignment, 0)
    return [Span(" " * before), *spans, Span(" " * (left_over - before))]


def _beside(prefix: Prefix, rows: Iterable[Row]) -> Iterator[Row]:
    spans = prefix.first
    for row in rows:
        yield _stripped([*spans, *row])
        spans = prefix.rest


def _stripped(row: Row) -> Row:
    """Return a row without spaces at its end."""
    row = [span for span in row if span.text]
    while row and not row[-1].text.strip(" "):
        row.pop()
    if row:
        row[-1] = Span(row[-1].text.rstrip(" "), row[-1].style)
    return row


def _fitted(prefix: Prefix, width: int) -> Prefix:
    """Return as much of a prefix as leaves the text its least width."""
    most = max(0, width - _NARROWEST)
    if width_of(plain(prefix.first)) <= most:
        return prefix
    return Prefix(_shortened(prefix.first, most), _shortened(prefix.rest, most))


def _shortened(spans: Sequence[Span], width: int) -> tuple[Span, ...]:
    """Return the last columns of a prefix, in which the innermost marker is."""
    kept: list[Span] = []
    for span in reversed(spans):
        text = span.text[-width:] if width else ""
        kept.insert(0, Span(text, span.style))
        width = max(0, width - len(text))
    return tuple(kept)
