"""The places of a pool: a bounded number of connections, the idle ones first, and a fair queue of those who wait.

Sync and async pools share it; they differ in how a waiter waits.
"""

# Theory of operation
# -------------------
#
# A pool has a fixed number of places. A place that is in stock is an idle connection, or None: room for a new one. One
# `deque` holds them, the rooms at its left end and the idle connections at its right end, so `pop` returns the
# connection that was used last and, if none is idle, a room. Taking and giving are O(1), whatever the number.
#
# No lock is taken. Every operation on a deque is atomic, in builds without the GIL as well, and a place is always
# either in the deque, or with exactly one call, or with exactly one waiter. So an interruption between two instructions
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
_P = TypeVar("_P", bound=Idle, contravariant=True)


class Waiter(Protocol[_P]):
    """A call that waits for a place."""

    def grant(self, place: _P | None, /) -> object:
        """Receive a place: an idle connection, or None for room for a new one. Never blocks."""
        ...


class Stock(Generic[_C]):
    """The places of a pool that are not in use.

    Args:
        places: Number of connections, in use and idle, that the pool may have.

    Attributes:
        closed: Whether no connection is to become idle any more.
    """

    def __init__(self, places: int) -> None:
        self.closed = False
        self._places: deque[_C | None] = deque([None] * places)
        self._waiters: deque[Waiter[_C]] = deque()

    def take(self) -> _C | None:
        """Return an idle connection, or None for room for a new one.

        Raises:
            LookupError: There is none, or others wait.
        """
        if self._waiters:
            raise LookupError
        return self._places.pop()

    def give(self, place: _C | None) -> None:
        """Put a connection back that became idle; or None, the room of one that was closed."""
        if place is None:
            self._places.appendleft(None)
        else:
            self._places.append(place)
        if self._waiters:
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

        The caller gives a room back for each.
        """
        kept: list[_C] = []
        expired: list[_C] = []
        for _ in range(len(self._places)):
            try:
                place = self._places.popleft()
            except IndexError:
                break
            if place is None:
                self._places.append(None)
            else:
                (expired if place.idle_since <= before else kept).append(place)
        self._restore(kept)
        return expired

    def _restore(self, kept: list[_C]) -> None:
        self._places.extend(kept)
        if self._waiters:
            self._serve()

    def close(self) -> None:
        """Keep no connection from here on."""
        self.closed = True

    @property
    def idle(self) -> int:
        """Number of idle connections."""
        return sum(place is not None for place in list(self._places))

    def _serve(self) -> None:
        while self._waiters:
            try:
                place = self._places.pop()
            except IndexError:
                return
            try:
                waiter = self._waiters.popleft()
            except IndexError:
                self.give(place)
                return
            waiter.grant(place)
