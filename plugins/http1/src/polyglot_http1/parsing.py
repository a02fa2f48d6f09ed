"""Parses one response of HTTP/1.1: bytes in, status, headers and body out. No I/O.

The parser is llhttp, by way of httptools, in its strict mode, so it rejects what two parsers could understand in two
ways: both lengths, two lengths, odd chunk sizes, folded headers, bare CR or LF (RFC 9112, sections 2.2, 5 and 6). What
it accepts for other protocols or other roles is rejected here.
"""

# Theory of operation
# -------------------
#
# `feed` passes the bytes of one read to the parser, whose callbacks append to lists, and returns the body in them as
# one bytes object. `on_body` is the `append` of a list, a method in C: a read of 64 KiB may hold 200 HTTP chunks, and a
# call of Python code for each would cost as much as all the rest.
#
# An error of the parser is not raised by the `feed` in which it occurs, if body was received before it: that body is
# returned, and the error is raised by the next call. Nothing that was received is lost.
#
# What follows a complete response is never parsed as the next one. HTTP/1.1 has no numbers by which a response could be
# matched to its request, so bytes behind a response make the connection unusable: `reusable` is false. The parser would
# begin another message with them; `on_message_begin` notices that, and so does an error after the end.
#
# Sizes. The body is bounded by the caller. All else (heads, chunk sizes and extensions, trailers, interim responses) is
# bounded by `_MOST_HEAD` before the body begins, and by an allowance for each piece of body after that, so that the
# work for a response is linear in its body.

from __future__ import annotations

from typing import NoReturn

import httptools

from polyglot_core.errors import LimitExceeded

__all__ = ["BrokenResponseError", "ResponseParser"]

_MOST_HEAD = 100 * 1024
"""Bytes of status line, headers and interim responses: as much as h11 accepts."""

_MOST_AROUND_BODY = 256 * 1024
_MOST_FOR_EACH_PIECE = 256
"""Bytes of chunk sizes, extensions and trailers in one response, and for each piece of its body."""

_MOST_INTERIM = 20
"""Interim responses (1xx) before the final one."""

_SWITCHING_PROTOCOLS = 101
_FINAL = 200
_WITHOUT_BODY = frozenset({204, 304})


class BrokenResponseError(Exception):
    """What was received is not a response of HTTP/1.1, or not all of one."""


class ResponseParser:
    """Parses the responses of one connection, one after the other.

    Attributes:
        status: HTTP status; 0 until the headers are complete.
        headers: Header names in lower case; repeated ones joined with a comma.
        complete: Whether the whole response was received.
        reusable: Whether the connection may carry another request. Meaningful once the response is complete.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._fields: list[tuple[bytes, bytes]] = []
        self.on_body = self._pieces.append  # before the parser, which looks its callbacks up once
        self._parser = httptools.HttpResponseParser(self)
        self.start()

    def start(self) -> None:
        """Expect the response to the next request. The one before must have left the connection reusable."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = self.reusable = False
        self._until_close = self._head_is_odd = False
        self._size = 0  # bytes received
        self._around = self._interim = 0  # bytes that are not body; interim responses
        self._allowed = _MOST_AROUND_BODY
        self._error: Exception | None = None
        self._pieces_in_all = -1  # of the read in which the response ended
        self._before = b""  # the read before, or the last bytes of all

    def feed(self, data: bytes) -> bytes:
        """Return the body in the next bytes; b"" if there is none.

        Raises:
            BrokenResponseError: The bytes are not a response of HTTP/1.1.
            LimitExceeded: What surrounds the body is too large.
        """
        if self._error is not None:
            self._raise()
        if self.complete:
            self.reusable = False
            return b""
        if self._size < len(_START):
            self._check_start(data)
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:  # an interruption of a callback: the parser replaces it
            raise error.__context__ or error from None
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._note(f"{error}")
        pieces = self._pieces
        if self.complete:
            self._end_within(data)
        self._before = data if len(data) >= len(_BLANK) else (self._before + data)[-len(_BLANK) :]
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._count(len(data) - len(body), len(pieces))
        pieces.clear()
        if self._error is not None and (self._head_is_odd or not body):
            self._raise()
        return body

    def check(self) -> None:
        """Raise the error that follows the body which was returned, if there is one. More bytes may never arrive.

        Raises:
            BrokenResponseError: The bytes behind that body are not a response of HTTP/1.1.
            LimitExceeded: What surrounds the body is too large.
        """
        if self._error is not None:
            self._raise()

    def end(self) -> None:
        """Accept the end of the connection.

        Raises:
            BrokenResponseError: It is not the end of the response.
        """
        self.check()
        if self.status and self._until_close:
            self.complete = True
        if not self.complete:
            self._error = BrokenResponseError(_CUT_BODY if self.status else _NO_RESPONSE)
            self._raise()

    def _end_within(self, data: bytes) -> None:
        """Drop what follows the response in the read that ended it; such a connection is not used again."""
        del self._pieces[self._pieces_in_all :]
        end = data[-len(_BLANK) :] if len(data) >= len(_BLANK) else (self._before + data)[-len(_BLANK) :]
        # the parser skips line breaks before a response, so they are found here
        if not self._pieces or "transfer-encoding" in self.headers:
            odd = end == _BLANK or not end.endswith(_END)
        else:
            odd = not data.endswith(self._pieces[-1])
        if odd:
            self.reusable = False

    def _check_start(self, data: bytes) -> None:
        """Raise unless a response begins with a version of HTTP/1: the parser knows other protocols, too."""
        expected = _START[self._size :]
        if data[: len(expected)] != expected[: len(data)]:
            self._note(f"it begins with {data[:20]!r}")
            self._raise()

    def _count(self, around: int, pieces: int) -> None:
        """Note an error if what surrounds the body is too large."""
        self._around += around
        self._allowed += pieces * _MOST_FOR_EACH_PIECE
        if self._around <= _MOST_HEAD or self.complete or self._error is not None:
            return
        if not self.status:
            msg = f"The response headers are larger than {_MOST_HEAD} bytes."
            self._error = LimitExceeded(msg, phase="headers")
        elif self._around > self._allowed:
            msg = "The response's chunk sizes, chunk extensions or trailers are too large."
            self._error = LimitExceeded(msg, phase="stream")

    def _note(self, problem: str) -> None:
        """Keep a problem, to be raised once the body before it was returned; after the end it only spoils reuse."""
        self.reusable = False
        if not self.complete and self._error is None:
            self._error = BrokenResponseError(f"the response is not valid HTTP/1.1: {problem}")

    def _raise(self) -> NoReturn:
        if self._error is not None:
            raise self._error
        raise AssertionError  # it is called with an error

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Notice bytes behind a complete response, which the parser takes for another one."""
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers are ignored."""
        if not self.status:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head, and keep it unless it is that of an interim response."""
        if self.complete:
            return
        status = self._parser.get_status_code()
        if status < _FINAL and status != _SWITCHING_PROTOCOLS:
            self._fields.clear()
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                self._note(f"there are more than {_MOST_INTERIM} interim responses")
            return
        self.headers = _joined(self._fields)
        self._fields.clear()
        self.status = status
        self._until_close = not (
            status in _WITHOUT_BODY or "content-length" in self.headers or "transfer-encoding" in self.headers
        )
        if problem := self._head_problem(status):
            self._head_is_odd = True
            self._note(problem)

    def _head_problem(self, status: int) -> str | None:
        """Return what is wrong with the head; None if nothing is."""
        version, coding = self._parser.get_http_version(), self.headers.get("transfer-encoding")
        if version not in {"1.0", "1.1"}:
            return f"its version is {version}"
        if status == _SWITCHING_PROTOCOLS:
            return "it switches to another protocol, which was not requested"
        if coding is not None and (coding.lower() != "chunked" or version == "1.0"):
            return "its transfer coding is not chunked"
        return None

    def on_message_complete(self) -> None:
        """Note the end of the final response."""
        if self.status and self._error is None and not self.complete:
            self.complete = True
            self.reusable = self._parser.should_keep_alive() and not self._until_close
            self._pieces_in_all = len(self._pieces)


def _joined(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1").strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


_START = b"HTTP/1."
_END = b"\r\n\r\n"
"""The end of a chunked body, or of a head."""
_BLANK = _END + b"\r\n"
"""The same, and a line break that does not belong to it."""
_CUT_BODY = "peer closed connection without sending complete message body"
_NO_RESPONSE = "server disconnected without sending a response"
