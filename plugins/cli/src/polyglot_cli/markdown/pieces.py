"""What Markdown consists of once it is cut and styled; the width of the terminal is not known yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_cli.markdown.spans import Span

__all__ = ["Blank", "Code", "Flow", "Piece", "Prefix", "Rule", "TablePart"]


class Prefix(NamedTuple):
    """What is drawn to the left of a block: markers of lists and bars of quotations.

    Attributes:
        first: Spans before the first row.
        rest: Spans before the others; as wide as those of the first.
    """

    first: tuple[Span, ...] = ()
    rest: tuple[Span, ...] = ()


class Blank(NamedTuple):
    """An empty row between two blocks."""

    prefix: Prefix


class Rule(NamedTuple):
    """A thematic break."""

    prefix: Prefix


class Flow(NamedTuple):
    """Text that is broken between words.

    Attributes:
        prefix: What is drawn to its left.
        spans: The text.
        ends: False if more of the same paragraph follows.
    """

    prefix: Prefix
    spans: Sequence[Span]
    ends: bool = True


class Code(NamedTuple):
    """A line of code, which is broken where it does not fit.

    Attributes:
        prefix: What is drawn to its left.
        spans: The line.
        ends: False if more of the same line follows.
    """

    prefix: Prefix
    spans: Sequence[Span]
    ends: bool = True


class TablePart(NamedTuple):
    """Rows of a table. The first part has the header, and sets the widths of the columns.

    Attributes:
        prefix: What is drawn to its left.
        header: The cells of the header.
        alignments: ``left``, ``right`` or ``center`` for each column.
        rows: The cells of each row.
        first: Whether the table begins with this part.
    """

    prefix: Prefix
    header: Sequence[Sequence[Span]]
    alignments: Sequence[str]
    rows: Sequence[Sequence[Sequence[Span]]]
    first: bool = True


Piece = Blank | Rule | Flow | Code | TablePart
