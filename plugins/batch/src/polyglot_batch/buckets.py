"""Token buckets: how much may be sent now, and when there will be enough. Moments are those of `time.monotonic`."""

from __future__ import annotations

import math

__all__ = ["Bucket"]


class Bucket:
    """An allowance that refills at a constant rate up to a capacity.

    What costs more than the capacity is admitted when the bucket is full, and leaves a debt.

    Attributes:
        capacity: The most that it holds.
        rate: What is added in a second; 0 for one that is not refilled.
    """

    __slots__ = ("_level", "_moment", "capacity", "rate")

    def __init__(self, capacity: float, rate: float, now: float) -> None:
        self.capacity = capacity
        self.rate = rate
        self._level = capacity
        self._moment = now

    def level(self, now: float) -> float:
        """Return what it holds; negative for a debt."""
        self._level = min(self.capacity, self._level + max(0.0, now - self._moment) * self.rate)
        self._moment = now
        return self._level

    def wait(self, cost: float, now: float) -> float:
        """Return the seconds until `cost` may be taken; 0 if it may be taken now."""
        missing = min(cost, self.capacity) - self.level(now)
        if missing <= 1e-9:  # of the arithmetic
            return 0.0
        return missing / self.rate if self.rate > 0 else math.inf

    def take(self, cost: float, now: float) -> None:
        """Take `cost`; a negative cost returns what was taken in excess."""
        self._level = min(self.capacity, self.level(now) - cost)

    def correct(self, level: float, capacity: float, rate: float, now: float) -> None:
        """Replace all that is known by what the provider states."""
        self.capacity, self.rate = capacity, rate
        self._level, self._moment = min(level, capacity), now
