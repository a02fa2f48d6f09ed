"""The waits of a call: for authorization, for response headers, for a backoff; in a thread or in a task.

Everything that differs in kind between sync and async is here.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn

from polyglot_core._http.event_loops import AsyncSource, closer_here
from polyglot_core._http.exchange import DRAIN_SECONDS
from polyglot_core._http.in_flight import InFlightRequest
from polyglot_core._http.pools import LONGEST_WAIT, Pools, SendOptions
from polyglot_core._http.translate import timed_out
from polyglot_core._wire.messages import WireRequest

if TYPE_CHECKING:
    import anyio

    from polyglot_core._engine.call import Call
    from polyglot_core._http.exchange import AsyncExchange, Exchange

__all__ = ["AsyncBackend", "SyncBackend"]


class SyncBackend:
    """Waits by blocking the thread."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._in_flight = InFlightRequest()
        self._woken = threading.Event()
        self._authorized: SimpleQueue[Callable[[], WireRequest]] | None = None  # set while `authorize` runs

    def authorize(self, call: Call, wire: WireRequest) -> WireRequest:
        """Return the request with the credentials that the driver adds. A thread runs the hook, which may block.

        Raises:
            TimedOut: A clock ran out first. The thread is abandoned.
        """
        if call.target.driver.authorize is None:
            return wire
        self._authorized = results = SimpleQueue[Callable[[], WireRequest]]()
        moment, clock = call.clocks.due(now := perf_counter())
        run = partial(_put_result, call.target.driver.authorize, wire, results)
        threading.Thread(
            target=contextvars.copy_context().run, args=(run,), name="polyglot-authorize", daemon=True
        ).start()
        try:
            if self._woken.is_set():
                raise timed_out(clock)
            return results.get(timeout=min(LONGEST_WAIT, max(0.0, moment - now)))()
        except Empty:
            raise timed_out(clock) from None
        finally:
            self._authorized = None

    def send(self, call: Call, wire: WireRequest) -> Exchange:
        """Send the request and wait for status and headers. Raises as `Pool.send`."""
        pool = self._pools.pool(wire.url, call.target.connection.route, call.target.connection.account)
        before = self._in_flight.sends + 1
        try:
            return pool.send(wire, _send_options(call), self._in_flight)
        finally:
            call.count_resent(self._in_flight.sends - before)

    def sleep(self, seconds: float) -> None:
        """Wait `seconds` between two attempts, or until `wake` is called."""
        self._woken.wait(seconds)

    def drain(self, exchange: Exchange) -> None:
        """Read the end of a complete body, if that is quick, so that the connection can be reused."""
        exchange.drain()

    def wake(self) -> None:
        """End the current wait and all later ones. Any thread may call it."""
        self._woken.set()
        self._in_flight.abort()
        if (results := self._authorized) is not None:
            results.put(_closed)


class AsyncBackend:
    """Waits by suspending the task. anyio is imported by the first wait."""

    def __init__(self, source: AsyncSource) -> None:
        self._source = source
        self._scope: anyio.CancelScope | None = None
        self._woken = False

    async def authorize(self, call: Call, wire: WireRequest) -> WireRequest:
        """Return the request with the credentials that the driver adds. A worker thread runs the hook, which may block.

        Raises:
            TimedOut: A clock ran out first. The thread is abandoned.
        """
        if call.target.driver.authorize is None:
            return wire
        import anyio.to_thread  # noqa: PLC0415

        moment, clock = call.clocks.due(now := perf_counter())
        authorized = None
        with anyio.CancelScope(deadline=anyio.current_time() + moment - now) as self._scope:
            if self._woken:
                self._scope.cancel()
            authorized = await anyio.to_thread.run_sync(call.target.driver.authorize, wire, abandon_on_cancel=True)
        self._scope = None
        if authorized is None:
            raise timed_out(clock)
        return authorized

    async def send(self, call: Call, wire: WireRequest) -> AsyncExchange:
        """Send the request and wait for status and headers. Raises as `AsyncPool.send`.

        Raises:
            TimedOut: A clock ran out first.
        """
        import anyio  # noqa: PLC0415

        now = perf_counter()
        moment, clock = call.clocks.due(now)
        pools = await self._source.pools()
        exchange = None
        with anyio.CancelScope(deadline=anyio.current_time() + moment - now) as self._scope:
            if self._woken:  # during authorization, for example
                self._scope.cancel()
            closer = closer_here()
            pool = pools.pool(wire.url, call.target.connection.route, call.target.connection.account, closer)
            in_flight = InFlightRequest()
            try:
                exchange = await pool.send(wire, _send_options(call), in_flight, closer)
            finally:
                call.count_resent(in_flight.sends - 1)
        self._scope = None
        if exchange is None:
            raise timed_out(clock)
        return exchange

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` between two attempts, or until `wake` is called."""
        import anyio  # noqa: PLC0415

        with anyio.move_on_after(seconds) as self._scope:
            if self._woken:
                self._scope.cancel()
            await anyio.sleep_forever()
        self._scope = None

    async def drain(self, exchange: AsyncExchange) -> None:
        """Read the end of a complete body, if that is quick, so that the connection can be reused."""
        import anyio  # noqa: PLC0415

        with anyio.move_on_after(DRAIN_SECONDS):
            await exchange.drain()

    def wake(self) -> None:
        """End the current wait and all later ones. Any task of the event loop may call it."""
        self._woken = True
        if self._scope is not None:
            self._scope.cancel()


def _put_result(
    authorize: Callable[[WireRequest], WireRequest], wire: WireRequest, results: SimpleQueue[Callable[[], WireRequest]]
) -> None:
    """Run `authorize`, and put a function into the queue that returns its result or raises its exception."""
    try:
        authorized = authorize(wire)
    except BaseException as error:  # noqa: BLE001 (raised in the thread that waits)
        results.put(partial(_raise, error))
    else:
        results.put(lambda: authorized)


def _raise(error: BaseException) -> NoReturn:
    raise error


def _closed() -> NoReturn:
    raise timed_out("total")  # dropped by the pump: the call is cancelled


def _send_options(call: Call) -> SendOptions:
    return SendOptions(call.options.timeouts, call.clocks, call.target.connection.limits, call.may_resend)
