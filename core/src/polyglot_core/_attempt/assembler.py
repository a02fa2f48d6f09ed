"""All the memory that core has: events in, partials and the complete response out.

Decoders say what a chunk means; what it means *together with what came before* is decided here, once, for every
provider.
"""

from __future__ import annotations

from collections import ChainMap
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_core._attempt.tool_calls import ToolCallMatcher, too_many
from polyglot_core._values.events import (
    Citation,
    Finish,
    Logprobs,
    MediaDelta,
    ReasoningDelta,
    RefusalDelta,
    ResponseStarted,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from polyglot_core._values.limits import Limits
from polyglot_core._values.partial import Mark, PartialInferenceResponse, Transcript, UsageReading
from polyglot_core._values.parts import RawPart, Text
from polyglot_core._values.response import Choice, FinishReason, Media, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from polyglot_core._values.events import Event, Seam
    from polyglot_core._values.parts import Part, ToolCall
    from polyglot_core._values.response import Usage

__all__ = ["Assembler"]

_REASONS = {reason.value: reason for reason in FinishReason}
_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_LARGEST = 2**63 - 1


_LIMITS = Limits()


class Assembler:
    """Puts one attempt's events together.

    Attributes:
        response_id: The first id that is not empty.
        model: The first model name that is not empty.
    """

    def __init__(
        self,
        extract_usage: Callable[[Mapping[str, Any]], Usage],
        finish_counts: str = "first",
        limits: Limits = _LIMITS,
        choices: int = 1,
    ) -> None:
        self.response_id: str | None = None
        self.model: str | None = None
        self._extract_usage = lambda payload: _believed(extract_usage(payload))
        self._last_finish_counts = finish_counts == "last"
        self._usage: UsageReading | None = None
        self._choices: dict[int, _ChoiceBuilder] = {}
        self._limits = limits
        self._wanted = choices

    def text(self, event: TextDelta, raw: bytes) -> PartialInferenceResponse | Sequence[PartialInferenceResponse]:
        """The one partial for a chunk that is a piece of text: `absorb` for the hot path."""
        builder = self._choices.get(event.choice)
        text = event.text
        if builder is None or not text:
            return self.absorb((event,), raw)
        parts = builder.text_parts
        parts.append(text)
        return PartialInferenceResponse(text, raw, len(parts), builder.mark)

    def absorb(self, events: Sequence[Event], raw: bytes) -> list[PartialInferenceResponse]:
        """Take the events of one chunk; return a partial for each choice in which the caller can see a change."""
        changed: dict[int, _ChoiceBuilder] = {}
        for event in events:
            take = _TAKERS.get(type(event))
            if take is not None:
                builder = self._choice(event.choice)  # type: ignore[union-attr]  # every taker's event has a choice
                if take(builder, event):
                    changed[builder.index] = builder
            elif isinstance(event, UsageReport):
                self._report(event)
            elif isinstance(event, ResponseStarted):
                self.response_id = self.response_id or event.id
                self.model = self.model or event.model
        return [builder.step(raw) for builder in changed.values()]

    @property
    def all_finished(self) -> bool:
        """Whether as many choices have begun as were asked for, and every one that has begun has its finish."""
        return len(self._choices) >= self._wanted and all(builder.finished for builder in self._choices.values())

    @property
    def pieces(self) -> int:
        """How many pieces of text have come, over all choices."""
        return sum(len(builder.text_parts) for builder in self._choices.values())

    @property
    def usage(self) -> Usage | None:
        """The usage reported so far, read by the driver."""
        return None if self._usage is None else self._usage.read()

    def closing(self) -> list[PartialInferenceResponse]:
        """The closing partials of a finished stream: one a choice, by index, the last of them with the usage."""
        if not self._choices:
            self._choice(0)
        builders = [self._choices[index] for index in sorted(self._choices)]
        last = builders[-1]
        return [builder.close(self._usage if builder is last else None) for builder in builders]

    def choices(self) -> tuple[Choice, ...]:
        """The choices as they stand, by index."""
        return tuple(self._choices[index].choice() for index in sorted(self._choices))

    def show(self, seam: Seam) -> PartialInferenceResponse:
        """The partial that shows a seam: nothing new, and everything so far."""
        first = self._choices.get(0)
        partial = PartialInferenceResponse("", b"", 0, Mark(0, Transcript())) if first is None else first.step(b"")
        partial.seam = seam
        return partial

    def go_on(self) -> None:
        """Another request adds to this answer; what the one before it reported of usage is not the answer's."""
        self._usage = None
        for builder in self._choices.values():
            builder.remark(None)

    def resumable_text(self) -> str | None:
        """The answer, if it is a text of one choice and nothing else, which a model can be asked to continue."""
        return self._choices[0].bare_text() if set(self._choices) == {0} else None

    def _choice(self, index: int) -> _ChoiceBuilder:
        builder = self._choices.get(index)
        if builder is None:
            if len(self._choices) >= self._limits.choices:
                raise too_many("choices", self._limits.choices)
            builder = _ChoiceBuilder(index, self._limits.tool_calls, last_finish_counts=self._last_finish_counts)
            self._choices[index] = builder
            builder.remark(self._usage)
        return builder

    def _report(self, event: UsageReport) -> None:
        payload = event.payload
        if event.merge and self._usage is not None:
            payload = {**self._usage.payload, **payload}
        self._usage = UsageReading(payload, self._extract_usage)
        for builder in self._choices.values():
            builder.remark(self._usage)


class _ChoiceBuilder:
    """One choice, growing."""

    def __init__(self, index: int, most_calls: int, *, last_finish_counts: bool) -> None:
        self.index = index
        self.transcript = Transcript()
        self.text_parts = self.transcript.text.parts
        self.reasoning_parts = self.transcript.reasoning.parts
        self.pieces = self.transcript.tool_calls.pieces
        self.mark = Mark(index, self.transcript)
        self.finished = False
        self._closed = False
        self._last_finish_counts = last_finish_counts
        self._finish: Finish | None = None
        self._calls = ToolCallMatcher(most_calls)
        self._called = 0  # calls that have a place in the order
        self._reasoning: dict[int, list[ReasoningDelta]] = {}
        self._refusal: list[str] = []
        self._citations: list[Mapping[str, Any]] = []
        self._logprobs: list[Mapping[str, Any]] = []
        self._media: list[MediaDelta] = []
        self._server_tools: list[Mapping[str, Any]] = []
        self._order: list[tuple[int, Callable[[], Part]]] = []  # after how many pieces of text a part stands
        self._new_text = self._new_reasoning = self._new_refusal = ""

    def remark(self, usage: UsageReading | None) -> None:
        """Something besides text has come: later partials get a new mark, those handed out keep theirs."""
        self.mark = Mark(self.index, self.transcript, len(self.reasoning_parts), len(self.pieces), usage)

    def step(self, raw: bytes) -> PartialInferenceResponse:
        """The partial for what was taken since the last step."""
        if (len(self.reasoning_parts), len(self.pieces)) != (self.mark.reasonings, self.mark.pieces):
            self.remark(self.mark.usage)
        partial = PartialInferenceResponse(
            self._new_text, raw, len(self.text_parts), self.mark, self._new_reasoning, self._new_refusal
        )
        self._new_text = self._new_reasoning = self._new_refusal = ""
        return partial

    def close(self, usage: UsageReading | None) -> PartialInferenceResponse:
        """The closing partial: nothing new but the reason, and every tool call whole."""
        self._closed = True
        self.pieces.extend(self._calls.closing())
        self.remark(usage)
        partial = self.step(b"")
        partial.finish_reason = self._reason()
        return partial

    def bare_text(self) -> str | None:
        """The text, if there is nothing else and the model is not done."""
        other = self.reasoning_parts or self.pieces or self._refusal or self._order or self._media or self.finished
        return None if other else self.transcript.text.upto(len(self.text_parts))

    def choice(self) -> Choice:
        """The choice as it stands."""
        return Choice(
            index=self.index,
            content=self.transcript.text.upto(len(self.text_parts)),
            reasoning_content=self.transcript.reasoning.upto(len(self.reasoning_parts)),
            refusal="".join(self._refusal) or None,
            tool_calls=self._tool_calls(),
            finish_reason=self._reason() if self.finished or self._closed else None,
            finish_reason_raw=self._finish.raw if self._finish else None,
            reasoning=tuple(_joined_reasoning(self._reasoning[block]) for block in sorted(self._reasoning)),
            citations=tuple(self._citations),
            logprobs=tuple(self._logprobs),
            media=_joined_media(self._media),
            server_tools=tuple(self._server_tools),
            parts=tuple(self._parts()),
        )

    def _parts(self) -> Iterator[Part]:
        """Text and what stood between it, in the order in which it came."""
        place = 0
        for after, part in [*self._order, (len(self.text_parts), None)]:
            if text := "".join(self.text_parts[place:after]):
                yield Text(text)
            place = after
            if part is not None:
                yield part()

    def _tool_calls(self) -> tuple[ToolCall, ...]:
        return self.transcript.tool_calls.upto(len(self.pieces))

    def _reason(self) -> FinishReason:
        """The reason in our words. A stop with calls of the user's tools is `tool_calls`; others stay as they are."""
        if self._finish is None:
            return FinishReason.UNKNOWN
        reason = _REASONS.get(self._finish.reason, FinishReason.OTHER)
        return FinishReason.TOOL_CALLS if reason is FinishReason.STOP and self.pieces else reason

    # Takers: one a kind of event. They return whether the caller can see a change.

    def take_text(self, event: TextDelta) -> bool:
        if event.text:
            self.text_parts.append(event.text)
            self._new_text += event.text
        return bool(event.text)

    def take_reasoning(self, event: ReasoningDelta) -> bool:
        if event.block not in self._reasoning:
            deltas = self._reasoning[event.block] = []
            self._order.append((len(self.text_parts), lambda: _joined_reasoning(deltas)))
        self._reasoning[event.block].append(event)
        if event.text:
            self.reasoning_parts.append(event.text)
            self._new_reasoning += event.text
        return bool(event.text or event.signature or event.redacted)

    def take_refusal(self, event: RefusalDelta) -> bool:
        self._refusal.append(event.text)
        self._new_refusal += event.text
        return bool(event.text)

    def take_tool_call(self, event: ToolCallDelta) -> bool:
        piece = self._calls.match(event)
        if piece is None:
            return False
        if piece.slot == self._called:
            self._called += 1
            self._order.append((len(self.text_parts), lambda: self._tool_calls()[piece.slot]))
        self.pieces.append(piece)
        return True

    def take_server_tool(self, event: ServerToolEvent) -> bool:
        self._server_tools.append({"type": event.type, **event.payload})
        if event.replay:
            self._order.append((len(self.text_parts), lambda: RawPart(event.payload)))
        return True

    def take_citation(self, event: Citation) -> bool:
        self._citations.append(event.payload)
        return True

    def take_logprobs(self, event: Logprobs) -> bool:
        self._logprobs.append(event.payload)
        return True

    def take_media(self, event: MediaDelta) -> bool:
        self._media.append(event)
        return True

    def take_finish(self, event: Finish) -> bool:
        if self._finish is None or self._last_finish_counts:
            self._finish = event
        self.finished = True
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


def _believed(usage: Usage) -> Usage:
    """`usage` without counts that do not fit 64 bits: nobody means them, and not every encoder takes them."""
    beyond = [name for name in _COUNTS if isinstance(count := getattr(usage, name), int) and abs(count) > _LARGEST]
    return replace(usage, **dict.fromkeys(beyond)) if beyond else usage


def _joined_reasoning(deltas: list[ReasoningDelta]) -> Reasoning:
    return Reasoning(
        text="".join(delta.text for delta in deltas),
        signature="".join(delta.signature or "" for delta in deltas) or None,
        redacted="".join(delta.redacted or "" for delta in deltas) or None,
        id=next((delta.id for delta in deltas if delta.id), None),
        extra=dict(ChainMap(*(delta.extra for delta in deltas if delta.extra))),
    )


def _joined_media(deltas: list[MediaDelta]) -> tuple[Media, ...]:
    """Media by block: pieces of one block and type that follow each other are one file."""
    files: list[tuple[int, str, list[bytes]]] = []
    for delta in deltas:
        if files and files[-1][:2] == (delta.block, delta.mime_type):
            files[-1][2].append(delta.data)
        else:
            files.append((delta.block, delta.mime_type, [delta.data]))
    return tuple(Media(mime_type=mime_type, data=b"".join(pieces)) for _, mime_type, pieces in files)
