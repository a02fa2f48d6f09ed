"""How a call waits: a thread that stands still, or a task; and where the connections of tasks are kept.

All that differs in kind between sync and async is here.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable
from functools import lru_cache, partial
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

from polyglot_core.exchange import DRAIN_SECONDS
from polyglot_core.httperrors import timed_out
from polyglot_core.opening import Opening
from polyglot_core.transport import LONGEST_WAIT, AsyncPools, Pools, Terms
from polyglot_core.wire import WireRequest

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator
    from types import ModuleType

    import anyio
    from anyio.lowlevel import RunVar

    from polyglot_core.exchange import AsyncExchange, Closer, Exchange
    from polyglot_core.run import Run
    from polyglot_core.transport import Client

__all__ = ["AsyncSource", "AsyncWaits", "Waits"]


class Waits:
    """Waiting, sync: a thread stands still."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._opening = Opening()
        self._woken = threading.Event()
        self._asked: SimpleQueue[Callable[[], WireRequest]] | None = None  # while the driver authorizes

    def authorize(self, run: Run, wire: WireRequest) -> WireRequest:
        """Let the driver add its credentials, no longer than the clocks allow; it may block, so a thread asks it."""
        if run.driver.authorize is None:
            return wire
        self._asked = asked = SimpleQueue[Callable[[], WireRequest]]()
        moment, clock = run.clocks.due(now := perf_counter())
        ask = partial(_answer_to, run.driver.authorize, wire, asked)
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

    def send(self, run: Run, wire: WireRequest) -> Exchange:
        """Send the request and wait for status and headers."""
        pool = self._pools.pool(wire.url, run.connection.route, run.connection.account)
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
        if (asked := self._asked) is not None:
            asked.put(_nobody_waits)


class AsyncWaits:
    """Waiting, async: a task stands still. anyio is imported when the first one does."""

    def __init__(self, source: AsyncSource) -> None:
        self._source = source
        self._scope: anyio.CancelScope | None = None
        self._woken = False

    async def authorize(self, run: Run, wire: WireRequest) -> WireRequest:
        """Let the driver add its credentials, in a worker thread and no longer than the clocks allow."""
        if run.driver.authorize is None:
            return wire
        import anyio.to_thread  # noqa: PLC0415

        moment, clock = run.clocks.due(now := perf_counter())
        authorized = None
        with anyio.CancelScope(deadline=anyio.current_time() + moment - now) as self._scope:
            if self._woken:
                self._scope.cancel()
            authorized = await anyio.to_thread.run_sync(run.driver.authorize, wire, abandon_on_cancel=True)
        self._scope = None
        if authorized is None:
            raise timed_out(clock)
        return authorized

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
            closer = _closer_here()
            pool = pools.pool(wire.url, run.connection.route, run.connection.account, closer)
            exchange = await pool.send(wire, _terms(run), Opening(), closer)
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


def _terms(run: Run) -> Terms:
    return Terms(run.timeouts, run.clocks, run.connection.limits)


class AsyncSource:
    """Where an async call gets its connections: pools of its own or the process's, one set for each running loop.

    Attributes:
        shared: Whether the pools are the process's.
    """

    def __init__(self, client: Client | None = None, *, shared: bool = True) -> None:
        self.shared = shared and client is None
        self._of_client = None if client is None else AsyncPools(client)  # which is the user's to close
        self._key = None if self.shared else self

    async def pools(self) -> AsyncPools:
        """The pools for the running loop, made when first asked for and closed when the loop is."""
        if self._of_client is not None:
            return self._of_client
        by_owner = _pools_of_loop()
        if self._key not in by_owner:
            pools = AsyncPools()
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


def _closer_here() -> Closer:
    """What closes responses in the loop that runs now. asyncio and trio are looked for, for those who use neither."""
    if (asyncio := sys.modules.get("asyncio")) is not None:
        with contextlib.suppress(RuntimeError):
            return _AsyncioCloser(asyncio, asyncio.get_running_loop())
    trio = sys.modules["trio"]
    return _TrioCloser(trio, trio.lowlevel.current_trio_token())


_closing: set[asyncio.Task[None]] = set()  # a loop keeps only weak references to its tasks


class _AsyncioCloser:
    """Closes responses in tasks of their own: one whose closing is cancelled would leave its connection in use."""

    def __init__(self, asyncio: ModuleType, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio = asyncio
        self._loop = loop

    async def close(self, response: Any) -> None:  # noqa: ANN401 (the HTTP client's)
        import anyio  # noqa: PLC0415

        with anyio.CancelScope(shield=True):  # against anyio's cancellation; the task is against asyncio's own
            await self._asyncio.shield(self._start(response))

    def close_later(self, response: Any) -> None:  # noqa: ANN401 (the HTTP client's)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._start, response)

    def _start(self, response: Any) -> asyncio.Task[None]:  # noqa: ANN401 (the HTTP client's)
        task = self._loop.create_task(_closed(response))
        _closing.add(task)
        task.add_done_callback(_closing.discard)
        return task


class _TrioCloser:
    """Closes responses under a shield."""

    def __init__(self, trio: ModuleType, token: Any) -> None:  # noqa: ANN401 (trio's)
        self._trio = trio
        self._token = token

    async def close(self, response: Any) -> None:  # noqa: ANN401 (the HTTP client's)
        with self._trio.CancelScope(shield=True):
            await _closed(response)

    def close_later(self, response: Any) -> None:  # noqa: ANN401 (the HTTP client's)
        with contextlib.suppress(self._trio.RunFinishedError):
            self._token.run_sync_soon(self._start, response)

    def _start(self, response: Any) -> None:  # noqa: ANN401 (the HTTP client's)
        with contextlib.suppress(RuntimeError):  # the loop is about to end and takes nothing new; its pools end with it
            self._trio.lowlevel.spawn_system_task(_closed, response)


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
