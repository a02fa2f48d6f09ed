"""Writes the figures of a run of `streams.py` into ``docs/performance.md``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "PICTURE", "written"]

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
PICTURE = PAGE.with_name("performance.svg")
_PLACE = "<!-- {}: begin -->\n", "<!-- {}: end -->"
_ONE = ("dialect", "content", "sent")  # what the clients of a row of `chunks` have in common

_Row = Mapping[str, Any]


def written(text: str, results: Mapping[str, Sequence[_Row]]) -> str:
    """Return the text of the page with the tables of these scenarios; tables of others stay as they are."""
    for name, rows in results.items():
        begin, end = (mark.format(name) for mark in _PLACE)
        table = _table(_folded(rows) if name.startswith("chunks") else rows)
        text, places = re.subn(f"(?s){re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}{table}{end}", text)  # noqa: B023
        if places != 1:
            raise SystemExit(f"{PAGE} has no place for {name}.")
    return text


def _folded(rows: Sequence[_Row]) -> list[_Row]:
    """Return a row for each stream: µs of the floor, and the ratios of the others."""
    folded: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        one = folded.setdefault(tuple(row[name] for name in _ONE), {name: row[name] for name in _ONE})
        alone = row["client"].startswith("httpx alone")
        one[row["client"]] = f"{row['µs']:.2f} µs" if alone else f"{row['ratio']:.2f} ×"
    return list(folded.values())


def _table(rows: Sequence[_Row]) -> str:
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row.values())) + " |" for row in rows)]) + "\n"
