"""How a call waits: a thread that stands still, or a task; and where the connections of tasks are kept.

All that differs in kind between sync and async is here.
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
    """Waiting, sync: a thread stands still."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._in_flight = InFlightRequest()
        self._woken = threading.Event()
        self._asked: SimpleQueue[Callable[[], WireRequest]] | None = None  # while the driver authorizes

    def authorize(self, call: Call, wire: WireRequest) -> WireRequest:
        """Let the driver add its credentials, no longer than the clocks allow; it may block, so a thread asks it."""
        if call.target.driver.authorize is None:
            return wire
        self._asked = asked = SimpleQueue[Callable[[], WireRequest]]()
        moment, clock = call.clocks.due(now := perf_counter())
        ask = partial(_answer_to, call.target.driver.authorize, wire, asked)
        threading.Thread(
            target=contextvars.copy_context().run, args=(ask,), name="polyglot-authorize", daemon=True
        ).start()
        try:
            if self._woken.is_set():
                raise timed_out(clock)
            return asked.get(timeout=min(LONGEST_WAIT, max(0.0, moment - now)))()
        except Empty:
            raise timed_out(clock) from None
        finally:
            self._asked = None

    def send(self, call: Call, wire: WireRequest) -> Exchange:
        """Send the request and wait for status and headers."""
        pool = self._pools.pool(wire.url, call.target.connection.route)
        return pool.send(wire, _send_options(call), self._in_flight)

    def sleep(self, seconds: float) -> None:
        """Wait between two attempts, or until woken."""
        self._woken.wait(seconds)

    def drain(self, exchange: Exchange) -> None:
        """Free the connection of a finished answer, if that is quick."""
        exchange.drain()

    def wake(self) -> None:
        """End a wait, from any thread."""
        self._woken.set()
        self._in_flight.abort()
        if (asked := self._asked) is not None:
            asked.put(_nobody_waits)


class AsyncBackend:
    """Waiting, async: a task stands still. anyio is imported when the first one does."""

    def __init__(self, source: AsyncSource) -> None:
        self._source = source
        self._scope: anyio.CancelScope | None = None
        self._woken = False

    async def authorize(self, call: Call, wire: WireRequest) -> WireRequest:
        """Let the driver add its credentials, in a worker thread and no longer than the clocks allow."""
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
        """Send the request and wait for status and headers, no longer than the clocks allow."""
        import anyio  # noqa: PLC0415

        now = perf_counter()
        moment, clock = call.clocks.due(now)
        pools = await self._source.pools()
        exchange = None
        with anyio.CancelScope(deadline=anyio.current_time() + moment - now) as self._scope:
            if self._woken:  # while the driver authorized, say
                self._scope.cancel()
            pool = pools.pool(wire.url, call.target.connection.route)
            exchange = await pool.send(wire, _send_options(call), InFlightRequest(), closer_here())
        self._scope = None
        if exchange is None:
            raise timed_out(clock)
        return exchange

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts, or until woken."""
        import anyio  # noqa: PLC0415

        with anyio.move_on_after(seconds) as self._scope:
            if self._woken:
                self._scope.cancel()
            await anyio.sleep_forever()
        self._scope = None

    async def drain(self, exchange: AsyncExchange) -> None:
        """Free the connection of a finished answer, if that is quick."""
        import anyio  # noqa: PLC0415

        with anyio.move_on_after(DRAIN_SECONDS):
            await exchange.drain()

    def wake(self) -> None:
        """End a wait, from the loop that it is in: the one that there is, and any that would follow."""
        self._woken = True
        if self._scope is not None:
            self._scope.cancel()


def _answer_to(
    authorize: Callable[[WireRequest], WireRequest], wire: WireRequest, asked: SimpleQueue[Callable[[], WireRequest]]
) -> None:
    """Call the driver, and hand on what came of it: a function that returns it, or raises it."""
    try:
        authorized = authorize(wire)
    except BaseException as error:  # noqa: BLE001 (it is raised where it is waited for)
        asked.put(partial(_raise, error))
    else:
        asked.put(lambda: authorized)


def _raise(error: BaseException) -> NoReturn:
    raise error


def _nobody_waits() -> NoReturn:
    raise timed_out("total")  # not seen by anybody: the call was closed


def _send_options(call: Call) -> SendOptions:
    return SendOptions(call.options.timeouts, call.clocks, call.target.connection.limits)
