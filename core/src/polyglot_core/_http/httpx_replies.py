"""The responses of an httpx client: what reads their bodies, and returns or closes their connections."""

# Theory of operation
# -------------------
#
# **When a connection is returned.** Only after a complete response, and only if nothing follows it: in the parser, in
# the TLS layer, in the loop's queue or in the socket. `pooled.is_reusable` checks all four, and `close` shuts the
# socket down if the check fails, before the client could put the connection back. The check is made once more when the
# next request is written, on the connection that the client has chosen (`HTTPXProgress._check_kept`).
#
# **Interruptions.** After one, the client's lists may disagree and a lock of one of its connections may be held. So a
# pool in which a sync call was interrupted is abandoned, and the next call makes another; the pool of a user's client
# cannot be replaced and is cleaned up instead (`pooled.PooledConnections`). In async code cancellations are routine and
# happen only at an `await`; there the lost connections are found and closed, and the pool stays
# (`pooled.LostConnections`).
#
# **Collection.** The sync client's generator closes itself when it is collected, and takes the pool's lock to do so;
# the garbage collector may run it in a thread that holds that lock, and an interruption raised there is swallowed. So
# the generator must never be garbage, and no Python code of ours may run where the reply is collected. `_held` keeps
# the generator alive, keyed by a number. A weak reference whose callback is a method written in C (`SimpleQueue.put`)
# hands the closing to the watchdog's thread, which holds no lock and receives no signals. `abort` and `data_waits`
# refer to the socket alone, so that the watch of an exchange does not keep its reply alive.

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
import sys
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from polyglot_core._http.httpx_chunks import joined, joined_async
from polyglot_core._http.pooled import LostConnections, data_waits, is_reusable, mark_broken
from polyglot_core._http.watchdog import on_collect, shut_down

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    import httpx

    from polyglot_core._http.exchange import Closer
    from polyglot_core._http.pooled import PooledConnections
    from polyglot_core._http.watchdog import CollectHook

__all__ = ["AsyncHTTPXReply", "HTTPXReply"]


def _socket_of(response: httpx.Response) -> object | None:
    """Return the socket below a response, or None if a client's own transport has none."""
    stream = response.extensions.get("network_stream")
    return None if stream is None else stream.get_extra_info("socket")


@contextlib.contextmanager
def _impatient(sock: object, seconds: float) -> Generator[bool]:
    """Bound every receive on this socket by `seconds`; yield False if the platform has no such bound.

    The operating system's bound is used, because the client sets Python's timeout at each read.
    """
    if not isinstance(sock, socket.socket) or sys.platform == "win32":
        yield False
        return
    microseconds = int(seconds * 1_000_000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, microseconds))
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))


class _HTTPXReply:
    """What both kinds share: a response and its socket."""

    def __init__(self, response: httpx.Response, kept: PooledConnections) -> None:
        self.status: int = response.status_code
        self.headers = response.headers
        self._response = response
        self._kept = kept
        self._process = os.getpid()
        self._socket = _socket_of(response)
        self.abort: Callable[[], object] = partial(shut_down, self._socket)
        self.data_waits = partial(data_waits, response.extensions.get("network_stream"), self._socket)

    def _release(self, *, reuse: bool) -> bool:
        """Return whether the connection may carry another call; else shut its socket down, and have it closed."""
        reuse = reuse and not self._kept.abandoned and is_reusable(self._response)
        if not reuse and self._process == os.getpid():  # after a fork it is the parent's
            self.abort()
            mark_broken(self._response)
        return reuse


_held: dict[int, tuple[CollectHook, Iterator[bytes]]] = {}
"""What closes responses whose reply is collected, and the client's generators over them.

The client's generator closes itself when it is collected, under a lock that the thread in which the garbage collector
runs may hold already. So it must never be garbage: the watchdog's thread, which holds no lock, closes the response.
"""

_numbers = itertools.count()  # of exchanges; an id would be used again


def _close_held(number: int, response: httpx.Response, sock: object, process: int) -> None:
    """Close the response of a reply that was collected before the end of its body, and the socket."""
    if process == os.getpid():
        shut_down(sock)
        response.close()
    _held.pop(number, None)


class HTTPXReply(_HTTPXReply):
    """A response of a sync client."""

    def __init__(self, response: httpx.Response, kept: PooledConnections, trace: object) -> None:
        super().__init__(response, kept)
        stream: Iterator[bytes] = iter(response.stream)  # type: ignore[arg-type]  # a sync transport's stream is sync
        self._pieces = joined(stream, response)
        self.read = partial(next, self._pieces, None)
        self._trace = trace
        self._number = number = next(_numbers)
        close = partial(_close_held, number, response, self._socket, os.getpid())
        _held[number] = on_collect(self, close), self._pieces

    def drain(self, seconds: float) -> None:
        """Read the rest of the body, for about `seconds` at most."""
        deadline = perf_counter() + seconds
        with contextlib.suppress(Exception), _impatient(self._socket, seconds) as bounded:
            while bounded and perf_counter() < deadline and self.read() is not None:
                pass

    def close(self, *, reuse: bool) -> None:
        """Return the connection to the client's pool, or close it if the body was not read to its end."""
        keeps = False
        try:
            with contextlib.suppress(Exception):
                keeps = self._release(reuse=reuse)
                self._response.close()
        except BaseException:
            reuse = False
            raise
        finally:
            _held.pop(self._number, None)
            if not reuse or (keeps and self._kept.abandoned):  # meanwhile: the connection is idle in a lost pool
                self._kept.abandon(self._trace)


class AsyncHTTPXReply(_HTTPXReply):
    """A response of an async client."""

    def __init__(self, response: httpx.Response, kept: PooledConnections, closer: Closer) -> None:
        super().__init__(response, kept)
        stream: AsyncIterator[bytes] = aiter(response.stream)  # type: ignore[arg-type]  # as above, async
        self._pieces = joined_async(stream, response)
        self.read = partial(anext, self._pieces, None)
        self._closer = closer
        self._closed = self._cut = False

    async def drain(self, seconds: float) -> None:
        """Read the rest of the body, for `seconds` at most."""
        import anyio  # noqa: PLC0415 (an event loop runs, so it is imported already)

        with anyio.move_on_after(seconds) as scope, contextlib.suppress(Exception):
            while await self.read() is not None:
                pass
        self._cut = scope.cancelled_caught

    async def close(self, *, reuse: bool) -> None:
        """Return the connection to the client's pool, or close it if the body was not read to its end."""
        self._closed = True
        reuse = reuse and not self._cut
        self._release(reuse=reuse)
        try:
            await self._closer.close(self._response)
        finally:
            if not reuse:
                self._closer.close_later(LostConnections(self._kept.transport, self._response))

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            with contextlib.suppress(Exception):  # the loop may be closed; the socket is shut down anyway
                self._closer.close_later(self._response)
