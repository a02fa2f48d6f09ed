"""Rounds of measurements that take turns, so that what else a machine does falls on all of them alike."""

from __future__ import annotations

import argparse
import gc
import os
import platform
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import process_time


def arguments(description: str, *, rounds: int, chunks: int = 10_000) -> argparse.Namespace:
    """Parse the number of rounds and chunks."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help="default: %(default)s")
    parser.add_argument("--chunks", type=int, default=chunks, help="pieces of text; default: %(default)s")
    return parser.parse_args()


def microseconds(work: Callable[[], object], chunks: int) -> float:
    """Return the CPU time of this process, all threads, for each chunk in microseconds."""
    gc.collect()
    begun = process_time()
    work()
    return (process_time() - begun) / chunks * 1e6


def take_turns(works: Mapping[str, Callable[[], object]], chunks: int, rounds: int) -> dict[str, list[float]]:
    """Return the times of each work in each round, without a first round for warm-up."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            taken = microseconds(work, chunks)
            if number:
                times[name].append(taken)
        if sys.stderr.isatty():
            print(f"\r\033[Kround {number} of {rounds}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return times


def row(times: Mapping[str, Sequence[float]], name: str, against: str) -> tuple[str, str, str, str]:
    """Return name, median, best, and the median of the ratios of the rounds."""
    own = times[name]
    ratios = [taken / base for taken, base in zip(own, times[against], strict=True)]
    return name, f"{median(own):.2f}", f"{min(own):.2f}", f"{median(ratios):.2f}"


def print_table(title: str, rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table with its heading."""
    head = ("CPU µs a chunk", "median", "best", "ratio")
    width = max(len(line[0]) for line in [head, *rows])
    print(f"\n{title}")
    for line in [head, *rows]:
        print(f"  {line[0]:<{width}}" + "".join(f"{cell:>9}" for cell in line[1:]))


def print_facts(*facts: str) -> None:
    """Print what was run, and on what."""
    machine = f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} CPUs, {sys.platform}"
    print(f"command: python {shlex.join(sys.argv)}")
    for line in (machine, *facts):
        print(line)


def in_turns(asked: argparse.Namespace) -> str:
    """Return how rounds of `take_turns` were measured."""
    return f"{asked.rounds} rounds in turns, {asked.chunks} chunks each"
