"""One thread per process that ends reads whose clock has run out.

A read waits in the operating system, where no Python clock reaches it. Shutting its socket down does: the read returns at
once, over plain and TLS sockets, sync and async, and the reader then asks its watch whether a clock did it.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyglot_core.clocks import Clocks

__all__ = ["Watch", "shut_down"]


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
    """Watches the reads of one stream.

    Attributes:
        fired: Name of the clock that ran out, or None.
    """

    __slots__ = ("__weakref__", "_clocks", "_socket", "_waiting", "fired")

    def __init__(self, sock: object, clocks: Clocks) -> None:
        self.fired: str | None = None
        self._socket = sock
        self._clocks = clocks
        self._waiting = False

    def start_wait(self) -> None:
        """A read begins."""
        now = time.monotonic()
        self._clocks.start_wait(now)
        self._waiting = True
        due = self._clocks.due()[0]
        if due < _thread.wakes_at:
            _thread.wake(self)
        else:
            _thread.watches.add(self)

    def end_wait(self) -> None:
        """The read has returned."""
        self._waiting = False
        self._clocks.end_wait(time.monotonic())

    def stop(self) -> None:
        """The stream is over."""
        self._waiting = False
        _thread.watches.discard(self)

    def due(self) -> float:
        """When this watch is to be looked at; infinity while no read waits."""
        return self._clocks.due()[0] if self._waiting else math.inf

    def fire_if_due(self, now: float) -> None:
        """End the read if a clock has run out."""
        moment, clock = self._clocks.due()
        if self._waiting and moment <= now:
            self.fired = clock
            self._waiting = False
            shut_down(self._socket)


class _WatchdogThread:
    """Sleeps until the earliest moment that any watch is due; started with the first one."""

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self.wakes_at = math.inf
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def wake(self, watch: Watch) -> None:
        """Look again, because `watch` is due before the next look."""
        with self._changed:
            self.watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="polyglot-watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                watches = list(self.watches)
                for watch in watches:
                    watch.fire_if_due(now)
                self.wakes_at = min((watch.due() for watch in watches), default=math.inf)
                pause = None if self.wakes_at == math.inf else max(0.0, self.wakes_at - time.monotonic())
                self._changed.wait(pause)


_thread = _WatchdogThread()


def _forget() -> None:
    """A forked child has no watchdog thread and none of its parent's reads."""
    global _thread  # noqa: PLW0603 (one per process is the point)
    _thread = _WatchdogThread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
