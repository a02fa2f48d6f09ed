"""What a transport is: it sends a request and returns the response to it, sync or async. Public for their authors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from polyglot_core._values.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Abortable",
    "AsyncReply",
    "AsyncTransport",
    "HTTPRequest",
    "Opening",
    "Reply",
    "SyncTransport",
    "TransportLayer",
    "TransportPackage",
]


class HTTPRequest(Struct, frozen=True):
    """A request with every secret revealed; only a transport may hold it, and its repr shows no header.

    Attributes:
        method: HTTP method.
        url: An absolute URL.
        headers: Headers that can be sent, names in lower case. The transport adds ``host`` and ``content-length``.
        body: The body.
        secrets: Those of the headers, for a transport that stores requests.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    secrets: tuple[Secret, ...] = ()

    def __repr__(self) -> str:
        return f"HTTPRequest({self.method!r})"


class Abortable(Protocol):
    """A connection that carries a request."""

    def abort(self) -> object:
        """Shut the socket down, from any thread, and never wait: a read that waits returns at once."""
        ...

    def data_waits(self) -> bool:
        """Return whether bytes were received that were not read, from any thread."""
        ...


class Opening(Protocol):
    """The wait for the headers of a response, as a transport sees it. Another thread may end it at any moment."""

    @property
    def connect(self) -> float | None:
        """Return the maximum seconds until the connection is established; None for no limit."""
        ...

    @property
    def resend(self) -> bool:
        """Return whether a request that was written to a connection which was being closed may be sent once more."""
        ...

    @property
    def ended(self) -> bool:
        """Return whether the response is no longer wanted; what fails then must not be tried again."""
        ...

    def on_abort(self, end: Callable[[], object], /) -> None:
        """Let `end` end the current wait, in another thread; it is called at once if the response is not wanted."""
        ...

    def send(self, connection: Abortable, /) -> None:
        """Count a request that is about to be written to a connection; from here on `on_abort` is its `abort`."""
        ...


class Reply(Abortable, Protocol):
    """The response to a request, sync: status, headers, and the body as it is received.

    A reply may have an attribute ``transport`` too: the name for `InferenceResponse.transport`, if it is another one.

    Attributes:
        status: HTTP status.
        headers: Header names in lower case; repeated ones joined with a comma.
    """

    status: int
    headers: Mapping[str, str]

    def read(self) -> bytes | None:
        """Return the next bytes of the body, as soon as there are any; None at its end.

        Raises:
            Exception: The connection broke. Core reports it as a `TransportError`.
        """
        ...

    def drain(self, seconds: float, /) -> None:
        """Read the rest of the body, for `seconds` at most, so that the connection can be used again.

        Core calls it, before `close`, if and only if the response is complete: not truncated, cancelled, an error,
        or continued by a follow-up request.
        """
        ...

    def close(self, *, reuse: bool) -> None:
        """Return the connection to its pool if the response was read to its end and nothing follows it; else close it.

        Args:
            reuse: False if the connection must not be used again, because a read was interrupted.
        """
        ...


class AsyncReply(Abortable, Protocol):
    """The response to a request, async. It is as `Reply`."""

    status: int
    headers: Mapping[str, str]

    async def read(self) -> bytes | None:
        """Return the next bytes of the body, as `Reply.read` does."""
        ...

    async def drain(self, seconds: float, /) -> None:
        """Read the rest of the body, as `Reply.drain` does."""
        ...

    async def close(self, *, reuse: bool) -> None:
        """Return the connection to its pool, as `Reply.close` does."""
        ...


class SyncTransport(Protocol):
    """The connections to one origin, for threads."""

    @property
    def idle(self) -> int:
        """Number of connections that are open and not in use."""
        ...

    def open(self, request: HTTPRequest, opening: Opening, /) -> Reply:
        """Send a request and wait for status and headers.

        Raises:
            TimeoutError: The connection was not established in time.
            Exception: It was not established, or broke; core reports it as a `TransportError`, and its kind by the
                class: ``socket.gaierror`` for a name, ``ssl.SSLError`` for TLS.
        """
        ...

    def close_idle(self, seconds: float, /) -> None:
        """Close the connections that have been idle for `seconds` or longer."""
        ...

    def retire(self) -> None:
        """Close the idle connections now, and the others when their responses end."""
        ...

    def close(self) -> None:
        """Close every connection. Those in use have been shut down."""
        ...


class AsyncTransport(Protocol):
    """The connections to one origin, for one event loop."""

    @property
    def idle(self) -> int:
        """Number of connections that are open and not in use."""
        ...

    async def open(self, request: HTTPRequest, opening: Opening, /) -> AsyncReply:
        """Send a request and wait for status and headers, as `SyncTransport.open` does."""
        ...

    def close_idle(self, seconds: float, /) -> None:
        """Close the connections that have been idle for `seconds` or longer."""
        ...

    def retire(self) -> None:
        """Close the idle connections now, and the others when their responses end."""
        ...

    async def close(self) -> None:
        """Close every connection: the event loop ends."""
        ...


class TransportPackage(Protocol):
    """What an entry point of the group ``polyglot.transports`` names. Its name there is that of the transport."""

    def sync_transport(self, origin: str, ca: str | None, /) -> SyncTransport:
        """Return a transport to an origin for threads; `ca` is a file of trusted certificates, None for the default."""
        ...

    def async_transport(self, origin: str, ca: str | None, /) -> AsyncTransport | None:
        """Return a transport to an origin for the running event loop; None if it does not support that loop."""
        ...


class TransportLayer(Protocol):
    """A transport over another one, which records, replays or caches: `Connection.transport` may be such an object.

    It is hashable, and its connections are shared only by calls with the same layer.

    Attributes:
        name: The name for `InferenceResponse.transport`, unless a reply has one of its own.
        under: The transport beneath it, as `Connection.transport` has it.
    """

    name: str
    under: str | TransportLayer | None

    def wrap(self, origin: str, below: Callable[[], tuple[str, SyncTransport]], /) -> SyncTransport:
        """Return a transport to an origin for threads. `below` makes the one beneath, after its name."""
        ...

    def wrap_async(self, origin: str, below: Callable[[], tuple[str, AsyncTransport]], /) -> AsyncTransport:
        """Return a transport to an origin for the running event loop, as `wrap` does."""
        ...
