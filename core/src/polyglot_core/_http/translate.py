"""The seam at which exceptions of the HTTP client become our own; told apart by name, so no client is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NoReturn
from urllib.parse import urlsplit

from polyglot_core._values.secret import unsendable
from polyglot_core.errors import ConfigError, LimitExceeded, PolyglotError, StreamError, TimedOut, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from polyglot_core._http.watchdog import Watch
    from polyglot_core._wire.messages import WireRequest

__all__ = ["TwoReadersError", "check_headers", "raise_translated", "says_two_readers", "timed_out", "translated"]


class TwoReadersError(StreamError):
    """A second thread or task reads a stream while the first still does."""

    def __init__(self, message: str = "The stream is being read in another thread or task; it has one reader.") -> None:
        super().__init__(message)


def translated(url: str, clock: str = "first", watch: Watch | None = None) -> _Translator:
    """The seam: no exception of the HTTP client leaves it. Interruptions (cancellation, Ctrl-C) pass untouched."""
    return _Translator(url, clock, watch)


class _Translator(NamedTuple):
    """A context manager, and no generator: contextlib's frames would show what the client raised, a key perhaps."""

    url: str
    clock: str
    watch: Watch | None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, PolyglotError):
            return
        ours, cause = _translation(error, self.watch, self.url, self.clock, "headers")
        del error, frames
        _raise(ours, cause)


def check_headers(wire: WireRequest) -> None:
    """See that a request's headers can be sent, before the HTTP client sees them and quotes what it refuses.

    Raises:
        ConfigError: One of them cannot; the message names it, and does not show it.
    """
    if (name := unsendable(wire.headers)) is not None:
        msg = (
            f"The request to {_host(wire.url)} cannot be sent: header {name!r} begins or ends with a space, or holds a "
            "line break, a control character or a character outside ASCII. If it carries a key or a token, check where "
            "that comes from."
        )
        raise ConfigError(msg, phase="encode")


def says_two_readers(error: Exception) -> bool:
    """Whether a generator says of itself that it is running already."""
    return isinstance(error, (ValueError, RuntimeError)) and "already " in str(error)


def raise_translated(
    error: Exception, watch: Watch | None, url: str, clock: str = "first", phase: str = "stream"
) -> NoReturn:
    """Raise our own error in place of the client's, which is its cause unless it may quote a key.

    Args:
        error: What the client raised.
        watch: The watch over what it did; if it fired, a clock is the cause.
        url: URL that was asked.
        clock: Clock that a timeout of the client's own means.
        phase: What was being done.

    Raises:
        TwoReadersError: Somebody else is reading.
        TimedOut: A clock ran out.
        TransportError: There was no connection, or it broke.
        ConfigError: The address or a header cannot be used.
        LimitExceeded: The head of the answer is too large.
    """
    ours, cause = _translation(error, watch, url, clock, phase)
    del error
    _raise(ours, cause)


def _raise(ours: PolyglotError, cause: BaseException | None) -> NoReturn:
    """Raise an error from its cause. Where it has none, what is being handled is not kept as its context either."""
    try:
        raise ours from cause
    finally:
        if cause is None:
            ours.__context__ = None
        del ours, cause  # a frame that holds its own exception is a cycle


def _translation(  # noqa: PLR0911 (one for each)
    error: Exception, watch: Watch | None, url: str, clock: str, phase: str
) -> tuple[PolyglotError, BaseException | None]:
    """Our own error, and the client's as its cause; none where the client's may quote a key or a password."""
    if says_two_readers(error):
        return TwoReadersError(), None
    cause = _without_frames(error)
    names = {kind.__name__ for kind in type(error).__mro__}
    if "PoolTimeout" in names:
        return TransportError(_POOL_IS_EMPTY, "pool", phase="connect"), cause
    if watch is not None and watch.fired:
        return timed_out(watch.fired, phase=phase), cause
    if "ConnectTimeout" in names:
        return timed_out("connect", phase="connect"), cause
    if "TimeoutException" in names:
        return timed_out(clock, phase="headers"), cause
    if why := next((why for name, why in _MISCONFIGURED.items() if name in names), None):
        return ConfigError(f"The request cannot be sent to {_host(url)}: {why}.", phase="connect"), None
    said = f"{type(error).__name__}: {error}".rstrip(":. ")
    if "ImportError" in names:
        return ConfigError(f"The request cannot be sent to {_host(url)}: {said}.", phase="connect"), cause
    if phase == "headers" and "too long" in said:  # h11's words for a head beyond the client's own limit
        msg = f"The head of the answer is larger than the HTTP client reads: {said}."
        return LimitExceeded(msg, phase=phase), cause
    return _not_arrived(error, names, _host(url), said, phase), cause


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _not_arrived(error: Exception, names: set[str], host: str, said: str, phase: str) -> TransportError:
    """The error for bytes that did not arrive."""
    kind = _kind_of(error, names)
    if kind == "broken":
        return TransportError(f"The connection to {host or 'the provider'} broke: {said}.", phase=phase)
    unconnected = TransportError(f"No connection to {host}: {said}. {_ADVICE[kind]}", kind, phase="connect")
    if kind == "proxy" and "407" in said:  # it wants a user and a password
        unconnected.retryable = False
    return unconnected


_NO_URL = (
    "its address, or that of the proxy, is not a URL as the HTTP client wants it. Check base_url and the proxy, be it "
    "the connection's or that of a variable such as HTTPS_PROXY; in a password / is written %2F, # %23, ? %3F and @ %40"
)
_MISCONFIGURED = {
    "LocalProtocolError": "a header is not as HTTP wants it. Check headers and key",
    "UnicodeError": "a header or an address holds a character outside ASCII. Check headers, key, base_url and proxy",
    "UnsupportedProtocol": "its address is not http or https. Check base_url",
    "InvalidURL": _NO_URL,
    "ValueError": "the HTTP client does not take what it was given. Check base_url, headers and proxy",
}
"""What the HTTP client raises for what it is given, and why, in words of ours: its own quote keys and passwords."""
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
