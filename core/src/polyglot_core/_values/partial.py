"""Partial responses, and the growing transcripts that they read from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from polyglot_core._values.events import Seam
from polyglot_core._values.parts import ToolCall
from polyglot_core._values.response import FinishReason, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "GrowingText",
    "Mark",
    "PartialInferenceResponse",
    "ToolCallLog",
    "ToolCallPiece",
    "Transcript",
    "UsageReading",
]


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
