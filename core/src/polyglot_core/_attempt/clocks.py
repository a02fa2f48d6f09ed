"""The clocks of one call: which of them runs out next, and when.

Pure: the time is an argument, in seconds of `time.perf_counter`.

Time that the caller takes between two reads is not the provider's: `idle` and `silence` run only while a read waits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core._values.limits import Timeouts

__all__ = ["Clocks", "no_change"]


class Clocks:
    """When each clock of a call was last set. The watchdog's thread reads it while the call's own thread waits.

    Attributes:
        asked: When the last read began.
        waited: When the last read returned; before `asked` while one waits.
        meaning: When the last event with meaning came; None before the first of an attempt.
        changed: Called when another clock begins to count, which may run out sooner than the last.
    """

    __slots__ = ("_attempt", "_call", "_finish", "_timeouts", "asked", "changed", "meaning", "waited")

    def __init__(self, timeouts: Timeouts, now: float) -> None:
        self.meaning: float | None = None
        self.changed: Callable[[], object] = no_change
        self._timeouts = timeouts
        self._call = self._attempt = self.asked = self.waited = now
        self._finish: float | None = None

    @property
    def waiting(self) -> bool:
        """Whether a read waits now."""
        return self.asked > self.waited

    def start_attempt(self, now: float) -> None:
        """A request is about to be sent, perhaps not the first."""
        self._attempt = self.asked = self.waited = now
        self.meaning = self._finish = None
        self.changed = no_change

    def pass_over(self, now: float) -> None:
        """A read begins. What passed since the last one was the caller's time; the provider's clocks stood still."""
        pause = now - self.waited
        if self.meaning is not None:
            self.meaning += pause
        if self._finish is not None:
            self._finish += pause

    def saw_meaning(self, now: float) -> None:
        """An event with meaning came, and the model is not done with every choice."""
        another = self.meaning is None or self._finish is not None
        self.meaning = now
        self._finish = None
        if another:
            self.changed()

    def saw_finish(self, now: float) -> None:
        """The model is done; only `grace` is left."""
        self._finish = now
        self.changed()

    def elapsed(self, now: float) -> float:
        """Seconds since the call."""
        return now - self._call

    def total_due(self) -> float:
        """The moment at which the whole call, over all attempts and waits, runs out of time."""
        return _after(self._call, self._timeouts.total)

    def due(self, now: float) -> tuple[float, str]:
        """The moment at which the next clock runs out, and its name; infinity where none runs.

        While no read waits, it is the moment at which it would be due if one began now.
        """
        timeouts = self._timeouts
        asked, pause = (self.asked, 0.0) if self.waiting else (now, now - self.waited)
        total = (self.total_due(), "total")
        if self._finish is not None:
            return min(total, (_after(self._finish + pause, timeouts.grace), "grace"))
        if self.meaning is not None:
            idle = (_after(self.meaning + pause, timeouts.idle), "idle")
            return min(total, idle, (_after(asked, timeouts.silence), "silence"))
        return min(total, (_after(self._attempt, timeouts.first), "first"))


def no_change() -> None:
    """What `Clocks.changed` is while there is no socket to watch."""


def _after(moment: float, seconds: float | None) -> float:
    return math.inf if seconds is None else moment + seconds
