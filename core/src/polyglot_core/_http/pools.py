"""Pools of the HTTP client's connections: requests out, exchanges back.

Written against what httpx 0.28 and httpx2 share; `httpx_options` decides which one is imported, and when.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import threading
import weakref
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from polyglot_core._http.exchange import AsyncExchange, Exchange
from polyglot_core._http.httpx_options import (
    KEEPALIVE_SECONDS,
    Client,
    build_request,
    http_of,
    import_http,
    transport_options,
)
from polyglot_core._http.pooled import ExpiredConnections, LostConnections, PooledConnections, expired_connections
from polyglot_core._http.translate import check_headers, timed_out, translated
from polyglot_core._http.watchdog import Timer, Watch
from polyglot_core._values.addresses import origin_of
from polyglot_core.errors import PolyglotError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence
    from types import ModuleType

    import httpx

    from polyglot_core._attempt.clocks import Clocks
    from polyglot_core._http.exchange import Closer
    from polyglot_core._http.in_flight import InFlightRequest
    from polyglot_core._values.connection import Route
    from polyglot_core._values.limits import Limits, Timeouts
    from polyglot_core._wire.messages import WireRequest

__all__ = ["AsyncPool", "AsyncPools", "Pool", "Pools", "SendOptions", "shared_pools"]

LONGEST_WAIT = 2_000_000.0
"""Seconds, about 23 days, that anything waits at most in the operating system; a socket cannot wait for 25."""


_MOST_POOLS = 100  # with idle connections; a gateway with a key for each tenant would otherwise keep one for every key


class SendOptions(NamedTuple):
    """How a request is sent.

    Attributes:
        timeouts: The timeouts of its call.
        clocks: The state of their clocks.
        limits: The limits on its response.
        resend: True if a request that was written to a connection that was being closed is sent once more.
    """

    timeouts: Timeouts
    clocks: Clocks
    limits: Limits
    resend: bool = True


def _timeout_for(timeouts: Timeouts, longest: float | None) -> dict[str, float | None]:
    """Return the client's own timeouts, in seconds, for the phases before the response headers."""
    limits = [limit for limit in (timeouts.connect, longest) if limit is not None and not math.isinf(limit)]
    connect = min(limits, default=None)
    named = {"connect": connect, "read": longest, "write": longest, "pool": connect}
    return {name: None if limit is None else min(limit, LONGEST_WAIT) for name, limit in named.items()}


class _Pool:
    """Connections to one origin by one route for one account; or a client of the user's own.

    Attributes:
        used: When a call last took the pool, in seconds of `perf_counter`.
    """

    def __init__(self, kind: str, origin: str, route: Route, client: Client | None) -> None:
        self.used = perf_counter()
        self._http = http_of(client)
        transport = getattr(self._http, kind)
        self._make = partial(_transport, transport, self._http, origin, route) if client is None else None
        self._client = client
        self._url = self._http.URL(origin)
        self._kept = _connections_of(self._make, client, self._url)

    @property
    def _owned(self) -> Any:  # noqa: ANN401 (the HTTP client's)
        """Return the transport, if it is ours to close; None for a user's client."""
        return None if self._make is None else self._kept.transport

    @property
    def idle(self) -> bool:
        """Return whether no request is in flight."""
        return self._make is None or not getattr(getattr(self._owned, "_pool", None), "_requests", ())


class Pool(_Pool):
    """Connections to one origin by one route for one account, sync; or a client of the user's own."""

    def __init__(self, origin: str, route: Route, client: Client | None = None) -> None:
        super().__init__("HTTPTransport", origin, route, client)
        self._live: weakref.WeakSet[Exchange | InFlightRequest] = weakref.WeakSet()
        self._lock = threading.Lock()  # guards the set, and the creation of transports
        self._retired = False

    def _current_connections(self) -> PooledConnections:
        """Return the connections, or new ones if an interruption made the former unusable."""
        if self._kept.abandoned and not self._retired:
            with self._lock:
                if self._kept.abandoned:
                    self._kept = _connections_of(self._make, self._client, self._url)
        return self._kept

    def retire(self) -> None:
        """Close the idle connections now, and the others when their exchanges end."""
        self._retired = True
        if self._make is not None:
            self._kept.abandon()

    def send(self, wire: WireRequest, options: SendOptions, in_flight: InFlightRequest) -> Exchange:
        """Send a request and wait for status and headers; `in_flight` can end that wait.

        Raises:
            TimedOut: A clock ran out before there was a connection or a response.
            TransportError: The connection could not be opened, or broke.
            ConfigError: The address or a header cannot be used.
        """
        check_headers(wire)
        clocks = options.clocks
        clocks.asked = now = perf_counter()
        moment, clock = clocks.due(now)
        timeout = _timeout_for(options.timeouts, None if math.isinf(moment) else max(moment - now, 0.001))
        # A head that arrives byte by byte never exceeds the client's own timeout.
        watch = Watch(in_flight.expire, clocks, in_flight.data_waits)
        kept = self._current_connections()
        self._remember(in_flight)
        response = None
        try:
            with translated(url=wire.url, clock=clock, watch=watch), watch:
                response = self._receive_head(wire, timeout, in_flight, kept, resend=options.resend)
            timeout["read"] = None  # from here on the watchdog enforces the clocks
            if watch.fired is not None:  # at the moment at which the head was received
                raise timed_out(watch.fired, phase="headers")  # noqa: TRY301 (the response is to be closed)
            exchange = Exchange(response, options, wire.url, kept, trace=in_flight.notice)
            self._remember(exchange)
        except BaseException as error:  # Ctrl-C must not leave a connection in use for ever either
            interrupted = not isinstance(error, PolyglotError)  # what the client raises is translated
            if interrupted:
                watch.stop()
            if response is not None:
                response.close()
            if interrupted:
                kept.abandon(in_flight.notice)
            raise
        return exchange

    def close_expired(self) -> bool:
        """Close the connections that were idle for too long. Return False if the pool has no connections then."""
        if self._make is None or self._kept.abandoned:
            return True
        expired = expired_connections(self._kept.transport)
        for connection in expired or ():
            with contextlib.suppress(Exception):
                connection.close()
        return expired is not None or perf_counter() - self.used < KEEPALIVE_SECONDS

    def _remember(self, under_way: Exchange | InFlightRequest) -> None:
        with self._lock:
            self._live.add(under_way)

    def _receive_head(
        self,
        wire: WireRequest,
        limits: dict[str, float | None],
        in_flight: InFlightRequest,
        kept: PooledConnections,
        *,
        resend: bool,
    ) -> httpx.Response:
        """Return the response head. A request written to a connection that was being closed is sent once more."""
        respond: Callable[[httpx.Request], httpx.Response] = _sender_of(self._client) or kept.transport.handle_request
        try:
            for resent in (False, True):
                in_flight.begin(kept.transport, len(wire.body))
                try:
                    return respond(build_request(self._http, wire, limits, in_flight.notice))
                except Exception as error:
                    if resent or not in_flight.was_stale(error, resend_written=resend):
                        raise
        except Exception:
            raise
        except BaseException:
            in_flight.abort()
            raise
        finally:
            in_flight.release()
        raise AssertionError  # the second pass returns or raises

    def close(self) -> None:
        """Close all connections and wake waiting readers; a user's own client is left open.

        Closing a descriptor under a read leaves the read waiting, so the sockets are shut down first.
        """
        if self._owned is None:
            return
        with self._lock:
            under_way = list(self._live)
        for each in under_way:
            each.abort()
        if not self._kept.abandoned:
            self._owned.close()


class AsyncPool(_Pool):
    """Connections to one origin by one route for one account, async; or a client of the user's own."""

    def __init__(self, origin: str, route: Route, client: Client | None = None) -> None:
        super().__init__("AsyncHTTPTransport", origin, route, client)

    def close_expired(self, closer: Closer) -> bool:
        """Close the connections that were idle for too long, soon. Return False if the pool has no connections."""
        if self._owned is None:
            return True
        closer.close_later(ExpiredConnections(self._owned))
        unused = perf_counter() - self.used > KEEPALIVE_SECONDS
        return not (unused and self.idle and not getattr(getattr(self._owned, "_pool", None), "_connections", True))

    def retire(self, closer: Closer) -> None:
        """Close the connections, which are idle, soon."""
        if self._owned is not None:
            closer.close_later(self._owned)

    async def send(
        self, wire: WireRequest, options: SendOptions, in_flight: InFlightRequest, closer: Closer
    ) -> AsyncExchange:
        """Send a request and wait for status and headers. Raises as `Pool.send`; the caller enforces `first`."""
        check_headers(wire)
        timeout = _timeout_for(options.timeouts, None)
        try:
            with translated(url=wire.url):
                response = await self._receive_head(wire, timeout, in_flight, resend=options.resend)
        except Exception:
            raise
        except BaseException:
            closer.close_later(LostConnections(self._kept.transport))
            raise
        try:
            return AsyncExchange(response, options, wire.url, self._kept, closer=closer)
        except BaseException:
            await closer.close(response)
            raise

    async def _receive_head(
        self, wire: WireRequest, limits: dict[str, float | None], in_flight: InFlightRequest, *, resend: bool
    ) -> httpx.Response:
        """Return the head of the response, as `Pool._receive_head` does."""
        transport = self._kept.transport
        respond: Callable[[httpx.Request], Awaitable[httpx.Response]] = (
            _sender_of(self._client) or transport.handle_async_request
        )
        try:
            for resent in (False, True):
                in_flight.begin(transport, len(wire.body))
                try:
                    return await respond(build_request(self._http, wire, limits, in_flight.notice_async))
                except Exception as error:
                    if resent or not in_flight.was_stale(error, resend_written=resend):
                        raise
        finally:
            in_flight.release()
        raise AssertionError  # the second pass returns or raises

    async def close(self) -> None:
        """Close all connections; a user's own client is left open."""
        if self._owned is not None:
            await self._owned.aclose()


def _transport(kind: Callable[..., Any], http: ModuleType, origin: str, route: Route) -> Any:  # noqa: ANN401
    return kind(**transport_options(http, origin, route))


def _connections_of(make: Callable[[], object] | None, client: Client | None, url: object) -> PooledConnections:
    """Return the connections of a new transport, or of the one that a user's client has for a URL."""
    if make is not None:
        return PooledConnections(make(), owned=True)
    choose = getattr(client, "_transport_for_url", None)
    transport = None if choose is None else choose(url)
    return PooledConnections(transport, owned=False, cookies=getattr(client, "cookies", None))


def _sender_of(client: Client | None) -> Any:  # noqa: ANN401 (a function of the client's)
    """Return the function that sends a request by a user's client; None without such a client."""
    return None if client is None else partial(client.send, stream=True, follow_redirects=False)


_Key = tuple[str, "Route", "tuple[Hashable, ...]"]


class _Pools:
    """A pool for each origin, route and account, made on first use."""

    _kind: Any  # the class of the pools

    def __init__(self, client: Client | None = None) -> None:
        self._client = client
        self._pools: dict[_Key, Any] = {}

    def _pool(self, url: str, route: Route, account: tuple[Hashable, ...], *closer: Closer) -> Any:  # noqa: ANN401 (of that class)
        key = (origin_of(url), route, account)
        if key not in self._pools:
            self._retire(self._surplus_keys(), *closer)
            with translated(url=url):
                self._pools[key] = self._kind(key[0], route, self._client)
        pool = self._pools[key]
        pool.used = perf_counter()
        return pool

    def _surplus_keys(self) -> list[_Key]:
        """Return the keys of the pools to close before another is made: idle ones beyond the maximum, oldest first."""
        if len(self._pools) < _MOST_POOLS:
            return []
        idle = sorted((pool.used, number, key) for number, (key, pool) in enumerate(self._pools.items()) if pool.idle)
        return [key for _, _, key in idle[: len(self._pools) - _MOST_POOLS + 1]]

    def _drop_expired(self, *closer: Closer) -> None:
        """Close the connections that were idle for too long, and drop empty pools."""
        self._retire([key for key, pool in self._pools.items() if not pool.close_expired(*closer)], *closer)

    def _retire(self, keys: Sequence[_Key], *closer: Closer) -> None:
        for key in keys:
            self._pools.pop(key).retire(*closer)


class Pools(_Pools):
    """A pool for each origin, route and account, made on first use; safe to share between threads."""

    _kind = Pool

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

    def prepare(self) -> None:
        """Import what the first request needs, so that no clock runs meanwhile."""
        import_http(self._client, "HTTPTransport")

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


_ASYNC_MODULES = ("anyio", "anyio.to_thread")


class AsyncPools(_Pools):
    """A pool for each origin, route and account, for one event loop."""

    _kind = AsyncPool
    _expiring = False

    def pool(self, url: str, route: Route, account: tuple[Hashable, ...], closer: Closer) -> AsyncPool:
        """Return the pool for a URL's origin; `closer` closes surplus pools."""
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
        self._drop_expired(closer)
        self._expiring = False
        if self._pools:
            self._expire_later(closer)

    def prepare(self) -> None:
        """Import what the first request needs, so that no clock runs meanwhile."""
        import_http(self._client, "AsyncHTTPTransport", *_ASYNC_MODULES)

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
