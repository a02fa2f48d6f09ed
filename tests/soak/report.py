"""The figures of a soak as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .figures import Figures, Moment

_COLUMNS = ("start", "begun", "warm", "first few", "in a row", "at once", "over")
_ROWS = {
    "streams so far": "streams",
    "memory, KiB": "resident",
    "blocks of memory": "blocks",
    "objects": "objects",
    "file descriptors": "descriptors",
    "sockets": "sockets",
    "tasks": "tasks",
    "threads": "threads",
    "watches": "watches",
    "gc.garbage": "garbage",
}


def report(figures: Figures) -> str:
    """All of it: how streams ended, what the process held at each moment, and what should not be."""
    return "\n".join([*_endings(figures), "", *_moments(figures), "", *_summary(figures), *_problems(figures)])


def _endings(figures: Figures) -> Iterator[str]:
    yield f"{figures.style:26}{'streams':>9}{'ended as promised':>20}"
    for name, count in figures.counts.items():
        yield f"  {name:24}{count.streams:9,}{count.kept:20,}"
    kept = sum(count.kept for count in figures.counts.values())
    yield f"  {'all':24}{figures.streams:9,}{kept:20,}"


def _moments(figures: Figures) -> Iterator[str]:
    taken = [figures.at(name) for name in _COLUMNS]
    yield f"{'':18}" + "".join(f"{moment.name:>10}" for moment in taken)
    for title, name in _ROWS.items():
        yield f"{title:18}" + "".join(f"{getattr(moment, name):10,}" for moment in taken)


def _summary(figures: Figures) -> Iterator[str]:
    rows = [figures.at("first few"), *(moment for moment in figures.moments if moment.name == "in a row")]
    streams = rows[-1].streams - rows[0].streams
    yield f"{figures.streams:,} streams in {figures.seconds:.0f} s, {figures.faults:,} of them with a fault or left early"
    yield f"in a row: {streams:,} streams; memory {_gain(rows, streams)}"
    if len(rows) > 2:
        half = rows[len(rows) // 2 :]
        yield f"  their second half alone: {_gain(half, half[-1].streams - half[0].streams)}"
    yield "  MiB on the way: " + " ".join(f"{moment.resident / 1024:.1f}" for moment in rows)
    gained = figures.at("at once").resident - figures.at("warm").resident
    yield f"all closed: {gained:+,} KiB from the warm-up to the end"
    yield f"at once: {figures.at_once:,} streams; {figures.most_at_once:,} sockets were open when all had begun"
    yield f"connections that the server still held at the end: {figures.left_at_server}"


def _gain(rows: Sequence[Moment], streams: int) -> str:
    gained = rows[-1].resident - rows[0].resident
    return f"{gained:+,} KiB, {gained * 1000 / max(streams, 1):+.0f} KiB for each 1,000 streams"


def _problems(figures: Figures) -> list[str]:
    return [f"NOT AS IT SHOULD BE: {problem}" for problem in figures.problems()] or ["nothing was left or gained"]
