"""Requests as the simulator saw them, and the parser that reads them off a connection."""

from __future__ import annotations

import threading
import time
from typing import Any

import h11
import msgspec

__all__ = ["BadRequestError", "RecordedRequest", "RequestParser"]

_LARGEST_HEAD = 64 * 1024
_LARGEST_BODY = 16 * 1024 * 1024


class BadRequestError(Exception):
    """The received bytes are not HTTP, or exceed the simulator's limits."""


class RecordedRequest:
    """A request that reached the simulator. Times are those of `time.monotonic`.

    Its `repr` leaves out headers and body, where keys and prompts are.

    Attributes:
        number: Its number in the order of arrival, from 1.
        method: HTTP method.
        path: Path, without the query.
        query: What follows the question mark.
        headers: Names in lower case, and values.
        body: The parsed JSON, or the bytes where they are no JSON.
        received_at: When it was complete.
        closed_at: When its connection was seen closed by the client; None until then, and if the server was first.
        sent_bytes: Bytes of the response written so far, head and framing included.
    """

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        self.number = 0
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.body: Any = _parsed(body)
        self.received_at = time.monotonic()
        self.closed_at: float | None = None
        self.sent_bytes = 0
        self._closed = threading.Event()

    def mark_closed(self) -> None:
        """Note that the client has closed the connection."""
        self.closed_at = time.monotonic()
        self._closed.set()

    def wait_closed(self, timeout: float = 5.0) -> float | None:
        """Wait up to `timeout` seconds for the client to close the connection; returns `closed_at`."""
        self._closed.wait(timeout)
        return self.closed_at

    def __repr__(self) -> str:
        state = "open" if self.closed_at is None else "closed"
        return f"<RecordedRequest {self.number}: {self.method} {self.path}, {self.sent_bytes} bytes sent, {state}>"


class RequestParser:
    """Reads one request; what follows it is `rest`, for the next parser."""

    def __init__(self, data: bytes = b"") -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST_HEAD)
        self._head: h11.Request | None = None
        self._body = bytearray()
        if data:
            self._http.receive_data(data)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the connection."""
        self._http.receive_data(data)

    def request(self) -> RecordedRequest | None:
        """Return the request, or None until it is complete.

        Raises:
            BadRequestError: There will be no request.
        """
        try:
            while (event := self._http.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.EndOfMessage) and self._head is not None:
                    return self._recorded(self._head)
                self._take(event)
        except h11.RemoteProtocolError as error:
            raise BadRequestError(str(error)) from error
        return None

    @property
    def is_expected_to_agree(self) -> bool:
        """Return True if the client waits for a ``100 Continue`` before it sends the body."""
        return self._http.they_are_waiting_for_100_continue

    @property
    def rest(self) -> bytes:
        """Return the bytes after the request."""
        return self._http.trailing_data[0]

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._head = event
        elif isinstance(event, h11.Data):
            self._body += event.data
        if len(self._body) > _LARGEST_BODY:
            raise BadRequestError(f"The body of the request is larger than {_LARGEST_BODY} bytes.")

    def _recorded(self, head: h11.Request) -> RecordedRequest:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        return RecordedRequest(head.method.decode(), head.target.decode(), headers, bytes(self._body))


def _parsed(body: bytes) -> Any:  # noqa: ANN401 (any JSON value)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return body
