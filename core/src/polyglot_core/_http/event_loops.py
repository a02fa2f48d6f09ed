"""The connection pools of an event loop, and how responses are closed in it: asyncio and trio."""

from __future__ import annotations

import contextlib
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from polyglot_core._http.pools import AsyncPools

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable
    from types import ModuleType

    from anyio.lowlevel import RunVar

    from polyglot_core._http.exchange import Closer
    from polyglot_core._http.httpx_options import Client

__all__ = ["AsyncSource", "closer_here"]


class AsyncSource:
    """The source of an async call's connections: its own pools or the process's, one set for each running loop.

    Attributes:
        shared: Whether the pools are the process's.
    """

    def __init__(self, client: Client | None = None, *, shared: bool = True) -> None:
        self.shared = shared and client is None
        self._of_client = None if client is None else AsyncPools(client)  # which the user closes
        self._key = None if self.shared else self

    async def pools(self) -> AsyncPools:
        """Return the pools for the running loop, made on first use and closed with the loop."""
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


def closer_here() -> Closer:
    """Return the closer for the running event loop. Neither asyncio nor trio is imported where it is not used."""
    if (asyncio := sys.modules.get("asyncio")) is not None:
        with contextlib.suppress(RuntimeError):
            return _AsyncioCloser(asyncio, asyncio.get_running_loop())
    trio = sys.modules["trio"]
    return _TrioCloser(trio, trio.lowlevel.current_trio_token())


_closing: set[asyncio.Task[None]] = set()  # a loop keeps only weak references to its tasks


class _AsyncioCloser:
    """Closes responses in tasks of their own, because a cancelled closing would leave the connection in use."""

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

    def call_soon(self, call: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(call)

    def call_later(self, seconds: float, call: Callable[[], object]) -> None:
        self._loop.call_later(seconds, call)

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

    def call_soon(self, call: Callable[[], object]) -> None:
        self._token.run_sync_soon(call)

    def call_later(self, seconds: float, call: Callable[[], object]) -> None:
        async def wait() -> None:
            await self._trio.sleep(seconds)
            call()

        with contextlib.suppress(RuntimeError):  # as in `_start`
            self._trio.lowlevel.spawn_system_task(wait, name="polyglot-timer")

    def _start(self, response: Any) -> None:  # noqa: ANN401 (the HTTP client's)
        with contextlib.suppress(
            RuntimeError
        ):  # the loop is ending and accepts nothing new; its pools are closed with it
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
    """Return the pools that belong to the running loop, by owner."""
    variable = _loop_variable()
    owned = variable.get(None)
    if owned is None:
        owned = {}
        variable.set(owned)
    return owned


async def _kept_open(pools: AsyncPools) -> AsyncGenerator[None]:
    """Close the pools when the generator is closed, as event loops do with every remaining generator when they stop."""
    try:
        yield
    finally:
        await pools.close()
