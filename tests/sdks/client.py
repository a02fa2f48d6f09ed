"""What the official clients receive and report, in common terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KEY", "PROMPT", "TURNS", "Call", "Client", "Decoded", "Finish", "Text", "Thought", "Used"]

KEY = "test-key"
PROMPT = "Hello there"
TURNS = [{"role": "user", "content": PROMPT}]


class Text(NamedTuple):
    """A piece of the visible text."""

    text: str


class Thought(NamedTuple):
    """A piece of the thinking."""

    text: str


class Call(NamedTuple):
    """A piece of a tool call: the name may be missing after the first one, and the arguments are a piece of JSON."""

    index: int
    name: str | None
    arguments: str


class Finish(NamedTuple):
    """The provider's finish reason."""

    word: str


class Used(NamedTuple):
    """Token counts: the whole prompt, and all that was generated. None if the client does not report them."""

    prompt: int
    output: int
    cached: int | None = None
    reasoning: int | None = None


Decoded = Text | Thought | Call | Finish | Used


class Client:
    """One official client.

    Attributes:
        key: The only key that the simulator is to let in, so that the client has to bring it where it belongs.
        words: What it calls an answer that is done, one that wants tools called, and one that was cut.
        refusals: Names of its error classes by status; under None the name of all others.
        inside: Name of the error class for an error inside a stream, or else its word for such an end.
        errors: What has the error classes.
    """

    key: ClassVar[str | None] = KEY
    words: ClassVar[tuple[str, str, str]]
    refusals: ClassVar[dict[int | None, str]]
    inside: ClassVar[str]
    errors: Any

    def __init__(self, root: str) -> None:
        """Make the client for the simulator at `root`, an address without a path."""
        raise NotImplementedError

    def plain(self) -> Iterator[Decoded]:
        """Request a plain response."""
        raise NotImplementedError

    def streamed(self) -> Iterator[Decoded]:
        """Request a stream."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the client."""
        self.client.close()

    def refusal(self, status: int) -> type[Exception]:
        """Return the error class of the client for `status`."""
        return self.error_class(self.refusals.get(status, self.refusals[None]))

    def error_class(self, name: str) -> type[Exception]:
        """Return the error class of that name."""
        return getattr(self.errors, name)

    def status(self, error: Any) -> int:
        """Return the status in an error of the client."""
        return error.status_code
