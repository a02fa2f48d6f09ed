"""Exceptions of the HTTP client, translated into our own. They are identified by name, so no client is imported.

What a signal handler raises while the client waits is the caller's, and passes through.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn
from urllib.parse import urlsplit

from polyglot_core._values.secret import unsendable
from polyglot_core.errors import ConfigError, LimitExceeded, PolyglotError, StreamError, TimedOut, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, TracebackType

    from polyglot_core._http.opening import OpeningState
    from polyglot_core._http.watchdog import Watch
    from polyglot_core._wire.messages import WireRequest

__all__ = [
    "TwoReadersError",
    "check_headers",
    "interruption_in",
    "is_two_readers",
    "raise_translated",
    "timed_out",
    "translated",
    "without_frames",
]


class TwoReadersError(StreamError):
    """A second thread or task reads a stream while the first still does."""

    def __init__(self, message: str = "The stream is being read in another thread or task; it has one reader.") -> None:
        super().__init__(message)


class _Translator(NamedTuple):
    """The context manager of `translated`. A generator's frames would hold the client's exception, and a key."""

    url: str
    clock: str = "first"
    watch: Watch | None = None
    opening: OpeningState | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception):
            return
        phase = "connect" if self.opening is not None and self.opening.connecting else "headers"
        ours, cause = _replacement(error, self.watch, self.url, self.clock, phase)
        del error, frames
        _raise(ours, cause)


translated = _Translator
"""A context manager that translates the HTTP client's exceptions; cancellation and Ctrl-C pass."""


def check_headers(wire: WireRequest) -> None:
    """Check that a request's headers can be sent, before the HTTP client quotes an invalid one in its exception.

    Raises:
        ConfigError: A header is invalid; the message has its name, not its value.
    """
    if (name := unsendable(wire.headers)) is not None:
        msg = (
            f"The request to {_host(wire.url)} cannot be sent: header {name!r} begins or ends with a space, or holds a "
            "line break, a control character or a character outside ASCII. If it carries a key or a token, check where "
            "that comes from."
        )
        raise ConfigError(msg, phase="encode")


def is_two_readers(error: Exception) -> bool:
    """Return True for Python's "generator already executing" and the client's equivalents."""
    return isinstance(error, (ValueError, RuntimeError)) and "already " in str(error)


def interruption_in(error: Exception) -> BaseException | None:
    """Return what a signal handler of the caller's raised, if that is `error` or what the client replaced by it."""
    signals = sys.modules.get("signal")
    if signals is None:
        return None
    handlers = [signals.getsignal(number) for number in signals.valid_signals()]
    codes = {code for handler in handlers if (code := getattr(handler, "__code__", None)) is not None}
    links = _chain(error) if codes else ()
    return next((link for link in links if not codes.isdisjoint(_codes_of(link.__traceback__))), None)


def _codes_of(frames: TracebackType | None) -> Iterator[CodeType]:
    while frames is not None:
        yield frames.tb_frame.f_code
        frames = frames.tb_next


def raise_translated(
    error: Exception, watch: Watch | None, url: str, clock: str = "first", phase: str = "stream"
) -> NoReturn:
    """Raise our own error in place of the client's, which is its cause unless it may quote a key.

    What a signal handler raised is raised itself.

    Args:
        error: What the client raised.
        watch: The watch over the operation; if it fired, a clock is the cause.
        url: URL of the request.
        clock: Clock that corresponds to a timeout of the client's.
        phase: The phase of the call.

    Raises:
        TwoReadersError: Another thread or task is reading.
        TimedOut: A clock ran out.
        TransportError: The connection could not be opened, or broke.
        ConfigError: The address or a header cannot be used.
        LimitExceeded: The response headers are too large.
    """
    ours, cause = _replacement(error, watch, url, clock, phase)
    del error
    _raise(ours, cause)


def _replacement(
    error: Exception, watch: Watch | None, url: str, clock: str, phase: str
) -> tuple[BaseException, BaseException | None]:
    """Return what to raise in place of the client's error, and its cause."""
    if (interruption := interruption_in(error)) is not None:
        return without_frames(interruption), None
    if isinstance(error, PolyglotError):  # of a transport, whose frames hold headers
        return without_frames(error), error.__cause__
    return _translation(error, watch, url, clock, phase)


def _raise(ours: BaseException, cause: BaseException | None) -> NoReturn:
    """Raise an error from its cause. Without a cause, the exception being handled is not kept as its context either."""
    try:
        raise ours from cause
    finally:
        if cause is None:
            ours.__context__ = None
        del ours, cause  # a frame that holds its own exception is a cycle


def _translation(  # noqa: PLR0911 (one for each)
    error: Exception, watch: Watch | None, url: str, clock: str, phase: str
) -> tuple[PolyglotError, BaseException | None]:
    """Return our own error and the client's as its cause; no cause if the client's may quote a key or a password."""
    if is_two_readers(error):
        return TwoReadersError(), None
    cause = without_frames(error)
    names = {kind.__name__ for kind in type(error).__mro__}
    if "PoolTimeout" in names:
        return TransportError(_POOL_IS_EMPTY, "pool", phase="connect"), cause
    if watch is not None and watch.fired:
        return timed_out(watch.fired, phase=phase), cause
    if "ConnectTimeout" in names or (phase == "connect" and "TimeoutError" in names):
        return timed_out("connect", phase="connect"), cause
    if "TimeoutException" in names:
        return timed_out(clock, phase="headers"), cause
    why = next((why for name, why in _MISCONFIGURED.items() if name in names), None)
    if why and not isinstance(error, OSError):  # some errors of TLS are a ValueError as well
        return ConfigError(f"The request cannot be sent to {_host(url)}: {why}.", phase="connect"), None
    said = f"{type(error).__name__}: {error}".rstrip(":. ")
    if "ImportError" in names:
        return ConfigError(f"The request cannot be sent to {_host(url)}: {said}.", phase="connect"), cause
    if phase == "headers" and "too long" in said:  # h11's message for headers beyond the client's limit
        msg = f"The response headers are larger than the HTTP client's limit: {said}."
        return LimitExceeded(msg, phase=phase), cause
    return _not_arrived(error, names, _host(url), said, phase), cause


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _not_arrived(error: Exception, names: set[str], host: str, said: str, phase: str) -> TransportError:
    """Return the error for a connection that failed or broke."""
    kind = _kind_of(error, names, phase)
    if kind == "broken":
        return TransportError(f"The connection to {host or 'the provider'} broke: {said}.", phase=phase)
    unconnected = TransportError(f"No connection to {host}: {said}. {_ADVICE[kind]}", kind, phase="connect")
    if kind == "proxy" and "407" in said:  # the proxy requires a user and a password
        unconnected.retryable = False
    return unconnected


_NO_URL = (
    "its address, or the proxy's, is not a valid URL for the HTTP client. Check base_url and the proxy, set by "
    "the connection or by a variable such as HTTPS_PROXY; in a password / is written %2F, # %23, ? %3F and @ %40"
)
_MISCONFIGURED = {
    "LocalProtocolError": "a header is not valid in HTTP. Check headers and key",
    "UnicodeError": "a header or an address contains a character outside ASCII. Check headers, key, base_url and proxy",
    "UnsupportedProtocol": "its address is not http or https. Check base_url",
    "InvalidURL": _NO_URL,
    "ValueError": "the HTTP client rejects a value. Check base_url, headers and proxy",
}
"""Exceptions of the HTTP client for invalid input, and the reason in our own words: the client's quote keys."""
_POOL_IS_EMPTY = (
    "Every connection of the HTTP client is in use. An open stream holds one: close streams, or use them in a "
    "`with` block; or raise the client's limits."
)
_ADVICE = {
    "connect": "Check the address, the network and any proxy.",
    "dns": "The name does not resolve; check base_url, and the proxy if there is one.",
    "tls": "Check base_url and the certificate; set ca or SSL_CERT_FILE to trust certificates of your own.",
    "proxy": "Check the proxy's address and its user and password.",
}


def _kind_of(error: BaseException, names: set[str], phase: str) -> str:
    """Return the kind of a connection failure, from the client's exception and the operating system's below it."""
    if "ProxyError" in names:
        return "proxy"
    if "ConnectError" not in names and phase != "connect":
        return "broken"
    causes = {type(link).__name__ for link in _chain(error)} | {str(error)[:5]}
    if causes & {"gaierror"}:
        return "dns"
    return "tls" if any(cause.startswith(("SSL", "[SSL", "Certificate")) for cause in causes) else "connect"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and those in its chain, causes and contexts, each once."""
    links: list[BaseException | None] = [error]
    seen: set[int] = set()
    while links:
        link = links.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            yield link
            links += [link.__context__, link.__cause__]


def timed_out(clock: str, phase: str | None = None) -> TimedOut:
    """Return the error for a clock that ran out."""
    advice = f"raise it with timeouts={{'{clock}': seconds}}, or None for no limit"
    return TimedOut(f"The {clock} clock ran out; {advice}.", clock, phase=phase)


def without_frames(error: BaseException) -> BaseException:
    """Return the exception without tracebacks, along its chain: the client's frames hold headers in plain text."""
    for link in _chain(error):
        link.__traceback__ = None
    return error
