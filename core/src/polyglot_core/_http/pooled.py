"""Connections in the HTTP client's pools: whether one may carry another request, and which are lost to the pool.

HTTP/1.1 does not number responses. Bytes behind a complete response would be parsed as the response to the next request
on that connection, so a connection that holds any is closed. They may be in the parser's buffer, in the TLS layer, in
the event loop's queue or in the operating system. The client exposes only the last, so this module reads attributes
that httpx 0.28 and httpx2 have in common; a connection that cannot be found there is closed after its response.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from polyglot_core._http.httpx_options import PACKAGES
from polyglot_core._http.watchdog import close_later, has_data, shut_down

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "ExpiredConnections",
    "LeftoverError",
    "LostConnections",
    "PooledConnections",
    "data_waits",
    "expired_connections",
    "h11_connection",
    "holds_unread_bytes",
    "inner_connection",
    "is_reusable",
    "mark_broken",
    "stream_layers",
]


class LeftoverError(Exception):
    """A kept connection holds bytes that were sent before the request."""


# Unread bytes

_WRAPPED = ("_stream", "_httpcore_stream", "_connection")
_DEPTH = 12  # wrappers; a response of a user's own client has five


def _inner(
    outer: object,
    attribute: str,
    passes: Callable[[object], bool] = lambda _: True,
) -> Any:  # noqa: ANN401 (the HTTP client's)
    """Return the first object with `attribute`, from `outer` inwards through wrappers that pass, or None."""
    inner: object = outer
    for _ in range(_DEPTH):
        if inner is not None and not passes(inner):
            return None
        if inner is None or hasattr(inner, attribute):
            return inner
        inner = next((found for name in _WRAPPED if (found := getattr(inner, name, None)) is not None), None)
    return None


def h11_connection(response: Any, *, of_client: bool = False) -> Any:  # noqa: ANN401 (as above)
    """Return the HTTP/1.1 connection of a response; None if it cannot be found.

    Args:
        response: The response.
        of_client: True to find it only if every wrapper around it is the client's: what a wrapper of the user's does
            with the bytes is not known.
    """
    return _inner(response.stream, "_h11_state", _is_of_client if of_client else lambda _: True)


def _is_of_client(layer: object) -> bool:
    return type(layer).__module__.partition(".")[0] in PACKAGES


def inner_connection(connection: object) -> Any:  # noqa: ANN401 (as above)
    """Return what holds the network stream of a connection of the client's pool; None before it is connected."""
    return _inner(connection, "_network_stream")


def is_reusable(response: Any) -> bool:  # noqa: ANN401 (as above)
    """Return whether the connection of a complete response may carry another request: nothing follows the response.

    Transports without sockets, and HTTP/2, whose frames name their request, need no such check.
    """
    if response.extensions.get("network_stream") is None or response.extensions.get("http_version") == b"HTTP/2":
        return True
    try:
        connection = h11_connection(response)
        return connection is not None and not holds_unread_bytes(connection)
    except Exception:  # noqa: BLE001 (another version of the client: what cannot be checked is not used again)
        return False


def mark_broken(response: Any) -> None:  # noqa: ANN401 (as above)
    """Make the client close the connection of a response, where it would keep it because the response is complete.

    A kept connection whose socket is shut down would hold its descriptor until the pool sends another request.
    """
    with contextlib.suppress(Exception):  # another version of the client notices the end when it uses the connection
        connection = h11_connection(response)
        if connection is not None:
            connection._h11_state.send_failed()  # noqa: SLF001


def holds_unread_bytes(connection: Any) -> bool:  # noqa: ANN401 (as above)
    """Return whether an idle HTTP/1.1 connection holds bytes, unread or not sent, or was closed by the server."""
    stream = connection._network_stream  # noqa: SLF001
    return (
        bool(connection._h11_state.trailing_data[0])  # noqa: SLF001
        or any(_decrypts(layer) for layer in _tls_layers(stream))
        or bool(_queue_of(stream))
        or _has_unsent(stream)
        or bool(stream.get_extra_info("is_readable"))
    )


def data_waits(stream: object, sock: object) -> bool:
    """Return whether bytes of a response wait that its reader has not taken: in its socket, or in the loop's queue."""
    return has_data(sock) or bool(_queue_of(stream))


def stream_layers(stream: object) -> Iterator[Any]:
    """Yield the event loop's streams below the client's, from the innermost protocol outwards: TLS first, then TCP."""
    layer = getattr(stream, "_stream", None)
    while layer is not None:
        yield layer
        layer = getattr(layer, "transport_stream", None)


def _tls_layers(stream: Any) -> Iterator[Any]:  # noqa: ANN401 (as above)
    """Yield the TLS objects of a stream: with TLS through a TLS proxy there are two."""
    yield stream.get_extra_info("ssl_object")
    yield stream.get_extra_info("socket")
    for layer in stream_layers(stream):
        yield getattr(layer, "_ssl_object", None)


def _decrypts(tls: Any) -> bool:  # noqa: ANN401 (as above)
    """Return whether a TLS layer holds bytes; one that reads from memory may hold more than it counts."""
    if tls is None:
        return False
    import ssl  # noqa: PLC0415 (there is a connection, so it is imported already)

    if not isinstance(tls, ssl.SSLObject):
        return bool(getattr(tls, "pending", int)())
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except (OSError, ValueError):
        return True  # it is broken or closed
    return True


def _queue_of(stream: object) -> object:
    """Return asyncio's queue of received bytes, as anyio keeps it; empty for trio and for threads."""
    for layer in stream_layers(stream):
        if queue := getattr(getattr(layer, "_protocol", None), "read_queue", None):
            return queue
    return ()


def _has_unsent(stream: object) -> bool:
    """Return whether asyncio's transport holds a part of a body that its server refused."""
    transports = (getattr(layer, "_transport", None) for layer in stream_layers(stream))
    return any(transport is not None and transport.get_write_buffer_size() for transport in transports)


# Lost connections


class PooledConnections:
    """The connections of one transport of the client's, until they are abandoned.

    An interruption may leave the client's lists, or the locks of its connections, in any state. Our own transport is
    then replaced; the pool of a user's client is cleaned up.

    Attributes:
        transport: The client's transport; None if a user's client has none.
        abandoned: Whether the connections must not be used again.
    """

    def __init__(
        self,
        transport: Any,  # noqa: ANN401 (the HTTP client's)
        *,
        owned: bool,
        cookies: object = None,
    ) -> None:
        self.transport: Any = transport
        self.abandoned = False
        self._owned = owned
        _replace_lock(transport)
        if owned:
            _assign_one_to_one(transport)
        self._locks = [
            getattr(getattr(transport, "_pool", None), "_optional_thread_lock", None),
            getattr(getattr(cookies, "jar", None), "_cookies_lock", None),  # of a user's client
        ]

    def abandon(self, trace: object = None) -> None:
        """Stop using these connections; requests in flight in other threads continue to their end.

        `trace` is the extension of the interrupted request. In a user's client that request is removed and the idle
        connections are closed, because one of them may be left with its lock held.
        """
        for lock in self._locks:
            _release(lock)
        if not self._owned:
            _clean_up(self.transport, trace)
        else:
            self.abandoned = True
            close_later(partial(_close_idle, self.transport))


def _release(lock: Any) -> None:  # noqa: ANN401 (as above)
    """Release a reentrant lock that this thread held when it was interrupted; other locks do not know their owner."""
    while hasattr(lock, "_is_owned") and lock._is_owned():  # noqa: SLF001 (`threading.Condition` uses it too)
        lock.release()


def _replace_lock(transport: object) -> None:
    """Give a transport's pool a lock that an interruption cannot leave held.

    The client's is a class in Python: an interruption between the acquiring of the lock within `__enter__` and the
    ``with`` that called it leaves the lock held. The interpreter runs no signal handler there if `__enter__` is in C.
    """
    pool = getattr(transport, "_pool", None)
    lock = getattr(pool, "_optional_thread_lock", None)
    if type(lock).__name__ == "ThreadLock":  # not that of async pools, which does nothing
        with lock:  # type: ignore[union-attr]  # found by its name
            pool._optional_thread_lock = threading.RLock()  # type: ignore[union-attr]  # noqa: SLF001 (as above)


def _assign_one_to_one(transport: object) -> None:
    """Make the pool of a transport of our own assign an idle connection to one request only.

    That of httpx 0.28 assigns it to every request that waits until the first of them has begun, and looks through all
    connections for each. All others are refused by the connection and wait again, so the time of a burst grows with
    the square of its size. Only pools of HTTP/1.1 without a maximum are changed, which is how ours are made.
    """
    pool: Any = getattr(transport, "_pool", None)
    if all(hasattr(pool, name) for name in _OF_POOLS) and not pool._http2 and pool._max_connections == sys.maxsize:  # noqa: SLF001 (as above)
        pool._assign_requests_to_connections = partial(_assign, weakref.proxy(pool))  # noqa: SLF001 (as above)


def _assign(pool: Any) -> list[Any]:  # noqa: ANN401 (as above)
    """Assign a connection of its own to each waiting request, and return the connections to close.

    It is called under the pool's lock, when a request is added or removed. Whether an idle connection has expired is
    checked when it is assigned: the check asks the operating system. `expired_connections` closes the others.
    """
    idle = deque(_unassigned(pool))
    closing = []
    for request in pool._requests:  # noqa: SLF001 (as above)
        if not request.is_queued():
            continue
        while idle and idle[0].has_expired():
            closing.append(idle.popleft())
        if idle:
            request.assign_to_connection(idle.popleft())
        else:
            connection = pool.create_connection(request.request.url.origin)
            pool._connections.append(connection)  # noqa: SLF001 (as above)
            request.assign_to_connection(connection)
    while len(idle) > pool._max_keepalive_connections:  # noqa: SLF001 (as above)
        closing.append(idle.popleft())
    for connection in closing:
        pool._connections.remove(connection)  # noqa: SLF001 (as above)
    return closing


def _unassigned(pool: Any) -> list[Any]:  # noqa: ANN401 (as above)
    """Remove the closed connections of a pool, and return the idle ones that are assigned to no request."""
    for connection in [connection for connection in pool._connections if connection.is_closed()]:  # noqa: SLF001
        pool._connections.remove(connection)  # noqa: SLF001 (as above)
    assigned = {request.connection for request in pool._requests}  # noqa: SLF001 (as above)
    return [
        connection
        for connection in pool._connections  # noqa: SLF001 (as above)
        if connection not in assigned and connection.is_idle()
    ]


_OF_POOLS = (
    "_assign_requests_to_connections",
    "_connections",
    "_http2",
    "_max_connections",
    "_max_keepalive_connections",
    "_requests",
    "create_connection",
)


def _close_idle(transport: object) -> None:
    """Close the connections of an abandoned transport, without its lock, except those in use."""
    pool = getattr(transport, "_pool", None)
    lost = _lost_connections(pool) if hasattr(pool, "_requests") else []
    for connection in list(getattr(pool, "_connections", ())):
        with contextlib.suppress(Exception):
            if connection.is_idle() or connection in lost:
                if (inner := inner_connection(connection)) is not None:
                    shut_down(inner._network_stream.get_extra_info("socket"))  # noqa: SLF001
                connection.close()


def _lost_connections(pool: Any) -> list[Any]:  # noqa: ANN401 (as above)
    """Return the connections of a pool that are neither idle nor closed, though no request is assigned to them.

    An interruption or a cancellation leaves them; the client would count them as in use for ever.
    """
    connections = list(pool._connections)  # noqa: SLF001
    in_use = {request.connection for request in list(pool._requests)}  # noqa: SLF001 (of later ones, or one is missed)
    return [
        connection
        for connection in connections
        if not (connection in in_use or connection.is_idle() or connection.is_closed())
    ]


def expired_connections(transport: Any) -> list[Any] | None:  # noqa: ANN401 (as above)
    """Remove the connections that were idle for too long from a transport's pool, and return them to be closed.

    Return None if the pool is empty then. The client does this itself only when it sends the next request.
    """
    pool: Any = getattr(transport, "_pool", None)
    if not hasattr(pool, "_assign_requests_to_connections"):
        return []
    with getattr(pool, "_optional_thread_lock", None) or contextlib.nullcontext():
        expired = [connection for connection in _unassigned(pool) if connection.has_expired()]
        for connection in expired:
            pool._connections.remove(connection)  # noqa: SLF001 (as above)
        expired += pool._assign_requests_to_connections()  # noqa: SLF001 (as above)
        empty = not (expired or pool._connections or pool._requests)  # noqa: SLF001 (as above)
    return None if empty else expired


class ExpiredConnections:
    """The expired connections of an async transport; a `Closer` closes them as it closes a response."""

    def __init__(self, transport: object) -> None:
        self._transport = transport

    async def aclose(self) -> None:
        """Close the connections."""
        for connection in expired_connections(self._transport) or ():
            await connection.aclose()


def _clean_up(transport: object, trace: object) -> None:
    """Remove what an interruption may have left in the pool of a user's sync client, under the replaced lock."""
    pool: Any = getattr(transport, "_pool", None)
    if not isinstance(getattr(pool, "_optional_thread_lock", None), _REENTRANT):
        return
    with pool._optional_thread_lock:  # noqa: SLF001 (as above)
        for request in list(pool._requests):  # noqa: SLF001 (as above)
            if trace is not None and request.request.extensions.get("trace") == trace:
                pool._requests.remove(request)  # noqa: SLF001 (as above)
        in_use = [request.connection for request in pool._requests]  # noqa: SLF001 (as above)
        lost = [connection for connection in pool._connections if connection not in in_use]  # noqa: SLF001 (as above)
        pool._connections = [connection for connection in pool._connections if connection in in_use]  # noqa: SLF001
        closing = pool._assign_requests_to_connections()  # noqa: SLF001 (as above)
    with contextlib.suppress(Exception):
        for connection in (*lost, *closing):
            connection.close()


_REENTRANT = type(threading.RLock())


class LostConnections:
    """What a cancellation has left in an async client's pool; a `Closer` closes it as it closes a response."""

    def __init__(self, transport: object, response: Any = None) -> None:  # noqa: ANN401 (the HTTP client's)
        self._pool: Any = getattr(transport, "_pool", None)
        self._response = response

    async def aclose(self) -> None:
        """Close the lost connections, and assign connections to the waiting requests."""
        if not hasattr(self._pool, "_requests"):
            return
        stream = None if self._response is None else _inner(self._response.stream, "_pool_request")
        if stream is not None and stream._pool_request in self._pool._requests:  # noqa: SLF001 (closing was cancelled)
            self._pool._requests.remove(stream._pool_request)  # noqa: SLF001 (as above)
        orphans = _lost_connections(self._pool)
        for connection in orphans:  # closing does nothing to one that is not connected
            self._pool._connections.remove(connection)  # noqa: SLF001 (as above)
        for connection in orphans:
            await connection.aclose()
        await self._pool._close_connections(self._pool._assign_requests_to_connections())  # noqa: SLF001 (as above)
