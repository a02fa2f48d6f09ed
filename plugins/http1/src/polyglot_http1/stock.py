"""The places of a pool: a bounded number of connections, the idle ones first, and a fair queue of those who wait.

Sync and async pools share it; they differ in how a waiter waits.
"""

# Theory of operation
# -------------------
#
# A pool has a fixed number of places. A place that is in stock is an idle connection, or a free slot for a new one. The
# idle connection that was used last is taken first, and a free slot if none is idle. Taking and giving are O(1),
# whatever the number.
#
# No lock is taken. Every operation on a deque is atomic, in builds without the GIL as well, and a place is always
# either in a deque, or with exactly one call, or with exactly one waiter. So an interruption between two instructions
# cannot leave a lock held, and a finalizer, which may run anywhere, may give a place back.
#
# Fairness. If anybody waits, a newcomer waits behind. `_serve` hands places to waiters until one of the two runs out;
# each change that could make both present calls it.

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

__all__ = ["Idle", "Stock", "Waiter"]


class Idle(Protocol):
    """A connection that may be idle.

    Attributes:
        idle_since: When it was last given back, in seconds of `time.perf_counter`.
    """

    idle_since: float


_C = TypeVar("_C", bound=Idle)
_P_contra = TypeVar("_P_contra", bound=Idle, contravariant=True)


class Waiter(Protocol[_P_contra]):
    """A call that waits for a place."""

    def grant(self, place: _P_contra | None, /) -> object:
        """Receive a place: an idle connection, or None for a free slot. Never blocks."""
        ...


class Stock(Generic[_C]):
    """The places of a pool that are not in use.

    Args:
        places: Number of connections, in use and idle, that the pool may have.
        most_idle: Number of idle connections that are kept.

    Attributes:
        closed: Whether no connection is to become idle any more.
    """

    def __init__(self, places: int, most_idle: int) -> None:
        self.closed = False
        self._most_idle = most_idle
        self._idle: deque[_C] = deque()
        self._slots: deque[None] = deque([None] * places)
        self._waiters: deque[Waiter[_C]] = deque()

    def take(self) -> _C | None:
        """Return an idle connection, or None for a free slot.

        Raises:
            LookupError: There is none, or others wait.
        """
        if self._waiters:
            raise LookupError
        return self._take()

    def _take(self) -> _C | None:
        try:
            return self._idle.pop()
        except IndexError:
            return self._slots.pop()

    def keep(self, connection: _C) -> bool:
        """Put a connection back that became idle. Return False if it is to be closed, because enough are kept."""
        if self.closed or (len(self._idle) >= self._most_idle and not self._waiters):
            return False
        self._idle.append(connection)
        self._serve()
        return True

    def free(self) -> None:
        """Put a slot back: a connection was closed, or could not be opened."""
        self._slots.append(None)
        self._serve()

    def give_back(self, place: _C | None) -> None:
        """Put a place back that was taken and not used."""
        if place is None:
            self._slots.append(None)
        else:
            self._idle.append(place)
        self._serve()

    def queue(self, waiter: Waiter[_C]) -> None:
        """Let a call wait for a place, behind those that wait already."""
        self._waiters.append(waiter)
        self._serve()

    def leave(self, waiter: Waiter[_C]) -> bool:
        """Stop waiting. Return False if a place was granted meanwhile, which the waiter is to give back."""
        try:
            self._waiters.remove(waiter)
        except ValueError:
            return False
        return True

    def take_idle(self, before: float) -> list[_C]:
        """Take the connections that have been idle since `before`, in seconds of `perf_counter`, to close them.

        The caller calls `free` for each.
        """
        expired: list[_C] = []
        for _ in range(len(self._idle)):
            try:
                connection = self._idle.popleft()
            except IndexError:
                break
            if connection.idle_since > before:  # those behind it became idle later
                self._idle.appendleft(connection)
                break
            expired.append(connection)
        self._serve()
        return expired

    def close(self) -> None:
        """Keep no connection from here on."""
        self.closed = True

    @property
    def idle(self) -> int:
        """Number of idle connections."""
        return len(self._idle)

    def _serve(self) -> None:
        while self._waiters:
            try:
                place = self._take()
            except IndexError:
                return
            try:
                waiter = self._waiters.popleft()
            except IndexError:  # it has left meanwhile
                self.give_back(place)
                return
            waiter.grant(place)
