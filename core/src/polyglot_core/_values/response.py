"""What a user gets: partial responses while a stream runs, and the complete response."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from polyglot_core._values.parts import Part, Reasoning, ToolCall
from polyglot_core._values.request import Message

__all__ = [
    "Choice",
    "FailedAttempt",
    "FinishReason",
    "InferenceResponse",
    "Media",
    "Outcome",
    "Reasoning",
    "Timing",
    "ToolCall",
    "Usage",
]


class FinishReason(StrEnum):
    """Why the model stopped, in one vocabulary for all providers; the provider's own word is kept beside it."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    ERROR = "error"
    OTHER = "other"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """How a stream ended. Every stream ends in exactly one of these."""

    FINISHED = "finished"
    TRUNCATED = "truncated"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens, as the provider counted them. None is unknown; 0 is a count.

    Attributes:
        input_tokens: The whole prompt, tokens read from and written to a cache included.
        output_tokens: All that was generated, reasoning included.
        cache_read_tokens: Those of the prompt that came from a cache.
        cache_write_tokens: Those of the prompt that were written to a cache.
        reasoning_tokens: Those of the output that are reasoning.
        raw: The provider's own object.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    raw: Mapping[str, Any] = {}


class Media(Struct, frozen=True, kw_only=True):
    """An image, a sound or a file that the model made."""

    mime_type: str
    data: bytes


class Timing(Struct, frozen=True, kw_only=True):
    """How long it took, in seconds from the call; None where it did not come to that.

    Attributes:
        first_event: Until the first event with meaning.
        duration: Until the end.
    """

    first_event: float | None = None
    duration: float | None = None


class FailedAttempt(Struct, frozen=True, kw_only=True):
    """A request that did not bring the answer, before another was sent.

    Attributes:
        connection: Name of the connection that was asked.
        error: Name of the class of the error that it ended in.
        message: What the error said.
        status: HTTP status, where there was one.
        code: The provider's own code for the error.
        wait: Seconds that were waited before the next request.
        partial: What had come of an answer, where something had; it is no part of the response.
    """

    connection: str
    error: str
    message: str
    status: int | None = None
    code: str | None = None
    wait: float = 0.0
    partial: InferenceResponse | None = None


class Choice(Struct, frozen=True, kw_only=True):
    """One answer of those that were asked for.

    Attributes:
        index: Its number, from 0.
        content: The visible text.
        reasoning_content: The thinking, as text.
        refusal: A refusal that the provider keeps apart from the text, or None.
        tool_calls: Calls to the user's tools, in the order of their first appearance.
        finish_reason: Why the model stopped; None if it did not get so far.
        finish_reason_raw: The provider's own word for it.
        reasoning: The thinking in blocks, with signatures.
        citations: Sources, as the provider's objects.
        logprobs: Log probabilities, as the provider's objects, in order.
        media: What the model made besides text.
        server_tools: What the provider reported of tools that it ran itself, as its objects.
        parts: All of this that goes into the next turn, in the order in which it came.
    """

    index: int
    content: str = ""
    reasoning_content: str = ""
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason | None = None
    finish_reason_raw: str | None = None
    reasoning: tuple[Reasoning, ...] = ()
    citations: tuple[Mapping[str, Any], ...] = ()
    logprobs: tuple[Mapping[str, Any], ...] = ()
    media: tuple[Media, ...] = ()
    server_tools: tuple[Mapping[str, Any], ...] = ()
    parts: tuple[Part, ...] = ()


_NO_CHOICE = Choice(index=0)


class InferenceResponse(Struct, frozen=True, kw_only=True):
    """The complete response, or all that came of it; `outcome` says which.

    Attributes:
        outcome: How it ended.
        choices: The answers, by index; `content` and its neighbours speak of choice 0.
        usage: Token counts, or None if the provider did not report any.
        model: Model that answered, as the provider names it.
        id: The provider's id of the response.
        connection: Name of the connection that answered.
        request_id: The provider's id of the HTTP request, to quote to its support.
        timing: How long it took.
        failed_attempts: The requests before the one that answered, and why they did not.
    """

    outcome: Outcome
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    model: str | None = None
    id: str | None = None
    connection: str | None = None
    request_id: str | None = None
    timing: Timing = Timing()
    failed_attempts: tuple[FailedAttempt, ...] = ()

    @property
    def _first(self) -> Choice:
        return next((choice for choice in self.choices if choice.index == 0), _NO_CHOICE)

    @property
    def content(self) -> str:
        """The visible text."""
        return self._first.content

    @property
    def reasoning_content(self) -> str:
        """The model's thinking, as text."""
        return self._first.reasoning_content

    @property
    def refusal(self) -> str | None:
        """A refusal that the provider keeps apart from the text, or None."""
        return self._first.refusal

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Calls to the user's tools; run those that are `ready`."""
        return self._first.tool_calls

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the model stopped, or None if the stream broke off before it did."""
        return self._first.finish_reason

    @property
    def finish_reason_raw(self) -> str | None:
        """The provider's own word for why the model stopped."""
        return self._first.finish_reason_raw

    @property
    def message(self) -> Message:
        """The answer as a turn, to go on with the conversation: thinking with its signatures, text, and tool calls."""
        return Message(role="assistant", content=self._first.parts)

    def to_dict(self) -> dict[str, Any]:
        """The response in plain values, as for JSON."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields
