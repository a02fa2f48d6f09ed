"""The table of the page on streams."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from .measuring import ROWS, STYLES, Bench, provider

__all__ = ["PAGE", "draw", "with_table"]

PAGE = Path(__file__).parents[2] / "docs" / "streams.md"
_PART = re.compile(r"(?<=<!-- measured: transforms -->\n).*?(?=<!-- end -->)", re.DOTALL)


def draw() -> str:
    """Measure every function in every style, and return the table."""
    lines = [
        f"| function | readers get ({', '.join(STYLES)}) | holds of 1 MB | the server sees the close |",
        "|---|---|---|---|",
    ]
    with provider(silent=False) as whole, provider(silent=True) as silent, tempfile.TemporaryDirectory() as folder:
        benches = [Bench(style, whole, silent, Path(folder)) for style in STYLES]
        for row in ROWS:
            cells = [bench.measured(row) for bench in benches]
            lines.append(f"| {row.name} | {' | '.join(_together(column) for column in zip(*cells, strict=True))} |")
    return "\n".join(lines)


def _together(column: tuple[str, ...]) -> str:
    """Return the cells of all styles as one, once if they are equal."""
    return column[0] if len(set(column)) == 1 else ", ".join(column)


def with_table(page: str, table: str) -> str:
    """Return the page with the table in its place."""
    return _PART.sub(lambda _: f"\n{table}\n\n", page)
