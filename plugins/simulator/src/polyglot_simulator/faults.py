"""What can go wrong, by name and place. A fault changes the steps of an answer and knows nothing of sockets."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_core.errors import ConfigError
from polyglot_simulator.answer import End
from polyglot_simulator.contract import Problem
from polyglot_simulator.steps import Send, Wait, split_after_bytes, split_after_events

if TYPE_CHECKING:
    from polyglot_simulator.answer import Answer
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
    """A change of the answers to some requests. A subclass with a `change` of its own is a fault of yours.

    Attributes:
        times: How many requests it strikes, from the first one on; None is all of them.
    """

    times: int | None = None

    @property
    def replaces_reply(self) -> bool:
        """Whether nothing of the reply is sent, so that the next request still finds it."""
        return False

    def change(self, answer: Answer) -> Answer:
        """The answer with the fault in it."""
        raise NotImplementedError


class _Placed(Fault, frozen=True, kw_only=True):
    """A fault at a place of the body: after so many events, or after so many bytes.

    A negative number counts from the end: -1 is before the last one. A place behind the end is the end.

    Attributes:
        after_events: Events before the place.
        after_bytes: Bytes of the body before the place, those of the framing not counted.
    """

    after_events: int | None = None
    after_bytes: int | None = None

    def __post_init__(self) -> None:
        early = getattr(self, "before_headers", None)
        if sum(place is not None for place in (self.after_events, self.after_bytes, early or None)) != 1:
            names = "after_events=N or after_bytes=N" + ("" if early is None else " or before_headers=True")
            raise ConfigError(f"{type(self).__name__} needs exactly one place: {names}.", phase="configure")

    def split(self, answer: Answer) -> tuple[list[Step], list[Step]]:
        """The steps before and after the place."""
        if self.after_bytes is not None:
            return split_after_bytes(answer.body, self.after_bytes)
        return split_after_events(answer.body, self.after_events or 0)


class _PlacedEarly(_Placed, frozen=True, kw_only=True):
    """A fault that may also come before the first byte of the head.

    Attributes:
        before_headers: Whether it does.
    """

    before_headers: bool = False


class Cut(_Placed, frozen=True, kw_only=True):
    """The body ends early, and HTTP is content: a chunked body has its last chunk, a plain one a true length."""

    def change(self, answer: Answer) -> Answer:
        """Leave out what follows the place."""
        return replace(answer, body=tuple(self.split(answer)[0]))


class _BrokenOff(_PlacedEarly, frozen=True, kw_only=True):
    """A body that stops while its head promises more."""

    _end: ClassVar[End]

    @property
    def replaces_reply(self) -> bool:
        """Only where nothing is sent at all."""
        return self.before_headers

    def change(self, answer: Answer) -> Answer:
        """Leave out what follows the place, and end the connection."""
        return replace(answer.broken_off(self.split(answer)[0], self._end), head=not self.before_headers)


class Drop(_BrokenOff, frozen=True, kw_only=True):
    """The server closes its side (FIN) before the body is whole."""

    _end = "drop"


class Reset(_BrokenOff, frozen=True, kw_only=True):
    """The server resets the connection (RST). On Linux what was sent before can still be read."""

    _end = "reset"


class Stall(_PlacedEarly, frozen=True, kw_only=True):
    """The server falls silent, and then goes on.

    Attributes:
        seconds: How long; by default for good, until one side closes.
    """

    seconds: float = math.inf

    def change(self, answer: Answer) -> Answer:
        """Put a wait at the place."""
        if self.before_headers:
            return replace(answer, delay=answer.delay + self.seconds)
        before, after = self.split(answer)
        return replace(answer, body=(*before, Wait(self.seconds), *after))


class ErrorEvent(Fault, frozen=True):
    """The provider reports an error inside a 200, and the answer ends with it.

    Attributes:
        after_events: Events before the error.
        error: The error object, in the dialect's shape.
    """

    after_events: int = 0
    error: Mapping[str, Any] = msgspec.field(default_factory=lambda: dict(_SERVER_ERROR))

    def change(self, answer: Answer) -> Answer:
        """Put the error in the place of what follows."""
        failure = Send(answer.dialect.failure(self.error, streamed=answer.streamed))
        before = split_after_events(answer.body, self.after_events)[0] if answer.streamed else ()
        return replace(answer, body=(*before, failure))


class Status(Fault, frozen=True):
    """The answer is a status, as a rule an error. The reply waits for the next request.

    Attributes:
        code: HTTP status.
        body: The body; None is the dialect's error object for that status, and nothing below 400.
        headers: More headers, such as ``retry-after``.
        content_type: Type of the body.
    """

    code: int
    body: Body | None = None
    headers: Mapping[str, str] = {}
    content_type: str = "application/json"

    @property
    def replaces_reply(self) -> bool:
        """It does."""
        return True

    def change(self, answer: Answer) -> Answer:
        """Put the status and its body in the place of the answer."""
        body, own = self._default(answer) if self.body is None else (_encoded(self.body), ())
        headers = (*answer.headers, ("content-type", self.content_type), *own, *self.headers.items())
        body_length = "none" if self.code == 204 else "length"
        sends = (Send(body),) if body else ()
        return replace(answer, status=self.code, headers=headers, body=sends, body_length=body_length)

    def _default(self, answer: Answer) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        """The body and the headers in the dialect's words."""
        if self.code < 400:
            return b"", ()
        problem = Problem(self.code, f"The simulator was told to answer with status {self.code}.")
        return answer.dialect.error(problem), answer.dialect.error_headers(problem)


class ContentType(Fault, frozen=True):
    """A 200 whose content type is not that of a stream.

    Attributes:
        value: The content type; None leaves the header out.
        body: A body in the place of the reply; None keeps the reply.
    """

    value: str | None
    body: Body | None = None

    @property
    def replaces_reply(self) -> bool:
        """Only where it brings a body."""
        return self.body is not None

    def change(self, answer: Answer) -> Answer:
        """Change the header, and the body where there is one."""
        changed = answer.with_header("content-type", self.value)
        return (
            changed if self.body is None else replace(changed, body=(Send(_encoded(self.body)),), body_length="length")
        )


class Comments(Fault, frozen=True):
    """A trickle of what means nothing, as servers send it to keep a connection alive: comments in an event stream.

    Attributes:
        every: Seconds before each comment.
        count: How many.
        after_events: Events before the first one.
    """

    every: float
    count: int
    after_events: int = 0

    def change(self, answer: Answer) -> Answer:
        """Put the comments at the place."""
        before, after = split_after_events(answer.body, self.after_events)
        nothing = answer.dialect.comment if answer.streamed else b"\n"  # white space, which JSON allows anywhere
        trickle = (Wait(self.every), Send(nothing, event=False)) * self.count
        return replace(answer, body=(*before, *trickle, *after))


class Garbage(Fault, frozen=True):
    """Bytes that do not belong there, between two events.

    Attributes:
        after_events: Events before them.
        data: The bytes.
    """

    after_events: int = 0
    data: bytes = b'data: {"choices": [\n\n'

    def change(self, answer: Answer) -> Answer:
        """Put the bytes at the place."""
        before, after = split_after_events(answer.body, self.after_events)
        return replace(answer, body=(*before, Send(self.data, event=False), *after))


class ByteAtATime(Fault, frozen=True):
    """Every byte of the body is a write of its own, and a chunk of its own where the body is chunked."""

    def change(self, answer: Answer) -> Answer:
        """Cut every step into bytes."""
        return replace(answer, body=tuple(byte for step in answer.body for byte in _single_bytes(step)))


class LeaveOpen(Fault, frozen=True):
    """The reply is sent to its last event, but the body does not end and the socket stays open."""

    def change(self, answer: Answer) -> Answer:
        """Do nothing after the last step."""
        return answer.broken_off(answer.body, "open")


class SlowHeaders(Fault, frozen=True):
    """The head of the answer drips.

    Attributes:
        seconds: Seconds before each byte.
    """

    seconds: float

    def change(self, answer: Answer) -> Answer:
        """Set the pace of the head."""
        return replace(answer, head_pace=self.seconds)


class Gzip(Fault, frozen=True):
    """The body is compressed, and flushed after every event. No fault, unless the client did not expect it."""

    def change(self, answer: Answer) -> Answer:
        """Compress every step."""
        compressor = zlib.compressobj(wbits=31)  # 31: with the gzip header
        body: list[Step] = []
        for step in answer.body:
            if isinstance(step, Send):
                body.append(replace(step, data=compressor.compress(step.data) + compressor.flush(zlib.Z_SYNC_FLUSH)))
            else:
                body.append(step)
        body.append(Send(compressor.flush(), event=False))
        return replace(answer.with_header("content-encoding", "gzip"), body=tuple(body))


def _encoded(body: Body) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


def _single_bytes(step: Step) -> list[Step]:
    if isinstance(step, Wait):
        return [step]
    last = len(step.data) - 1
    return [Send(bytes((byte,)), event=step.event and index == last) for index, byte in enumerate(step.data)]
