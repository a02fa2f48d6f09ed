"""The rows of the fault matrix, their scenarios, and the tables of the results."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from . import (
    dialects,
    rows_breaks,
    rows_closing,
    rows_connect,
    rows_content,
    rows_error_statuses,
    rows_errors,
    rows_no_answer,
    rows_sharing,
    rows_sizes,
)
from .stage import STYLES, Scenario, differences
from .tables import table

__all__ = ["ROWS", "SCENARIOS", "Played", "Row", "dialect_table", "listed", "matrix_table", "play"]

SCENARIOS = [
    *rows_connect.SCENARIOS,
    *rows_error_statuses.SCENARIOS,
    *rows_no_answer.SCENARIOS,
    *rows_breaks.SCENARIOS,
    *rows_sizes.SCENARIOS,
    *rows_errors.SCENARIOS,
    *rows_content.SCENARIOS,
    *rows_closing.SCENARIOS,
    *rows_sharing.SCENARIOS,
]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the matrix.

    Attributes:
        number: Its number.
        fault: What goes wrong.
        departs: In what Polyglot keeps to another rule.
        decision: Number of the page that says why.
        left_out: Why it is not played.
    """

    number: int
    fault: str
    departs: str | None = None
    decision: int | None = None
    left_out: str | None = None


def _rows() -> dict[int, Row]:
    listed = tomllib.loads(Path(__file__).with_name("matrix.toml").read_text("utf-8"))["row"]
    return {int(number): Row(number=int(number), **fields) for number, fields in listed.items()}


ROWS = _rows()


@dataclass
class Played:
    """Results of the scenarios of a row, by style: how many were played, and how some differ."""

    played: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STYLES, 0))
    differ: dict[str, list[str]] = field(default_factory=lambda: {style: [] for style in STYLES})

    def shown(self, style: str) -> str:
        """Return how many passed, of how many."""
        count, wrong = self.played[style], len(self.differ[style])
        return f"{count - wrong}/{count}" if count else "-"

    @property
    def differences(self) -> list[str]:
        """Return all differences."""
        return [text for texts in self.differ.values() for text in texts]


def play(scenarios: Iterable[Scenario], progress: Callable[[Scenario], object]) -> dict[int | str, Played]:
    """Play scenarios in every style and return the results by row."""
    found: dict[int | str, Played] = {}
    for scenario in scenarios:
        progress(scenario)
        row = found.setdefault(scenario.row, Played())
        for style in scenario.styles:
            row.played[style] += 1
            if said := differences(scenario, style):
                row.differ[style].append(f"{style}, {scenario.part}: {said}")
    return found


def matrix_table(found: dict[int | str, Played], rows: Iterable[Row]) -> str:
    """Return a table of the rows: the fault, how many scenarios passed, and notes."""
    lines = [_line(row, found.get(row.number, Played())) for row in rows]
    return table(("row", "fault", "sync", "async", "as promised"), lines, widths=(3, 44, 7, 7, 70))


def _line(row: Row, played: Played) -> tuple[str, ...]:
    return str(row.number), row.fault, played.shown("sync"), played.shown("async"), _verdict(row, played)


def _verdict(row: Row, played: Played) -> str:
    if row.left_out:
        return f"does not apply: {row.left_out}"
    if played.differences:
        return "NO: " + " | ".join(played.differences)
    if row.departs:
        page = "no page yet" if row.decision is None else f"decision {row.decision}"
        return f"departs ({page}): {row.departs}"
    return "yes"


def dialect_table(found: dict[int | str, Played]) -> str:
    """Return a table of the dialects: how many of the commonest faults passed in each."""
    lines = [
        (str(name), played.shown("sync"), played.shown("async"), " | ".join(played.differences) or "yes")
        for name, played in found.items()
    ]
    faults = "; ".join(scenario.part for scenario in dialects.scenarios("openai"))
    text = table(("dialect", "sync", "async", "as promised"), lines, widths=(18, 7, 7, 90))
    return f"{text}\n\nIn each: {faults}."


def listed(scenarios: Iterable[Scenario]) -> str:
    """List every scenario with its promise."""
    lines = [(str(each.row), each.part, each.promise) for each in scenarios]
    return table(("row", "part", "promise"), lines, widths=(16, 36, 86))
