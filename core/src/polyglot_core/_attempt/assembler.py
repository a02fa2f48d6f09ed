"""Builds partials and the complete response from events. All state that core keeps of a response is here.

A decoder reports what one chunk means. What it means together with the chunks before it is decided here, once, for
every provider.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_core._attempt.blocks import Blocks
from polyglot_core._attempt.tool_calls import ToolCallMatcher, too_many
from polyglot_core._values.events import (
    Citation,
    Details,
    Finish,
    Logprobs,
    MediaDelta,
    Note,
    ReasoningDelta,
    RefusalDelta,
    ResponseStarted,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    type_problem,
)
from polyglot_core._values.limits import Limits
from polyglot_core._values.partial import Mark, PartialInferenceResponse, Transcript, UsageReading
from polyglot_core._values.response import Choice, FinishReason
from polyglot_core._wire.finish_words import is_known

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyglot_core._values.events import Event, Seam
    from polyglot_core._values.formats import FormatUse
    from polyglot_core._values.parts import ToolCall
    from polyglot_core._values.response import Usage

__all__ = ["DEFAULT_LIMITS", "Assembler"]

DEFAULT_LIMITS = Limits()

_REASONS = {reason.value: reason for reason in FinishReason}
_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_LARGEST = 2**63 - 1
_MOST_DETAILS = 64 * 1024  # bytes of JSON
_MOST_NOTES = 32
_log = logging.getLogger("polyglot_core.attempt")


class Assembler:
    """Assembles the events of a response; continued responses keep the assembler of the attempt before.

    Args:
        extract_usage: The driver's reader of usage objects.
        finish_counts: Which of several `Finish` events of a choice counts, ``first`` or ``last``.
        limits: Upper bounds on the numbers of choices and tool calls.
        choices: How many choices were requested.

    Attributes:
        response_id: The first id that is not empty.
        model: The first model name that is not empty, or that of a model which replaced it.
        details: Facts of the response beside its content.
        notes: What was odd in the response and how it was read.
        use: The response format, if it is read as data. Set before the first event.
    """

    def __init__(
        self,
        extract_usage: Callable[[Mapping[str, Any]], Usage],
        finish_counts: str = "first",
        limits: Limits = DEFAULT_LIMITS,
        choices: int = 1,
    ) -> None:
        self.response_id: str | None = None
        self.model: str | None = None
        self.details = _Details()
        self.notes: list[str] = []
        self._extract_usage = lambda payload: _plausible(extract_usage(payload))
        self._last_finish_counts = finish_counts == "last"
        self._usage: UsageReading | None = None
        self._choices: dict[int, _ChoiceBuilder] = {}
        self.use: FormatUse | None = None
        self._limits = limits
        self._requested = choices

    def text(self, event: TextDelta, raw: bytes) -> PartialInferenceResponse | Sequence[PartialInferenceResponse]:
        """Return the single partial for a chunk that is a piece of text: `absorb` for the hot path.

        Raises:
            TypeError: A field of the event has a value of a wrong type.
        """
        builder = self._choices.get(event.choice)
        text = event.text
        if builder is None or not text or event.block != builder.blocks.text_block or event.extra is not None:
            if wrong := type_problem(event):
                raise TypeError(wrong)
            return self.absorb((event,), raw)
        parts = builder.text_parts
        parts.append(text)
        return PartialInferenceResponse(text, raw, len(parts), builder.mark, self._usage)

    def absorb(self, events: Sequence[Event], raw: bytes) -> list[PartialInferenceResponse]:
        """Take the events of one chunk; return a partial for each choice that changed visibly.

        Raises:
            LimitExceeded: There are more choices or tool calls than `limits` allows.
        """
        changed: dict[int, _ChoiceBuilder] = {}
        for event in events:
            take = _TAKERS.get(type(event))
            if take is not None:
                builder = self._choice(event.choice)  # type: ignore[union-attr, arg-type]  # every taker's event has one
                if take(builder, event):
                    changed[builder.index] = builder
            elif isinstance(event, UsageReport):
                self.report(event)
            elif isinstance(event, ResponseStarted):
                self._take_start(event)
            elif isinstance(event, Details):
                self._take_details(event)
            elif isinstance(event, Note):
                self.note(event.text)
        return [builder.step(raw, self._usage) for builder in changed.values()]

    def note(self, text: str) -> None:
        """Record what was odd in the response and how it was read, once, and write it to the log."""
        if text not in self.notes and len(self.notes) < _MOST_NOTES:
            self.notes.append(text)
            _log.warning("%s", text)

    @property
    def all_finished(self) -> bool:
        """Whether at least the requested number of choices has begun, and each of them has its finish."""
        return len(self._choices) >= self._requested and self.begun_finished

    @property
    def begun_finished(self) -> bool:
        """Whether each choice that has begun has its finish, and there is one: servers may ignore the number."""
        for builder in self._choices.values():
            if builder.ending.finish is None:
                return False
        return bool(self._choices)

    @property
    def pieces(self) -> int:
        """How many pieces of text were received, over all choices."""
        return sum(len(builder.text_parts) for builder in self._choices.values())

    @property
    def usage(self) -> Usage | None:
        """The usage reported so far, as read by the driver."""
        return None if self._usage is None else self._usage.read()

    def closing(self) -> list[PartialInferenceResponse]:
        """Close a finished stream; return one closing partial for each choice, by index, the last with the usage."""
        if not self._choices:
            self._choice(0)
        if 0 < len(self._choices) < self._requested:
            self.note(f"The response has {len(self._choices)} of the {self._requested} requested choices.")
        for builder in self._choices.values():
            if (word := builder.ending.unknown_word) is not None:
                self.note(f"The finish reason {word!r} is not known; it is reported as 'other'.")
        builders = [self._choices[index] for index in sorted(self._choices)]
        last = builders[-1]
        return [builder.close(self._usage if builder is last else None) for builder in builders]

    def choices(self) -> tuple[Choice, ...]:
        """Return the choices received so far, by index."""
        return tuple(self._choices[index].choice() for index in sorted(self._choices))

    def show(self, seam: Seam) -> PartialInferenceResponse:
        """Return the partial that shows a resume point: nothing new, and all content so far."""
        first = self._choices.get(0)
        partial = (
            PartialInferenceResponse("", b"", 0, Mark(0, Transcript(self.use)))
            if first is None
            else first.step(b"", None)
        )
        partial.seam = seam
        return partial

    def resume(self) -> None:
        """Prepare for another request that continues the response; usage reported so far was of the one before."""
        self._usage = None

    def resumable_text(self) -> str | None:
        """Return the text, if the response is one choice of text and nothing else, so that a model can continue it."""
        return self._choices[0].bare_text() if set(self._choices) == {0} else None

    def reopen_at_length(self) -> bool:
        """Forget the finish of a response that is one choice of text and has reached its limit of tokens.

        Return False, and leave it as it is, for any other response.
        """
        builder = self._choices.get(0)
        finish = None if builder is None else builder.ending.finish
        if builder is None or finish is None or finish.reason != FinishReason.LENGTH:
            return False
        builder.ending.finish = None
        if (self.resumable_text() or "").strip():
            return True
        builder.ending.finish = finish
        return False

    def _choice(self, index: int) -> _ChoiceBuilder:
        builder = self._choices.get(index)
        if builder is None:
            if len(self._choices) >= self._limits.choices:
                raise too_many("choices", self._limits.choices)
            last = self._last_finish_counts
            builder = _ChoiceBuilder(index, self._limits.tool_calls, last_finish_counts=last, use=self.use)
            self._choices[index] = builder
        return builder

    def _take_start(self, event: ResponseStarted) -> None:
        known = (self.response_id, self.model)
        first, second = ((event.id, event.model), known) if event.replaces else (known, (event.id, event.model))
        self.response_id, self.model = first[0] or second[0], first[1] or second[1]

    def _take_details(self, event: Details) -> None:
        details = self.details if event.choice is None else self._choice(event.choice).details
        if not details.merge(event.payload):
            self.note("The details of the response are larger than 64 KiB; the rest of them is left out.")

    def report(self, event: UsageReport) -> None:
        """Take a usage report, which the next partials of every choice show."""
        payload = event.payload
        if event.merge and self._usage is not None:
            payload = {**self._usage.payload, **payload}
        self._usage = UsageReading(payload, self._extract_usage)


class _New(Struct):
    """What was received since the last partial of a choice, in pieces."""

    text: list[str] = []
    reasoning: list[str] = []
    refusal: list[str] = []


class _Ending(Struct):
    """How a choice ended.

    Attributes:
        last_counts: Whether the last of several finishes counts; else the first.
        finish: The finish that counts so far.
        closed: Whether the stream has finished.
    """

    last_counts: bool
    finish: Finish | None = None
    closed: bool = False

    def reason(self, *, tool_calls: bool) -> FinishReason:
        """Return the reason as ours. A stop with tool calls of the user's is `tool_calls`; others stay as they are."""
        if self.finish is None:
            return FinishReason.UNKNOWN
        reason = _REASONS.get(self.finish.reason, FinishReason.OTHER)
        return FinishReason.TOOL_CALLS if reason is FinishReason.STOP and tool_calls else reason

    @property
    def unknown_word(self) -> str | None:
        """The provider's word for the finish, if no word of ours corresponds to it."""
        finish = self.finish
        if finish is None or finish.reason != FinishReason.OTHER or is_known(finish.raw):
            return None
        return finish.raw


class _Details(Struct):
    """Facts in the provider's words, merged field by field, up to a size."""

    fields: dict[str, Any] = {}
    _size: int = 0
    _sizes: dict[str, int] = {}  # bytes of JSON, by field

    def merge(self, payload: Mapping[str, Any]) -> bool:
        """Take the fields of `payload`. Return False if one is left out because the limit is reached."""
        kept = True
        for name, value in payload.items():
            before = self.fields.get(name)
            if value is None or (name in self.fields and before == value):
                continue
            merged = value
            if isinstance(before, dict) and isinstance(value, dict):
                changed = {key: each for key, each in value.items() if before.get(key) != each}
                merged, size = {**before, **changed}, self._sizes[name] + len(msgspec.json.encode(changed))
            else:
                size = len(name) + len(msgspec.json.encode(value))
            growth = size - self._sizes.get(name, 0)
            if self._size + growth > _MOST_DETAILS:
                kept = False
                continue
            self._size += growth
            self.fields[name], self._sizes[name] = _own(merged), size
        return kept

    def copy(self) -> dict[str, Any]:
        """Return the fields received so far."""
        return {name: _own(value) for name, value in self.fields.items()}


def _own(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    return dict(value) if isinstance(value, dict) else value


class _Extras(Struct):
    """What a choice contains besides its blocks, as it was received."""

    refusal: list[str] = []
    citations: list[Citation] = []
    logprobs: list[Mapping[str, Any]] = []
    server_tools: list[Mapping[str, Any]] = []


class _ChoiceBuilder:
    """One choice, while it grows.

    Attributes:
        index: Index of the choice.
        transcript: Text, reasoning and tool calls, shared with the partials.
        text_parts: The pieces of text in `transcript`, for the hot path.
        mark: What the next partials have in common, for the hot path.
        ending: How the choice ended.
        blocks: The blocks of the turn.
        details: Facts of the choice beside its content.
    """

    def __init__(
        self, index: int, most_tool_calls: int, *, last_finish_counts: bool, use: FormatUse | None = None
    ) -> None:
        self.index = index
        self.transcript = Transcript(use)
        self.text_parts = self.transcript.text.parts
        self.mark = Mark(index, self.transcript)
        self.ending = _Ending(last_finish_counts)
        self._tool_calls = ToolCallMatcher(most_tool_calls)
        self._extras = _Extras()
        self.blocks = Blocks()
        self.details = _Details()
        self._new = _New()

    def step(self, raw: bytes, usage: UsageReading | None) -> PartialInferenceResponse:
        """Return the partial for what was taken since the last step.

        If that is more than text, the mark is replaced; partials that were emitted keep theirs.
        """
        transcript, mark, new = self.transcript, self.mark, self._new
        counts = len(transcript.reasoning.parts), len(transcript.tool_calls.pieces)
        if counts != (mark.reasonings, mark.pieces):
            self.mark = Mark(self.index, transcript, *counts)
        self._new = _New()
        texts, reasoning, refusal = "".join(new.text), "".join(new.reasoning), "".join(new.refusal)
        return PartialInferenceResponse(texts, raw, len(self.text_parts), self.mark, usage, reasoning, refusal)

    def close(self, usage: UsageReading | None) -> PartialInferenceResponse:
        """Return the closing partial: the finish reason, and every tool call complete."""
        self.ending.closed = True
        self.transcript.tool_calls.pieces.extend(self._tool_calls.closing())
        partial = self.step(b"", usage)
        partial.finish_reason = self._reason()
        return partial

    def bare_text(self) -> str | None:
        """Return the text, if there is nothing else and the model is not done; else None."""
        return self._text() if self.blocks.only_text and self.ending.finish is None else None

    def choice(self) -> Choice:
        """Return the choice as received so far."""
        extras, finish, closed = self._extras, self.ending.finish, self.ending.closed
        calls = self._received_tool_calls()
        parts, cited = self.blocks.parts(self.text_parts, calls, extras.citations)
        return Choice(
            index=self.index,
            content=self._text(),
            reasoning_content=self.transcript.reasoning.upto(len(self.transcript.reasoning.parts)),
            refusal="".join(extras.refusal) or (finish.explanation if finish else None),
            tool_calls=calls,
            finish_reason=self._reason() if finish or closed else None,
            finish_reason_raw=finish.raw if finish else None,
            reasoning=self.blocks.reasoning(),
            citations=tuple(citation.payload for citation in extras.citations),
            cited=cited,
            logprobs=tuple(extras.logprobs),
            media=self.blocks.media(),
            server_tools=tuple(extras.server_tools),
            parts=parts,
            details=self.details.copy(),
        )

    def _text(self) -> str:
        return self.transcript.text.upto(len(self.text_parts))

    def _received_tool_calls(self) -> tuple[ToolCall, ...]:
        return self.transcript.tool_calls.upto(len(self.transcript.tool_calls.pieces))

    def _reason(self) -> FinishReason:
        return self.ending.reason(tool_calls=bool(self.transcript.tool_calls.pieces))

    # Takers: one for each kind of event. They return whether the choice changed visibly.

    def take_text(self, event: TextDelta) -> bool:
        if event.text or event.extra:
            self.blocks.take_text(event, len(self.text_parts))
        if event.text:
            self.text_parts.append(event.text)
            self._new.text.append(event.text)
        return bool(event.text)

    def take_reasoning(self, event: ReasoningDelta) -> bool:
        self.blocks.take_reasoning(event, len(self.text_parts))
        if event.text:
            self.transcript.reasoning.parts.append(event.text)
            self._new.reasoning.append(event.text)
        return bool(event.text or event.signature or event.redacted)

    def take_refusal(self, event: RefusalDelta) -> bool:
        self.blocks.take_refusal(event, len(self.text_parts))
        self._extras.refusal.append(event.text)
        self._new.refusal.append(event.text)
        return bool(event.text)

    def take_tool_call(self, event: ToolCallDelta) -> bool:
        piece = self._tool_calls.match(event)
        if piece is None:
            return False
        self.blocks.take_call(piece.slot, event.block, len(self.text_parts))
        self.transcript.tool_calls.pieces.append(piece)
        return True

    def take_server_tool(self, event: ServerToolEvent) -> bool:
        if event.payload:  # without one, the event only reserves the position of its block
            self._extras.server_tools.append({"type": event.type, **event.payload})
        self.blocks.take_server_tool(event, len(self.text_parts))
        return bool(event.payload)

    def take_citation(self, event: Citation) -> bool:
        self._extras.citations.append(event)
        return True

    def take_logprobs(self, event: Logprobs) -> bool:
        self._extras.logprobs.append(event.payload)
        return True

    def take_media(self, event: MediaDelta) -> bool:
        self.blocks.take_media(event, len(self.text_parts))
        return True

    def take_finish(self, event: Finish) -> bool:
        if self.ending.finish is None or self.ending.last_counts:
            self.ending.finish = event
        return False


_TAKERS: dict[type, Callable[[_ChoiceBuilder, Any], bool]] = {
    TextDelta: _ChoiceBuilder.take_text,
    ReasoningDelta: _ChoiceBuilder.take_reasoning,
    RefusalDelta: _ChoiceBuilder.take_refusal,
    ToolCallDelta: _ChoiceBuilder.take_tool_call,
    ServerToolEvent: _ChoiceBuilder.take_server_tool,
    Citation: _ChoiceBuilder.take_citation,
    Logprobs: _ChoiceBuilder.take_logprobs,
    MediaDelta: _ChoiceBuilder.take_media,
    Finish: _ChoiceBuilder.take_finish,
}


def _plausible(usage: Usage) -> Usage:
    """Return `usage` without counts that do not fit 64 bits: they are errors, and not every encoder accepts them."""
    too_large = [name for name in _COUNTS if isinstance(count := getattr(usage, name), int) and abs(count) > _LARGEST]
    return replace(usage, **dict.fromkeys(too_large)) if too_large else usage
