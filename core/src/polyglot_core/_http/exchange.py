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
# set once and never reset: a watch that has fired ends its exchange. `Clocks.changed` is how the attempt
# tells the watchdog that another clock started, which may run out sooner than the one it waits for.
#
# **Who closes.** `abort()` only shuts the socket down. Any thread may call it at any moment, and it never waits. The
# descriptor is closed by `close()`, which is never called while a read waits: closing it then would leave the
# read waiting for ever, and the number may be reused by then. So another thread's `close()` aborts; if a read waits,
# its reader wakes and closes, else that thread closes.
#
# **When a connection is returned.** Only after a complete response, and only if nothing follows it. HTTP/1.1 does not
# number responses, so a byte that was left anywhere would be parsed as the head of the next call's response. The
# transport checks that when it closes the response. `drain` gives the end of the body (the last chunk, which is often a
# packet of its own behind `[DONE]`) `DRAIN_SECONDS` to arrive.
#
# **Interruptions.** Ctrl-C, an alarm, or a cancellation may be raised between any two instructions of ours and of the
# transport's. An exception of a signal handler that is an `Exception` reaches us as one of the transport's, or as the
# cause of one; `translate.interruption_in` finds it by the handler's code, and it passes through. After one, the
# transport is told not to use the connection again.
#
# **Collection.** A stream that is garbage collected must release its connection. `__del__` shuts the socket down; what
# else is to be closed is the transport's own, which must not take a lock there (`httpx_replies` shows how that is done
# for a client which does).
#
# **Fork.** A child has its parent's descriptors but not its threads. It must not shut a shared socket down, which would
# end the parent's stream: `_process` remembers who opened it. Pools and the watchdog start afresh in the child.

from __future__ import annotations

import os
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn, Protocol

from polyglot_core._http.inflate import inflater_for
from polyglot_core._http.translate import (
    TwoReadersError,
    interruption_in,
    is_two_readers,
    raise_translated,
    timed_out,
)
from polyglot_core._http.watchdog import Watch
from polyglot_core.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core._http.sending import SendOptions
    from polyglot_core._values.transports import AsyncReply, Reply

__all__ = ["AsyncExchange", "Closer", "Exchange"]

DRAIN_SECONDS = 0.02
"""Seconds to wait for the end of the body once the response is complete, so that the connection can be reused."""

_SHORT_PAUSE = 0.01  # seconds between two reads below which the clocks are not adjusted


class _ExchangeState:
    """The state that both kinds of exchange share: a response and its watch.

    Attributes:
        status: HTTP status.
        headers: Header names in lower case; repeated ones joined with a comma.
        transport: Name of the transport.
    """

    def __init__(
        self, reply: Reply | AsyncReply, options: SendOptions, url: str, transport: str, watch: Watch | None = None
    ) -> None:
        clocks, limits = options.clocks, options.limits
        self.transport: str = getattr(reply, "transport", transport)
        self.status: int = reply.status
        self.headers: dict[str, str] = dict(reply.headers)
        self._abort = reply.abort
        self._interrupted = False  # inside the transport, whose state is unknown then
        self._url = url
        self._process = os.getpid()
        self._clocks = clocks
        self._watch = watch or Watch(reply.abort, clocks, reply.data_waits)
        self._decoder = inflater_for(self.headers, limits.inflation)
        self._left = limits.response  # bytes that may still be received
        self._limit = limits.response
        self._closed = False
        clocks.changed = self._watch.arm
        if watch is None:
            self._watch.arm()

    @property
    def active(self) -> bool:
        """Return whether the exchange was not closed."""
        return not self._closed

    def abort(self) -> None:
        """Shut the socket down, from any thread; a read that waits returns at once."""
        if not self._closed:
            self._shut()

    def _shut(self) -> None:
        if self._process == os.getpid():  # after a fork it is the parent's
            self._abort()

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

    def _counted(self, data: bytes) -> bytes:
        """Return the bytes that a read of the body stands for, up to the limit."""
        if self._decoder is not None:
            data = self._decoder.decode(data)
        self._left -= len(data)
        if self._left < 0:
            data = data[: self._left]
            if not data:
                raise self._too_large()
        return data

    def _end_of_body(self) -> bytes:
        """Return b"" at the end of the body, or raise if the body ended because a clock ran out or it is corrupt."""
        if self._watch.fired:
            raise timed_out(self._watch.fired)
        if self._decoder is not None:
            self._decoder.finish()
        return b""

    def _collected(self) -> None:
        """End the watch, and shut the socket down, because the exchange is being collected before its end."""
        self.abort()
        self._closed = True
        self._watch.stop()


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

    def call_soon(self, call: Callable[[], object]) -> None:
        """Call a function in the event loop; from any thread.

        Raises:
            RuntimeError: The loop has ended.
        """
        ...

    def call_later(self, seconds: float, call: Callable[[], object]) -> None:
        """Call a function in the event loop, in `seconds`; never if the loop ends before."""
        ...


class Exchange(_ExchangeState):
    """A request that was sent and the response to it, sync."""

    def __init__(self, reply: Reply, options: SendOptions, url: str, transport: str, watch: Watch) -> None:
        super().__init__(reply, options, url, transport, watch)
        self._reply = reply
        self._receive = reply.read

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
                data = self._receive()
            except Exception as error:  # noqa: BLE001 (translated)
                self._broken(error)
            except BaseException:
                self._interrupted = True
                raise
            clocks.waited = perf_counter()
            if data is None:
                return self._end_of_body()
            if self._decoder is None and data and len(data) <= self._left:  # as `_counted`, without the call
                self._left -= len(data)
                return data
            if data := self._counted(data):
                return data

    def drain(self) -> None:
        """Read the rest of the body after a complete response, briefly, so that the connection is reusable."""
        try:
            self._reply.drain(DRAIN_SECONDS)
        except BaseException:
            self._interrupted = True
            raise

    def close(self) -> None:
        """Return the connection to the pool, or close it if the body was not read to its end. Never raises."""
        if not self._closed:
            self._closed = True
            try:
                self._watch.stop()
                self._reply.close(reuse=not self._interrupted)
            except BaseException:
                self._shut()
                self._watch.stop()
                self._reply.close(reuse=False)
                raise

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._collected()


class AsyncExchange(_ExchangeState):
    """A request that was sent and the response to it, async."""

    def __init__(self, reply: AsyncReply, options: SendOptions, url: str, transport: str) -> None:
        super().__init__(reply, options, url, transport)
        self._reply = reply
        self._receive = reply.read

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
                data = await self._receive()
            except Exception as error:  # noqa: BLE001 (translated)
                self._broken(error)
            except BaseException:
                self._interrupted = True
                raise
            clocks.waited = perf_counter()
            if data is None:
                return self._end_of_body()
            if self._decoder is None and data and len(data) <= self._left:  # as `_counted`, without the call
                self._left -= len(data)
                return data
            if data := self._counted(data):
                return data

    async def drain(self) -> None:
        """Read the rest of the body, as `Exchange.drain` does."""
        try:
            await self._reply.drain(DRAIN_SECONDS)
        except BaseException:
            self._interrupted = True
            raise

    async def close(self) -> None:
        """Return the connection to the pool, or close it if the body was not read to its end. Never raises."""
        if not self._closed:
            self._closed = True
            self._watch.stop()
            await self._reply.close(reuse=not self._interrupted)

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._collected()
