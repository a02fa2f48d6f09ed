"""Pools of the HTTP client's connections: requests out, exchanges back.

Written against what httpx 0.28 and httpx2 share; which one is imported, and when, is `_http`'s business.
"""

from __future__ import annotations

import atexit
import math
import os
import threading
import weakref
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from polyglot_core._http.exchange import AsyncExchange, Exchange
from polyglot_core._http.httpx_options import Client, build_request, http_of, transport_options
from polyglot_core._http.translate import check_headers, timed_out, translated
from polyglot_core._http.watchdog import Watch
from polyglot_core._values.addresses import origin_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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


# Pools


class SendOptions(NamedTuple):
    """What a request is sent under: the clocks of its call, when they were set, and how large its answer may be."""

    timeouts: Timeouts
    clocks: Clocks
    limits: Limits


def _timeout_for(timeouts: Timeouts, longest: float | None) -> dict[str, float | None]:
    """The client's own timeouts, in seconds, for what happens before there are headers."""
    limits = [limit for limit in (timeouts.connect, longest) if limit is not None and not math.isinf(limit)]
    connect = min(limits, default=None)
    named = {"connect": connect, "read": longest, "write": longest, "pool": connect}
    return {name: None if limit is None else min(limit, LONGEST_WAIT) for name, limit in named.items()}


class Pool:
    """Connections to one origin by one route, sync; or a client of the user's own."""

    def __init__(self, origin: str, route: Route, client: Client | None = None) -> None:
        self._http = http_of(client)
        if client is None:
            self._owned = self._http.HTTPTransport(**transport_options(self._http, origin, route))
            self._respond: Callable[[httpx.Request], httpx.Response] = self._owned.handle_request
        else:
            self._owned = None
            self._respond = partial(client.send, stream=True, follow_redirects=False)
        self._transport: object = self._owned or getattr(client, "_transport", None)
        self._live: weakref.WeakSet[Exchange | InFlightRequest] = weakref.WeakSet()
        self._lock = threading.Lock()  # over the set

    def send(self, wire: WireRequest, options: SendOptions, in_flight: InFlightRequest) -> Exchange:
        """Send a request and wait for status and headers; `in_flight` can end that wait.

        Raises:
            TimedOut: There was no connection, or no answer, in time.
            TransportError: There was no connection, or it broke.
            ConfigError: The address or a header cannot be used.
        """
        check_headers(wire)
        clocks = options.clocks
        clocks.asked = now = perf_counter()
        moment, clock = clocks.due(now)
        timeout = _timeout_for(options.timeouts, None if math.isinf(moment) else max(moment - now, 0.001))
        watch = Watch(in_flight.expire, clocks)  # a head that drips would never exceed the client's own timeout
        self._remember(in_flight)
        response = None
        try:
            with translated(url=wire.url, clock=clock, watch=watch), watch:
                response = self._answered(wire, timeout, in_flight)
            timeout["read"] = None  # from here on the watchdog keeps the clocks
            if watch.fired is not None:  # at the very moment at which the head came
                raise timed_out(watch.fired, phase="headers")  # noqa: TRY301 (the response is to be closed)
            exchange = Exchange(response, clocks, wire.url, options.limits)
            self._remember(exchange)
        except BaseException:  # Ctrl-C, too, must not leave a connection in use for ever
            if response is not None:
                response.close()
            raise
        return exchange

    def _remember(self, under_way: Exchange | InFlightRequest) -> None:
        with self._lock:
            self._live.add(under_way)

    def _answered(
        self, wire: WireRequest, limits: dict[str, float | None], in_flight: InFlightRequest
    ) -> httpx.Response:
        """The head of an answer; a request that went to a dying connection is sent once more."""
        try:
            for resent in (False, True):
                in_flight.begin(self._transport)
                try:
                    return self._respond(build_request(self._http, wire, limits, in_flight.notice))
                except Exception as error:
                    if resent or not in_flight.went_stale(error):
                        raise
        finally:
            in_flight.let_go()
        raise AssertionError  # the second pass returns or raises

    def close(self) -> None:
        """Close all connections, and wake whoever waits for one; a user's own client is left alone.

        A descriptor that is closed under a read leaves it waiting, so the sockets are shut down first.
        """
        if self._owned is None:
            return
        with self._lock:
            under_way = list(self._live)
        for each in under_way:
            each.abort()
        self._owned.close()


class AsyncPool:
    """Connections to one origin by one route, async; or a client of the user's own."""

    def __init__(self, origin: str, route: Route, client: Client | None = None) -> None:
        self._http = http_of(client)
        if client is None:
            self._owned = self._http.AsyncHTTPTransport(**transport_options(self._http, origin, route))
            self._respond: Callable[[httpx.Request], Awaitable[httpx.Response]] = self._owned.handle_async_request
        else:
            self._owned = None
            self._respond = partial(client.send, stream=True, follow_redirects=False)
        self._transport: object = self._owned or getattr(client, "_transport", None)

    async def send(
        self, wire: WireRequest, options: SendOptions, in_flight: InFlightRequest, closer: Closer
    ) -> AsyncExchange:
        """Send a request and wait for status and headers. Raises as `Pool.send`; `first` is the caller's to keep."""
        check_headers(wire)
        timeout = _timeout_for(options.timeouts, None)
        with translated(url=wire.url):
            response = await self._answered(wire, timeout, in_flight)
        try:
            return AsyncExchange(response, options.clocks, wire.url, options.limits, closer)
        except BaseException:
            await closer.close(response)
            raise

    async def _answered(
        self, wire: WireRequest, limits: dict[str, float | None], in_flight: InFlightRequest
    ) -> httpx.Response:
        """As `Pool._answered`."""
        try:
            for resent in (False, True):
                in_flight.begin(self._transport)
                try:
                    return await self._respond(build_request(self._http, wire, limits, in_flight.notice_async))
                except Exception as error:
                    if resent or not in_flight.went_stale(error):
                        raise
        finally:
            in_flight.let_go()
        raise AssertionError  # the second pass returns or raises

    async def close(self) -> None:
        """Close all connections; a user's own client is left alone."""
        if self._owned is not None:
            await self._owned.aclose()


class Pools:
    """A pool for each origin and route, made when first asked for; safe to share between threads."""

    def __init__(self, client: Client | None = None) -> None:
        self._client = client
        self._pools: dict[tuple[str, Route], Pool] = {}
        self._lock = threading.Lock()
        _all_pools.add(self)

    def pool(self, url: str, route: Route) -> Pool:
        """The pool for a URL's origin."""
        key = (origin_of(url), route)
        with self._lock:
            if key not in self._pools:
                with translated(url=url):
                    self._pools[key] = Pool(*key, self._client)
            return self._pools[key]

    def close(self) -> None:
        """Close every pool."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()

    def forget(self) -> None:
        """In a forked child: let the parent's connections go without a word on them."""
        self._lock = threading.Lock()  # the parent's may be held by a thread that is not here
        self._pools = {}


class AsyncPools:
    """A pool for each origin and route, for one event loop."""

    def __init__(self, client: Client | None = None) -> None:
        self._client = client
        self._pools: dict[tuple[str, Route], AsyncPool] = {}

    def pool(self, url: str, route: Route) -> AsyncPool:
        """The pool for a URL's origin."""
        key = (origin_of(url), route)
        if key not in self._pools:
            with translated(url=url):
                self._pools[key] = AsyncPool(*key, self._client)
        return self._pools[key]

    async def close(self) -> None:
        """Close every pool."""
        for pool in self._pools.values():
            await pool.close()
        self._pools.clear()


_all_pools: weakref.WeakSet[Pools] = weakref.WeakSet()
_shared = Pools()
atexit.register(_shared.close)  # idle connections would be warned about when the interpreter goes


def shared_pools() -> Pools:
    """The process's own pools, for inferences that are not used with ``with``."""
    return _shared


def _forget_pools() -> None:
    """A forked child must not write to its parent's sockets."""
    for pools in list(_all_pools):
        pools.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)
