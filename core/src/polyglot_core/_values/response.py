"""What a user gets: partial responses while a stream runs, and the complete response."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from polyglot_core._values.events import Seam
from polyglot_core._values.parts import Part, Reasoning, ToolCall
from polyglot_core._values.request import Message

__all__ = [
    "Choice",
    "FailedAttempt",
    "FinishReason",
    "GrowingText",
    "InferenceResponse",
    "Mark",
    "Media",
    "Outcome",
    "PartialInferenceResponse",
    "Reasoning",
    "Timing",
    "ToolCall",
    "ToolCallLog",
    "ToolCallPiece",
    "Transcript",
    "Usage",
    "UsageReading",
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


class GrowingText:
    """A text that only grows. `upto` gives it as it was after any number of its parts, at the cost of what is new."""

    __slots__ = ("_count", "_joined", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._joined = ""
        self._count = 0

    def upto(self, count: int) -> str:
        """The first `count` parts as one text. Going forward costs the new parts; going back joins afresh."""
        if count < self._count:
            return "".join(self.parts[:count])
        if count > self._count:
            self._joined += "".join(self.parts[self._count : count])
            self._count = count
        return self._joined


class ToolCallPiece(NamedTuple):
    """A piece of a tool call, after the assembler has found out which call it belongs to.

    Attributes:
        slot: Place of the call in order of first appearance, from 0.
        id: The call's id, where this piece sets it.
        name: The tool's name, where this piece sets it.
        arguments: The next characters of the arguments.
        complete: Whether the call is whole with this piece.
        signature: What the provider gave with the call, where this piece has it.
    """

    slot: int
    id: str | None
    name: str | None
    arguments: str
    complete: bool
    signature: str | None = None


class ToolCallLog:
    """All pieces of a choice's tool calls, in order; `upto` gives the calls as they were after any number of them."""

    __slots__ = ("_calls", "_count", "pieces")

    def __init__(self) -> None:
        self.pieces: list[ToolCallPiece] = []
        self._calls: list[ToolCall] = []
        self._count = 0

    def upto(self, count: int) -> tuple[ToolCall, ...]:
        """The calls that the first `count` pieces make."""
        if count < self._count:
            self._calls, self._count = [], 0
        _lay(self._calls, self.pieces[self._count : count])
        self._count = count
        return tuple(self._calls)


def _lay(calls: list[ToolCall], pieces: list[ToolCallPiece]) -> None:
    """Add `pieces` to `calls`. Fragments of one call are joined at once, so that cost stays linear."""
    fragments: dict[int, list[str]] = {}
    heads: dict[int, ToolCallPiece] = {}
    for piece in pieces:
        head = heads.get(piece.slot)
        heads[piece.slot] = piece if head is None else _merge(head, piece)
        fragments.setdefault(piece.slot, []).append(piece.arguments)
    for slot in sorted(heads):
        head, text = heads[slot], "".join(fragments[slot])
        before = calls[slot] if slot < len(calls) else ToolCall(name="")
        call = ToolCall(
            name=head.name or before.name,
            id=head.id or before.id,
            arguments_raw=before.arguments_raw + text,
            complete=head.complete or before.complete,
            signature=head.signature or before.signature,
        )
        calls[slot : slot + 1] = [call]


def _merge(head: ToolCallPiece, piece: ToolCallPiece) -> ToolCallPiece:
    return ToolCallPiece(
        head.slot,
        piece.id or head.id,
        piece.name or head.name,
        "",
        head.complete or piece.complete,
        piece.signature or head.signature,
    )


class Transcript:
    """What one choice has said so far; shared by its partials, which only remember how far they had come."""

    __slots__ = ("reasoning", "text", "tool_calls")

    def __init__(self) -> None:
        self.text = GrowingText()
        self.reasoning = GrowingText()
        self.tool_calls = ToolCallLog()


class UsageReading:
    """A usage report that is read when somebody looks, and then only once."""

    __slots__ = ("_extract", "_payload", "_usage")

    def __init__(self, payload: Mapping[str, Any], extract: Callable[[Mapping[str, Any]], Usage]) -> None:
        self._payload = payload
        self._extract: Callable[[Mapping[str, Any]], Usage] | None = extract
        self._usage: Usage | None = None

    @property
    def payload(self) -> Mapping[str, Any]:
        """The provider's own object."""
        return self._payload

    def read(self) -> Usage | None:
        """The usage that the driver makes of the report; what the driver raises comes out at the first look."""
        if self._extract is not None:
            self._usage = self._extract(self._payload)
            self._extract = None
        return self._usage


class Mark(Struct, eq=False, gc=False):
    """What a choice's partials have in common until something besides text comes.

    Attributes:
        choice: Index of the choice.
        transcript: What it has said.
        reasonings: How many pieces of reasoning had come.
        pieces: How many pieces of tool calls had come.
        usage: What had been reported of usage.
    """

    choice: int
    transcript: Transcript
    reasonings: int = 0
    pieces: int = 0
    usage: UsageReading | None = None


class PartialInferenceResponse(Struct, eq=False, gc=False):
    """A step of a stream: what is new, and everything so far.

    What is new is stored; what is so far is put together when somebody asks, so iterating costs only the new bytes.

    Attributes:
        content_delta: New visible text; empty if this step brought something else.
        raw: Bytes of the chunk that brought it, for debugging; empty on the closing partial of a choice.
        reasoning_delta: New thinking.
        refusal_delta: New text of a refusal that the provider keeps apart.
        finish_reason: Why the model stopped; None but on the closing partial of each choice.
        seam: Where an answer that broke off goes on, the way in which it does; None everywhere else.
    """

    content_delta: str
    raw: bytes
    _texts: int
    _mark: Mark
    reasoning_delta: str = ""
    refusal_delta: str = ""
    finish_reason: FinishReason | None = None
    seam: Seam | None = None

    @property
    def choice(self) -> int:
        """Index of the answer that it belongs to."""
        return self._mark.choice

    @property
    def content(self) -> str:
        """The visible text so far."""
        return self._mark.transcript.text.upto(self._texts)

    @property
    def reasoning_content(self) -> str:
        """The thinking so far."""
        return self._mark.transcript.reasoning.upto(self._mark.reasonings)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls so far; those that still stream are not `complete`."""
        return self._mark.transcript.tool_calls.upto(self._mark.pieces)

    @property
    def usage(self) -> Usage | None:
        """Token counts, or None until the provider has reported them."""
        reading = self._mark.usage
        return None if reading is None else reading.read()

    def to_dict(self) -> dict[str, Any]:
        """The partial in plain values, without `raw`."""
        return {
            "choice": self.choice,
            "content_delta": self.content_delta,
            "content": self.content,
            "reasoning_delta": self.reasoning_delta,
            "reasoning_content": self.reasoning_content,
            "refusal_delta": self.refusal_delta,
            "tool_calls": [msgspec.to_builtins(call) for call in self.tool_calls],
            "finish_reason": None if self.finish_reason is None else self.finish_reason.value,
            "usage": msgspec.to_builtins(self.usage),
            "seam": msgspec.to_builtins(self.seam),
        }

    def __repr__(self) -> str:
        shown = [
            f"{name}={value!r}"
            for name in ("choice", "content_delta", "reasoning_delta", "refusal_delta", "finish_reason")
            if (value := getattr(self, name))
        ]
        return f"PartialInferenceResponse({', '.join(shown)})"
