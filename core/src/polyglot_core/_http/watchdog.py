"""One thread per process that ends reads whose clock has run out.

A read waits in the operating system, where no Python clock reaches it. Shutting its socket down does: the read
returns at once, over plain and TLS sockets, sync and async, and the reader then asks its watch whether a clock did it.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import sys
import threading
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

from polyglot_core._attempt.clocks import no_change

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from polyglot_core._attempt.clocks import Clocks

__all__ = ["Watch", "close_later", "shut_down"]

_LONGEST_PAUSE = 3600.0  # seconds; a condition cannot wait for ever so many
_SOON = 0.1  # seconds; `total` has run out while the caller takes its time: the next read is to notice soon


def shut_down(sock: object) -> None:
    """Shut a socket down for reading and writing, from any thread, without touching the TLS layer above it."""
    descriptor = getattr(sock, "fileno", lambda: -1)()
    if descriptor < 0:
        return
    with contextlib.suppress(OSError):
        if isinstance(sock, socket.socket):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        else:  # asyncio hands out a view of the socket that has the method but not the class
            sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]


class Watch:
    """Watches one wait: for the head of an answer, or for more of its body.

    Args:
        end: Ends the wait, from the watchdog's thread. It must not refer to the stream, which is let go to be closed.
        clocks: When it is to be ended.

    Attributes:
        fired: Name of the clock that ran out, or None.
        over: Whether the wait is over, so that it is not to be watched again.
    """

    __slots__ = ("__weakref__", "_clocks", "_end", "fired", "over")

    def __init__(self, end: Callable[[], object], clocks: Clocks) -> None:
        self.fired: str | None = None
        self.over = False
        self._end = end
        self._clocks = clocks

    def arm(self) -> None:
        """Begin to watch, or look at the clocks anew because another one has begun to count."""
        _thread.add(self, self._clocks.due(perf_counter())[0])

    def stop(self) -> None:
        """The wait is over."""
        self._clocks.waited = self._clocks.asked
        self._clocks.changed = no_change
        _thread.drop(self)

    def __enter__(self) -> Self:
        self.arm()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def look(self, now: float) -> float:
        """End the read that waits, if a clock has run out. Returns when to look again."""
        moment, clock = self._clocks.due(now)
        if moment > now:
            return moment
        if self._clocks.waiting and self.fired is None:
            self.fired = clock
            with contextlib.suppress(Exception):  # one wait that cannot be ended must not keep the others from it
                self._end()
        return now + _SOON if self.fired is None else math.inf


def close_later(close: Callable[[], object]) -> None:
    """Have something closed by the watchdog's thread, soon.

    For finalizers: the garbage collector runs them anywhere, also in a thread that holds the lock which closing takes.
    """
    _thread.later(close)


class _WatchdogThread:
    """Sleeps until the earliest moment that any watch is due; started with the first one."""

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self.wakes_at = math.inf
        self._changed = threading.Condition()  # over a lock that a finalizer may take once more
        self._to_close: deque[Callable[[], object]] = deque()
        self._thread: threading.Thread | None = None

    def add(self, watch: Watch, due: float) -> None:
        """Look after `watch`, and look at once if it is due before the next look."""
        with self._changed:
            if watch.over:  # the call's own thread was slower than the one that has closed the stream
                return
            self.watches.add(watch)
            if due >= self.wakes_at:
                return
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="polyglot-watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()

    def drop(self, watch: Watch) -> None:
        """Look after `watch` no longer."""
        with self._unless_exiting():
            watch.over = True
            self.watches.discard(watch)

    def later(self, close: Callable[[], object]) -> None:
        """Close something in this thread, which runs as long as there has been a watch."""
        if not sys.is_finalizing():
            self._to_close.append(close)
            with self._changed:
                self._changed.notify()

    def _unless_exiting(self) -> contextlib.AbstractContextManager[object]:
        """The lock; when the interpreter goes, nothing: this thread stands still by then, perhaps with the lock."""
        return contextlib.nullcontext() if sys.is_finalizing() else self._changed

    def _run(self) -> None:
        while True:
            self._close()
            with self._changed:
                if not self._to_close:
                    now = perf_counter()
                    self.wakes_at = min((watch.look(now) for watch in list(self.watches)), default=math.inf)
                    self._changed.wait(min(_LONGEST_PAUSE, max(0.0, self.wakes_at - perf_counter())))

    def _close(self) -> None:
        """Close what was let go; without the lock, because it may take long, or let something else go."""
        while self._to_close:
            with contextlib.suppress(Exception):
                self._to_close.popleft()()


_thread = _WatchdogThread()


def _forget() -> None:
    """A forked child has no watchdog thread and none of its parent's reads."""
    global _thread  # noqa: PLW0603 (one per process is the point)
    _thread = _WatchdogThread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
