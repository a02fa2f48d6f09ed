"""What a dialect is: the way from a reply to bytes, apart from sockets, pace and faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec import Struct

from polyglot_simulator.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_simulator.steps import Send

__all__ = ["Access", "Dialect", "Problem", "Turn"]


class Access(NamedTuple):
    """How a driver reaches its dialect.

    Attributes:
        base: Path that the driver adds its own to.
        auth_header: Header that carries the key.
        auth_scheme: Word before the key; empty for none.
    """

    base: str = "/v1"
    auth_header: str = "authorization"
    auth_scheme: str = "Bearer"


class Problem(Struct, frozen=True):
    """Why a request is refused; a dialect puts it into its own shape.

    Attributes:
        status: HTTP status.
        message: What is wrong and what to do.
        code: The provider's code, where it has one.
        param: The field of the request that is wrong.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None


class Turn(Struct, frozen=True, kw_only=True):
    """A request and the reply that it gets, for a dialect to put into bytes.

    Attributes:
        number: Number of the turn, from 1; ids are made from it.
        body: The request's body.
        reply: The reply.
        model: The model that answers, unless the request names another.
    """

    number: int
    body: Mapping[str, Any]
    reply: Reply
    model: str


class Dialect(Protocol):
    """One way to put replies and errors into bytes. A new one is a subclass in a module, and a row of `DIALECTS`.

    Attributes:
        stream_headers: Headers of a streamed answer.
        comment: Bytes between two events of a stream that mean nothing.
    """

    stream_headers: tuple[tuple[str, str], ...]
    comment: bytes = b": keep-alive\n\n"

    def problem(self, body: object) -> Problem | None:
        """What is wrong with the body of a request; bytes are a body that is no JSON."""
        ...

    def wants_stream(self, body: Mapping[str, Any]) -> bool:
        """Whether the client asked for a stream."""
        ...

    def stream(self, turn: Turn) -> Iterator[Send]:
        """The events of a streamed answer, the end signal included."""
        ...

    def whole(self, turn: Turn) -> bytes:
        """The body of a plain answer."""
        ...

    def error(self, problem: Problem) -> bytes:
        """The body of an error answer."""
        ...

    def error_headers(self, problem: Problem) -> tuple[tuple[str, str], ...]:  # noqa: ARG002 (for those that have some)
        """Headers of an error answer, beside its content type."""
        return ()

    def failure(self, error: Mapping[str, Any], *, streamed: bool) -> bytes:
        """An error inside a 200: an event of a stream, or the body of a plain answer."""
        ...
