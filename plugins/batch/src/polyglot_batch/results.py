"""Jobs, their results, and the checks that both ways of running many calls share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from polyglot_core import InferenceResponse, Outcome, PolyglotError
from polyglot_core.errors import RequestError
from polyglot_core.plugin import InferenceRequest

__all__ = ["Job", "Result", "Sequencer", "at_least_one", "jobs_of"]


class Job(Struct, frozen=True):
    """One call to make.

    Attributes:
        index: Its number, from 0.
        prompt: The prompt, as `create` takes it.
        arguments: Further arguments of `create`.
    """

    index: int
    prompt: Any
    arguments: Mapping[str, Any] = {}


class Result(Struct, frozen=True):
    """The result of one call: a response, or the error that it ended with.

    Attributes:
        index: Number of the prompt, from 0.
        prompt: The prompt.
        response: The complete response; None if the call ended with an error.
        error: The error, whose `partial` is the content received before it; None if there is none.
        request: The request; None if it could not be prepared.
    """

    index: int
    prompt: Any
    response: InferenceResponse | None = None
    error: PolyglotError | None = None
    request: InferenceRequest | None = None

    @property
    def received(self) -> InferenceResponse | None:
        """Return the response as far as it was received, which may have been paid for."""
        return self.response if self.error is None else self.error.partial

    @property
    def is_complete(self) -> bool:
        """Return whether the response was received to its end, and not cancelled."""
        return self.response is not None and self.response.outcome is not Outcome.CANCELLED

    def get(self) -> InferenceResponse:
        """Return the response, or raise the error."""
        if self.response is None:
            raise self.error or RequestError("The call has no response.", phase="encode")
        return self.response


def jobs_of(prompts: Iterable[Any], arguments: Mapping[str, Any]) -> Iterator[Job]:
    """Return a job for each prompt.

    Raises:
        RequestError: The prompts are one prompt, or no iterable.
    """
    if isinstance(prompts, (str, bytes, Mapping)) or not isinstance(prompts, Iterable):
        msg = f"prompts is an iterable of prompts, not {type(prompts).__name__}; for one prompt, use create()."
        raise RequestError(msg, phase="encode")
    return (Job(index, prompt, arguments) for index, prompt in enumerate(prompts))


def at_least_one(field: str, number: int | object) -> int:
    """Return a number of calls.

    Raises:
        RequestError: It is no whole number from 1.
    """
    if isinstance(number, int) and not isinstance(number, bool) and number >= 1:
        return number
    raise RequestError(f"{field} is a whole number from 1, not {number!r:.40}.", phase="encode")


class Sequencer:
    """Returns results in the order of their prompts, or as they come."""

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._held: dict[int, Result] = {}
        self._next = 0

    def put(self, result: Result) -> None:
        """Add a result."""
        self._held[result.index] = result
        if not self._ordered:
            self._next = result.index

    def pop(self) -> Result | None:
        """Return the result that is next; None if it has not been added."""
        if (result := self._held.pop(self._next, None)) is not None:
            self._next += 1
        return result
