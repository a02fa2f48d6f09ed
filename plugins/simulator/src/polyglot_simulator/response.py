"""An HTTP response before it is sent, in steps: faults change them, and the server writes them."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from polyglot_simulator.contract import Dialect
from polyglot_simulator.steps import Send, Step, Wait, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["BodyLength", "End", "SimulatedResponse"]

End = Literal["complete", "drop", "reset", "open"]
"""After the last step: end the body and keep the connection, send FIN, send RST, or do nothing at all."""

BodyLength = Literal["chunked", "length", "close", "none"]


class SimulatedResponse(Struct, frozen=True, kw_only=True):
    """The response to one request.

    Attributes:
        dialect: The dialect of the body, for faults that add to it.
        body: The body in steps.
        streamed: Whether the body is a stream of events.
        status: HTTP status.
        headers: Names and values, without those of the body length.
        body_length: How the client finds the end of the body.
        length: What ``content-length`` states under the body length ``length``; None is the true length.
        end: What happens after the last step.
        delay: Seconds before the first byte of the head.
        head: Whether there is a head; without one nothing is sent.
        head_pace: Seconds before each byte of the head; None sends the head at once.
    """

    dialect: Dialect
    body: tuple[Step, ...] = ()
    streamed: bool = False
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body_length: BodyLength = "length"
    length: int | None = None
    end: End = "complete"
    delay: float = 0.0
    head: bool = True
    head_pace: float | None = None

    def with_header(self, name: str, value: str | None) -> SimulatedResponse:
        """Return the response with header `name` set to `value`, or without it where that is None."""
        others = tuple(pair for pair in self.headers if pair[0].lower() != name)
        return replace(self, headers=others if value is None else (*others, (name, value)))

    def broken_off(self, body: Iterable[Step], end: End) -> SimulatedResponse:
        """Return the response with only `body`, while its head still states the original length."""
        return replace(self, body=tuple(body), end=end, length=self.stated_length)

    @property
    def stated_length(self) -> int:
        """Return the length of the body in bytes, as the head states it."""
        return size(self.body) if self.length is None else self.length

    @property
    def keeps_connection(self) -> bool:
        """Return True if another request may follow on the same connection."""
        return self.end == "complete" and self.body_length != "close"

    def steps(self) -> Iterator[Step]:
        """Yield the response as bytes for the socket, head and chunk sizes included."""
        if self.delay:
            yield Wait(self.delay)
        if not self.head:
            return
        yield from self._head_steps()
        for step in self.body:
            if isinstance(step, Wait):
                yield step
            elif step.data:  # an empty chunk would end the body
                yield Send(self._framed(step.data))
        if self.body_length == "chunked" and self.end == "complete":
            yield Send(b"0\r\n\r\n")

    def _head_steps(self) -> Iterator[Step]:
        head = self._head_bytes()
        if self.head_pace is None:
            yield Send(head)
            return
        for index in range(len(head)):
            yield Wait(self.head_pace)
            yield Send(head[index : index + 1])

    def _head_bytes(self) -> bytes:
        own = {"chunked": ("transfer-encoding", "chunked"), "close": ("connection", "close")}
        stated = ("content-length", str(self.stated_length))
        framing = stated if self.body_length == "length" else own.get(self.body_length)
        headers = list(self.headers)
        if framing and framing[0] not in {name.lower() for name, _ in headers}:
            headers.append(framing)
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}", *(f"{name}: {value}" for name, value in headers)]
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self.body_length == "chunked" else data


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
