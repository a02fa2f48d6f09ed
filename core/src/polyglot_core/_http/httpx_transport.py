"""The transport of httpx: one client's connections to one origin, sync and async.

Written against what httpx 0.28 and httpx2 share; `httpx_options` decides which one is imported, and when.
"""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from polyglot_core._http.httpx_options import Client, build_request, http_of, transport_options
from polyglot_core._http.httpx_progress import HTTPXProgress
from polyglot_core._http.httpx_replies import AsyncHTTPXReply, HTTPXReply
from polyglot_core._http.pooled import ExpiredConnections, LostConnections, PooledConnections, expired_connections
from polyglot_core._http.translate import interruption_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    import httpx

    from polyglot_core._http.exchange import Closer
    from polyglot_core._http.opening import OpeningState
    from polyglot_core._values.connection import Route
    from polyglot_core._values.transports import HTTPRequest

__all__ = ["AsyncHTTPXTransport", "HTTPXTransport"]


class HTTPXTransport:
    """Connections to one origin by one route, sync; or a client of the user's own."""

    def __init__(self, origin: str, route: Route, client: Client | None = None) -> None:
        self._http = http_of(client)
        kind = self._http.HTTPTransport
        self._make = partial(_transport, kind, self._http, origin, route) if client is None else None
        self._client = client
        self._lock = threading.Lock()  # guards the creation of transports
        self._closed = False
        self._url = self._http.URL(origin)
        self._kept = _connections_of(self._make, client, self._url)

    @property
    def idle(self) -> int:
        """Number of connections, of a transport of our own."""
        return _connections_in(self._kept.transport) if self._make is not None else 0

    def open(self, request: HTTPRequest, opening: OpeningState) -> HTTPXReply:
        """Return the response head. A request written to a connection that was being closed is sent once more."""
        kept = self._current_connections()
        respond: Callable[[httpx.Request], httpx.Response] = _sender_of(self._client) or kept.transport.handle_request
        timeout = _timeout_for(opening)
        resent = False
        while True:
            progress = HTTPXProgress(opening, kept.transport, len(request.body))
            try:
                response = respond(build_request(self._http, request, timeout, progress.notice))
                timeout["read"] = None  # from here on the watchdog enforces the clocks
                return HTTPXReply(response, kept, progress.notice)
            except BaseException as error:
                if not isinstance(error, Exception) or interruption_in(error) is not None:
                    progress.abort()
                    kept.abandon(progress.notice)
                    raise
                if resent or not progress.was_stale(error):
                    raise
                resent = True
            finally:
                progress.release()

    def _current_connections(self) -> PooledConnections:
        """Return the connections, or new ones if an interruption made the former unusable."""
        if self._kept.abandoned and not self._closed:
            with self._lock:
                if self._kept.abandoned:
                    self._kept = _connections_of(self._make, self._client, self._url)
        return self._kept

    def close_idle(self, seconds: float) -> None:  # noqa: ARG002 (the client knows its own expiry)
        """Close the connections that were idle for too long."""
        if self._make is not None and not self._kept.abandoned:
            for connection in expired_connections(self._kept.transport) or ():
                with contextlib.suppress(Exception):
                    connection.close()

    def retire(self) -> None:
        """Close the idle connections, and the others when their exchanges end; a user's client is left open."""
        self._closed = True
        if self._make is not None:
            self._kept.abandon()

    def close(self) -> None:
        """Close all connections; a user's client is left open."""
        self._closed = True
        if self._make is not None and not self._kept.abandoned:
            self._kept.transport.close()


class AsyncHTTPXTransport:
    """Connections to one origin by one route, async; or a client of the user's own."""

    def __init__(self, origin: str, route: Route, closer: Closer, client: Client | None = None) -> None:
        self._http = http_of(client)
        kind = self._http.AsyncHTTPTransport
        make = partial(_transport, kind, self._http, origin, route) if client is None else None
        self._client = client
        self._closer = closer
        self._kept = _connections_of(make, client, self._http.URL(origin))
        self._owned: Any = None if make is None else self._kept.transport

    @property
    def idle(self) -> int:
        """Number of connections, of a transport of our own."""
        return 0 if self._owned is None else _connections_in(self._owned)

    async def open(self, request: HTTPRequest, opening: OpeningState) -> AsyncHTTPXReply:
        """Return the head of the response, as `HTTPXTransport.open` does."""
        transport = self._kept.transport
        respond: Callable[[httpx.Request], Awaitable[httpx.Response]] = (
            _sender_of(self._client) or transport.handle_async_request
        )
        timeout = _timeout_for(opening)
        resent = False
        while True:
            progress = HTTPXProgress(opening, transport, len(request.body))
            try:
                response = await respond(build_request(self._http, request, timeout, progress.notice_async))
            except BaseException as error:
                if not isinstance(error, Exception):
                    self._closer.close_later(LostConnections(transport))
                    raise
                if resent or not progress.was_stale(error):
                    raise
                resent = True
            else:
                timeout["read"] = None  # as above
                return AsyncHTTPXReply(response, self._kept, self._closer)
            finally:
                progress.release()

    def close_idle(self, seconds: float) -> None:  # noqa: ARG002 (the client knows its own expiry)
        """Close the connections that were idle for too long, soon."""
        if self._owned is not None:
            self._closer.close_later(ExpiredConnections(self._owned))

    def retire(self) -> None:
        """Close the connections, which are idle, soon."""
        if self._owned is not None:
            self._closer.close_later(self._owned)

    async def close(self) -> None:
        """Close all connections; a user's own client is left open."""
        if self._owned is not None:
            await self._owned.aclose()


def _connections_in(transport: object) -> int:
    return len(getattr(getattr(transport, "_pool", None), "_connections", ()))


def _timeout_for(opening: OpeningState) -> dict[str, float | None]:
    """Return the client's own timeouts, in seconds, for the phases before the response headers."""
    longest, connect = opening.longest, opening.connect
    return {"connect": connect, "read": longest, "write": longest, "pool": connect}


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
