"""The transport for threads: blocking sockets."""

# Theory of operation
# -------------------
#
# A socket is in blocking mode while a response is read, so a read is one system call, which no clock bounds: core's
# watchdog shuts the socket down when a clock runs out, and `abort` does the same for `close()` of the stream, from any
# thread. The read then returns, with an error or as at the end of the connection. Before there is a socket, `Opening`
# shows whether the call has ended: the resolving of a name is left behind in its thread, and attempts to connect check
# it after every `_SLICE`.
#
# A connection belongs to one call at a time. When its response is complete and nothing is odd it becomes idle; else it
# is closed. Any exception closes it, also Ctrl-C between any two instructions, and there is no list in which it would
# stay: a connection without a reference is closed when it is collected, and gives its place back.

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import ssl
import threading
from collections import deque
from functools import partial
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING

from polyglot_core.errors import TransportError
from polyglot_http1.addresses import CONNECTION_ATTEMPT_DELAY, interleaved, literal, socket_options
from polyglot_http1.limits import MOMENT, MOST_IDLE, PLACES
from polyglot_http1.parsing import BrokenResponseError, ResponseParser
from polyglot_http1.requests import head_of, host_and_port
from polyglot_http1.sockets import readable, shut_down, waits
from polyglot_http1.stock import Stock
from polyglot_http1.tls import context_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyglot_core.plugin import HTTPRequest, Opening
    from polyglot_http1.addresses import Address

__all__ = ["SyncTransport"]

_READ = 65_536
"""Bytes of one read."""

_LARGE = 65_536
"""Bytes of a body that is not joined with its head, and during whose writing a response is looked for."""

_SLICE = 0.05
"""Seconds after which an attempt to connect looks whether its call has ended."""


class SyncTransport:
    """Connections to one origin, for threads.

    Args:
        origin: Scheme, host and port.
        ca: File of trusted certificates in PEM; None for the default ones.
    """

    def __init__(self, origin: str, ca: str | None = None) -> None:
        self._host, self._port = host_and_port(origin)
        self._tls = context_for(ca) if origin.startswith("https:") else None
        self._stock: Stock[SyncConnection] = Stock(PLACES, MOST_IDLE)

    def open(self, request: HTTPRequest, opening: Opening) -> SyncExchange:
        """Send a request and wait for status and headers.

        A request that was written to an idle connection which the server was closing is sent once more.

        Raises:
            OSError: The connection could not be opened, or broke.
            TimeoutError: It could not be opened in time.
            BrokenResponseError: What was received is not a response.
            LimitExceeded: Its headers are too large.
        """
        head = head_of(request.method, request.url, request.headers, len(request.body))
        fresh = False
        while True:
            connection = self._idle_connection(opening, fresh=fresh)
            idle = connection is not None
            connection = connection or self._connect(opening)
            try:
                opening.send(connection)
                return connection.request(head, request.body)
            except BaseException as error:
                connection.close()
                if not (idle and connection.was_stale(error, opening)):
                    raise
                fresh = True

    def _idle_connection(self, opening: Opening, *, fresh: bool) -> SyncConnection | None:
        """Take a place; return its idle connection, or None if it is a free slot, which it is if `fresh`.

        Raises:
            TransportError: All connections are in use for as long as a connection may take to open.
        """
        while True:
            try:
                place = self._stock.take()
            except LookupError:
                place = _Waiter(self._stock).wait(opening)
            if place is None or (not fresh and place.usable()):
                return place
            place.close()  # gives a slot back

    def _connect(self, opening: Opening) -> SyncConnection:
        deadline = None if opening.connect is None else perf_counter() + opening.connect
        try:
            addresses = literal(self._host, self._port) or _resolved(self._host, self._port, deadline, opening)
            sock = _connected(addresses, deadline, opening)
            if self._tls is not None:
                sock = _secured(sock, self._tls, self._host, deadline, opening)
            return SyncConnection(sock, self._stock)
        except BaseException:
            self._stock.free()
            raise

    @property
    def idle(self) -> int:
        """Number of idle connections."""
        return self._stock.idle

    def close_idle(self, seconds: float = 0.0) -> None:
        """Close the connections that have been idle for `seconds` or longer."""
        for connection in self._stock.take_idle(perf_counter() - seconds):
            connection.close()

    def retire(self) -> None:
        """Close the idle connections now, and the others when their responses end."""
        self._stock.close()
        self.close_idle()

    def close(self) -> None:
        """Close the idle connections. Those in use have been shut down, and their readers close them."""
        self.retire()


class SyncConnection:
    """A connection, which carries one request after the other.

    Attributes:
        idle_since: When it became idle.
    """

    def __init__(self, sock: socket.socket, stock: Stock[SyncConnection]) -> None:
        self.idle_since = 0.0
        self._socket = sock
        self._stock: Stock[SyncConnection] | None = stock  # to which the place is given back, once
        self._parser = ResponseParser()
        self._process = os.getpid()
        self._written_at = 0.0
        self._early = b""  # body that was received with the head
        self._received = False  # anything of the current response
        self._odd = False  # a part of the request was not written
        self._at_end = False  # the response was read to its end

    def request(self, head: bytes, body: bytes) -> SyncExchange:
        """Write a request, and read until the headers of the response are complete."""
        self._parser.start()
        self._written_at, self._early, self._received, self._at_end = 0.0, b"", False, False
        try:
            self._write(head, body)
        except OSError:
            self._odd = True
            if not self._read_refusal():
                raise
        self._written_at = perf_counter()
        parser = self._parser
        while not parser.status:
            self._early += self._feed(self._socket.recv(_READ))
        return SyncExchange(self, parser.status, parser.headers)

    def _feed(self, data: bytes) -> bytes:
        if not data:
            self._parser.end()
            return b""
        self._received = True
        return self._parser.feed(data)

    def bodies(self) -> Iterator[bytes]:
        """Yield the body, for each read all that it brought. A generator, because it has one reader at a time."""
        if self._early:
            early, self._early = self._early, b""
            yield early
        parser, receive = self._parser, self._socket.recv
        while not parser.complete:
            parser.check()
            if not (data := receive(_READ)):
                parser.end()
            elif body := parser.feed(data):
                yield body
        self._at_end = True

    def drain(self, seconds: float) -> None:
        """Read the end of a body, which takes at most `seconds`, so that the connection is reusable."""
        deadline = perf_counter() + seconds
        try:
            while not self._parser.complete and (left := deadline - perf_counter()) > 0:
                self._socket.settimeout(left)
                self._feed(self._socket.recv(_READ))
            self._at_end = True
        except (OSError, BrokenResponseError):  # not in time, or odd: it is closed
            return
        finally:
            with contextlib.suppress(OSError):
                self._socket.settimeout(None)

    def _write(self, head: bytes, body: bytes) -> None:
        if len(body) <= _LARGE:
            self._socket.sendall(head + body)
            return
        self._socket.settimeout(0.0)
        try:
            self._write_large(memoryview(head + body))
        finally:
            self._socket.settimeout(None)

    def _write_large(self, left: memoryview) -> None:
        """Write a large body until it is refused: a server may respond before it has read it all, and read no more."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while left:
                for _, events in selector.select():
                    if events & selectors.EVENT_READ and self._read_early():
                        self._odd = True
                        return
                    if events & selectors.EVENT_WRITE:
                        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                            left = left[self._socket.send(left[:_LARGE]) :]

    def _read_early(self) -> bool:
        """Read while a request is being written. Return True if no more of it is wanted."""
        try:
            data = self._socket.recv(_READ)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return False
        self._early += self._feed(data)
        return self._parser.status >= _REFUSED or self._parser.complete

    def _read_refusal(self) -> bool:
        """Return whether a server that closed the connection during the writing had responded."""
        with contextlib.suppress(OSError, BrokenResponseError):
            while not self._parser.status and (data := self._socket.recv(_READ)):
                self._early += self._feed(data)
        return bool(self._parser.status)

    def was_stale(self, error: BaseException, opening: Opening) -> bool:
        """Return whether the connection, which was idle, was being closed as the request was written to it."""
        if opening.ended or self._received or not isinstance(error, (OSError, BrokenResponseError)):
            return False
        if self._written_at and not opening.resend:
            return False
        return not self._written_at or perf_counter() - self._written_at <= MOMENT

    def usable(self) -> bool:
        """Return whether an idle connection can carry a request: it is open, and nothing was received meanwhile."""
        pending = getattr(self._socket, "pending", None)
        try:
            return self._process == os.getpid() and not (pending and pending()) and not readable(self._socket, 0.0)
        except (OSError, ValueError):
            return False

    def data_waits(self) -> bool:
        """Return whether bytes were received that were not read."""
        return waits(self._socket)

    def from_outside(self) -> tuple[Callable[[], object], Callable[[], bool]]:
        """Return `abort` and `data_waits` without a reference to the connection, which is closed if collected."""
        return partial(shut_down, self._socket), partial(waits, self._socket)

    def abort(self) -> None:
        """Shut the socket down, from any thread; a read that waits returns at once."""
        if self._process == os.getpid():  # after a fork it is the parent's
            shut_down(self._socket)

    def release(self) -> None:
        """Become idle if the response is complete and nothing is odd; else close."""
        parser = self._parser
        reusable = parser.complete and parser.reusable and self._at_end and not self._odd
        self.idle_since = perf_counter()
        if not (reusable and (stock := self._stock) is not None and stock.keep(self)):
            self.close()

    def close(self) -> None:
        """Close the connection, and give its place back."""
        stock, self._stock = self._stock, None
        try:
            self.abort()
            self._socket.close()
        finally:
            if stock is not None:
                stock.free()

    def __del__(self) -> None:
        if getattr(self, "_stock", None) is not None:
            self.close()


_REFUSED = 300  # the lowest status by which a server refuses a request


class SyncExchange:
    """A request that was sent and the response to it.

    Attributes:
        status: HTTP status.
        headers: Header names in lower case; repeated ones joined with a comma.
    """

    def __init__(self, connection: SyncConnection, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers
        self._connection: SyncConnection | None = connection
        self.read = partial(next, connection.bodies(), None)
        self.drain = connection.drain
        self.abort, self.data_waits = connection.from_outside()

    def close(self, *, reuse: bool) -> None:
        """Close the connection; or make it idle, if it may be used again and the response was read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release() if reuse else connection.close()


class _Waiter:
    """Waits in a thread for a place."""

    def __init__(self, stock: Stock[SyncConnection]) -> None:
        self._stock = stock
        self._granted: SimpleQueue[SyncConnection | _Ended | None] = SimpleQueue()

    def grant(self, place: SyncConnection | None) -> None:
        """Receive a place, in the thread that gives it."""
        self._granted.put(place)

    def wait(self, opening: Opening) -> SyncConnection | None:
        """Return the place.

        Raises:
            TransportError: No place was given back in time.
        """
        opening.on_abort(lambda: self._granted.put(_ENDED))
        self._stock.queue(self)
        try:
            granted = self._granted.get(timeout=opening.connect)
        except BaseException as error:
            self._leave()
            if isinstance(error, Empty):
                raise TransportError(_ALL_IN_USE, "pool", phase="connect") from None
            raise
        if isinstance(granted, _Ended):
            self._leave()
            raise _ended()
        return granted

    def _leave(self) -> None:
        """Stop waiting, and give a place back that was granted meanwhile."""
        if not self._stock.leave(self):
            while isinstance(place := self._granted.get(), _Ended):
                pass
            self._stock.give_back(place)


class _Ended:
    """What ends a wait in place of a result."""


_ENDED = _Ended()
_ALL_IN_USE = f"All {PLACES} connections to this origin are in use. Close streams, or use them in a with block."


def _ended() -> OSError:
    return ConnectionAbortedError(errno.ECONNABORTED, "The call has ended.")


def _resolved(host: str, port: int, deadline: float | None, opening: Opening) -> list[Address]:
    """Return the addresses of a host. A thread asks the system, which cannot be interrupted; it may be left behind."""
    results: SimpleQueue[list[Address] | OSError | UnicodeError | _Ended] = SimpleQueue()
    opening.on_abort(lambda: results.put(_ENDED))
    threading.Thread(target=_resolve, args=(host, port, results), name="polyglot-dns", daemon=True).start()
    try:
        result = results.get(timeout=_left(deadline))
    except Empty:
        raise TimeoutError from None
    if isinstance(result, _Ended):
        raise _ended()
    if isinstance(result, Exception):
        raise result
    return interleaved(result)


def _resolve(host: str, port: int, results: SimpleQueue[list[Address] | OSError | UnicodeError | _Ended]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        results.put(error)
    else:
        results.put([(family, address) for family, _, _, _, address in found])


def _left(deadline: float | None) -> float | None:
    """Return the seconds until a deadline.

    Raises:
        TimeoutError: It is over.
    """
    if deadline is None:
        return None
    if (left := deadline - perf_counter()) <= 0:
        raise TimeoutError
    return left


def _connected(addresses: list[Address], deadline: float | None, opening: Opening) -> socket.socket:
    """Return a socket that is connected to the first address that answers; RFC 8305, section 5.

    Raises:
        OSError: None answered; that of the first.
    """
    queue = deque(addresses)
    problems: list[OSError] = []
    next_at = 0.0
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as losers:
        while queue or selector.get_map():
            now = perf_counter()
            if queue and (now >= next_at or not selector.get_map()):
                next_at = now + CONNECTION_ATTEMPT_DELAY
                if (sock := _begun(queue.popleft(), problems)) is not None:
                    losers.callback(sock.close)
                    selector.register(sock, selectors.EVENT_WRITE, sock)
            if opening.ended:
                raise _ended()
            for key, _ in selector.select(min(_SLICE, _left(deadline) or _SLICE)):
                selector.unregister(key.data)
                if not (code := key.data.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                    return _kept(key.data)
                problems.append(OSError(code, os.strerror(code)))
                next_at = 0.0
    raise problems[0] if problems else OSError(errno.EADDRNOTAVAIL, "The host has no address.")


def _begun(address: Address, problems: list[OSError]) -> socket.socket | None:
    """Return a socket that is being connected to an address; None if that failed at once."""
    family, place = address
    sock = None
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        for option in socket_options():
            sock.setsockopt(*option)
        sock.settimeout(0.0)
        code = sock.connect_ex(place)
        if code in _UNDER_WAY:
            return sock
        raise OSError(code, os.strerror(code))  # noqa: TRY301 (one handler for what fails here)
    except OSError as error:
        problems.append(error)
        if sock is not None:
            sock.close()
        return None
    except BaseException:
        if sock is not None:
            sock.close()
        raise


_UNDER_WAY = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY})


def _kept(sock: socket.socket) -> socket.socket:
    """Return a socket in blocking mode that a stack would close, under another object."""
    kept = socket.socket(fileno=sock.detach())
    kept.settimeout(None)
    return kept


def _secured(
    sock: socket.socket, context: ssl.SSLContext, host: str, deadline: float | None, opening: Opening
) -> ssl.SSLSocket:
    """Return a TLS socket over a connected one, after the handshake.

    Raises:
        OSError: The handshake failed.
    """
    tls = None
    try:
        sock.settimeout(_left(deadline))
        tls = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        opening.on_abort(lambda: shut_down(tls))
        tls.do_handshake()
        tls.settimeout(None)
    except BaseException:
        (tls or sock).close()
        raise
    return tls
