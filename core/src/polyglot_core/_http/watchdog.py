"""One thread per process that ends reads whose clock has run out.

A read waits in the operating system, where no Python clock reaches it. Shutting its socket down does: the read
returns at once, over plain and TLS sockets, sync and async, and the reader then checks whether its watch fired.
"""

# Theory of operation: one thread, many waits
# -------------------------------------------
#
# The thread sleeps in `queue.get(timeout=...)` until the earliest moment at which any watch is due, or until something
# is put into the queue. `None` in the queue only wakes it; a callable is called, and of a `CollectHook` its `close`. It
# is a daemon thread, started by the first watch with a clock, or by the first exchange that may be collected; there is
# one per process.
#
# *Arming* adds a watch to the set, and wakes the thread only if the watch is due before `wakes_at`. Nearly always it is
# not, because the thread already wakes for an older watch that is due sooner; so arming costs a set insertion.
# `wakes_at` is infinite while the thread computes, so a watch that is added during that time always wakes it.
#
# *Firing.* A clock measures the provider, and the process itself may be the one that is late: it was stopped, or a task
# blocked the event loop, while the data waited in the socket. So before a clock other than `total` fires, `look` checks
# whether there is something to read, and whether this thread woke much later than it meant to. In both cases the reader
# gets another `_SOON`; in the second once for each moment at which the clock is due.
#
# *Checking* calls `Watch.look` for each watch under `_ending`, which ends the wait if its clock ran out. The lock keeps
# one promise: when `stop()` returns, the wait is not being ended any more. Without it the watchdog could shut a
# socket down that was returned to the pool a moment ago and already carries another call.
#
# *Locks.* The thread of a call takes `_ending` in a `with` statement, a lock implemented in C, and nothing else: an
# exception that a signal handler raises cannot fall between acquiring and releasing it. It is reentrant, because a
# finalizer may run in the thread that holds it. Everything that could be left half-done (starting a thread, waiting)
# happens in this thread or in a helper thread, where Python never runs signal handlers. Nothing that is called under
# `_ending` takes another lock: a thread that holds the lock of a client's pool may collect a stream, whose finalizer
# takes `_ending`. So timers and closings, which take the locks of pools, run without it.
#
# *Exit.* When the interpreter finalizes, daemon threads stop wherever they are, perhaps holding the lock, so
# `unless_exiting` stops taking it.

from __future__ import annotations

import _thread as threads
import contextlib
import math
import os
import select
import socket
import sys
import threading
import weakref
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING

from polyglot_core._attempt.clocks import no_change

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core._attempt.clocks import Clocks

__all__ = ["CollectHook", "Timer", "Watch", "close_later", "has_data", "on_collect", "shut_down", "stop_writing"]

_LONGEST_PAUSE = 3600.0  # seconds; a queue cannot be waited for without a limit
_SOON = 0.1  # seconds until a clock that ran out is checked again
_LATE = 0.25  # seconds; this thread was not scheduled for so long that the readers were not either


def shut_down(sock: object) -> None:
    """Shut a socket down for reading and writing, from any thread, without touching the TLS layer above it."""
    descriptor = getattr(sock, "fileno", lambda: -1)()
    if descriptor < 0:
        return
    with contextlib.suppress(OSError):
        if isinstance(sock, socket.socket):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        else:  # asyncio returns a view of the socket that has the method but not the class
            sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]


def stop_writing(sock: object) -> None:
    """Make a socket accept no more data, from any thread; what it has received can still be read."""
    with contextlib.suppress(OSError, AttributeError):
        sock.shutdown(socket.SHUT_WR)  # type: ignore[attr-defined]


def has_data(sock: object) -> bool:
    """Return whether a socket can be read without waiting, be it the end of the connection; False if it is closed."""
    descriptor = getattr(sock, "fileno", lambda: -1)()
    if descriptor < 0:
        return False
    try:
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(0))
        return bool(select.select([descriptor], [], [], 0)[0])
    except (OSError, ValueError):
        return False


def _nothing_waits() -> bool:
    return False


class Watch:
    """Watches one wait: for the head of a response, or for more of its body.

    Args:
        end: Ends the wait; called in the watchdog's thread. It must not refer to the stream, which would never be
            collected.
        clocks: The clocks that decide when.
        data_waits: Returns whether there is data that the reader has not taken yet. As `end`, it must not refer to the
            stream.

    Attributes:
        fired: Name of the clock that ran out, or None.
        over: Whether the wait is over, so that it must not be watched again.
    """

    __slots__ = ("__weakref__", "_clocks", "_data_waits", "_end", "_excused", "fired", "over")

    def __init__(
        self, end: Callable[[], object], clocks: Clocks, data_waits: Callable[[], bool] = _nothing_waits
    ) -> None:
        self.fired: str | None = None
        self.over = False
        self._end = end
        self._clocks = clocks
        self._data_waits = data_waits
        self._excused = -math.inf  # the moment at which a clock was due that did not fire, as this thread woke late

    def arm(self) -> None:
        """Start to watch, or check the clocks again because another one started."""
        _thread.add(self, self._clocks.due(perf_counter())[0])

    def hand_over(self, end: Callable[[], object], data_waits: Callable[[], bool]) -> None:
        """Watch the next wait, for the body: that for the head is over, and not being ended when this returns."""
        with _thread.unless_exiting():
            self._clocks.waited = self._clocks.asked
            self._end, self._data_waits = end, data_waits

    def stop(self) -> None:
        """Stop watching: the wait is over."""
        self._clocks.waited = self._clocks.asked
        self._clocks.changed = no_change
        _thread.drop(self)

    def look(self, now: float, *, late: bool = False) -> float:
        """End the waiting read if a clock ran out. Return when to check again.

        Args:
            now: The time, in seconds of `perf_counter`.
            late: True if the watchdog woke much later than it meant to.
        """
        moment, clock = self._clocks.due(now)
        if moment > now:
            return moment
        if self._clocks.waiting and self.fired is None:
            if clock != "total" and (self._may_be_ours(moment, late=late) or self._data_waits()):
                return now + _SOON
            self.fired = clock
            with contextlib.suppress(Exception):  # a wait that cannot be ended must not affect the others
                self._end()
        return now + _SOON if self.fired is None else math.inf

    def _may_be_ours(self, moment: float, *, late: bool) -> bool:
        """Return whether the wait may be this process's fault. The same moment is excused once."""
        excused, self._excused = self._excused, moment if late else self._excused
        return late and moment > excused


class Timer:
    """Calls a function in the watchdog's thread from time to time, as long as the function returns True.

    Args:
        seconds: Seconds from one call to the next, and from `start` to the first.
        call: The function.
    """

    def __init__(self, seconds: float, call: Callable[[], bool]) -> None:
        self.over = True
        self._seconds = seconds
        self._call = call
        self._due = math.inf
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the timer unless it runs."""
        with self._lock:
            if self.over:
                self.over = False
                self._due = perf_counter() + self._seconds
                _thread.add(self, self._due)

    def look(self, now: float) -> float:
        """Call the function if it is time. Return when to check again."""
        if now < self._due:
            return self._due
        again = True
        with contextlib.suppress(Exception):
            again = self._call()
        with self._lock:  # a start from here on adds it again
            self.over = not again
            self._due = now + self._seconds if again else math.inf
            if self.over:
                _thread.watches.discard(self)
        return self._due


def close_later(close: Callable[[], object]) -> None:
    """Close something in the watchdog's thread, soon.

    For finalizers: the garbage collector may run them in a thread that already holds the lock which closing takes.
    """
    _thread.later(close)


class CollectHook(weakref.ref[object]):
    """A weak reference whose callback makes the watchdog's thread close what belonged to a collected object.

    No Python code runs where the object is collected, so no interruption can be lost there, or prevent the closing.
    Something other than the object must keep the reference alive until then.

    Attributes:
        close: Closes what belonged to the object; it must not refer to the object.
    """

    __slots__ = ("close",)

    close: Callable[[], object]


def on_collect(owner: object, close: Callable[[], object]) -> CollectHook:
    """Return a reference by which `close` is called in the watchdog's thread once `owner` is collected."""
    hook = CollectHook(owner, _thread.queue.put)
    hook.close = close
    _thread.ensure_running()  # without a clock no watch starts it
    return hook


class _WatchdogThread:
    """Sleeps until the earliest moment that any watch is due; started with the first one.

    A signal handler may raise in the main thread, between any two instructions. So the threads of calls take only a
    lock written in C in a ``with``, and wait for nothing; only this thread waits, in which no signal handler runs.
    """

    def __init__(self) -> None:
        self.watches: set[Watch | Timer] = set()
        self.wakes_at = math.inf
        self.queue: SimpleQueue[Callable[[], object] | CollectHook | None] = (
            SimpleQueue()
        )  # what to close; None only wakes
        self.running = False
        self._ending = threading.RLock()  # held while a wait is ended; a finalizer may take it once more
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, watch: Watch | Timer, due: float) -> None:
        """Watch `watch`, and check at once if it is due before the next check."""
        if watch.over:  # another thread closed the stream first
            return
        self.watches.add(watch)
        if watch.over:  # meanwhile
            self.watches.discard(watch)
        elif due < self.wakes_at:
            self.ensure_running()
            self.queue.put(None)

    def ensure_running(self) -> None:
        """Start the thread unless it runs."""
        if not self.running:
            threads.start_new_thread(self._start, ())

    def drop(self, watch: Watch) -> None:
        """Stop watching `watch`. Its wait is not being ended when this returns."""
        with self.unless_exiting():
            watch.over = True
            self.watches.discard(watch)

    def later(self, close: Callable[[], object]) -> None:
        """Close something in this thread, which runs since the first exchange."""
        if not sys.is_finalizing():
            self.queue.put(close)

    def unless_exiting(self) -> contextlib.AbstractContextManager[object]:
        """Return the lock, or a null context while the interpreter exits: the stopped thread may hold the lock."""
        return contextlib.nullcontext() if sys.is_finalizing() else self._ending

    def _start(self) -> None:
        """Start the thread, from a thread, because starting one takes locks of the standard library."""
        with self._starting:
            if not self.running:
                self.running = True
                self._thread = threading.Thread(target=self._run, name="polyglot-watchdog", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                self._look()
                self._close(min(_LONGEST_PAUSE, max(0.0, self.wakes_at - perf_counter())))
        finally:  # the next watch starts another
            self.running, self.wakes_at = False, math.inf

    def _look(self) -> None:
        """End the waits whose clock ran out, and compute when the next one is due."""
        planned, self.wakes_at = self.wakes_at, math.inf  # a watch that is added from here on wakes this thread
        now = perf_counter()
        late = now - planned > _LATE
        moment = math.inf
        for watch in list(self.watches):
            if isinstance(watch, Timer):  # takes locks that a thread may hold in which a finalizer takes `_ending`
                moment = min(moment, watch.look(now))
                continue
            with self._ending:
                if not watch.over:
                    moment = min(moment, watch.look(now, late=late))
        self.wakes_at = moment

    def _close(self, pause: float) -> None:
        """Wait until something is due, and close what was queued."""
        with contextlib.suppress(Empty):
            close = self.queue.get(timeout=pause)
            while True:
                if close is not None:
                    with contextlib.suppress(Exception):
                        close.close() if isinstance(close, CollectHook) else close()
                close = self.queue.get_nowait()


_thread = _WatchdogThread()


def _forget() -> None:
    """Start afresh in a forked child, which has neither the thread nor the reads of its parent."""
    global _thread  # noqa: PLW0603 (one per process is the point)
    _thread = _WatchdogThread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
