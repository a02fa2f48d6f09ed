"""The blocks of one choice: text, and everything else that a turn contains, in the order in which they began.

A provider takes its turn back only in the order in which it sent it. An event names its block by number, but the
numbers of a dialect do not order the blocks, and many dialects number none. So the order is that of first appearance,
and a text begins a new block where the number changes or where another block began in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec import Struct

from polyglot_core._values.events import MediaDelta, ReasoningDelta, RefusalDelta
from polyglot_core._values.parts import Audio, Document, Image, RawPart, Reasoning, Refusal, Text
from polyglot_core._values.response import CitedText, Media

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from polyglot_core._values.events import Citation, ServerToolEvent, TextDelta
    from polyglot_core._values.parts import Part, ToolCall

__all__ = ["Blocks"]


class _Block(Protocol):
    def part(self, received: _Received, /) -> Part | None:
        """Return the part of the turn; None if the block does not belong into it."""
        ...


class _Received(NamedTuple):
    """What the blocks of a choice refer to: the pieces of its text, and its tool calls."""

    texts: Sequence[str]
    calls: Sequence[ToolCall]


_NOTHING = _Received((), ())


class _TextBlock(Struct):
    """A text, as ranges of the pieces of the choice's text. The range that still grows has no end."""

    ranges: list[tuple[int, int]] = []
    start: int | None = None
    extra: dict[str, Any] = {}

    def part(self, received: _Received) -> Text | None:
        ranges = self.ranges if self.start is None else [*self.ranges, (self.start, len(received.texts))]
        text = "".join([piece for start, end in ranges for piece in received.texts[start:end]])
        return Text(text, extra=self.extra) if text or self.extra else None


class _ReasoningBlock(Struct):
    deltas: list[ReasoningDelta] = []

    def part(self, _received: _Received) -> Reasoning:
        deltas = self.deltas
        return Reasoning(
            text="".join(delta.text for delta in deltas),
            signature="".join(delta.signature or "" for delta in deltas) or None,
            redacted="".join(delta.redacted or "" for delta in deltas) or None,
            id=next((delta.id for delta in deltas if delta.id), None),
            extra=_first_of_each(delta.extra for delta in deltas),
        )


class _RefusalBlock(Struct):
    deltas: list[RefusalDelta] = []

    def part(self, _received: _Received) -> Refusal:
        text = "".join(delta.text for delta in self.deltas)
        return Refusal(text, extra=_first_of_each(delta.extra for delta in self.deltas))


class _CallBlock(Struct):
    slot: int

    def part(self, received: _Received) -> ToolCall:
        return received.calls[self.slot]


class _MediaBlock(Struct):
    """A file: consecutive pieces of one block and type."""

    deltas: list[MediaDelta] = []

    def takes(self, event: MediaDelta) -> bool:
        return event.mime_type == self.deltas[-1].mime_type and event.replay == self.deltas[-1].replay

    @property
    def data(self) -> bytes:
        return b"".join(delta.data for delta in self.deltas)

    def part(self, _received: _Received) -> Part | None:
        first = self.deltas[0]
        if not first.replay:
            return None
        extra, data = _first_of_each(each.extra for each in self.deltas), self.data
        match first.mime_type.partition("/")[0]:
            case "image":
                return Image(data=data, mime_type=first.mime_type, extra=extra)
            case "audio":
                return Audio(data=data, mime_type=first.mime_type, extra=extra)
            case _:
                return Document(data=data, mime_type=first.mime_type, extra=extra)


class _RawBlock(Struct):
    """A block that the driver does not interpret. It takes its position before its payload is complete."""

    payload: dict[str, Any] | None

    def part(self, _received: _Received) -> RawPart | None:
        return None if self.payload is None else RawPart(self.payload)


class Blocks(Struct):
    """The blocks of a choice, while it grows. `position` is always the number of pieces of text received before.

    Attributes:
        text_block: Number of the block that the next piece of text continues; None if it begins another one.
        only_text: True if there is nothing but text.
    """

    text_block: int | None = None
    only_text: bool = True
    _blocks: list[_Block] = []
    _latest: dict[int, _Block] = {}  # by number
    _texts: dict[int, _TextBlock] = {}
    _reasoning: dict[int, _ReasoningBlock] = {}
    _refusals: dict[int, _RefusalBlock] = {}
    _calls: int = 0

    def take_text(self, event: TextDelta, position: int) -> None:
        """Make the text's block the current one."""
        number = event.block
        if self.text_block != number:
            self._close(position)
            if not isinstance(self._latest.get(number), _TextBlock):
                self._texts[number] = block = _TextBlock()
                self._add(block, number)
            self._texts[number].start = position
            self.text_block = number
        if event.extra:
            self._texts[number].extra = {**event.extra, **self._texts[number].extra}

    def take_reasoning(self, event: ReasoningDelta, position: int) -> None:
        """Append to the reasoning of the event's block, which may have other blocks after it by now."""
        block = self._reasoning.get(event.block)
        if block is None:
            block = self._reasoning[event.block] = _ReasoningBlock()
            self._begin(block, event.block, position)
        block.deltas.append(event)

    def take_refusal(self, event: RefusalDelta, position: int) -> None:
        """Append to the refusal of the event's block."""
        block = self._refusals.get(event.block)
        if block is None:
            block = self._refusals[event.block] = _RefusalBlock()
            self._begin(block, event.block, position)
        block.deltas.append(event)

    def take_call(self, slot: int, number: int, position: int) -> None:
        """Take the position of a tool call when its first piece is received."""
        if slot == self._calls:
            self._calls += 1
            self._begin(_CallBlock(slot), number, position)

    def take_media(self, event: MediaDelta, position: int) -> None:
        """Append to the file of the event's block, or begin one."""
        block = self._latest.get(event.block)
        if not isinstance(block, _MediaBlock) or not block.takes(event):
            block = _MediaBlock()
            self._begin(block, event.block, position)
        block.deltas.append(event)

    def take_server_tool(self, event: ServerToolEvent, position: int) -> None:
        """Take the position of a block that is sent back unchanged, at its first event; its payload may follow."""
        block = self._latest.get(event.block)
        if event.replay and isinstance(block, _RawBlock) and block.payload is None:
            block.payload = event.payload
        elif event.replay or block is None:
            self._begin(_RawBlock(event.payload if event.replay else None), event.block, position)

    def reasoning(self) -> tuple[Reasoning, ...]:
        """Return the blocks of reasoning, by number."""
        return tuple(self._reasoning[number].part(_NOTHING) for number in sorted(self._reasoning))

    def media(self) -> tuple[Media, ...]:
        """Return the files, in order."""
        return tuple(
            Media(mime_type=block.deltas[0].mime_type, data=block.data)
            for block in self._blocks
            if isinstance(block, _MediaBlock)
        )

    def parts(
        self, texts: Sequence[str], calls: Sequence[ToolCall], citations: Sequence[Citation]
    ) -> tuple[tuple[Part, ...], tuple[CitedText, ...]]:
        """Return the parts of the turn, in order, and the text that each citation supports."""
        received = _Received(texts, calls)
        parts: list[Part] = []
        places: dict[int, int] = {}  # index of the part, by identity of the block
        for block in self._blocks:
            if (part := block.part(received)) is not None:
                places[id(block)] = len(parts)
                parts.append(part)
        return tuple(parts), tuple(self._cited(citation, places) for citation in citations)

    def _cited(self, citation: Citation, places: Mapping[int, int]) -> CitedText:
        text = self._texts.get(citation.block)
        return CitedText(source=citation.payload, part=places.get(id(text)), start=citation.start, end=citation.end)

    def _begin(self, block: _Block, number: int, position: int) -> None:
        self._close(position)
        self.only_text = False
        self._add(block, number)

    def _add(self, block: _Block, number: int) -> None:
        self._blocks.append(block)
        self._latest[number] = block

    def _close(self, position: int) -> None:
        """End the range of text that still grows, if there is one."""
        if self.text_block is not None:
            text = self._texts[self.text_block]
            if text.start is not None and position > text.start:
                text.ranges.append((text.start, position))
            text.start = None
            self.text_block = None


def _first_of_each(extras: Iterable[dict[str, Any] | None]) -> dict[str, Any]:
    """Return the first value of each field."""
    fields: dict[str, Any] = {}
    for extra in extras:
        for name, value in (extra or {}).items():
            fields.setdefault(name, value)
    return fields
