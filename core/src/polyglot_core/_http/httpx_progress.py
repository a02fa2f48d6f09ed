"""The progress of an httpx client's request: which socket it uses, and whether the connection was stale.

The client reports its progress through its ``trace`` extension, which httpx 0.28 and httpx2 share.
"""

from __future__ import annotations

import contextlib
from time import perf_counter
from typing import TYPE_CHECKING, Any

from polyglot_core._http.large_bodies import LARGE_BODY, BodyWriting
from polyglot_core._http.pooled import LeftoverError, holds_unread_bytes, inner_connection
from polyglot_core._http.watchdog import has_data, shut_down

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_core._http.opening import OpeningState

__all__ = ["HTTPXProgress"]


class HTTPXProgress:
    """The progress of a request. It knows the socket in use before there is a response to get it from.

    Args:
        opening: The state of the request.
        transport: The client's transport.
        size: Bytes of the request's body.
    """

    def __init__(self, opening: OpeningState, transport: object, size: int) -> None:
        self._opening = opening
        self._transport = transport
        self._size = size
        self._socket: object | None = None  # of the connection that was opened for this request
        self._written: object | None = None  # the client's own request, once it is being written
        self._written_at = 0.0  # when all of the request was written
        self._opened = False
        self._body: BodyWriting | None = None  # of a large body
        opening.send(self)

    def release(self) -> None:
        """Forget the socket, which belongs to the exchange from here on, and later to another call."""
        self._socket = self._written = self._transport = None
        self._end_body()

    def notice(self, event: str, info: Mapping[str, Any]) -> None:
        """Record a progress report of the HTTP client, as its ``trace`` extension."""
        if event.endswith("send_request_headers.started"):
            self._written = info.get("request")
        elif event.endswith(("send_request_body.complete", "send_request_body.failed")):
            self._written_at = perf_counter()
            self._end_body(info.get("exception"))
        elif event.endswith((".connect_tcp.started", ".connect_unix_socket.started")):
            self._opened = True
        elif event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
        if self._opening.ended:
            self.abort()
        elif event in _BEFORE_THE_BODY[: 2 if self._size else 1] and not self._opened:
            self._check_kept()
        if self._size > LARGE_BODY and event == _BODY_STARTED:
            self._begin_body()

    def _begin_body(self) -> None:
        """Look for a response while a large body is written."""
        with contextlib.suppress(Exception):  # in another version of the client the clocks end the call
            self._body = BodyWriting(_kept_connection(self._transport, self._written)._network_stream)  # noqa: SLF001
            self._body.begin()

    def _end_body(self, error: object = None) -> None:
        body, self._body = self._body, None
        if body is not None:
            with contextlib.suppress(Exception):  # as above
                body.end(error)

    def _check_kept(self) -> None:
        """Check that the kept connection to which a request is being written holds no unread bytes.

        Bytes that arrived while it was idle, or behind a response that other code has read, would be parsed as the
        response. Bytes that arrive after this check and before the response cannot be told apart from it.

        Raises:
            LeftoverError: It holds bytes; the client closes it.
        """
        connection = _kept_connection(self._transport, self._written)
        if hasattr(connection, "_h11_state") and holds_unread_bytes(connection):
            raise LeftoverError

    async def notice_async(self, event: str, info: Mapping[str, Any]) -> None:
        """Record a progress report; the coroutine function that an async client requires."""
        self.notice(event, info)

    def was_stale(self, error: Exception) -> bool:
        """Return whether the request was written to a kept connection that was being closed, and most likely not read.

        It is then sent once more, unless all of it was written and the options forbid that: the server may have read
        it. A server that has read a request takes longer to fail than a packet takes to arrive, so a connection that
        stays open for a while is not stale.
        """
        reused = self._written is not None and not self._opened
        if not reused or self._opening.ended:
            return False
        if isinstance(error, LeftoverError):  # nothing of the body was written, so the request cannot have been read
            return True
        if self._written_at and not self._opening.resend:
            return False
        if self._written_at and perf_counter() - self._written_at > _MOMENT:
            return False
        return type(error).__name__ in _CLOSED_BY_THE_OTHER or "without sending a response" in str(error)

    def abort(self) -> None:
        """Shut the socket down, from any thread."""
        for sock in self._sockets():
            shut_down(sock)

    def data_waits(self) -> bool:
        """Return whether bytes wait in the socket that the client has not read."""
        return any(has_data(sock) for sock in self._sockets())

    def _sockets(self) -> list[object]:
        found = (self._socket, _kept_socket(self._transport, self._written))
        return [sock for sock in found if sock is not None]


def _kept_socket(transport: object, request: object) -> object | None:
    """Return the socket of the kept connection over which a transport sends `request`; None if it cannot be found."""
    connection = _kept_connection(transport, request)
    return None if connection is None else connection._network_stream.get_extra_info("socket")  # noqa: SLF001


def _kept_connection(transport: object, request: object) -> Any:  # noqa: ANN401 (the HTTP client's)
    """Return the connection over which a transport sends `request`; None if it cannot be found.

    The client reports a socket only when it opens one, so this looks where httpx 0.28 and httpx2 keep it. If another
    version keeps it elsewhere, closing a call before its headers waits for them; nothing else changes. The request is
    identified by its extensions: a proxy's connection makes a request of its own and passes them on.
    """
    extensions = getattr(request, "extensions", None)
    for sent in list(getattr(getattr(transport, "_pool", None), "_requests", ())):
        if extensions is not None and getattr(getattr(sent, "request", None), "extensions", None) is extensions:
            return inner_connection(getattr(sent, "connection", None))
    return None


_BODY_STARTED = "http11.send_request_body.started"
_BEFORE_THE_BODY = ("http11.send_request_headers.started", _BODY_STARTED)
"""The server may respond after the first event already if there is no body."""
_MOMENT = 0.25  # seconds
_CLOSED_BY_THE_OTHER = frozenset({"ReadError", "WriteError", "CloseError"})
