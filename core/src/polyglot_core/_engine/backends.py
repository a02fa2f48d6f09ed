"""The waits of a call: for authorization, for response headers, for a backoff; in a thread or in a task.

Everything that differs in kind between sync and async is here.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from polyglot_core._engine.background import AsyncBackground, AsyncOperation, Background, Operation, outcome_of
from polyglot_core._engine.flows import awaiting, waiting
from polyglot_core._http.event_loops import AsyncSource, closer_here
from polyglot_core._http.opening import OpeningState
from polyglot_core._http.pools import LONGEST_WAIT, Pools, SendOptions
from polyglot_core._http.translate import timed_out
from polyglot_core._http.watchdog import close_later, on_collect
from polyglot_core.errors import PolyglotError, RequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import anyio

    from polyglot_core._engine.call import Call
    from polyglot_core._http.exchange import AsyncExchange, Exchange
    from polyglot_core._wire.messages import WireRequest

__all__ = ["AsyncBackend", "SyncBackend"]

_T = TypeVar("_T")

_POLL = 0.005
"""Seconds that a wait lasts at least: what has been received is read by a thread or a task, which has to start."""


class SyncBackend:
    """Waits by blocking the thread.

    Attributes:
        wait: Calls an operation within a flow.
        background: Performs an operation in the background.
        next: Returns the next item of an iterator.
    """

    wait = staticmethod(waiting)
    background = Background
    next = staticmethod(next)

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._opening = OpeningState()
        self._ended = False
        self._woken: SimpleQueue[None] = SimpleQueue()  # filled by `wake`, and when the permit may be given
        self._authorizing: Background[WireRequest] | None = None  # set while `authorize` runs

    def open(self, call: Call) -> Exchange:
        """Encode, authorize and send the request of the next attempt, and wait for status and headers."""
        self._pools.prepare(call.target.connection.route)  # before the clocks of the call start
        wire = call.encode()
        if call.target.connection.rate is not None and call.permit is None:
            self.admit(call, wire.url)
        wire = self.authorize(call, wire)
        call.start(wire)
        return self.send(call, wire)

    def admit(self, call: Call, url: str) -> None:
        """Wait until the request may be sent. Only the clock ``total`` runs meanwhile.

        Raises:
            TimedOut: It ran out.
        """
        call.enter(url, partial(self._woken.put, None), on_collect)
        while (seconds := _until_recheck(call, ended=self._ended)) > 0:
            self._wait(seconds)
        call.clocks.start_attempt(perf_counter())

    def authorize(self, call: Call, wire: WireRequest) -> WireRequest:
        """Return the request with the credentials that the driver adds. A thread runs the hook, which may block.

        Raises:
            TimedOut: A clock ran out first. The thread is abandoned.
        """
        if (authorize := call.authorize(wire)) is None:
            return wire
        moment, clock = call.clocks.due(perf_counter())
        run = Operation(partial(authorize, wire), _nothing, _nothing)
        self._authorizing = running = Background(run, "polyglot-authorize")
        try:
            if self._ended or not running.wait(moment):
                raise timed_out(clock)
            return running.result()
        finally:
            self._authorizing = None

    def send(self, call: Call, wire: WireRequest) -> Exchange:
        """Send the request and wait for status and headers. Raises as `Pool.send`."""
        pool = self._pools.pool(wire.url, call.target.connection.route, call.target.connection.account)
        before = self._opening.sends + 1
        try:
            return pool.send(wire, _send_options(call), self._opening)
        finally:
            call.count_resent(self._opening.sends - before)

    def sleep(self, seconds: float) -> None:
        """Wait `seconds` between two attempts, or until `wake` is called."""
        until = perf_counter() + seconds
        while not self._ended and (left := until - perf_counter()) > 0:
            self._wait(min(left, LONGEST_WAIT))  # may be over sooner: an old permit may be given

    def _wait(self, seconds: float) -> None:
        with contextlib.suppress(Empty):
            self._woken.get(timeout=seconds)
            if self._ended:
                self._woken.put(None)  # for the next thread that waits

    def wake(self) -> None:
        """End the current wait and all later ones. Any thread may call it."""
        self._ended = True
        self._woken.put(None)
        self._opening.abort()
        if (running := self._authorizing) is not None:
            running.abandon()

    def cancel_work(self, call: Call) -> int:
        """Send the request that stops work of the provider's, and return the status. A thread of its own sends it.

        Raises:
            PolyglotError: It was not sent, or there was no response in time.
        """
        outcomes, send = SimpleQueue[Callable[[], "Exchange"]](), partial(SyncBackend(self._pools).open, call)

        def in_background(work: Callable[[], object]) -> None:
            close_later(threading.Thread(target=work, name="polyglot-cancel", daemon=True).start)

        in_background(lambda: outcomes.put(outcome_of(send)))
        try:
            with contextlib.closing(outcomes.get(timeout=call.options.timeouts.total)()) as exchange:
                return exchange.status
        except Empty:
            in_background(lambda: _close_result(outcomes.get()))  # of a response that is late by a moment
            raise timed_out("total") from None

    # Waits in parts

    def deadline(self, timeout: float | None) -> float | None:
        """Return until when `next` waits, as a moment of `perf_counter`; None to wait in this thread.

        Raises:
            RequestError: The timeout is not a number of seconds.
        """
        return None if timeout is None else perf_counter() + max(_POLL, _checked(timeout))

    def opening(self, call: Call) -> Operation[Exchange]:
        """Return `open` as an operation."""
        return Operation(partial(self.open, call), self.wake, partial(_close, call))

    def reading(self, exchange: Exchange) -> Operation[bytes]:
        """Return a read as an operation."""
        return Operation(exchange.read, exchange.abort, lambda _: exchange.close())

    def sleeping(self, seconds: float) -> Operation[None]:
        """Return `sleep` as an operation."""
        return Operation(partial(self.sleep, seconds), self.wake, _nothing)


def _close_result(outcome: Callable[[], Exchange]) -> None:
    with contextlib.suppress(PolyglotError):
        outcome().close()


class AsyncBackend:
    """Waits by suspending the task. anyio is imported by the first wait.

    Attributes:
        wait: Calls an operation within a flow.
        background: Performs an operation in the background.
        next: Returns the next item of an iterator.
    """

    wait = staticmethod(awaiting)
    background = AsyncBackground
    next = staticmethod(anext)

    def __init__(self, source: AsyncSource) -> None:
        self._source = source
        self._scope: anyio.CancelScope | None = None
        self._woken = False

    async def open(self, call: Call) -> AsyncExchange:
        """Encode, authorize and send the request of the next attempt, and wait for status and headers."""
        (await self._source.pools()).prepare(call.target.connection.route)  # before the clocks of the call start
        wire = call.encode()
        if call.target.connection.rate is not None and call.permit is None:
            await self.admit(call, wire.url)
        wire = await self.authorize(call, wire)
        call.start(wire)
        return await self.send(call, wire)

    async def admit(self, call: Call, url: str) -> None:
        """Wait until the request may be sent. Only the clock ``total`` runs meanwhile.

        Raises:
            TimedOut: It ran out.
        """
        import anyio  # noqa: PLC0415

        scopes: list[anyio.CancelScope] = []  # of the waits; to cancel one that is over has no effect
        wake = partial(closer_here().call_soon, lambda: [scope.cancel() for scope in scopes])  # type: ignore[func-returns-value]
        call.enter(url, wake, on_collect)
        while (seconds := _until_recheck(call, ended=self._woken)) > 0:
            with anyio.move_on_after(seconds) as self._scope:
                scopes[:] = [self._scope]
                await anyio.sleep_forever()
        self._scope = None
        call.clocks.start_attempt(perf_counter())

    async def authorize(self, call: Call, wire: WireRequest) -> WireRequest:
        """Return the request with the credentials that the driver adds. A worker thread runs the hook, which may block.

        Raises:
            TimedOut: A clock ran out first. The thread is abandoned.
        """
        if (authorize := call.authorize(wire)) is None:
            return wire
        import anyio.to_thread  # noqa: PLC0415

        moment, clock = call.clocks.due(now := perf_counter())
        hook = partial(authorize, wire)
        authorized = await self._within(moment - now, lambda: anyio.to_thread.run_sync(hook, abandon_on_cancel=True))
        if authorized is None:
            raise timed_out(clock)
        return authorized

    async def send(self, call: Call, wire: WireRequest) -> AsyncExchange:
        """Send the request and wait for status and headers. Raises as `AsyncPool.send`.

        Raises:
            TimedOut: A clock ran out first.
        """
        moment, clock = call.clocks.due(now := perf_counter())
        pools, closer, opening = await self._source.pools(), closer_here(), OpeningState()
        pool = pools.pool(wire.url, call.target.connection.route, call.target.connection.account, closer)
        try:
            sent = partial(pool.send, wire, _send_options(call), opening)
            exchange = await self._within(moment - now, sent)
        finally:
            call.count_resent(opening.sends - 1)
        if exchange is None:
            raise timed_out(clock)
        return exchange

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` between two attempts, or until `wake` is called."""
        import anyio  # noqa: PLC0415

        await self._within(seconds, anyio.sleep_forever)

    async def _within(self, seconds: float, operation: Callable[[], Awaitable[_T]]) -> _T | None:
        """Return the result of an operation; None if it takes longer than `seconds`, or `wake` is called."""
        import anyio  # noqa: PLC0415

        result = None
        with anyio.move_on_after(seconds) as self._scope:
            if self._woken:  # before: during authorization, for example
                self._scope.cancel()
            result = await operation()
        self._scope = None
        return result

    def wake(self) -> None:
        """End the current wait and all later ones. Any task of the event loop may call it."""
        self._woken = True
        if self._scope is not None:
            self._scope.cancel()

    async def cancel_work(self, call: Call) -> int:
        """Send the request that stops work of the provider's, shielded from cancellation, and return the status.

        Raises:
            PolyglotError: It was not sent, or there was no response in time.
        """
        import anyio  # noqa: PLC0415

        with anyio.move_on_after(call.options.timeouts.total, shield=True):
            exchange = await AsyncBackend(self._source).open(call)
            await exchange.close()
            return exchange.status
        raise timed_out("total")

    # Waits in parts

    def deadline(self, timeout: float | None) -> float | None:
        """Return until when `next` waits, as a moment of `perf_counter`; None to wait in this task.

        Raises:
            RequestError: The timeout is not a number of seconds; or the event loop is trio's, where a read belongs to
                its task and a timeout would end it.
        """
        seconds = math.inf if timeout is None else _checked(timeout)
        if _runs_asyncio():
            return perf_counter() + max(_POLL, seconds)
        if timeout is None:
            return None
        raise RequestError(_NOT_IN_TRIO, phase="stream")

    def opening(self, call: Call) -> AsyncOperation[AsyncExchange]:
        """Return `open` as an operation."""
        return AsyncOperation(partial(self.open, call), partial(_aclose, call))

    def reading(self, exchange: AsyncExchange) -> AsyncOperation[bytes]:
        """Return a read as an operation."""
        return AsyncOperation(exchange.read, lambda _: exchange.close())

    def sleeping(self, seconds: float) -> AsyncOperation[None]:
        """Return `sleep` as an operation."""
        return AsyncOperation(partial(self.sleep, seconds), _anothing)


_NOT_IN_TRIO = (
    "next(timeout=…) works on asyncio only: in trio a read ends with the wait for it. Iterate the stream in a task of "
    "its own, which sends the partials into a memory channel, and receive from the channel with a timeout."
)


def _runs_asyncio() -> bool:
    """Return whether the running event loop is asyncio's."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None  # noqa: SLF001 (documented, for libraries)


_LONGEST = threading.TIMEOUT_MAX
"""The longest wait in seconds that the operating system's clocks can hold."""


def _checked(timeout: object) -> float:
    """Return a timeout of `next`.

    Raises:
        RequestError: It is not a number of seconds.
    """
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and timeout >= 0:
        return min(timeout, _LONGEST)
    msg = f"timeout must be a number of seconds, 0 or more, or None to wait without a limit, not {timeout!r:.80}."
    raise RequestError(msg, phase="stream")


def _until_recheck(call: Call, *, ended: bool) -> float:
    """Return the seconds until the permit is to be asked for again; 0 or less if it was given.

    Raises:
        TimedOut: It was not given, and the clock ``total`` ran out or the wait was ended.
    """
    permit = call.permit  # read once: `close` in another thread releases it
    wait, left = permit.wait() if permit else math.inf, call.clocks.total_due() - perf_counter()
    if wait > 0 and (ended or left <= 0):
        raise timed_out("total")
    return min(LONGEST_WAIT, wait, left)


def _close(call: Call, exchange: Exchange | None) -> None:
    call.leave()
    if exchange is not None:
        exchange.close()


async def _aclose(call: Call, exchange: AsyncExchange | None) -> None:
    call.leave()
    if exchange is not None:
        await exchange.close()


def _nothing(*_: object) -> None:
    pass


async def _anothing(_: object) -> None:
    pass


def _send_options(call: Call) -> SendOptions:
    return SendOptions(call.options.timeouts, call.clocks, call.target.connection.limits, call.may_resend)
