"""The two pumps: they carry bytes from the transport to the session, and do what the pure parts decide.

`Pump` and `AsyncPump` are equal but for ``async`` and ``await``; a test compares them. How each of them waits is in
`_Waits` and `_AsyncWaits`, the only code here that differs in kind.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from functools import lru_cache, partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from polyglot_core.errors import PolyglotError
from polyglot_core.opening import Opening
from polyglot_core.policy import Settle, Surface
from polyglot_core.response import PartialInferenceResponse
from polyglot_core.session import State
from polyglot_core.transport import DRAIN_SECONDS, AsyncPools, Pools, Terms, TwoReadersError, timed_out

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
    from types import ModuleType
    from typing import Self

    import anyio
    from anyio.lowlevel import RunVar

    from polyglot_core.run import Run
    from polyglot_core.session import Session
    from polyglot_core.transport import AsyncExchange, Client, Exchange
    from polyglot_core.wire import Chunk, WireRequest

    _Taken = PartialInferenceResponse | Iterable[PartialInferenceResponse]

__all__ = ["AsyncPump", "AsyncSource", "EventsWaiting", "Pump", "async_pump", "pump"]


_COMMITTED = State.COMMITTED


# How to wait


class _Waits:
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


class _AsyncWaits:
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


# The pumps


class EventsWaiting(BaseException):
    """Before the next read: somebody watches events, and some have not been taken yet."""


class Pump:
    """Carries one call, sync: an iterator of partials.

    It holds the exchange, and the exchange closes its socket when it is let go; so nothing here may refer back to the
    pump.

    Attributes:
        run: The call.
        exhausted: Whether it has said that there is nothing more.
        stops_for_events: Whether to raise `EventsWaiting` rather than read on while events wait to be taken.
    """

    def __init__(self, run: Run, waits: _Waits) -> None:
        self.run = run
        self.exhausted = False
        self.stops_for_events = False
        self._waits = waits
        self._exchange: Exchange | None = None
        self._session: Session | None = None
        self._take: Callable[[Chunk, float], _Taken]  # the session's, once there is one
        self._clocks = run.clocks
        self._chunks: Iterator[Chunk] = iter(())
        self._ready: Iterator[PartialInferenceResponse] | None = None
        self._busy = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PartialInferenceResponse:  # noqa: C901, PLR0912 (the loop that all else is fast for)
        while True:
            try:
                if self._ready is not None:
                    for partial in self._ready:
                        return partial
                    self._ready = None
                for chunk in self._chunks:
                    taken = self._take(chunk, self._clocks.waited)
                    if type(taken) is PartialInferenceResponse:
                        return taken
                    self._ready = iter(taken)  # type: ignore[arg-type]  # it is the other of the two
                    break
                else:
                    if self.stops_for_events and self.run.events:
                        raise EventsWaiting  # noqa: TRY301 (it passes all of this)
                    session, exchange = self._session, self._exchange
                    if session is not None and exchange is not None and session.state is _COMMITTED:
                        # As in `_step`, without its calls: here is where a stream spends its time.
                        if not (data := exchange.read()):
                            self._ready = self.run.finish()
                        elif len(chunks := session.frame(data)) == 1:
                            taken = self._take(chunks[0], self._clocks.waited)
                            if type(taken) is PartialInferenceResponse:
                                return taken
                            self._ready = iter(taken)  # type: ignore[arg-type]  # as above
                        else:
                            self._chunks = iter(chunks)
                    elif self.run.ended:
                        break
                    else:
                        self._step()
            except PolyglotError as error:
                self._recover(error)
            except EventsWaiting:
                raise
            except BaseException:
                self._abandon()
                raise
        self.exhausted = True
        self._release()
        raise StopIteration

    def close(self) -> None:
        """End the call, in whatever phase it is; from any thread, any number of times."""
        self.run.cancel()
        self._waits.wake()
        if self._exchange is not None:
            self._exchange.abort()
        if not (self._busy or self._clocks.waiting):  # else the reader wakes, finds the call cancelled, and releases
            self._ready, self._chunks = None, iter(())
            self._release()

    def _step(self) -> None:
        """Send the request, or read once."""
        if self._busy:
            raise TwoReadersError
        if self._exchange is None or self._session is None:
            self._send()
        elif data := self._exchange.read():
            self._chunks = iter(self._session.frame(data))
        elif not self.run.cancelled:
            self._ready = self.run.finish()

    def _send(self) -> None:
        self._busy = True
        try:
            wire = self._waits.authorize(self.run, self.run.encode())
            session = self.run.start(wire)
            self._exchange = self._waits.send(self.run, wire)
            if not self.run.cancelled:
                self._ready = iter(session.begin(self._exchange.status, self._exchange.headers))
                self._session, self._take, self._clocks = session, session.take, self.run.clocks
        finally:
            self._busy = False

    def _recover(self, error: PolyglotError) -> None:
        """Something failed. The transport: the session says what that means. The attempt: make another, or raise."""
        if isinstance(error, TwoReadersError):  # the first reader's stream goes on
            raise error
        if self.run.cancelled:
            return
        if self.run.interruptible:
            self._ready = self.run.interrupted(error)
            return
        decision = self.run.decide(error)
        try:
            self._release()
            if not isinstance(decision, (Settle, Surface)):
                self._session, self._chunks = None, iter(())
                self.run.tell()
                self._waits.sleep(decision.wait)
        except BaseException:
            self._abandon()
            raise
        if isinstance(decision, Surface):
            raise error

    def _abandon(self) -> None:
        """An interruption passes through: the call ends here."""
        self.run.cancel()
        if self._exchange is not None:
            self._exchange.abort()
        self._release()

    def _release(self) -> None:
        """Give the connection back, or close it."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            if self.run.leave():
                self._waits.drain(exchange)
            exchange.close()


class AsyncPump:
    """Carries one call, async: an async iterator of partials.

    It holds the exchange, and the exchange closes its socket when it is let go; so nothing here may refer back to the
    pump.

    Attributes:
        run: The call.
        exhausted: Whether it has said that there is nothing more.
        stops_for_events: Whether to raise `EventsWaiting` rather than read on while events wait to be taken.
    """

    def __init__(self, run: Run, waits: _AsyncWaits) -> None:
        self.run = run
        self.exhausted = False
        self.stops_for_events = False
        self._waits = waits
        self._exchange: AsyncExchange | None = None
        self._session: Session | None = None
        self._take: Callable[[Chunk, float], _Taken]  # the session's, once there is one
        self._clocks = run.clocks
        self._chunks: Iterator[Chunk] = iter(())
        self._ready: Iterator[PartialInferenceResponse] | None = None
        self._busy = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PartialInferenceResponse:  # noqa: C901, PLR0912 (the loop that all else is fast for)
        while True:
            try:
                if self._ready is not None:
                    for partial in self._ready:
                        return partial
                    self._ready = None
                for chunk in self._chunks:
                    taken = self._take(chunk, self._clocks.waited)
                    if type(taken) is PartialInferenceResponse:
                        return taken
                    self._ready = iter(taken)  # type: ignore[arg-type]  # it is the other of the two
                    break
                else:
                    if self.stops_for_events and self.run.events:
                        raise EventsWaiting  # noqa: TRY301 (it passes all of this)
                    session, exchange = self._session, self._exchange
                    if session is not None and exchange is not None and session.state is _COMMITTED:
                        # As in `_step`, without its calls: here is where a stream spends its time.
                        if not (data := await exchange.read()):
                            self._ready = self.run.finish()
                        elif len(chunks := session.frame(data)) == 1:
                            taken = self._take(chunks[0], self._clocks.waited)
                            if type(taken) is PartialInferenceResponse:
                                return taken
                            self._ready = iter(taken)  # type: ignore[arg-type]  # as above
                        else:
                            self._chunks = iter(chunks)
                    elif self.run.ended:
                        break
                    else:
                        await self._step()
            except PolyglotError as error:
                await self._recover(error)
            except EventsWaiting:
                raise
            except BaseException:
                await self._abandon()
                raise
        self.exhausted = True
        await self._release()
        raise StopAsyncIteration

    async def close(self) -> None:
        """End the call, in whatever phase it is; from any thread, any number of times."""
        self.run.cancel()
        self._waits.wake()
        if self._exchange is not None:
            self._exchange.abort()
        if not (self._busy or self._clocks.waiting):  # else the reader wakes, finds the call cancelled, and releases
            self._ready, self._chunks = None, iter(())
            await self._release()

    async def _step(self) -> None:
        """Send the request, or read once."""
        if self._busy:
            raise TwoReadersError
        if self._exchange is None or self._session is None:
            await self._send()
        elif data := await self._exchange.read():
            self._chunks = iter(self._session.frame(data))
        elif not self.run.cancelled:
            self._ready = self.run.finish()

    async def _send(self) -> None:
        self._busy = True
        try:
            wire = await self._waits.authorize(self.run, self.run.encode())
            session = self.run.start(wire)
            self._exchange = await self._waits.send(self.run, wire)
            if not self.run.cancelled:
                self._ready = iter(session.begin(self._exchange.status, self._exchange.headers))
                self._session, self._take, self._clocks = session, session.take, self.run.clocks
        finally:
            self._busy = False

    async def _recover(self, error: PolyglotError) -> None:
        """Something failed. The transport: the session says what that means. The attempt: make another, or raise."""
        if isinstance(error, TwoReadersError):  # the first reader's stream goes on
            raise error
        if self.run.cancelled:
            return
        if self.run.interruptible:
            self._ready = self.run.interrupted(error)
            return
        decision = self.run.decide(error)
        try:
            await self._release()
            if not isinstance(decision, (Settle, Surface)):
                self._session, self._chunks = None, iter(())
                self.run.tell()
                await self._waits.sleep(decision.wait)
        except BaseException:
            await self._abandon()
            raise
        if isinstance(decision, Surface):
            raise error

    async def _abandon(self) -> None:
        """An interruption passes through: the call ends here."""
        self.run.cancel()
        if self._exchange is not None:
            self._exchange.abort()
        await self._release()

    async def _release(self) -> None:
        """Give the connection back, or close it."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            if self.run.leave():
                await self._waits.drain(exchange)
            await exchange.close()


def pump(run: Run, pools: Pools) -> Pump:
    """A sync pump for a call that takes its connections from `pools`."""
    return Pump(run, _Waits(pools))


def async_pump(run: Run, source: AsyncSource) -> AsyncPump:
    """An async pump for a call that takes its connections from `source`."""
    return AsyncPump(run, _AsyncWaits(source))
