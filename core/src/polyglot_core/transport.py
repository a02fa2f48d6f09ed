"""The only module that knows the HTTP client: requests out, exchanges back, its exceptions translated at one seam.

Written against what httpx 0.28 and httpx2 share; which one is imported, and when, is `_http`'s business. Bodies are
read raw and inflated here with a bound, because httpx 0.28 turns 336 bytes into 104 MB.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import math
import os
import socket
import struct
import sys
import threading
import weakref
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

from polyglot_core.errors import ConfigError, LimitExceeded, PolyglotError, StreamError, TimedOut, TransportError
from polyglot_core.inflating import inflater_for
from polyglot_core.watchdog import Watch, shut_down
from polyglot_core.wire import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
    from types import ModuleType

    import httpx

    from polyglot_core.clocks import Clocks
    from polyglot_core.connection import Limits, Route, Timeouts
    from polyglot_core.opening import Opening
    from polyglot_core.wire import WireRequest

__all__ = [
    "AsyncExchange",
    "AsyncPool",
    "AsyncPools",
    "Client",
    "Exchange",
    "Pool",
    "Pools",
    "Terms",
    "TwoReadersError",
    "shared_pools",
]

_MODULE_VARIABLE = "POLYGLOT_HTTP"
_KEEPALIVE_CONNECTIONS = 100
_KEEPALIVE_SECONDS = 15.0

DRAIN_SECONDS = 0.02
"""How long a finished answer's connection may take to say that it is free; most do at once."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SHORT_PAUSE = 0.01  # seconds between two reads that are not worth keeping the clocks from

Client = Any
"""An httpx or httpx2 client that a user passes in; what it is cannot be said without importing either."""


def _http() -> ModuleType:
    """The HTTP library. Imported on first use: it is most of the cost of starting."""
    name = os.environ.get(_MODULE_VARIABLE, "httpx")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        msg = f"The HTTP library {name!r}, named by {_MODULE_VARIABLE}, cannot be imported: {error}."
        raise ConfigError(msg, phase="configure") from error


# Out


def _socket_options() -> list[tuple[int, int, int]]:
    """TCP keep-alive, so that a peer which vanished without a packet is noticed: after 60 s, every 60 s, 5 times."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    wanted = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5))
    return options + [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in wanted if hasattr(socket, name)
    ]


_tls_contexts: dict[tuple[ModuleType, str | None], object] = {}


def _transport_options(http: ModuleType, origin: str, route: Route) -> dict[str, Any]:
    proxy = route.proxy.reveal() if route.proxy else _proxy_for(origin)
    options: dict[str, Any] = {
        "limits": http.Limits(
            max_connections=None,
            max_keepalive_connections=_KEEPALIVE_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_SECONDS,
        ),
        "socket_options": _socket_options(),
        # Reading the certificates takes longer than all else here together, so it is done only for TLS.
        "verify": _trust(http, route.ca) if proxy or origin.startswith("https:") else False,
    }
    return {**options, "proxy": proxy} if proxy else options


def _trust(http: ModuleType, ca: str | None) -> object:
    """The certificates to trust: those of `ca`, a file of them in PEM, or the HTTP library's own choice."""
    if (http, ca) not in _tls_contexts:
        try:
            context = (
                http.create_ssl_context()
                if ca is None
                else importlib.import_module("ssl").create_default_context(cafile=ca)
            )
        except OSError as error:
            raise ConfigError(f"The certificates in {ca} cannot be read: {error}.", phase="configure") from error
        _tls_contexts[http, ca] = context
    return _tls_contexts[http, ca]


def _proxy_for(origin: str) -> str | None:
    """The proxy that the environment names for this origin (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY)."""
    environment = importlib.import_module("urllib.request")  # later, because it brings http.client and ssl
    parts = urlsplit(origin)
    if parts.hostname in _LOOPBACK:  # this machine is not reached by way of another
        return None
    proxies = environment.getproxies()
    proxy: str | None = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or environment.proxy_bypass(parts.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _request(
    http: ModuleType,
    wire: WireRequest,
    timeout: dict[str, float | None],
    trace: Callable[[str, Mapping[str, Any]], Awaitable[None] | None],
) -> httpx.Request:
    """The client's request, with every secret revealed. Nothing but the client may hold it."""
    headers = {"accept-encoding": "identity", "user-agent": "polyglot"}
    for name, value in wire.headers.items():
        headers[name.lower()] = value.reveal() if isinstance(value, Secret) else value
    extensions = {"timeout": timeout, "trace": trace}
    request: httpx.Request = http.Request(
        wire.method, wire.url, headers=headers, content=wire.body, extensions=extensions
    )
    return request


# Errors


class TwoReadersError(StreamError):
    """A second thread or task reads a stream while the first still does."""

    def __init__(self, message: str = "The stream is being read in another thread or task; it has one reader.") -> None:
        super().__init__(message)


@contextlib.contextmanager
def _translated(url: str, clock: str = "first", watch: Watch | None = None) -> Generator[None]:
    """The seam: no exception of the HTTP client leaves it. Interruptions (cancellation, Ctrl-C) pass untouched."""
    try:
        yield
    except PolyglotError:
        raise
    except Exception as error:  # noqa: BLE001 (all of them are translated)
        _raise_translated(error, watch, url, clock, "headers")


def _says_two_readers(error: Exception) -> bool:
    """Whether a generator says of itself that it is running already."""
    return isinstance(error, (ValueError, RuntimeError)) and "already " in str(error)


def _raise_translated(
    error: Exception, watch: Watch | None, url: str, clock: str = "first", phase: str = "stream"
) -> NoReturn:
    if _says_two_readers(error):
        raise TwoReadersError
    cause = _without_frames(error)
    names = {kind.__name__ for kind in type(error).__mro__}
    if "PoolTimeout" in names:
        raise TransportError(_POOL_IS_EMPTY, "pool", phase="connect") from cause
    if watch is not None and watch.fired:
        raise timed_out(watch.fired, phase=phase) from cause
    host = urlsplit(url).netloc.rpartition("@")[2]
    said = f"{type(error).__name__}: {error}".rstrip(":. ")
    if "ConnectTimeout" in names:
        raise timed_out("connect", phase="connect") from cause
    if "TimeoutException" in names:
        raise timed_out(clock, phase="headers") from cause
    if "LocalProtocolError" in names:  # it quotes what cannot be sent, which may be a key
        msg = f"The request cannot be sent to {host}: a header is not as HTTP wants it. Check headers."
        raise ConfigError(msg, phase="connect") from None
    if names & _MISCONFIGURED:
        msg = f"The request cannot be sent to {host}: {said}. Check base_url, headers and proxy."
        raise ConfigError(msg, phase="connect") from cause
    if phase == "headers" and "too long" in said:  # h11's words for a head beyond the client's own limit
        msg = f"The head of the answer is larger than the HTTP client reads: {said}."
        raise LimitExceeded(msg, phase=phase) from cause
    raise _not_arrived(error, names, host, said, phase) from cause


def _not_arrived(error: Exception, names: set[str], host: str, said: str, phase: str) -> TransportError:
    """The error for bytes that did not arrive."""
    kind = _kind_of(error, names)
    if kind == "broken":
        return TransportError(f"The connection to {host or 'the provider'} broke: {said}.", phase=phase)
    unconnected = TransportError(f"No connection to {host}: {said}. {_ADVICE[kind]}", kind, phase="connect")
    if kind == "proxy" and "407" in said:  # it wants a user and a password
        unconnected.retryable = False
    return unconnected


_MISCONFIGURED = frozenset({"UnsupportedProtocol", "InvalidURL", "ImportError", "ValueError"})
_POOL_IS_EMPTY = (
    "Every connection of the HTTP client is in use. A stream that was left open holds its own: close it, or use it "
    "with `with`; or raise the client's limits."
)
_ADVICE = {
    "connect": "Check the address, the network and any proxy.",
    "dns": "The name does not resolve; check base_url, and the proxy if there is one.",
    "tls": "Check base_url, and whether the certificate is one to be trusted; certificates of your own are named by ca "
    "or SSL_CERT_FILE.",
    "proxy": "Check the proxy's address and its user and password.",
}


def _kind_of(error: BaseException, names: set[str]) -> str:
    """Why there is no connection: what the HTTP client says, and what the operating system said to it."""
    if "ProxyError" in names:
        return "proxy"
    if "ConnectError" not in names:
        return "broken"
    causes = {type(link).__name__ for link in _chain(error)} | {str(error)[:5]}
    if causes & {"gaierror"}:
        return "dns"
    return "tls" if any(cause.startswith(("SSL", "[SSL", "Certificate")) for cause in causes) else "connect"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those behind it, each once."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def timed_out(clock: str, phase: str | None = None) -> TimedOut:
    """The error for a clock that ran out."""
    advice = f"raise it with timeouts={{'{clock}': seconds}}, or None for no limit"
    return TimedOut(f"The {clock} clock ran out; {advice}.", clock, phase=phase)


def _without_frames(error: BaseException) -> BaseException:
    """The exception without its frames, all along its chain: the client's frames hold headers in the clear."""
    for link in _chain(error):
        link.__traceback__ = None
    return error


# Back


def _socket_of(response: httpx.Response) -> object | None:
    """The socket below a response, or None where a client's own transport has none."""
    stream = response.extensions.get("network_stream")
    return None if stream is None else stream.get_extra_info("socket")


@contextlib.contextmanager
def _impatient(sock: object) -> Generator[bool]:
    """Let no receive on this socket wait longer than `DRAIN_SECONDS`; False where the platform has no such bound.

    The operating system's own bound is used, because the client sets Python's anew at each read.
    """
    if not isinstance(sock, socket.socket) or sys.platform == "win32":
        yield False
        return
    microseconds = int(DRAIN_SECONDS * 1_000_000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, microseconds))
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))


class _Answer:
    """What both kinds of exchange share: an answer, its socket and its watch.

    Attributes:
        status: HTTP status.
        headers: Header names in lower case; repeated ones joined with a comma.
    """

    def __init__(self, response: httpx.Response, clocks: Clocks, url: str, limits: Limits) -> None:
        self.status: int = response.status_code
        self.headers: dict[str, str] = dict(response.headers)
        self._response = response
        self._url = url
        self._socket = _socket_of(response)
        self._process = os.getpid()
        self._clocks = clocks
        self._watch = Watch(partial(shut_down, self._socket), clocks)
        self._decoder = inflater_for(self.headers, limits.inflation)
        self._left = limits.response  # bytes that may still come
        self._limit = limits.response
        clocks.changed = self._watch.arm
        self._watch.arm()
        self._closed = False

    def abort(self) -> None:
        """Shut the socket down, from any thread; a read that waits returns at once."""
        if (
            not self._closed and self._socket is not None and self._process == os.getpid()
        ):  # not a parent's, after a fork
            shut_down(self._socket)

    def _resume(self, now: float) -> None:
        """A read begins a while after the last one ended; or the last one has not ended, and somebody else is at it."""
        if self._clocks.waiting:
            raise TwoReadersError
        self._clocks.pass_over(now)

    def _broken(self, error: Exception) -> NoReturn:
        if not _says_two_readers(error):
            self._clocks.waited = self._clocks.asked
        _raise_translated(error, self._watch, self._url)

    def _too_large(self) -> LimitExceeded:
        return LimitExceeded(
            f"The answer is larger than {self._limit} bytes; more is allowed by limits.response.", phase="stream"
        )

    def _end_of_body(self) -> bytes:
        """Nothing, if the body is over; an error, if it is only that no more came."""
        if self._watch.fired:
            raise timed_out(self._watch.fired)
        if self._decoder is not None:
            self._decoder.finish()
        return b""


class Exchange(_Answer):
    """A request that was sent and the answer to it, sync."""

    def __init__(self, response: httpx.Response, clocks: Clocks, url: str, limits: Limits) -> None:
        super().__init__(response, clocks, url, limits)
        self._pieces: Iterator[bytes] = iter(response.stream)  # type: ignore[arg-type]  # a sync transport's stream is sync

    def read(self) -> bytes:
        """The next bytes of the body; empty at its end.

        Raises:
            TimedOut: A clock ran out.
            TransportError: The bytes stopped coming.
            LimitExceeded: The body inflates beyond all measure.
        """
        clocks = self._clocks
        while True:
            now = perf_counter()
            if now - clocks.waited > _SHORT_PAUSE:
                self._resume(now)  # first, or the watchdog would see a read that has long been waiting
            clocks.asked = now
            try:
                data = next(self._pieces, None)
            except Exception as error:  # noqa: BLE001 (translated)
                self._broken(error)
            clocks.waited = perf_counter()
            if data is None:
                return self._end_of_body()
            if self._decoder is not None:
                data = self._decoder.decode(data)
            self._left -= len(data)
            if self._left < 0:
                raise self._too_large()
            if data:
                return data

    def drain(self) -> None:
        """The answer is complete: read what little may follow, for no long, so that the connection can serve again."""
        deadline = perf_counter() + DRAIN_SECONDS
        with contextlib.suppress(Exception), _impatient(self._socket) as bounded:
            while bounded and perf_counter() < deadline and next(self._pieces, None) is not None:
                pass

    def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end. Never raises."""
        if not self._closed:
            self._closed = True
            self._watch.stop()
            with contextlib.suppress(Exception):
                self._response.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.abort()
            self.close()


class AsyncExchange(_Answer):
    """A request that was sent and the answer to it, async."""

    def __init__(
        self,
        response: httpx.Response,
        clocks: Clocks,
        url: str,
        limits: Limits,
        close_later: Callable[[httpx.Response], None],
    ) -> None:
        super().__init__(response, clocks, url, limits)
        self._pieces: AsyncIterator[bytes] = aiter(response.stream)  # type: ignore[arg-type]  # as above, async
        self._close_later = close_later

    async def read(self) -> bytes:
        """The next bytes of the body; empty at its end. Raises as `Exchange.read`."""
        clocks = self._clocks
        while True:
            now = perf_counter()
            if now - clocks.waited > _SHORT_PAUSE:
                self._resume(now)  # first, or the watchdog would see a read that has long been waiting
            clocks.asked = now
            try:
                data = await anext(self._pieces, None)
            except Exception as error:  # noqa: BLE001 (translated)
                self._broken(error)
            clocks.waited = perf_counter()
            if data is None:
                return self._end_of_body()
            if self._decoder is not None:
                data = self._decoder.decode(data)
            self._left -= len(data)
            if self._left < 0:
                raise self._too_large()
            if data:
                return data

    async def drain(self) -> None:
        """As `Exchange.drain`; the caller bounds it."""
        with contextlib.suppress(Exception):
            while await anext(self._pieces, None) is not None:
                pass

    async def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end. Never raises of itself."""
        if not self._closed:
            self._closed = True
            self._watch.stop()
            with contextlib.suppress(Exception):
                await self._response.aclose()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.abort()
            self._closed = True
            self._watch.stop()
            with contextlib.suppress(Exception):  # the loop may be gone; the socket is shut down all the same
                self._close_later(self._response)


# Pools


class Terms(NamedTuple):
    """What a request is sent under: the clocks of its call, when they were set, and how large its answer may be."""

    timeouts: Timeouts
    clocks: Clocks
    limits: Limits


def _timeout_for(timeouts: Timeouts, longest: float | None) -> dict[str, float | None]:
    """The client's own timeouts, in seconds, for what happens before there are headers."""
    limits = [limit for limit in (timeouts.connect, longest) if limit is not None and not math.isinf(limit)]
    connect = min(limits, default=None)
    return {"connect": connect, "read": longest, "write": longest, "pool": connect}


class Pool:
    """Connections to one origin by one route, sync; or a client of the user's own."""

    def __init__(self, origin: str, route: Route, client: Client | None = None) -> None:
        self._http = _http_of(client)
        if client is None:
            self._owned = self._http.HTTPTransport(**_transport_options(self._http, origin, route))
            self._respond: Callable[[httpx.Request], httpx.Response] = self._owned.handle_request
        else:
            self._owned = None
            self._respond = partial(client.send, stream=True, follow_redirects=False)
        self._transport: object = self._owned or getattr(client, "_transport", None)

    def send(self, wire: WireRequest, terms: Terms, opening: Opening) -> Exchange:
        """Send a request and wait for status and headers; `opening` can end that wait.

        Raises:
            TimedOut: There was no connection, or no answer, in time.
            TransportError: There was no connection, or it broke.
            ConfigError: The address or a header cannot be used.
        """
        clocks = terms.clocks
        clocks.asked = now = perf_counter()
        moment, clock = clocks.due(now)
        timeout = _timeout_for(terms.timeouts, None if math.isinf(moment) else max(moment - now, 0.001))
        watch = Watch(opening.expire, clocks)  # a head that drips would never exceed the client's own timeout
        with _translated(url=wire.url, clock=clock, watch=watch), watch:
            response = self._answered(wire, timeout, opening)
        timeout["read"] = None  # from here on the watchdog keeps the clocks
        try:
            if watch.fired is not None:  # at the very moment at which the head came
                raise timed_out(watch.fired, phase="headers")
            return Exchange(response, clocks, wire.url, terms.limits)
        except PolyglotError:
            response.close()
            raise

    def _answered(self, wire: WireRequest, limits: dict[str, float | None], opening: Opening) -> httpx.Response:
        """The head of an answer; a request that went to a dying connection is sent once more."""
        try:
            for resent in (False, True):
                opening.begin(self._transport)
                try:
                    return self._respond(_request(self._http, wire, limits, opening.notice))
                except Exception as error:
                    if resent or not opening.went_stale(error):
                        raise
        finally:
            opening.let_go()
        raise AssertionError  # the second pass returns or raises

    def close(self) -> None:
        """Close all connections; a user's own client is left alone."""
        if self._owned is not None:
            self._owned.close()


class AsyncPool:
    """Connections to one origin by one route, async; or a client of the user's own."""

    def __init__(self, origin: str, route: Route, client: Client | None = None) -> None:
        self._http = _http_of(client)
        if client is None:
            self._owned = self._http.AsyncHTTPTransport(**_transport_options(self._http, origin, route))
            self._respond: Callable[[httpx.Request], Awaitable[httpx.Response]] = self._owned.handle_async_request
        else:
            self._owned = None
            self._respond = partial(client.send, stream=True, follow_redirects=False)
        self._transport: object = self._owned or getattr(client, "_transport", None)

    async def send(
        self, wire: WireRequest, terms: Terms, opening: Opening, close_later: Callable[[httpx.Response], None]
    ) -> AsyncExchange:
        """Send a request and wait for status and headers. Raises as `Pool.send`; `first` is the caller's to keep."""
        timeout = _timeout_for(terms.timeouts, None)
        with _translated(url=wire.url):
            response = await self._answered(wire, timeout, opening)
        try:
            return AsyncExchange(response, terms.clocks, wire.url, terms.limits, close_later)
        except PolyglotError:
            await response.aclose()
            raise

    async def _answered(self, wire: WireRequest, limits: dict[str, float | None], opening: Opening) -> httpx.Response:
        """As `Pool._answered`."""
        try:
            for resent in (False, True):
                opening.begin(self._transport)
                try:
                    return await self._respond(_request(self._http, wire, limits, opening.notice_async))
                except Exception as error:
                    if resent or not opening.went_stale(error):
                        raise
        finally:
            opening.let_go()
        raise AssertionError  # the second pass returns or raises

    async def close(self) -> None:
        """Close all connections; a user's own client is left alone."""
        if self._owned is not None:
            await self._owned.aclose()


def _http_of(client: Client | None) -> ModuleType:
    """The library that a user's client belongs to, or the one that we use of ourselves."""
    return _http() if client is None else importlib.import_module(type(client).__module__.partition(".")[0])


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()


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
                with _translated(url=url):
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
            with _translated(url=url):
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
