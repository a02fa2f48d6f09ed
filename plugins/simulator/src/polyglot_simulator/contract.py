"""The contract of a dialect, which converts replies to bytes. Sockets, pace and faults are not its concern."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec import Struct

from polyglot_simulator.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_simulator.steps import Send

__all__ = ["Access", "Dialect", "ModelList", "Problem", "Turn"]

ModelList = Callable[[Sequence[str], str | None], object]
"""Returns a page of the list of models as JSON, for the names of all models and the cursor in the request."""


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
    """Why a request is rejected; the dialect formats it.

    Attributes:
        status: HTTP status.
        message: What is wrong, and what to do.
        code: The provider's code, where it has one.
        param: The field of the request that is wrong.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None


class Turn(Struct, frozen=True, kw_only=True):
    """A request and its reply, which a dialect encodes.

    Attributes:
        number: Number of the turn, from 1; ids are made from it.
        body: The request's body.
        reply: The reply.
        model: The model of the response, unless the request names another.
    """

    number: int
    body: Mapping[str, Any]
    reply: Reply
    model: str


class Dialect(Protocol):
    """An encoding of replies and errors. See `polyglot_simulator.dialect` for how a package adds one.

    Attributes:
        stream_headers: Headers of a streamed response.
        comment: Bytes without meaning between two events of a stream.
    """

    stream_headers: tuple[tuple[str, str], ...]
    comment: bytes = b": keep-alive\n\n"

    def problem(self, body: object) -> Problem | None:
        """Return what is wrong with the body of a request, if anything; bytes are a body that is not JSON."""
        ...

    def wants_stream(self, body: Mapping[str, Any]) -> bool:
        """Return True if the client requests a stream."""
        ...

    def stream(self, turn: Turn) -> Iterator[Send]:
        """Yield the events of a streamed response, including the end-of-stream marker."""
        ...

    def whole(self, turn: Turn) -> bytes:
        """Return the body of a plain response."""
        ...

    def error(self, problem: Problem) -> bytes:
        """Return the body of an error response."""
        ...

    def error_headers(self, problem: Problem) -> tuple[tuple[str, str], ...]:  # noqa: ARG002 (for those that have some)
        """Return headers of an error response, beside its content type."""
        return ()

    def failure(self, error: Mapping[str, Any], *, streamed: bool) -> bytes:
        """Return an error inside a 200: an event of a stream, or the body of a plain response."""
        ...
