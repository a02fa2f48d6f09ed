"""The clocks of one call: which timeout expires next, and when.

Nothing here reads the time: it is an argument, in seconds of `time.perf_counter`.

The time that the caller takes between two reads is not the provider's: `idle` and `silence` run only during a read.
"""

from __future__ import annotations

import math
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core._values.limits import Timeouts

__all__ = ["Clocks", "no_change"]


class _Limits(NamedTuple):
    """Seconds after which each clock expires; infinity for one that is off."""

    first: float
    idle: float
    silence: float
    grace: float
    total: float


_CLOCKS = attrgetter(*_Limits._fields)


@lru_cache(maxsize=64)
def _limits_of(timeouts: Timeouts) -> _Limits:
    return _Limits(*(math.inf if limit is None else limit for limit in _CLOCKS(timeouts)))


class Clocks:
    """When each clock of a call was last set. The watchdog's thread reads it while the thread of the call waits.

    Attributes:
        asked: When the last read began.
        waited: When the last read returned; less than `asked` during a read.
        meaning: When the last event with meaning was received; None before the first of an attempt.
        changed: Called when another clock starts, which may expire sooner than the one before.
    """

    __slots__ = ("_attempt", "_call", "_finish", "_limits", "asked", "changed", "meaning", "waited")

    def __init__(self, timeouts: Timeouts, now: float) -> None:
        self.meaning: float | None = None
        self.changed: Callable[[], object] = no_change
        self._limits = _limits_of(timeouts)
        self._call = self._attempt = self.asked = self.waited = now
        self._finish: float | None = None

    @property
    def waiting(self) -> bool:
        """Whether a read is in progress."""
        return self.asked > self.waited

    def start_attempt(self, now: float) -> None:
        """Reset the clocks of the attempt, because a request is about to be sent."""
        self._attempt = self.asked = self.waited = now
        self.meaning = self._finish = None
        self.changed = no_change

    def leave_out(self, seconds: float) -> None:
        """Exclude seconds that have passed since the attempt began, before its request was sent, from every clock."""
        self._call += seconds
        self._attempt += seconds

    def pass_over(self, now: float) -> None:
        """Begin a read: stop `idle` and `grace` for the time since the last one, which was the caller's."""
        pause = now - self.waited
        if self.meaning is not None:
            self.meaning += pause
        if self._finish is not None:
            self._finish += pause

    def saw_meaning(self, now: float) -> None:
        """Start or restart `idle`: an event with meaning was received, and not every choice has its finish."""
        another = self.meaning is None or self._finish is not None
        self.meaning = now
        self._finish = None
        if another:
            self.changed()

    def saw_finish(self, now: float) -> None:
        """Start `grace`, which alone is left: every choice has its finish."""
        self._finish = now
        self.changed()

    def pause_due(self) -> float:
        """Return when the next clock expires of those that run between two reads as well; infinity if none runs."""
        if self.meaning is None and self._finish is None:
            return min(self.total_due(), self._attempt + self._limits.first)
        return self.total_due()

    def elapsed(self, now: float) -> float:
        """Return the seconds since the call."""
        return now - self._call

    def total_due(self) -> float:
        """Return when `total` expires, for the whole call with all attempts and waits; infinity if it is off."""
        return self._call + self._limits.total

    def due(self, now: float) -> tuple[float, str]:
        """Return when the next clock expires, and its name; infinity if none runs.

        Outside a read, return when it would expire if a read began now.
        """
        limits = self._limits
        asked, pause = (self.asked, 0.0) if self.asked > self.waited else (now, now - self.waited)
        total = (self._call + limits.total, "total")
        if self._finish is not None:
            return min(total, (self._finish + pause + limits.grace, "grace"))
        if self.meaning is not None:
            idle = (self.meaning + pause + limits.idle, "idle")
            return min(total, idle, (asked + limits.silence, "silence"))
        return min(total, (self._attempt + limits.first, "first"))


def no_change() -> None:
    """Do nothing: `Clocks.changed` while there is no socket to watch."""
