"""The tables of the page on round trips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .cells import DIALECTS, KINDS, exchange_of, turn_of
from .comparing import RULES, reason_for
from .going import round_trip, tally
from .reading import READERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["PAGE", "draw_cells", "draw_recorded", "draw_rules", "with_parts"]

PAGE = Path(__file__).parents[2] / "docs" / "round-trips.md"

_BEGIN, _END = "<!-- round trips: {} -->", "<!-- end of {} -->"


def draw_cells() -> str:
    """Return the table of kinds of blocks by driver."""
    return _markdown(("driver", *KINDS), _cells())


def _cells() -> Iterator[Sequence[str]]:
    for driver in DIALECTS:
        cells = [_cell(driver, kind) for kind in KINDS]
        yield [f"`{driver}`", *(_MARKS.get(cell, cell) for cell in cells)]


_MARKS = {"goes back equal": "equal", "not in this dialect": "–"}


def _cell(driver: str, kind: str) -> str:
    turn = turn_of(driver, kind)
    return turn if isinstance(turn, str) else round_trip(exchange_of(driver, turn)) or "nothing to send back"


def draw_recorded(corpus: Path) -> str:
    """Return the table of recorded responses by dialect, with the reasons of those that do not go back equal."""
    return _markdown(("dialect", "tried", "equal", "of the others"), _recorded(corpus))


def _recorded(corpus: Path) -> Iterator[Sequence[str]]:
    for dialect in READERS:
        found = tally(corpus, dialect)
        counts: dict[str, int] = {}
        for place, number in found.reasons.items():
            reason = reason_for(dialect, place) or f"differs in {place}"
            counts[reason] = counts.get(reason, 0) + number
        others = "; ".join(
            f"{number}: {reason}" for reason, number in sorted(counts.items(), key=lambda each: -each[1])
        )
        yield [dialect, str(found.tried), str(found.equal), others]


def draw_rules() -> str:
    """Return the rules of the comparison as a list."""
    return "\n".join(f"- {rule}" for rule in RULES)


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_parts(page: str, parts: dict[str, str]) -> str:
    """Return a page with these parts in place of the former ones.

    Raises:
        ValueError: The page has no such part.
    """
    for name, text in parts.items():
        before, begin, rest = page.partition(_BEGIN.format(name))
        _, end, after = rest.partition(_END.format(name))
        if not begin or not end:
            raise ValueError(f"the page has no part {name!r}")
        page = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    return page
