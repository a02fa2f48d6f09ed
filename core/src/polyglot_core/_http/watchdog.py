"""One thread per process that ends reads whose clock has run out.

A read waits in the operating system, where no Python clock reaches it. Shutting its socket down does: the read
returns at once, over plain and TLS sockets, sync and async, and the reader then asks its watch whether a clock did it.
"""

from __future__ import annotations

import _thread as threads
import contextlib
import math
import os
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
    from typing import Self

    from polyglot_core._attempt.clocks import Clocks

__all__ = ["Parting", "Watch", "close_later", "parting", "shut_down"]

_LONGEST_PAUSE = 3600.0  # seconds; a queue cannot be waited for without end
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


class Parting(weakref.ref[object]):
    """Has the watchdog's thread close what belongs to an object that was collected.

    Nothing in Python runs where the object is collected, so that no interruption can get lost there, or prevent it.
    It is to be kept alive until then, by something other than the object.

    Attributes:
        close: Closes what belongs to the object, and does not refer to it.
    """

    __slots__ = ("close",)

    close: Callable[[], object]


def parting(owner: object, close: Callable[[], object]) -> Parting:
    """Return what has `close` called once `owner` is collected."""
    made = Parting(owner, _thread.queue.put)
    made.close = close
    return made


class _WatchdogThread:
    """Sleeps until the earliest moment that any watch is due; started with the first one.

    A signal handler may raise in the main thread, between any two instructions. So the threads of calls take no lock
    here but a plain one in a ``with``, and wait for nothing; only this thread does, in which no signal handler runs.
    """

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self.wakes_at = math.inf
        self.queue: SimpleQueue[Callable[[], object] | Parting | None] = SimpleQueue()  # what to close; None only wakes
        self.running = False
        self._ending = threading.RLock()  # held while a wait is ended; a finalizer may take it once more
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, watch: Watch, due: float) -> None:
        """Look after `watch`, and look at once if it is due before the next look."""
        if watch.over:  # the call's own thread was slower than the one that has closed the stream
            return
        self.watches.add(watch)
        if watch.over:  # meanwhile
            self.watches.discard(watch)
        elif due < self.wakes_at:
            if not self.running:
                threads.start_new_thread(self._start, ())
            self.queue.put(None)

    def drop(self, watch: Watch) -> None:
        """Look after `watch` no longer. Its wait is not being ended when this returns."""
        with self._unless_exiting():
            watch.over = True
            self.watches.discard(watch)

    def later(self, close: Callable[[], object]) -> None:
        """Close something in this thread, which runs as long as there has been a watch."""
        if not sys.is_finalizing():
            self.queue.put(close)

    def _unless_exiting(self) -> contextlib.AbstractContextManager[object]:
        """The lock; when the interpreter goes, nothing: this thread stands still by then, perhaps with the lock."""
        return contextlib.nullcontext() if sys.is_finalizing() else self._ending

    def _start(self) -> None:
        """Start the thread; in a thread, because starting takes locks of the standard library's own."""
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
        """End the waits whose clock has run out, and find when the next one is due."""
        self.wakes_at = math.inf  # a watch that is added from here on wakes this thread
        now = perf_counter()
        moment = math.inf
        for watch in list(self.watches):
            with self._ending:
                if not watch.over:
                    moment = min(moment, watch.look(now))
        self.wakes_at = moment

    def _close(self, pause: float) -> None:
        """Wait until there is something to do, and close what was let go."""
        with contextlib.suppress(Empty):
            close = self.queue.get(timeout=pause)
            while True:
                if close is not None:
                    with contextlib.suppress(Exception):
                        close.close() if isinstance(close, Parting) else close()
                close = self.queue.get_nowait()


_thread = _WatchdogThread()


def _forget() -> None:
    """A forked child has no watchdog thread and none of its parent's reads."""
    global _thread  # noqa: PLW0603 (one per process is the point)
    _thread = _WatchdogThread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
