"""Tables of plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest

__all__ = ["table"]


def table(heads: Sequence[str], lines: Iterable[Sequence[str]], widths: Sequence[int]) -> str:
    """Format columns of these widths; longer cells wrap."""
    rule = ["-" * width for width in widths]
    rows = [heads, rule, *lines]
    return "\n".join(line for row in rows for line in _wrapped(row, widths))


def _wrapped(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
    return [
        "  ".join(f"{part:<{width}}" for part, width in zip(parts, widths, strict=True)).rstrip()
        for parts in zip_longest(*cells, fillvalue="")
    ]
