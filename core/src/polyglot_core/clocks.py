"""The clocks of one call: which of them runs out next, and when. Pure: the time is an argument, in monotonic seconds.

Time that the caller takes between two reads is not the provider's: `idle` and `silence` run only while a read waits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyglot_core.connection import Timeouts

__all__ = ["Clocks"]


class Clocks:
    """When each clock of a call was last set. `due` is read by the watchdog's thread while the call's own thread waits."""

    __slots__ = ("_attempt", "_bytes", "_call", "_finish", "_meaning", "_timeouts", "_waited")

    def __init__(self, timeouts: Timeouts, now: float) -> None:
        self._timeouts = timeouts
        self._call = now
        self._attempt = now
        self._meaning: float | None = None
        self._finish: float | None = None
        self._bytes = self._waited = now

    def start_attempt(self, now: float) -> None:
        """A request is about to be sent, perhaps not the first."""
        self._attempt = self._bytes = self._waited = now
        self._meaning = self._finish = None

    def start_wait(self, now: float) -> None:
        """A read begins; what passed since the last one was the caller's time."""
        self._bytes = now
        if self._meaning is not None:
            self._meaning += now - self._waited
        if self._finish is not None:
            self._finish += now - self._waited

    def end_wait(self, now: float) -> None:
        """A read has returned."""
        self._waited = now

    def saw_meaning(self, now: float) -> None:
        """An event with meaning came, and the model is not done with every choice."""
        self._meaning = now
        self._finish = None

    def saw_finish(self, now: float) -> None:
        """The model is done; only `grace` is left."""
        self._finish = now

    def elapsed(self, now: float) -> float:
        """Seconds since the call."""
        return now - self._call

    def due(self) -> tuple[float, str]:
        """The moment at which the next clock runs out, and its name; infinity where none runs."""
        timeouts = self._timeouts
        total = (_after(self._call, timeouts.total), "total")
        if self._finish is not None:
            return min(total, (_after(self._finish, timeouts.grace), "grace"))
        if self._meaning is not None:
            idle = (_after(self._meaning, timeouts.idle), "idle")
            return min(total, idle, (_after(self._bytes, timeouts.silence), "silence"))
        return min(total, (_after(self._attempt, timeouts.first), "first"))


def _after(moment: float, seconds: float | None) -> float:
    return math.inf if seconds is None else moment + seconds
