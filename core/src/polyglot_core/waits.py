"""How a call waits: a thread that stands still, or a task; and where the connections of tasks are kept.

All that differs in kind between sync and async is here.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from functools import lru_cache, partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from polyglot_core.exchange import DRAIN_SECONDS
from polyglot_core.httperrors import timed_out
from polyglot_core.opening import Opening
from polyglot_core.transport import AsyncPools, Pools, Terms

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable
    from types import ModuleType

    import anyio
    from anyio.lowlevel import RunVar

    from polyglot_core.exchange import AsyncExchange, Exchange
    from polyglot_core.run import Run
    from polyglot_core.transport import Client
    from polyglot_core.wire import WireRequest

__all__ = ["AsyncSource", "AsyncWaits", "Waits"]


class Waits:
    """Waiting, sync: a thread stands still."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._opening = Opening()
        self._woken = threading.Event()

    def authorize(self, run: Run, wire: WireRequest) -> WireRequest:
        """Let the driver add its credentials; it may block."""
        return wire if run.driver.authorize is None else run.driver.authorize(wire)

    def send(self, run: Run, wire: WireRequest) -> Exchange:
        """Send the request and wait for status and headers."""
        pool = self._pools.pool(wire.url, run.connection.route)
        return pool.send(wire, _terms(run), self._opening)

    def sleep(self, seconds: float) -> None:
        """Wait between two attempts, or until woken."""
        self._woken.wait(seconds)

    def drain(self, exchange: Exchange) -> None:
        """Free the connection of a finished answer, if that is quick."""
        exchange.drain()

    def wake(self) -> None:
        """End a wait, from any thread."""
        self._woken.set()
        self._opening.abort()


class AsyncWaits:
    """Waiting, async: a task stands still. anyio is imported when the first one does."""

    def __init__(self, source: AsyncSource) -> None:
        self._source = source
        self._scope: anyio.CancelScope | None = None
        self._woken = False

    async def authorize(self, run: Run, wire: WireRequest) -> WireRequest:
        """Let the driver add its credentials, in a worker thread."""
        import anyio.to_thread  # noqa: PLC0415

        return wire if run.driver.authorize is None else await anyio.to_thread.run_sync(run.driver.authorize, wire)

    async def send(self, run: Run, wire: WireRequest) -> AsyncExchange:
        """Send the request and wait for status and headers, no longer than the clocks allow."""
        import anyio  # noqa: PLC0415

        now = perf_counter()
        moment, clock = run.clocks.due(now)
        pools = await self._source.pools()
        exchange = None
        with anyio.CancelScope(deadline=anyio.current_time() + moment - now) as self._scope:
            if self._woken:  # while the driver authorized, say
                self._scope.cancel()
            pool = pools.pool(wire.url, run.connection.route)
            exchange = await pool.send(wire, _terms(run), Opening(), _closer_here())
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


def _terms(run: Run) -> Terms:
    return Terms(run.timeouts, run.clocks, run.connection.limits)


class AsyncSource:
    """Where an async call gets its connections: pools of its own or the process's, one set for each running loop.

    Attributes:
        shared: Whether the pools are the process's.
    """

    def __init__(self, client: Client | None = None, *, shared: bool = True) -> None:
        self.shared = shared and client is None
        self._client = client
        self._key = None if self.shared else self

    async def pools(self) -> AsyncPools:
        """The pools for the running loop, made when first asked for and closed when the loop is."""
        by_owner = _pools_of_loop()
        if self._key not in by_owner:
            pools = AsyncPools(self._client)
            keeper = _kept_open(pools)
            await anext(keeper)
            by_owner[self._key] = (pools, keeper)
        return by_owner[self._key][0]

    async def close(self) -> None:
        """Close the pools that are this source's own."""
        if self._key is not None:
            _pools, keeper = _pools_of_loop().pop(self._key, (None, None))
            if keeper is not None:
                await keeper.aclose()


def _closer_here() -> Callable[[Any], None]:
    """What closes a response that was let go, in the loop that runs now; it may be called from a finalizer.

    asyncio and trio are looked for and not imported, for those who never use them.
    """
    if (asyncio := sys.modules.get("asyncio")) is not None:
        with contextlib.suppress(RuntimeError):
            return partial(_close_in_asyncio, asyncio.get_running_loop())
    if (trio := sys.modules.get("trio")) is not None:
        with contextlib.suppress(RuntimeError):
            return partial(_close_in_trio, trio, trio.lowlevel.current_trio_token())
    return lambda _: None  # closed with its pool


def _close_in_asyncio(loop: asyncio.AbstractEventLoop, response: Any) -> None:  # noqa: ANN401 (the HTTP client's)
    if not loop.is_closed():
        loop.call_soon_threadsafe(_start_closing, loop, response)


def _close_in_trio(trio: ModuleType, token: Any, response: Any) -> None:  # noqa: ANN401 (trio's; the HTTP client's)
    with contextlib.suppress(trio.RunFinishedError):
        token.run_sync_soon(_start_closing_in_trio, trio, response)


def _start_closing_in_trio(trio: ModuleType, response: Any) -> None:  # noqa: ANN401
    with contextlib.suppress(RuntimeError):  # the loop is about to end, and takes nothing new; its pools end with it
        trio.lowlevel.spawn_system_task(_closed, response)


_closing: set[asyncio.Task[None]] = set()  # a loop keeps only weak references to its tasks


def _start_closing(loop: asyncio.AbstractEventLoop, response: Any) -> None:  # noqa: ANN401
    task = loop.create_task(_closed(response))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _closed(response: Any) -> None:  # noqa: ANN401
    with contextlib.suppress(Exception):
        await response.aclose()


_Owned = dict["AsyncSource | None", "tuple[AsyncPools, AsyncGenerator[None]]"]


@lru_cache(maxsize=1)
def _loop_variable() -> RunVar[_Owned]:
    from anyio.lowlevel import RunVar  # noqa: PLC0415

    return RunVar("polyglot_pools")


def _pools_of_loop() -> _Owned:
    """The pools that belong to the running loop, by owner."""
    variable = _loop_variable()
    owned = variable.get(None)
    if owned is None:
        owned = {}
        variable.set(owned)
    return owned


async def _kept_open(pools: AsyncPools) -> AsyncGenerator[None]:
    """Closes the pools when it is closed, which event loops do with every generator that is left when they stop."""
    try:
        yield
    finally:
        await pools.close()
