"""Faults, by name and position. A fault changes the steps of a response and does not use sockets."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_core.errors import ConfigError
from polyglot_simulator.contract import Problem
from polyglot_simulator.reply import Headers, pairs_of
from polyglot_simulator.response import End
from polyglot_simulator.steps import Send, Wait, split_after_bytes, split_after_events

if TYPE_CHECKING:
    from polyglot_simulator.response import SimulatedResponse
    from polyglot_simulator.steps import Step

__all__ = [
    "ByteAtATime",
    "Comments",
    "ContentType",
    "Cut",
    "Drop",
    "ErrorEvent",
    "Fault",
    "Garbage",
    "Gzip",
    "LeaveOpen",
    "Reset",
    "SlowHeaders",
    "Stall",
    "Status",
]

Body = bytes | str | Mapping[str, Any]
"""A body as bytes, as text, or as an object that is sent as JSON."""

_SERVER_ERROR = {"message": "The server had an error.", "type": "server_error", "param": None, "code": None}


class Fault(Struct, frozen=True, kw_only=True):
    """A change of the responses to some requests. Subclass it and implement `change` for a fault of your own.

    Attributes:
        times: Number of requests that it affects, from the first one on; None is all of them.
    """

    times: int | None = None

    @property
    def replaces_reply(self) -> bool:
        """Return True if nothing of the reply is sent, so that the next request gets it."""
        return False

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Return the response with the fault in it."""
        raise NotImplementedError


class _Placed(Fault, frozen=True, kw_only=True):
    """A fault at a position in the body: after a number of events, or after a number of bytes.

    A negative number counts from the end: -1 is before the last one. A position past the end is the end.

    Attributes:
        after_events: Events before the position.
        after_bytes: Bytes of the body before the position, without those of the framing.
    """

    after_events: int | None = None
    after_bytes: int | None = None

    def __post_init__(self) -> None:
        early = getattr(self, "before_headers", None)
        if sum(position is not None for position in (self.after_events, self.after_bytes, early or None)) != 1:
            names = "after_events=N or after_bytes=N" + ("" if early is None else " or before_headers=True")
            raise ConfigError(
                f"{type(self).__name__} needs exactly one position in the response: {names}.", phase="configure"
            )

    def split(self, response: SimulatedResponse) -> tuple[list[Step], list[Step]]:
        """Return the steps before and after the position."""
        if self.after_bytes is not None:
            return split_after_bytes(response.body, self.after_bytes)
        return split_after_events(response.body, self.after_events or 0)


class _PlacedEarly(_Placed, frozen=True, kw_only=True):
    """A fault that may also occur before the first byte of the head.

    Attributes:
        before_headers: Whether it occurs there.
    """

    before_headers: bool = False


class Cut(_Placed, frozen=True, kw_only=True):
    """The body ends early, and its HTTP framing is valid: a last chunk, or a `content-length` that is correct."""

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Remove everything after the position."""
        return replace(response, body=tuple(self.split(response)[0]))


class _BrokenOff(_PlacedEarly, frozen=True, kw_only=True):
    """A body that ends before the length or the last chunk that its head announces."""

    _end: ClassVar[End]

    @property
    def replaces_reply(self) -> bool:
        """Return True if nothing is sent at all."""
        return self.before_headers

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Remove everything after the position, and end the connection."""
        return replace(response.broken_off(self.split(response)[0], self._end), head=not self.before_headers)


class Drop(_BrokenOff, frozen=True, kw_only=True):
    """The server closes its side (FIN) before the body is complete."""

    _end = "drop"


class Reset(_BrokenOff, frozen=True, kw_only=True):
    """The server resets the connection (RST). On Linux the client can still read what was sent before."""

    _end = "reset"


class Stall(_PlacedEarly, frozen=True, kw_only=True):
    """The server sends nothing for a time, and then continues.

    Attributes:
        seconds: Length of the wait; by default until one side closes.
    """

    seconds: float = math.inf

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Insert a wait at the position."""
        if self.before_headers:
            return replace(response, delay=response.delay + self.seconds)
        before, after = self.split(response)
        return replace(response, body=(*before, Wait(self.seconds), *after))


class ErrorEvent(Fault, frozen=True):
    """The provider reports an error in a response with status 200, and the response ends with it.

    Attributes:
        after_events: Events before the error.
        error: The error object, in the dialect's shape.
    """

    after_events: int = 0
    error: Mapping[str, Any] = msgspec.field(default_factory=lambda: dict(_SERVER_ERROR))

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Replace the rest of the response with the error."""
        failure = Send(response.dialect.failure(self.error, streamed=response.streamed))
        before = split_after_events(response.body, self.after_events)[0] if response.streamed else ()
        return replace(response, body=(*before, failure))


class Status(Fault, frozen=True):
    """A response with a status, usually an error. The next request gets the reply instead.

    Attributes:
        code: HTTP status.
        body: The body; None is the dialect's error object for that status, or an empty body below 400.
        headers: More headers, such as ``retry-after``, as a mapping or as pairs.
        content_type: Type of the body.
    """

    code: int
    body: Body | None = None
    headers: Headers = ()
    content_type: str = "application/json"

    @property
    def replaces_reply(self) -> bool:
        """Return True: the status is sent instead of the reply."""
        return True

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Replace the response with the status and its body."""
        body, own = self._default(response) if self.body is None else (_encoded(self.body), ())
        headers = (*response.headers, ("content-type", self.content_type), *own, *pairs_of(self.headers))
        body_length = "none" if self.code == 204 else "length"
        sends = (Send(body),) if body else ()
        return replace(response, status=self.code, headers=headers, body=sends, body_length=body_length)

    def _default(self, response: SimulatedResponse) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        """Return the body and the headers as the dialect encodes them."""
        if self.code < 400:
            return b"", ()
        problem = Problem(self.code, f"The simulator was configured to return status {self.code}.")
        return response.dialect.error(problem), response.dialect.error_headers(problem)


class ContentType(Fault, frozen=True):
    """A 200 whose content type is not that of a stream.

    Attributes:
        value: The content type; None leaves the header out.
        body: A body instead of the reply; None keeps the reply.
    """

    value: str | None
    body: Body | None = None

    @property
    def replaces_reply(self) -> bool:
        """Return True if it has a body of its own."""
        return self.body is not None

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Change the header, and the body if one is given."""
        changed = response.with_header("content-type", self.value)
        return (
            changed if self.body is None else replace(changed, body=(Send(_encoded(self.body)),), body_length="length")
        )


class Comments(Fault, frozen=True):
    """Keep-alive data without meaning, as servers send it between events: comments in an event stream.

    Attributes:
        every: Seconds before each comment.
        count: Number of comments.
        after_events: Events before the first one.
    """

    every: float
    count: int
    after_events: int = 0

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Insert the comments at the position."""
        before, after = split_after_events(response.body, self.after_events)
        nothing = response.dialect.comment if response.streamed else b"\n"  # white space, which JSON allows anywhere
        trickle = (Wait(self.every), Send(nothing, event=False)) * self.count
        return replace(response, body=(*before, *trickle, *after))


class Garbage(Fault, frozen=True):
    """Invalid bytes between two events.

    Attributes:
        after_events: Events before them.
        data: The bytes.
    """

    after_events: int = 0
    data: bytes = b'data: {"choices": [\n\n'

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Insert the bytes at the position."""
        before, after = split_after_events(response.body, self.after_events)
        return replace(response, body=(*before, Send(self.data, event=False), *after))


class ByteAtATime(Fault, frozen=True):
    """Every byte of the body is one write, and one chunk if the body is chunked."""

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Split every step into bytes."""
        return replace(response, body=tuple(byte for step in response.body for byte in _single_bytes(step)))


class LeaveOpen(Fault, frozen=True):
    """The reply is sent to its last event, but the body does not end and the socket stays open."""

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Do nothing after the last step."""
        return response.broken_off(response.body, "open")


class SlowHeaders(Fault, frozen=True):
    """The head of the response is sent one byte at a time.

    Attributes:
        seconds: Seconds before each byte.
    """

    seconds: float

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Set the pace of the head."""
        return replace(response, head_pace=self.seconds)


class Gzip(Fault, frozen=True):
    """The body is compressed, and flushed after every event. Valid HTTP, although the client may not expect it."""

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Compress every step."""
        compressor = zlib.compressobj(wbits=31)  # 31: with the gzip header
        body: list[Step] = []
        for step in response.body:
            if isinstance(step, Send):
                body.append(replace(step, data=compressor.compress(step.data) + compressor.flush(zlib.Z_SYNC_FLUSH)))
            else:
                body.append(step)
        body.append(Send(compressor.flush(), event=False))
        return replace(response.with_header("content-encoding", "gzip"), body=tuple(body))


def _encoded(body: Body) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


def _single_bytes(step: Step) -> list[Step]:
    if isinstance(step, Wait):
        return [step]
    last = len(step.data) - 1
    return [Send(bytes((byte,)), event=step.event and index == last) for index, byte in enumerate(step.data)]
