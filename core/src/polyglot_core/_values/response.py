"""The complete response, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Generic, Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_core._values.formats import DataT, FormatUse, Mode, format_package
from polyglot_core._values.json_values import restored
from polyglot_core._values.parts import Part, Reasoning, ToolCall
from polyglot_core._values.request import Message
from polyglot_core.errors import ResponseFormatError

__all__ = [
    "Choice",
    "CitedText",
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
    """Why the model stopped, in one vocabulary for all providers. `finish_reason_raw` is the provider's value."""

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
    """Token counts, as the provider reported them. None means that a count is unknown; 0 is a count.

    Attributes:
        input_tokens: Tokens of the whole prompt, including those read from or written to a cache.
        output_tokens: All generated tokens, including reasoning.
        cache_read_tokens: Tokens of the prompt that were read from a cache.
        cache_write_tokens: Tokens of the prompt that were written to a cache.
        reasoning_tokens: Tokens of the output that are reasoning.
        raw: The provider's usage object.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    raw: Mapping[str, Any] = {}

    @property
    def total_tokens(self) -> int | None:
        """Return the tokens of prompt and output; None if one of them is unknown."""
        counts = self.input_tokens, self.output_tokens
        return None if None in counts else sum(count or 0 for count in counts)

    def __add__(self, other: Usage) -> Usage:
        """Return the sums of the counts. A count that one does not know is that of the other; `raw` is empty."""
        if type(other) is not Usage:
            return NotImplemented
        sums: dict[str, Any] = {name: _sum(getattr(self, name), getattr(other, name)) for name in _COUNTS}
        return Usage(**sums)


_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


class Media(Struct, frozen=True, kw_only=True):
    """An image, audio or a file that the model generated.

    Attributes:
        mime_type: Media type of the bytes, such as ``image/png``.
        data: The bytes.
    """

    mime_type: str
    data: bytes


class Timing(Struct, frozen=True, kw_only=True):
    """Durations in seconds from the start of the call; None if the call did not get that far.

    The time in which the first call of a process imports modules is not counted.

    Attributes:
        first_event: Seconds until the first event with content.
        duration: Seconds until the end.
    """

    first_event: float | None = None
    duration: float | None = None


class FailedAttempt(Struct, frozen=True, kw_only=True):
    """An attempt that failed before another request was sent.

    Attributes:
        connection: Name of the connection.
        error: Name of the error's class.
        message: The error's message.
        status: HTTP status of the response, or None if there was none.
        code: The provider's code of the error.
        wait: Seconds waited before the next request.
        partial: The content received in this attempt, or None. It is not part of the call's response.
    """

    connection: str
    error: str
    message: str
    status: int | None = None
    code: str | None = None
    wait: float = 0.0
    partial: InferenceResponse | None = None


class CitedText(Struct, frozen=True, kw_only=True):
    """The text that a source supports.

    Attributes:
        source: The source, as the provider's object: one of the `citations` of the choice.
        part: Index of the part in the `parts` of the choice; None if the block of the citation is not among them.
        start: Offset of the first character in the text of the part; None with `end` for all of it.
        end: Offset after the last character.
    """

    source: Mapping[str, Any]
    part: int | None = None
    start: int | None = None
    end: int | None = None


class Choice(Struct, frozen=True, kw_only=True):
    """One of the alternative completions in a response; usually there is only one.

    Attributes:
        index: Index of the choice, from 0.
        content: The visible text.
        reasoning_content: The reasoning, as text.
        refusal: A refusal, or the explanation of one or of a filter, that the provider sends apart from the text; or
            None.
        tool_calls: The tool calls, in the order of their first appearance.
        finish_reason: Why the model stopped; None if the stream was interrupted before.
        finish_reason_raw: The provider's finish reason.
        reasoning: The reasoning in blocks, with signatures.
        citations: Sources, as the provider's objects.
        cited: For each of the citations, the text that it supports.
        logprobs: Log probabilities, as the provider's objects, in order.
        media: Images, audio and files that the model generated.
        server_tools: Activity of tools that the provider ran itself, as the provider's objects.
        parts: The blocks of the turn, in the order in which they began. `InferenceResponse.message` sends them back.
        details: Facts of the choice beside its content, in the provider's words, such as safety ratings.
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
    cited: tuple[CitedText, ...] = ()
    logprobs: tuple[Mapping[str, Any], ...] = ()
    media: tuple[Media, ...] = ()
    server_tools: tuple[Mapping[str, Any], ...] = ()
    parts: tuple[Part, ...] = ()
    details: Mapping[str, Any] = {}


_NO_CHOICE = Choice(index=0)
_USE, _DATA = "_use", "_data"


def _beside(response: InferenceResponse) -> Any:  # noqa: ANN401 (a dict)
    """Return what a response holds beside its fields: it is no part of the value, and is not copied or compared."""
    return vars(response)


class InferenceResponse(Struct, Generic[DataT], frozen=True, kw_only=True, dict=True):
    """The complete response, or the content received before it ended early; `outcome` states which.

    Attributes:
        outcome: How the response ended.
        choices: The choices, by index. `content` and the other properties are those of choice 0.
        usage: Token counts, or None if the provider did not report any.
        model: Model that generated the response, by the provider's name.
        id: The provider's id of the response.
        connection: Name of the connection that the response is from.
        request_id: The provider's id of the HTTP request, for its support.
        timing: How long the call took.
        failed_attempts: The attempts that failed before this response, and their errors.
        provider: Name of the driver that read the response.
        details: Facts of the response beside its content, in the provider's words, with those of choice 0. At most
            64 KiB of JSON are kept.
        headers: Those response headers that identify the request, state rate limits or the time of processing, and
            those that the driver names.
        notes: What was odd in the response and how it was read, one sentence each. The logger
            ``polyglot_core.attempt`` has them too.
        transport: Name of the transport that received it, such as ``httpx``.
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
    provider: str | None = None
    details: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()
    transport: str | None = None

    @property
    def data(self) -> DataT:
        """Return the response as a validated value of the type that `response_format` names.

        Each access returns the same value. Of a dict of `to_dict`, or a copy, only `json` can be read.

        Raises:
            ResponseFormatError: The text is no JSON, does not fit the type, is a refusal, or the response is
                incomplete; or the call had no response format that is read as data.
            ConfigError: The format is a schema, and the package that reads it is not installed.
        """
        held = _beside(self)
        if _DATA not in held:
            use: FormatUse | None = held.get(_USE)
            if use is None:
                msg = "The response has no data: its call had no response_format, or it is a copy. Use json()."
                raise ResponseFormatError(msg, self.content, cause="none", partial=self)
            held[_DATA] = use.format.read(self, use.mode)
        found: DataT = held[_DATA]
        return found

    @property
    def received_data(self) -> Any:  # noqa: ANN401 (a JSON value)
        """Return the data received, as a JSON value: `PartialInferenceResponse.data` at the end of the response.

        It is not validated, and may be incomplete. None if there is none, or without a `response_format`.
        """
        use: FormatUse | None = _beside(self).get(_USE)
        if use is None:
            return None
        reader = use.format.reader(use.mode)
        reader.feed("".join(call.arguments_raw for call in self.tool_calls[:1]) if use.mode == "tool" else self.content)
        return reader.value

    @property
    def mode(self) -> Mode | None:
        """Return how the data was asked for: ``native``, ``tool``, ``json`` or ``markdown``; None without a format."""
        use: FormatUse | None = _beside(self).get(_USE)
        return None if use is None else use.mode

    def json(self) -> Any:  # noqa: ANN401 (any JSON value)
        """Return the JSON value in the text, without repair: the whole text, else a fenced block, else from a brace on.

        Raises:
            ResponseFormatError: There is none. It has the text, and the position of the fault.
            ConfigError: The package that reads it is not installed.
        """
        return format_package("response.json()").json_in(self.content)

    def with_format(self, use: FormatUse) -> Self:
        """Return this response, with the format by which its data is read. Core calls it."""
        _beside(self)[_USE] = use
        return self

    def with_changes(self, **fields: Any) -> Self:  # noqa: ANN401 (the fields)
        """Return a copy with other values of some fields."""
        changed: Self = replace(self, **fields)
        use: FormatUse | None = _beside(self).get(_USE)
        if use is not None:
            _beside(changed)[_USE] = use
        return changed

    @property
    def _first(self) -> Choice:
        return next((choice for choice in self.choices if choice.index == 0), _NO_CHOICE)

    @property
    def content(self) -> str:
        """Return the visible text."""
        return self._first.content

    @property
    def reasoning_content(self) -> str:
        """Return the model's reasoning, as text."""
        return self._first.reasoning_content

    @property
    def refusal(self) -> str | None:
        """Return a refusal, or the explanation of one, that the provider sends apart from the text; or None.

        Some providers send none: `finish_reason` is then ``refusal`` or ``content_filter``, or the text itself refuses.
        """
        return self._first.refusal

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Return the tool calls. Run those that are `ready`."""
        return self._first.tool_calls

    @property
    def finish_reason(self) -> FinishReason | None:
        """Return why the model stopped, or None if the stream was interrupted before."""
        return self._first.finish_reason

    @property
    def finish_reason_raw(self) -> str | None:
        """Return the provider's finish reason."""
        return self._first.finish_reason_raw

    @property
    def message(self) -> Message:
        """Return the response as a turn, to continue the conversation: its blocks, in order, as they were received.

        Of a response that was interrupted only whole blocks are returned: no incomplete tool call, and no reasoning
        that nothing follows. Text may end anywhere.
        """
        parts = list(self._first.parts)
        complete = self.outcome is Outcome.FINISHED
        if not complete:
            parts = [part for part in parts if not isinstance(part, ToolCall) or part.complete]
            while parts and isinstance(parts[-1], Reasoning):
                parts.pop()
        return Message(role="assistant", content=tuple(parts), provider=self.provider, complete=complete)

    def to_dict(self) -> dict[str, Any]:
        """Return the response as a dict of JSON values."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Create a response from the dict of `to_dict`.

        Raises:
            RequestError: The dict is not one of `to_dict`.
        """
        return restored(fields, cls)
