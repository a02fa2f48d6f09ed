"""Responses as rows of a terminal: in columns where it is wide, else below each other; and the table at the end."""

from __future__ import annotations

from collections import deque
from itertools import zip_longest
from typing import TYPE_CHECKING

from polyglot_cli.markdown.document import Document
from polyglot_cli.markdown.layout import Layout
from polyglot_cli.markdown.pieces import Prefix, TablePart
from polyglot_cli.markdown.spans import Glyphs, Span, hard_wrap, plain, styled, width_of, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_cli.compare.lane import Lane
    from polyglot_cli.markdown.layout import Row

__all__ = ["Pane", "final_rows", "live_rows", "table_rows"]

_NARROWEST = 36
"""Columns that a response needs; where it has fewer, responses are below each other."""
_GAP = 3  # columns of the bar between two responses
_KEPT = 400  # rows of a response that may be shown before its end; no terminal is higher
_BOLD, _DIM = "1", "2"


class Pane:
    """The end of one response, while it is received.

    Args:
        lane: The call.
        glyphs: The characters to draw.
    """

    def __init__(self, lane: Lane, glyphs: Glyphs) -> None:
        self.lane = lane
        self.glyphs = glyphs
        self._document = Document(glyphs)
        self._rows: deque[Row] = deque(maxlen=_KEPT)
        self._taken = 0
        self._width = 0

    def rows(self, width: int, most: int) -> list[Row]:
        """Return the last rows, at most so many."""
        if width != self._width:  # the first time, or the terminal was resized
            self._width, self._taken = width, 0
            self._document, self._rows = Document(self.glyphs), deque(maxlen=_KEPT)
        received = self.lane.received
        while self._taken < len(received):
            kind, text = received[self._taken]
            self._taken += 1
            self._document.add(kind, text)
        self._rows.extend(self._document.finished(width))
        return [*self._rows, *self._document.still_open(width)][-most:] if most else []


def live_rows(panes: Sequence[Pane], columns: int, rows: int) -> list[Row]:
    """Return the rows to show while the responses are received; they fit the terminal."""
    glyphs = panes[0].glyphs
    if (width := _column_width(len(panes), columns)) is not None:
        bodies = [pane.rows(width, max(1, rows - 4)) for pane in panes]
        return _side_by_side([_head(pane.lane, width) for pane in panes], bodies, width, glyphs)
    most = max(0, (rows - 2) // len(panes) - 1)
    return [row for pane in panes for row in (_head(pane.lane, columns), *pane.rows(columns, most))]


def final_rows(lanes: Sequence[Lane], columns: int, glyphs: Glyphs) -> list[Row]:
    """Return all rows of the responses, and the table below them."""
    width = _column_width(len(lanes), columns)
    bodies = [_whole(lane, columns if width is None else width, glyphs) for lane in lanes]
    rows: list[Row] = []
    if width is not None:
        rows += _side_by_side([_head(lane, width) for lane in lanes], bodies, width, glyphs)
        rows.append([])
    else:
        for lane, body in zip(lanes, bodies, strict=True):
            rows += [_head(lane, columns), *body, []]
    return rows + table_rows(lanes, columns, glyphs)


def table_rows(lanes: Sequence[Lane], columns: int, glyphs: Glyphs) -> list[Row]:
    """Return a table of what each response has taken."""
    titles = ("", "first", "tokens/s", "in", "out", "cost", "outcome")
    header = [[styled(title, _BOLD)] for title in titles]
    alignments = ["left", *["right"] * 5, "left"]
    rows = [[[styled(cell)] for cell in _cells(lane)] for lane in lanes]
    return Layout(glyphs=glyphs).rows([TablePart(Prefix(), header, alignments, rows)], columns)


def _cells(lane: Lane) -> tuple[str, ...]:
    taken = lane.measures
    return (
        lane.name,
        "-" if taken.first_token is None else f"{taken.first_token:.2f} s",
        "-" if taken.speed is None else f"{taken.speed:.1f}",
        "-" if taken.input_tokens is None else str(taken.input_tokens),
        "-" if taken.output_tokens is None else str(taken.output_tokens),
        taken.cost or "-",
        lane.outcome,
    )


def _whole(lane: Lane, width: int, glyphs: Glyphs) -> list[Row]:
    document = Document(glyphs)
    for kind, text in lane.received:
        document.add(kind, text)
    document.finish()
    rows = document.finished(width)
    if lane.error is not None:
        rows += [[]] if rows else []
        rows += wrap([styled(str(lane.error), "31")], width)
    return rows


def _column_width(count: int, columns: int) -> int | None:
    """Return the width of each response in columns; None where the terminal is too narrow for columns."""
    width = (columns - _GAP * (count - 1)) // count
    return width if width >= _NARROWEST else None


def _head(lane: Lane, width: int) -> Row:
    state = f"  {lane.state}" if lane.state else ""
    return hard_wrap([styled(lane.name, _BOLD), styled(state, _DIM)], width)[0]


def _side_by_side(heads: Sequence[Row], bodies: Sequence[Sequence[Row]], width: int, glyphs: Glyphs) -> list[Row]:
    bar = Span(f" {glyphs.column} ", _DIM)
    rule = [[Span(glyphs.rule * width, _DIM)] for _ in heads]
    rows: list[Row] = []
    for cells in (heads, rule, *zip_longest(*bodies, fillvalue=())):
        row: Row = []
        for index, cell in enumerate(cells):
            row += [bar] if index else []
            row += [*cell, Span(" " * (width - width_of(plain(cell))))]
        row.pop()
        rows.append(row)
    return rows
