"""Pools of connections: a transport for each origin, route and account; requests out, exchanges back."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from polyglot_core._http.exchange import AsyncExchange, Exchange
from polyglot_core._http.httpx_options import KEEPALIVE_SECONDS, Client
from polyglot_core._http.sending import LONGEST_WAIT, SendOptions, begin, revealed
from polyglot_core._http.translate import check_headers, timed_out, translated
from polyglot_core._http.transports import async_transport, prepare, sync_transport
from polyglot_core._http.watchdog import Timer, Watch
from polyglot_core._values.addresses import origin_of
from polyglot_core.errors import PolyglotError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from polyglot_core._http.exchange import Closer
    from polyglot_core._http.opening import OpeningState
    from polyglot_core._values.connection import Route
    from polyglot_core._wire.messages import WireRequest

__all__ = ["LONGEST_WAIT", "AsyncPool", "AsyncPools", "Pool", "Pools", "SendOptions", "shared_pools"]

_MOST_POOLS = 100  # with idle connections; a gateway with a key for each tenant would otherwise keep one for every key


class _Pool:
    """Connections to one origin by one route for one account; or a client of the user's own.

    Attributes:
        used: When a call last took the pool, in seconds of `perf_counter`.
    """

    def __init__(self, named: tuple[str, Any], *, owned: bool) -> None:
        self.used = perf_counter()
        self._name, self._transport = named
        self._owned = owned
        self._live: weakref.WeakSet[Exchange | AsyncExchange | OpeningState] = weakref.WeakSet()
        self._lock = threading.Lock()  # guards the set

    @property
    def idle(self) -> bool:
        """Return whether no request is in flight."""
        return not any(each.active for each in self._in_use())

    def close_expired(self) -> bool:
        """Close the connections that were idle for too long. Return False if the pool has no connections then."""
        self._transport.close_idle(KEEPALIVE_SECONDS)
        unused = perf_counter() - self.used > KEEPALIVE_SECONDS and self.idle
        return not self._owned or bool(self._transport.idle) or not unused

    def retire(self) -> None:
        """Close the idle connections now, and the others when their exchanges end."""
        self._transport.retire()

    def _remember(self, under_way: Exchange | AsyncExchange | OpeningState) -> None:
        with self._lock:
            self._live.add(under_way)

    def _in_use(self) -> list[Exchange | AsyncExchange | OpeningState]:
        with self._lock:
            return list(self._live)


class Pool(_Pool):
    """Connections to one origin by one route for one account, sync; or a client of the user's own."""

    def __init__(self, origin: str, route: Route, client: Client | None = None) -> None:
        super().__init__(sync_transport(origin, route, client), owned=client is None)

    def send(self, wire: WireRequest, options: SendOptions, opening: OpeningState) -> Exchange:
        """Send a request and wait for status and headers; `opening` can end that wait.

        Raises:
            TimedOut: A clock ran out before there was a connection or a response.
            TransportError: The connection could not be opened, or broke.
            ConfigError: The address or a header cannot be used.
        """
        check_headers(wire)
        clock = begin(opening, options, bounded=True)
        # A head that arrives byte by byte never exceeds a transport's own timeout.
        watch = Watch(opening.expire, options.clocks, opening.data_waits)
        self._remember(opening)
        reply = None
        try:
            with translated(url=wire.url, clock=clock, watch=watch, opening=opening):
                watch.arm()
                reply = self._transport.open(revealed(wire), opening)
            watch.hand_over(reply.abort, reply.data_waits)
            if watch.fired is not None:  # at the moment at which the head was received
                raise timed_out(watch.fired, phase="headers")  # noqa: TRY301 (the response is to be closed)
            exchange = Exchange(reply, options, wire.url, self._name, watch)
            self._remember(exchange)
        except BaseException as error:  # Ctrl-C must not leave a connection in use for ever either
            interrupted = not isinstance(error, PolyglotError)  # what a transport raises is translated
            watch.stop()
            if reply is not None:
                reply.close(reuse=not interrupted)
            raise
        finally:
            opening.release()
        return exchange

    def close(self) -> None:
        """Close all connections and wake waiting readers; a user's own client is left open.

        Closing a descriptor under a read leaves the read waiting, so the sockets are shut down first.
        """
        if self._owned:
            for each in self._in_use():
                each.abort()
            self._transport.close()


class AsyncPool(_Pool):
    """Connections to one origin by one route for one account, async; or a client of the user's own."""

    def __init__(self, origin: str, route: Route, closer: Closer, client: Client | None = None) -> None:
        super().__init__(async_transport(origin, route, closer, client), owned=client is None)

    async def send(self, wire: WireRequest, options: SendOptions, opening: OpeningState) -> AsyncExchange:
        """Send a request and wait for status and headers. Raises as `Pool.send`; the caller enforces `first`."""
        check_headers(wire)
        begin(opening, options, bounded=False)
        self._remember(opening)
        try:
            with translated(url=wire.url, opening=opening):
                reply = await self._transport.open(revealed(wire), opening)
        finally:
            opening.release()
        try:
            exchange = AsyncExchange(reply, options, wire.url, self._name)
            self._remember(exchange)
        except BaseException:
            await reply.close(reuse=False)
            raise
        return exchange

    async def close(self) -> None:
        """Close all connections; a user's own client is left open."""
        await self._transport.close()


_Key = tuple[str, "Route", "tuple[Hashable, ...]"]


class _Pools:
    """A pool for each origin, route and account, made on first use."""

    _kind: Any  # the class of the pools
    _modules: tuple[str, ...]  # what the first request needs

    def __init__(self, client: Client | None = None) -> None:
        self._client = client
        self._pools: dict[_Key, Any] = {}
        self._prepared: Route | None = None  # the last one

    def _pool(self, url: str, route: Route, account: tuple[Hashable, ...], *closer: Closer) -> Any:  # noqa: ANN401 (of that class)
        key = (origin_of(url), route, account)
        if key not in self._pools:
            self._retire(self._surplus_keys())
            with translated(url=url):
                self._pools[key] = self._kind(key[0], route, *closer, self._client)
        pool = self._pools[key]
        pool.used = perf_counter()
        return pool

    def _surplus_keys(self) -> list[_Key]:
        """Return the keys of the pools to close before another is made: idle ones beyond the maximum, oldest first."""
        if len(self._pools) < _MOST_POOLS:
            return []
        idle = sorted((pool.used, number, key) for number, (key, pool) in enumerate(self._pools.items()) if pool.idle)
        return [key for _, _, key in idle[: len(self._pools) - _MOST_POOLS + 1]]

    def _drop_expired(self) -> None:
        """Close the connections that were idle for too long, and drop empty pools."""
        self._retire([key for key, pool in self._pools.items() if not pool.close_expired()])

    def _retire(self, keys: Sequence[_Key]) -> None:
        for key in keys:
            self._pools.pop(key).retire()

    def prepare(self, route: Route) -> None:
        """Import what the first request needs, so that no clock runs meanwhile."""
        if route != self._prepared:
            prepare(route, self._client, *self._modules)
            self._prepared = route


class Pools(_Pools):
    """A pool for each origin, route and account, made on first use; safe to share between threads."""

    _kind = Pool
    _modules = ("HTTPTransport",)

    def __init__(self, client: Client | None = None) -> None:
        super().__init__(client)
        self._lock = threading.Lock()
        _all_pools.add(self)

    def pool(self, url: str, route: Route, account: tuple[Hashable, ...]) -> Pool:
        """Return the pool for a URL's origin."""
        with self._lock:
            pool: Pool = self._pool(url, route, account)
            _expiry.start()
            return pool

    def close_expired(self) -> bool:
        """Close the connections that were idle for too long, and drop empty pools. Return True if any is left."""
        with self._lock:
            self._drop_expired()
            return bool(self._pools)

    def close(self) -> None:
        """Close every pool."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()

    def forget(self) -> None:
        """Drop the parent's connections in a forked child, without writing to them."""
        self._lock = threading.Lock()  # a thread that does not exist in the child may hold the parent's
        self._pools = {}


class AsyncPools(_Pools):
    """A pool for each origin, route and account, for one event loop."""

    _kind = AsyncPool
    _modules = ("AsyncHTTPTransport", "anyio", "anyio.to_thread")
    _expiring = False

    def pool(self, url: str, route: Route, account: tuple[Hashable, ...], closer: Closer) -> AsyncPool:
        """Return the pool for a URL's origin; `closer` closes what is to be closed later."""
        pool: AsyncPool = self._pool(url, route, account, closer)
        self._expire_later(closer)
        return pool

    def _expire_later(self, closer: Closer) -> None:
        """Check for connections that were idle for too long, from time to time."""
        if not self._expiring:
            self._expiring = True
            closer.call_later(KEEPALIVE_SECONDS, partial(_close_expired, weakref.ref(self), closer))

    def close_expired(self, closer: Closer) -> None:
        """Close the connections that were idle for too long, and drop empty pools; check again if any is left."""
        self._drop_expired()
        self._expiring = False
        if self._pools:
            self._expire_later(closer)

    async def close(self) -> None:
        """Close every pool."""
        for pool in self._pools.values():
            await pool.close()
        self._pools.clear()


def _close_expired(pools: weakref.ref[AsyncPools], closer: Closer) -> None:
    if (alive := pools()) is not None:
        alive.close_expired(closer)


_all_pools: weakref.WeakSet[Pools] = weakref.WeakSet()


def _close_all_expired() -> bool:
    left = [pools.close_expired() for pools in list(_all_pools)]  # each, not until the first that has some
    return any(left)


_expiry = Timer(KEEPALIVE_SECONDS, _close_all_expired)
_shared = Pools()
atexit.register(_shared.close)  # else the interpreter warns about idle connections when it exits


def shared_pools() -> Pools:
    """Return the pools that the process shares, for inferences that are not used with ``with``."""
    return _shared


def _forget_pools() -> None:
    """Drop all pools in a forked child, which must not write to its parent's sockets."""
    global _expiry  # noqa: PLW0603 (its thread is the parent's)
    _expiry = Timer(KEEPALIVE_SECONDS, _close_all_expired)
    for pools in list(_all_pools):
        pools.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)
