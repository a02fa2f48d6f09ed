"""A request that was sent and the response to it: the bytes of its body, under the clocks, and its end.

Bodies are read raw and inflated here with a bound, because httpx 0.28 turns 336 bytes into 104 MB.
"""

# Theory of operation: reads, clocks, and the end of an exchange
# --------------------------------------------------------------
#
# An exchange is made when status and headers have been received, and lives until its connection is returned to the
# pool or closed. Four parties touch it: the reader (a thread or a task, one at a time), the watchdog's thread, any
# thread that calls `close()` on the stream, and the garbage collector. These are the rules between them.
#
# **The clocks are data that the watchdog reads.** `Clocks` belongs to the call. Each read sets `asked` when it begins
# and `waited` when it returns, so `asked > waited` means that a read waits now. `meaning` is the time of the last event
# with meaning; the attempt sets it, and only it knows which events count. None of the three is protected by a lock:
# each is one assignment of a float, and the watchdog tolerates a value that is a moment old, because it computes when
# to check again from what it has just read. Time between two reads is the caller's: `_resume` moves `meaning` (and the
# time of the finish) forward by the pause, so a slow consumer never causes `idle`. Pauses below `_SHORT_PAUSE` are not
# worth the call.
#
# **Who fires.** A read waits in the operating system, where no Python code can interrupt it. When a clock runs out, the
# watchdog's thread stores the clock's name in `watch.fired` and shuts the socket down. The read then returns at once,
# with an error or with an end of body that looks regular. The reader checks `watch.fired` in `_end_of_body` and,
# through `raise_translated`, in `_broken`, so a timeout is reported as one, whatever the client made of it. `fired` is
# set once and never reset: a watch serves one wait, for the head or for the body. `Clocks.changed` is how the attempt
# tells the watchdog that another clock started, which may run out sooner than the one it waits for.
#
# **Who closes.** `abort()` only shuts the socket down. Any thread may call it at any moment, and it never waits. The
# descriptor is closed by `close()`, which is never called while a read waits: closing it then would leave the
# read waiting for ever, and the number may be reused by then. So another thread's `close()` aborts; if a read waits,
# its reader wakes and closes, else that thread closes.
#
# **When a connection is returned.** Only after a complete response, and only if nothing follows it. HTTP/1.1 does not
# number responses; a byte left in the parser, in the TLS layer, in the loop's queue or in the socket would be parsed as
# the head of the next call's response. `pooled.is_reusable` checks all four, and `_release_connection` shuts the socket
# down if the check fails, before the client could put the connection back. `drain` gives the end of the body (the last
# chunk, which is often a packet of its own behind `[DONE]`) `DRAIN_SECONDS` to arrive. The check is made once more when
# the next request is written, on the connection that the client has chosen (`InFlightRequest._check_kept`).
#
# **Interruptions.** Ctrl-C, an alarm, or a cancellation may be raised between any two instructions of ours and of the
# client's. An exception of a signal handler that is an `Exception` reaches us as one of the client's, or as the cause
# of one; `translate.interruption_in` finds it by the handler's code, and it passes through. After one, the client's
# lists may disagree and a lock of one of its connections may be held. So a pool in which a sync call was interrupted is
# abandoned, and the next call makes another; the pool of a user's client cannot be replaced and is cleaned up instead
# (`pooled.PooledConnections`). In async code cancellations are routine and happen only at an `await`; there the lost
# connections are found and closed, and the pool stays (`pooled.LostConnections`).
#
# **Collection.** A stream that is garbage collected must release its connection. The sync client's generator closes
# itself when it is collected, and takes the pool's lock to do so; the garbage collector may run it in a thread that
# holds that lock, and an interruption raised there is swallowed. So the generator must never be garbage, and no Python
# code of ours may run where the exchange is collected. `_held` keeps the generator alive, keyed by a number. A weak
# reference whose callback is a method written in C (`SimpleQueue.put`) hands the closing to the watchdog's thread,
# which holds no lock and receives no signals. `__del__` shuts the socket down as well, at once.
#
# **Fork.** A child has its parent's descriptors but not its threads. It must not shut a shared socket down, which would
# end the parent's stream: `_process` remembers who opened it. Pools and the watchdog start afresh in the child.

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
import sys
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn, Protocol

from polyglot_core._http.inflate import inflater_for
from polyglot_core._http.pooled import LostConnections, data_waits, is_reusable
from polyglot_core._http.translate import (
    TwoReadersError,
    interruption_in,
    is_two_readers,
    raise_translated,
    timed_out,
)
from polyglot_core._http.watchdog import Watch, on_collect, shut_down
from polyglot_core.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    import httpx

    from polyglot_core._http.pooled import PooledConnections
    from polyglot_core._http.pools import SendOptions
    from polyglot_core._http.watchdog import CollectHook

__all__ = ["AsyncExchange", "Closer", "Exchange"]

DRAIN_SECONDS = 0.02
"""Seconds to wait for the end of the body once the response is complete, so that the connection can be reused."""

_SHORT_PAUSE = 0.01  # seconds between two reads below which the clocks are not adjusted


def _socket_of(response: httpx.Response) -> object | None:
    """Return the socket below a response, or None if a client's own transport has none."""
    stream = response.extensions.get("network_stream")
    return None if stream is None else stream.get_extra_info("socket")


@contextlib.contextmanager
def _impatient(sock: object) -> Generator[bool]:
    """Bound every receive on this socket by `DRAIN_SECONDS`; yield False if the platform has no such bound.

    The operating system's bound is used, because the client sets Python's timeout at each read.
    """
    if not isinstance(sock, socket.socket) or sys.platform == "win32":
        yield False
        return
    microseconds = int(DRAIN_SECONDS * 1_000_000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, microseconds))
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))


class _ExchangeState:
    """The state that both kinds of exchange share: a response, its socket and its watch.

    Attributes:
        status: HTTP status.
        headers: Header names in lower case; repeated ones joined with a comma.
    """

    def __init__(self, response: httpx.Response, options: SendOptions, url: str, kept: PooledConnections) -> None:
        clocks, limits = options.clocks, options.limits
        self.status: int = response.status_code
        self.headers: dict[str, str] = dict(response.headers)
        self._response = response
        self._kept = kept
        self._interrupted = False  # inside the client, whose lists and locks may be in any state
        self._url = url
        self._socket = _socket_of(response)
        self._process = os.getpid()
        self._clocks = clocks
        stream = response.extensions.get("network_stream")
        self._watch = Watch(partial(shut_down, self._socket), clocks, partial(data_waits, stream, self._socket))
        self._decoder = inflater_for(self.headers, limits.inflation)
        self._left = limits.response  # bytes that may still be received
        self._limit = limits.response
        self._closed = False
        clocks.changed = self._watch.arm
        self._watch.arm()

    def abort(self) -> None:
        """Shut the socket down, from any thread; a read that waits returns at once."""
        if not self._closed:
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None and self._process == os.getpid():  # after a fork it is the parent's
            shut_down(self._socket)

    def _release_connection(self) -> None:
        """Shut the socket down unless its connection may carry another call."""
        if self._interrupted or self._kept.abandoned or not is_reusable(self._response):
            self._shut()

    def _resume(self, now: float) -> None:
        """Exclude the time since the last read from the clocks.

        Raises:
            TwoReadersError: The last read has not ended: another thread or task is reading.
        """
        if self._clocks.waiting:
            raise TwoReadersError
        self._clocks.pass_over(now)

    def _broken(self, error: Exception) -> NoReturn:
        self._interrupted = interruption_in(error) is not None
        if not is_two_readers(error):
            self._clocks.waited = self._clocks.asked
        raise_translated(error, self._watch, self._url)

    def _too_large(self) -> LimitExceeded:
        return LimitExceeded(
            f"The response is larger than {self._limit} bytes. Raise limits.response to allow more.", phase="stream"
        )

    def _end_of_body(self) -> bytes:
        """Return b"" at the end of the body, or raise if the body ended because a clock ran out or it is corrupt."""
        if self._watch.fired:
            raise timed_out(self._watch.fired)
        if self._decoder is not None:
            self._decoder.finish()
        return b""


class Closeable(Protocol):
    """Something of an async client's that is to be closed: a response, or what a cancellation has left in the pool."""

    async def aclose(self) -> None:
        """Close it."""
        ...


class Closer(Protocol):
    """Closes the responses of an event loop."""

    async def close(self, response: Closeable) -> None:
        """Close a response completely, even if the waiting task is cancelled. Never raises an error of its own."""
        ...

    def close_later(self, response: Closeable) -> None:
        """Schedule the closing of a response that was collected; from a finalizer, in any thread."""
        ...

    def call_later(self, seconds: float, call: Callable[[], object]) -> None:
        """Call a function in the event loop, in `seconds`; never if the loop ends before."""
        ...


_held: dict[int, tuple[CollectHook, Iterator[bytes]]] = {}
"""What closes responses whose exchange is collected, and the client's generators over them.

The client's generator closes itself when it is collected, under a lock that the thread in which the garbage collector
runs may hold already. So it must never be garbage: the watchdog's thread, which holds no lock, closes the response.
"""

_numbers = itertools.count()  # of exchanges; an id would be used again


def _close_held(number: int, response: httpx.Response, sock: object, watch: Watch, process: int) -> None:
    """Close the response of an exchange that was collected before the end of its body, and the socket."""
    watch.stop()
    if process == os.getpid():
        shut_down(sock)
        response.close()
    _held.pop(number, None)


class Exchange(_ExchangeState):
    """A request that was sent and the response to it, sync."""

    def __init__(
        self, response: httpx.Response, options: SendOptions, url: str, kept: PooledConnections, *, trace: object
    ) -> None:
        super().__init__(response, options, url, kept)
        self._pieces: Iterator[bytes] = iter(response.stream)  # type: ignore[arg-type]  # a sync transport's stream is sync
        self._trace = trace
        self._number = number = next(_numbers)
        close = partial(_close_held, number, response, self._socket, self._watch, self._process)
        _held[number] = on_collect(self, close), self._pieces

    def read(self) -> bytes:
        """Return the next bytes of the body; b"" at its end.

        Raises:
            TimedOut: A clock ran out.
            TransportError: The connection broke.
            LimitExceeded: The body, or what it decompresses to, is larger than the limits allow.
        """
        clocks = self._clocks
        while True:
            now = perf_counter()
            if now - clocks.waited > _SHORT_PAUSE:
                self._resume(now)  # first, or the watchdog would see a read that has been waiting since the last one
            clocks.asked = now
            if self._left < 0:  # the bytes up to the limit have been returned
                raise self._too_large()
            try:
                data = next(self._pieces, None)
            except Exception as error:  # noqa: BLE001 (translated)
                self._broken(error)
            except BaseException:
                self._interrupted = True
                raise
            clocks.waited = perf_counter()
            if data is None:
                return self._end_of_body()
            if self._decoder is not None:
                data = self._decoder.decode(data)
            self._left -= len(data)
            if data:
                return data

    def drain(self) -> None:
        """Read the rest of the body after a complete response, briefly, so that the connection is reusable."""
        deadline = perf_counter() + DRAIN_SECONDS
        try:
            with contextlib.suppress(Exception), _impatient(self._socket) as bounded:
                while bounded and perf_counter() < deadline and next(self._pieces, None) is not None:
                    pass
        except BaseException:
            self._interrupted = True
            raise

    def close(self) -> None:
        """Return the connection to the pool, or close it if the body was not read to its end. Never raises."""
        if not self._closed:
            self._closed = True
            try:
                self._watch.stop()
                with contextlib.suppress(Exception):
                    self._release_connection()
                    self._response.close()
            except BaseException:
                self._interrupted = True
                self._shut()
                self._watch.stop()
                raise
            finally:
                _held.pop(self._number, None)
                if self._interrupted:
                    self._kept.abandon(self._trace)

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):  # the response itself is closed by its `CollectHook`
            self.abort()
            self._closed = True
            self._watch.stop()


class AsyncExchange(_ExchangeState):
    """A request that was sent and the response to it, async."""

    def __init__(
        self, response: httpx.Response, options: SendOptions, url: str, kept: PooledConnections, *, closer: Closer
    ) -> None:
        super().__init__(response, options, url, kept)
        self._pieces: AsyncIterator[bytes] = aiter(response.stream)  # type: ignore[arg-type]  # as above, async
        self._closer = closer

    async def read(self) -> bytes:
        """Return the next bytes of the body; b"" at its end. Raises as `Exchange.read`."""
        clocks = self._clocks
        while True:
            now = perf_counter()
            if now - clocks.waited > _SHORT_PAUSE:
                self._resume(now)  # first, or the watchdog would see a read that has been waiting since the last one
            clocks.asked = now
            if self._left < 0:  # the bytes up to the limit have been returned
                raise self._too_large()
            try:
                data = await anext(self._pieces, None)
            except Exception as error:  # noqa: BLE001 (translated)
                self._broken(error)
            except BaseException:
                self._interrupted = True
                raise
            clocks.waited = perf_counter()
            if data is None:
                return self._end_of_body()
            if self._decoder is not None:
                data = self._decoder.decode(data)
            self._left -= len(data)
            if data:
                return data

    async def drain(self) -> None:
        """Read the rest of the body, as `Exchange.drain` does."""
        import anyio  # noqa: PLC0415

        with anyio.move_on_after(DRAIN_SECONDS):
            try:
                with contextlib.suppress(Exception):
                    while await anext(self._pieces, None) is not None:
                        pass
            except BaseException:  # also of this scope
                self._interrupted = True
                raise

    async def close(self) -> None:
        """Return the connection to the pool, or close it if the body was not read to its end. Never raises."""
        if not self._closed:
            self._closed = True
            self._watch.stop()
            self._release_connection()
            try:
                await self._closer.close(self._response)
            finally:
                if self._interrupted:
                    self._closer.close_later(LostConnections(self._kept.transport, self._response))

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.abort()
            self._closed = True
            self._watch.stop()
            with contextlib.suppress(Exception):  # the loop may be closed; the socket is shut down anyway
                self._closer.close_later(self._response)
