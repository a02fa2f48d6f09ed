"""Draws the ratios of a benchmark as bars: an SVG that follows the reader's light or dark scheme."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

__all__ = ["draw"]

_LEFT, _WIDTH, _BAR, _GAP = 150, 460, 11, 10
_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .http1 { fill: #1a7f5a } .httpx { fill: #7a8fb8 } .floor { stroke: #b0562c; stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .http1 { fill: #3fb68b } .httpx { fill: #8fa6d6 } .floor { stroke: #e0916a }
  }
"""


def draw(rows: Sequence[dict[str, Any]], transports: Sequence[str], floor: str) -> str:
    """Return the picture of the streams of text that were sent in one burst: a bar for each transport and dialect."""
    shown = [row for row in rows if row["content"] == "text" and row["sent"] == "burst" and row["client"] in transports]
    dialects = list(dict.fromkeys(row["dialect"] for row in shown))
    scale = _WIDTH / max([1.2, *(row["ratio"] for row in shown)])
    parts, top = [], 34
    for dialect in dialects:
        bars = [row for row in shown if row["dialect"] == dialect]
        parts.append(
            f'<text x="{_LEFT - 8}" y="{top + _BAR * len(bars) / 2 + 4}" text-anchor="end">{escape(dialect)}</text>'
        )
        for row in bars:
            width = row["ratio"] * scale
            parts.append(f'<rect class="{row["client"]}" x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR}"/>')
            parts.append(f'<text x="{_LEFT + width + 5:.1f}" y="{top + _BAR - 1.5}">{row["ratio"]:.2f} ×</text>')
            top += _BAR + 2
        top += _GAP
    line = _LEFT + scale
    parts.append(f'<line class="floor" x1="{line:.1f}" y1="28" x2="{line:.1f}" y2="{top}"/>')
    title = f"CPU time of a delta, beside {floor} (dashed line): Polyglot over {' and '.join(transports)}"
    parts.append(f'<text x="8" y="18">{escape(title)}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 70} {top + 6}" role="img">'
    body = "\n".join(parts)
    return f"{head}\n<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n{body}\n</svg>\n"
