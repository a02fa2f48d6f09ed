"""Measures how the time of a piece of work grows with its size, in CPU time of this thread."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["LINEAR", "Growth", "Work", "growth_of"]

Work = Callable[[int], Callable[[], object]]
"""Prepares the work for a size; only what it returns is measured."""

LINEAR = 9.0
"""Ratio of the times at 4n and n that linear work stays below; that of quadratic work is 16."""

_SHORTEST = 0.01  # seconds that a measurement takes at least
_MORE_RUNS = 2


class Growth(NamedTuple):
    """The times at n and 4n.

    Attributes:
        size: n.
        once: Seconds for n, repeated as often as it takes to be measured.
        four_times: Seconds for 4n, repeated equally often.
    """

    size: int
    once: float
    four_times: float

    @property
    def ratio(self) -> float:
        """Return how many times longer 4n takes."""
        return self.four_times / self.once


def growth_of(work: Work, size: int) -> Growth:
    """Measure the work at `size` and at four times that; work that is short is repeated equally often at both."""
    small, large = work(size), work(4 * size)
    small()  # what is loaded and compiled on first use is not measured
    often = 1
    while (once := _seconds(small, often)) < _SHORTEST:
        often *= 2 if once > _SHORTEST / 4 else 4
    growth = Growth(size, min(once, _seconds(small, often)), _seconds(large, often))
    for _ in range(_MORE_RUNS):
        if growth.ratio < LINEAR:
            break  # another run would only lower it
        growth = growth._replace(four_times=min(growth.four_times, _seconds(large, often)))
    return growth


def _seconds(run: Callable[[], object], often: int) -> float:
    gc.disable()  # and no collection before: it would take longer than most of what is measured
    try:
        start = time.thread_time()
        for _ in range(often):
            run()
        return time.thread_time() - start
    finally:
        gc.enable()
