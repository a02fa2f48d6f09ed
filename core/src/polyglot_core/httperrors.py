"""The seam at which exceptions of the HTTP client become our own; told apart by name, so no client is imported."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from polyglot_core.errors import ConfigError, LimitExceeded, PolyglotError, StreamError, TimedOut, TransportError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from polyglot_core.watchdog import Watch

__all__ = ["TwoReadersError", "raise_translated", "says_two_readers", "timed_out", "translated"]


class TwoReadersError(StreamError):
    """A second thread or task reads a stream while the first still does."""

    def __init__(self, message: str = "The stream is being read in another thread or task; it has one reader.") -> None:
        super().__init__(message)


@contextlib.contextmanager
def translated(url: str, clock: str = "first", watch: Watch | None = None) -> Generator[None]:
    """The seam: no exception of the HTTP client leaves it. Interruptions (cancellation, Ctrl-C) pass untouched."""
    try:
        yield
    except PolyglotError:
        raise
    except Exception as error:  # noqa: BLE001 (all of them are translated)
        raise_translated(error, watch, url, clock, "headers")


def says_two_readers(error: Exception) -> bool:
    """Whether a generator says of itself that it is running already."""
    return isinstance(error, (ValueError, RuntimeError)) and "already " in str(error)


def raise_translated(
    error: Exception, watch: Watch | None, url: str, clock: str = "first", phase: str = "stream"
) -> NoReturn:
    """Raise our own error in place of the client's.

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
    if says_two_readers(error):
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
