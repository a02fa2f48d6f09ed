"""What has to be written so that a terminal shows rows, of which only the last ones can still change."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from polyglot_cli.markdown.spans import encode, plain, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_cli.markdown.layout import Row

__all__ = ["Painter", "Size"]


class Size(NamedTuple):
    """The size of a terminal, in columns and rows."""

    columns: int
    rows: int


class Painter:
    """Prints finished rows once, and draws open rows below them in place.

    The open rows are at most one fewer than the terminal has, so that they never scroll: of more of them, the last are
    shown. Rows that have not changed since the last call are not written again.

    Args:
        colour: Whether to write SGR sequences.
    """

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._shown: list[str] = []
        self._widths: list[int] = []
        self._columns = 0

    def paint(self, finished: Sequence[Row], still_open: Sequence[Row], size: Size) -> str:
        """Return what to write; empty if the terminal shows these rows already.

        Args:
            finished: Rows that follow the finished rows of earlier calls.
            still_open: Rows below them that replace the open rows of the last call.
            size: The size of the terminal now.
        """
        visible = still_open[-max(1, size.rows - 1) :]
        drawn = [*finished, *visible]
        rows = [encode(row, colour=self._colour) for row in drawn]
        if rows == self._shown and not finished:
            return ""
        kept = max(0, min(_common(self._shown, rows), len(self._shown) - 1, len(rows) - 1))
        # A line is erased behind its new text, and not before, so that nothing flickers. The lines below are erased at
        # the end: some terminals keep what is erased from the top of the screen on, as though it had scrolled off.
        line_end, end = ("\x1b[K\n", "\x1b[J") if self._shown else ("\n", "")
        text = self._back_to(kept, size) + line_end.join(rows[kept:])
        text += (line_end if finished and not visible else "") + end
        self._shown = rows[len(finished) :]
        self._columns = size.columns
        self._widths = [width_of(plain(row)) for row in visible]
        return text

    def _back_to(self, kept: int, size: Size) -> str:
        """Return what moves the cursor to the beginning of an open row.

        A terminal that has become narrower has broken the rows that do not fit. All is erased then, because it would
        join the broken rows again when it becomes wider.
        """
        if not self._shown:
            return ""
        heights = [max(1, -(-width // max(1, size.columns))) for width in self._widths[kept:]]
        up = sum(heights) - 1
        erased = "\x1b[J" if size.columns != self._columns else ""
        return (f"\r\x1b[{up}A" if up > 0 else "\r") + erased


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    """Return how many rows are the same at the beginning."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(old), len(new)))
