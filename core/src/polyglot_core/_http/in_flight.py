"""A request on its way, before there is an answer: which socket it goes over, and what became of it.

The HTTP client tells of its progress by its ``trace`` extension, which httpx 0.28 and httpx2 have alike.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from polyglot_core._http.kept import LeftoverError, holds_unread_bytes, inner_connection
from polyglot_core._http.watchdog import shut_down

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["InFlightRequest"]


class InFlightRequest:
    """A request on its way: knows the socket that it goes over before there is an answer to ask."""

    def __init__(self) -> None:
        self._socket: object | None = None  # of the connection that was opened for it
        self._written: object | None = None  # the client's own request, once it is being written
        self._written_at = 0.0  # when all of it was
        self._opened = self._aborted = self._expired = False
        self._transport: object | None = None

    def begin(self, transport: object) -> None:
        """A request is about to be sent by this transport of the client's, perhaps not the first, or once more."""
        self._socket = self._written = None
        self._written_at = 0.0
        self._opened = self._expired = False
        self._transport = transport

    def let_go(self) -> None:
        """It has been answered, or has failed: the socket is the exchange's from here on, and later somebody else's."""
        self._socket = self._written = self._transport = None

    def notice(self, event: str, info: Mapping[str, Any]) -> None:
        """What the HTTP client reports of its progress, by its ``trace`` extension."""
        if event.endswith("send_request_headers.started"):
            self._written = info.get("request")
        elif event.endswith("send_request_body.complete"):
            self._written_at = perf_counter()
        elif event.endswith((".connect_tcp.started", ".connect_unix_socket.started")):
            self._opened = True
        elif event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
        if self._aborted or self._expired:
            self._shut()
        elif event in _BEFORE_THE_BODY and not self._opened:
            self._check_kept()

    def _check_kept(self) -> None:
        """See that the kept connection that a request is being written to holds nothing yet.

        What arrived while it was idle, or behind a response that other code has read, would be taken as the response.
        What arrives later than this, and before the response, cannot be told from the response.

        Raises:
            LeftoverError: It holds bytes; the client closes it.
        """
        connection = _kept_connection(self._transport, self._written)
        if hasattr(connection, "_h11_state") and holds_unread_bytes(connection):
            raise LeftoverError

    async def notice_async(self, event: str, info: Mapping[str, Any]) -> None:
        """`notice`, as an async client wants it."""
        self.notice(event, info)

    def went_stale(self, error: Exception) -> bool:
        """Whether the request went to a kept connection that the server was closing, and so was most likely not read.

        It is then sent once more, which counts as no repetition. A server that has read a request takes longer to give
        up on it than a packet takes to arrive, so a connection that lives on for a while is no such case.
        """
        reused = self._written is not None and not self._opened
        if not reused or self._aborted or self._expired:
            return False
        if isinstance(error, LeftoverError):  # nothing of the body was written, so the request cannot have been read
            return True
        if self._written_at and perf_counter() - self._written_at > _MOMENT:
            return False
        return type(error).__name__ in _CLOSED_BY_THE_OTHER or "without sending a response" in str(error)

    def abort(self) -> None:
        """Nobody wants an answer any more: shut the socket down, now or as soon as there is one; from any thread."""
        self._aborted = True
        self._shut()

    def expire(self) -> None:
        """A clock has run out for this request; otherwise as `abort`."""
        self._expired = True
        self._shut()

    def _shut(self) -> None:
        for sock in (self._socket, _kept_socket(self._transport, self._written)):
            if sock is not None:
                shut_down(sock)


def _kept_socket(transport: object, request: object) -> object | None:
    """The socket of the kept connection over which a transport sends `request`; None where that cannot be found."""
    connection = _kept_connection(transport, request)
    return None if connection is None else connection._network_stream.get_extra_info("socket")  # noqa: SLF001


def _kept_connection(transport: object, request: object) -> Any:  # noqa: ANN401 (the HTTP client's)
    """The kept connection over which a transport sends `request`; None where that cannot be found.

    The client reports a socket only when it opens it, so this looks where httpx 0.28 and httpx2 keep it. Where another
    version keeps it elsewhere, closing a call before its headers waits for them, and nothing else changes. Extensions
    tell which request it is: a proxy's connection makes a request of its own, and hands them on.
    """
    extensions = getattr(request, "extensions", None)
    for sent in list(getattr(getattr(transport, "_pool", None), "_requests", ())):
        if extensions is not None and getattr(getattr(sent, "request", None), "extensions", None) is extensions:
            return inner_connection(getattr(sent, "connection", None))
    return None


_BEFORE_THE_BODY = frozenset({"http11.send_request_headers.started", "http11.send_request_body.started"})
_MOMENT = 0.25  # seconds
_CLOSED_BY_THE_OTHER = frozenset({"ReadError", "WriteError", "CloseError"})
