"""The transport for asyncio: one protocol object for each connection."""

# Theory of operation
# -------------------
#
# asyncio calls the protocol with what it received, at most `_READ` bytes; the protocol feeds the parser at once and
# keeps the body until the reader takes it, all of it in one read. A read that finds nothing waits for a future, which
# the next bytes resolve. Cancelling that wait loses nothing, because nothing is in the future.
#
# Back-pressure. Beyond `_HIGH` bytes that were not read, the protocol stops to receive, and starts again when they are.
#
# Large bodies of requests are written by asyncio in the background, while responses are received; a refusal is seen at
# once, and what was not written spoils the connection.
#
# The end. `connection_lost` is called once for each connection, whatever ends it: the server, `abort` (from any
# thread: the socket is shut down, and the loop notices), the end of the loop. It alone gives the place of a connection
# back that was not idle, so a stream that is collected costs none.

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, cast

from polyglot_core.errors import TransportError
from polyglot_http1.addresses import CONNECTION_ATTEMPT_DELAY, interleaved, literal, socket_options
from polyglot_http1.limits import MOMENT, MOST_IDLE, PLACES
from polyglot_http1.parsing import BrokenResponseError, ResponseParser
from polyglot_http1.requests import head_of, host_and_port
from polyglot_http1.sockets import shut_down, waits
from polyglot_http1.stock import Stock
from polyglot_http1.tls import context_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core.plugin import HTTPRequest, Opening
    from polyglot_http1.addresses import Address

__all__ = ["AsyncTransport"]

_READ = 65_536
"""Bytes of one read."""

_HIGH = 65_536
"""Bytes that are kept for a reader; beyond them, no more are received."""


class AsyncTransport:
    """Connections to one origin, for one asyncio loop.

    Args:
        origin: Scheme, host and port.
        ca: File of trusted certificates in PEM; None for the default ones.
    """

    def __init__(self, origin: str, ca: str | None = None) -> None:
        self._host, self._port = host_and_port(origin)
        self._tls = context_for(ca) if origin.startswith("https:") else None
        self._stock: Stock[AsyncConnection] = Stock(PLACES, MOST_IDLE)
        self._connections: set[AsyncConnection] = set()
        self._buffer = memoryview(bytearray(_READ))  # asyncio fills it and tells so at once: connections can share it

    async def open(self, request: HTTPRequest, opening: Opening) -> AsyncExchange:
        """Send a request and wait for status and headers, as `SyncTransport.open` does."""
        head = head_of(request.method, request.url, request.headers, len(request.body))
        fresh = False
        while True:
            connection = await self._idle_connection(opening, fresh=fresh)
            idle = connection is not None
            connection = connection or await self._connect(opening)
            try:
                opening.send(connection)
                return await connection.request(head, request.body)
            except BaseException as error:
                connection.close()
                if not (idle and connection.was_stale(error, opening)):
                    raise
                fresh = True

    async def _idle_connection(self, opening: Opening, *, fresh: bool) -> AsyncConnection | None:
        """Take a place, as `SyncTransport` does."""
        while True:
            try:
                place = self._stock.take()
            except LookupError:
                place = await self._wait(opening.connect)
            if place is None or (not fresh and place.usable()):
                return place
            place.close()

    async def _wait(self, seconds: float | None) -> AsyncConnection | None:
        waiter = _Waiter()
        self._stock.queue(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter.future
        except BaseException as error:
            if not self._stock.leave(waiter):
                self._stock.give_back(waiter.future.result())
            if isinstance(error, TimeoutError):
                raise TransportError(_ALL_IN_USE, "pool", phase="connect") from None
            raise

    async def _connect(self, opening: Opening) -> AsyncConnection:
        try:
            async with asyncio.timeout(opening.connect):
                addresses = literal(self._host, self._port) or await _resolved(self._host, self._port)
                sock = await _connected(addresses)
                return await self._secured(sock)
        except BaseException:
            self._stock.free()
            raise

    async def _secured(self, sock: socket.socket) -> AsyncConnection:
        """Return the connection over a socket, after the handshake of TLS if there is one."""
        loop = asyncio.get_running_loop()
        host = None if self._tls is None else self._host
        # on Windows it is filled in the background
        buffer = memoryview(bytearray(_READ)) if sys.platform == "win32" else self._buffer
        try:
            _, connection = await loop.create_connection(
                lambda: AsyncConnection(sock, self._connections, buffer),
                sock=sock,
                ssl=self._tls,
                server_hostname=host,
            )
        except BaseException:
            sock.close()
            raise
        connection.belong_to(self._stock)
        return connection

    @property
    def idle(self) -> int:
        """Number of idle connections."""
        return self._stock.idle

    def close_idle(self, seconds: float = 0.0) -> None:
        """Close the connections that have been idle for `seconds` or longer; in the thread of the loop."""
        for connection in self._stock.take_idle(perf_counter() - seconds):
            connection.close()

    def retire(self) -> None:
        """Close the idle connections now, and the others when their responses end."""
        self._stock.close()
        self.close_idle()

    async def close(self) -> None:
        """Close all connections, and let the loop notice."""
        self._stock.close()
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)


_ALL_IN_USE = f"All {PLACES} connections to this origin are in use. Close streams, or use them in an async with block."


class _Waiter:
    """Waits in a task for a place."""

    def __init__(self) -> None:
        self.future: asyncio.Future[AsyncConnection | None] = asyncio.get_running_loop().create_future()

    def grant(self, place: AsyncConnection | None) -> None:
        """Receive a place, in the thread of the loop."""
        if self.future.cancelled():  # the task is about to leave
            self.future = asyncio.get_running_loop().create_future()
        self.future.set_result(place)


class AsyncConnection(asyncio.BufferedProtocol):
    """A connection, which carries one request after the other.

    Attributes:
        idle_since: When it became idle.
    """

    def __init__(self, sock: socket.socket, connections: set[AsyncConnection], buffer: memoryview) -> None:
        self.idle_since = 0.0
        self._socket = sock  # the transport's view of it cannot be shut down with uvloop
        self._process = os.getpid()
        self._connections = connections  # of the transport, which keeps them alive
        self._stock: Stock[AsyncConnection] | None = None
        self._parser = ResponseParser()
        self._buffer = buffer
        self._body: list[bytes] = []
        self._kept = 0  # bytes of them
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._received = self._in_use = self._at_end = False
        self._written_at = 0.0

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (asyncio's)
        """Return the buffer of the next read, which bounds it. It is a view: asyncio slices it."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Feed the parser, and wake the reader."""
        data = bytes(self._buffer[:nbytes])
        if not self._in_use:  # no request was sent
            self._parser.reusable = False
            self._transport.abort()
            return
        self._received = True
        try:
            if body := self._parser.feed(data):
                self._body.append(body)
                self._kept += len(body)
                if self._kept > _HIGH:
                    self._transport.pause_reading()
        except Exception as error:  # noqa: BLE001 (raised by the reader)
            self._fail(error)
        self._wake()

    def eof_received(self) -> None:
        """Accept the end of what the server sends; asyncio then closes the connection."""
        self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Wake the reader, and give the place back."""
        self._end(error)
        self._connections.discard(self)
        stock, self._stock = self._stock, None
        if stock is not None:
            stock.free()

    def _end(self, error: Exception | None) -> None:
        if self._in_use and not self._parser.complete and self._error is None:
            if error is None:
                try:
                    self._parser.end()
                except Exception as cut:  # noqa: BLE001 (raised by the reader)
                    error = cut
            self._error = error
        self._wake()

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._transport.abort()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # Called by the reader

    async def request(self, head: bytes, body: bytes) -> AsyncExchange:
        """Write a request, and wait until the headers of the response are complete."""
        self._parser.start()
        self._received, self._in_use, self._at_end, self._error = False, True, False, None
        self._transport.write(head + body)
        self._written_at = perf_counter()
        while not self._parser.status:
            await self._more()
        return AsyncExchange(self, self._parser.status, self._parser.headers)

    async def _more(self) -> None:
        """Wait for more of the response.

        Raises:
            RuntimeError: Another task waits already.
        """
        if self._error is not None:
            raise self._error
        if self._transport.is_closing():
            raise ConnectionResetError("The connection was closed.")
        if self._waiter is not None:
            raise RuntimeError("The connection is already being read.")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def read(self) -> bytes | None:
        """Return the next bytes of the body, all that were received; None at its end."""
        while not (pieces := self._body):
            if self._parser.complete:
                self._at_end = True
                return None
            self._parser.check()
            await self._more()
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._forget_body()
        return body

    def _forget_body(self) -> None:
        """Drop the body that was kept, and receive again if that was stopped."""
        self._body.clear()
        if self._kept > _HIGH:
            self._transport.resume_reading()
        self._kept = 0

    async def drain(self, seconds: float) -> None:
        """Read the end of a body, which takes at most `seconds`, so that the connection is reusable."""
        with contextlib.suppress(TimeoutError, OSError, BrokenResponseError):
            async with asyncio.timeout(seconds):
                while not self._parser.complete:
                    self._forget_body()
                    await self._more()
                self._forget_body()
                self._at_end = True

    def belong_to(self, stock: Stock[AsyncConnection]) -> None:
        """Give the place back to `stock` when the connection ends."""
        if self._transport.is_closing():
            stock.free()
        else:
            self._stock = stock

    def was_stale(self, error: BaseException, opening: Opening) -> bool:
        """Return whether the connection, which was idle, was being closed as the request was written to it."""
        if opening.ended or self._received or not isinstance(error, (OSError, BrokenResponseError)):
            return False
        return opening.resend and perf_counter() - self._written_at <= MOMENT

    def usable(self) -> bool:
        """Return whether an idle connection can carry a request: it is open, and nothing was received meanwhile."""
        return not self._transport.is_closing() and not waits(self._socket)

    def data_waits(self) -> bool:
        """Return whether bytes were received that were not read."""
        return bool(self._body) or waits(self._socket)

    def from_outside(self) -> tuple[Callable[[], object], Callable[[], bool]]:
        """Return `abort` and `data_waits` without a reference to the connection."""
        return partial(shut_down, self._socket), partial(waits, self._socket)

    def abort(self) -> None:
        """Shut the socket down, from any thread; the loop notices, and a read that waits returns."""
        shut_down(self._socket)

    def release(self) -> None:
        """Become idle if the response is complete and nothing is odd; else close."""
        parser, transport = self._parser, self._transport
        reusable = parser.complete and parser.reusable and self._at_end and self._error is None
        reusable = reusable and not (transport.is_closing() or transport.get_write_buffer_size())
        self._in_use, self.idle_since = False, perf_counter()
        if not (reusable and (stock := self._stock) is not None and stock.keep(self)):
            self.close()

    def close(self) -> None:
        """Close the connection, its socket at once. The loop gives its place back."""
        self._in_use = False
        self._body.clear()
        if self._process == os.getpid():  # after a fork it is the parent's
            shut_down(self._socket)  # the loop may be blocked
        self._transport.abort()


class AsyncExchange:
    """A request that was sent and the response to it.

    Attributes:
        status: HTTP status.
        headers: Header names in lower case; repeated ones joined with a comma.
    """

    def __init__(self, connection: AsyncConnection, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers
        self._connection: AsyncConnection | None = connection
        self.read = connection.read
        self.drain = connection.drain
        self.abort, self.data_waits = connection.from_outside()

    async def close(self, *, reuse: bool) -> None:
        """Close the connection; or make it idle, if it may be used again and the response was read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release() if reuse else connection.close()


async def _resolved(host: str, port: int) -> list[Address]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return interleaved([(family, address) for family, _, _, _, address in found])


async def _connected(addresses: list[Address]) -> socket.socket:
    """Return a socket that is connected to the first address that answers; RFC 8305, section 5.

    Raises:
        OSError: None answered; that of the first.
    """
    if len(addresses) == 1:
        return await _attempt(addresses[0])
    problems: list[BaseException] = []
    attempts: set[asyncio.Task[socket.socket]] = set()
    try:
        for number, address in enumerate(addresses):
            attempts.add(asyncio.create_task(_attempt(address)))
            last = number == len(addresses) - 1
            while attempts:
                delay = None if last else CONNECTION_ATTEMPT_DELAY
                done, _ = await asyncio.wait(attempts, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    attempts.remove(task)  # only now: of two that are done at once, the other one's socket is closed
                    if (problem := task.exception()) is None:
                        return task.result()
                    problems.append(problem)
                if not last:
                    break
    finally:
        for task in attempts:
            task.cancel()
            task.add_done_callback(_discard)
    raise problems[0]


def _discard(task: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an attempt that was not needed."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _attempt(address: Address) -> socket.socket:
    family, place = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in socket_options():
            sock.setsockopt(*option)
        sock.settimeout(0.0)
        await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock
