"""The rules of responses of HTTP/1.1, as polyglot-http1 parses them: alone, in any split, and beside h11."""

from __future__ import annotations

from typing import NamedTuple

import h11

from polyglot_core.errors import LimitExceeded
from polyglot_http1.parsing import BrokenResponseError, ResponseParser

from .rules import Broken, pieces_of

__all__ = ["SEEDS", "check_response"]

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SEEDS = (
    _HEAD + b"Content-Length: 2\r\n\r\nhi",
    _HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi",
    _HEAD + b"\r\nuntil the end",
    _CHUNKED + b"3\r\na: \r\n2;x=y\r\nhi\r\n0\r\n\r\n",
    _CHUNKED + b"a\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nA: b\r\nA: c\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nold",
    _HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    _HEAD + b"Content-Length: 2\r\n\r\nhi" * 2,
)
"""Responses to begin with: complete, of each length, and two that are refused or spoil the connection."""


class _Seen(NamedTuple):
    status: int
    body: bytes
    end: str
    reusable: bool


def check_response(data: bytes) -> None:
    """Check that any split of the bytes is read alike, and that a response which h11 reads as well has the same body.

    Raises:
        Broken: It is not.
    """
    seen = [_parsed(pieces) for pieces in pieces_of(data)]
    if any(each != seen[0] for each in seen):
        raise Broken(f"split differently it is {next(each for each in seen if each != seen[0])} instead of {seen[0]}")
    status, body, end, _ = seen[0]
    if end == "complete" and (other := _by_h11(data)) is not None and other != (status, body):
        raise Broken(f"h11 reads {other} instead of {status, body}")


def _parsed(pieces: list[bytes]) -> _Seen:
    parser, received, end = ResponseParser(), [], "open"
    try:
        for piece in filter(None, pieces):  # no read is empty but the last
            received.append(parser.feed(piece))
        was_complete = parser.complete
        parser.end()
        end = "complete" if was_complete or parser.complete else "open"
    except (BrokenResponseError, LimitExceeded) as error:
        end = type(error).__name__
    if parser.reusable and end != "complete":
        raise Broken("a connection is used again after a response that is not complete")
    return _Seen(parser.status, b"".join(received), end, parser.reusable)


def _by_h11(data: bytes) -> tuple[int, bytes] | None:
    """Return status and body as h11 reads them; None if it refuses the response, or it is not complete."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "here"), ("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    status, body = 0, []
    try:
        connection.receive_data(data)
        connection.receive_data(b"")
        while type(event := connection.next_event()) is not h11.EndOfMessage:
            if type(event) is h11.Response:
                status = event.status_code
            elif type(event) is h11.Data:
                body.append(bytes(event.data))
            elif type(event) is not h11.InformationalResponse:
                return None
    except h11.RemoteProtocolError:
        return None
    return status, b"".join(body)
