"""``polyglot drivers``: a table for people, and JSON for scripts."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from polyglot_cli.control_sequences import one_line
from polyglot_cli.output import Output, is_terminal, write_line
from polyglot_cli.styles import console
from polyglot_cli.views import as_json as json_text
from polyglot_core import drivers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.text import Text

__all__ = ["Line", "list_drivers"]

_GAP = "  "
_WIDEST = 16  # characters of a column on a narrow terminal; a longer cell shifts only its own line
_INDENT = "    "  # of cells that do not fit on a line
_STATE = 1  # the column USABLE


class Line(NamedTuple):
    """One row: its cells, and the reason why the entry cannot be used; empty if it can."""

    cells: tuple[str, ...]
    reason: str = ""


def list_drivers(*, as_json: bool) -> None:
    """Print every installed driver."""
    infos = drivers()
    if as_json:
        Output().write(json_text([info._asdict() for info in infos], indent=2) + "\n")
        return
    cells = [(info.name, _state(info.usable), info.distribution, info.version) for info in infos]
    lines = [_line(row, info.reason) for row, info in zip(cells, infos, strict=True)]
    _print(("NAME", "USABLE", "DISTRIBUTION", "VERSION"), lines)


def _state(usable: bool) -> str:  # noqa: FBT001 (the only argument)
    return "yes" if usable else "no"


def _line(cells: Iterable[str | None], reason: str) -> Line:
    return Line(tuple(one_line(cell) if cell else "-" for cell in cells), one_line(reason))


def _print(headings: Sequence[str], lines: Sequence[Line]) -> None:
    """Print lines in columns. A pipe receives one line per entry, a terminal also line breaks and colour."""
    if not lines:
        write_line("There is nothing to list.")
        return
    rows = [tuple(headings), *(line.cells for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if is_terminal(sys.stdout):
        _print_styled(headings, lines, widths)
        return
    piped = [(_padded(cells, widths) + _GAP + reason).rstrip() for cells, reason in [(tuple(headings), ""), *lines]]
    Output().write("\n".join(piped) + "\n")


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))


# On a terminal


def _print_styled(headings: Sequence[str], lines: Sequence[Line], widths: Sequence[int]) -> None:
    from rich.text import Text  # noqa: PLC0415 (a pipe does not need it)

    terminal = console()
    available = shutil.get_terminal_size().columns
    if sum(widths) + len(_GAP) * (len(widths) - 1) > available:
        widths = [min(width, _WIDEST) for width in widths]
    terminal.print(Text(_fitted(headings, widths, available), "bold"), soft_wrap=True)
    for line in lines:
        terminal.print(_styled(Text(_fitted(line.cells, widths, available)), line, widths), soft_wrap=True)
        if line.reason:
            terminal.print(
                Text(textwrap.fill(line.reason, available, initial_indent=_INDENT, subsequent_indent=_INDENT))
            )


def _fitted(cells: Sequence[str], widths: Sequence[int], available: int) -> str:
    """Return a line; if it does not fit, its last cells are below the others, one per line."""
    for count in range(len(cells), 0, -1):
        line = _padded(cells[:count], widths[:count]).rstrip()
        if len(line) <= available:
            break
    return "\n".join([line, *(_INDENT + cell for cell in cells[count:])])


def _styled(text: Text, line: Line, widths: Sequence[int]) -> Text:
    start = max(widths[0], len(line.cells[0])) + len(_GAP)
    text.stylize("bold", 0, len(line.cells[0]))
    text.stylize("red" if line.reason else "green", start, start + len(line.cells[_STATE]))
    return text
