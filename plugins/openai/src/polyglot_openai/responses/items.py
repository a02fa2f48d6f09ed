"""Decoding of output items: the events of each type of item, and a record of what was emitted already.

A stream sends an item up to three times: in deltas, whole when it is done, and once more in the response object that
ends the stream. Servers omit any of the three, so all are read, and what was emitted is recorded.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from polyglot_core.plugin import (
    Citation,
    Logprobs,
    MediaDelta,
    ReasoningDelta,
    RefusalDelta,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    json_access,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polyglot_core.plugin import Event

__all__ = [
    "ARGUMENTS",
    "REFUSAL",
    "SUMMARY",
    "TEXT",
    "THOUGHT",
    "Reading",
    "item_events",
    "new_logprobs",
    "remaining_items",
    "started_item",
]

TEXT, REFUSAL, SUMMARY, THOUGHT, ARGUMENTS = "text", "refusal", "summary", "thought", "arguments"
"""Kinds of text in items. A summary is of thinking that is not shown; a thought is thinking shown as it was."""


class Reading:
    """The state of decoding one response.

    Attributes:
        emitted: Texts of which some was emitted, as (kind, position of the item, number of the part).
        calls: Positions of tool calls whose id and name were received.
        cited: Number of citations received, by position of the item.
        done: Number of items that are complete.
        response_id: The provider's id of the response.
        sequence_number: The number of the last event.
    """

    def __init__(self, own_calls: Sequence[str] = ()) -> None:
        self.emitted: set[tuple[str, int, int]] = set()
        self.calls: set[int] = set()
        self.cited: Counter[int] = Counter()
        self.done = 0
        self.response_id: str | None = None
        self.sequence_number: int | None = None
        self._own_calls = tuple(own_calls)
        self._own_positions: set[int] = set()
        self._positions: dict[str, int] = {}
        self._whole_positions: set[int] = set()
        self._whole_ids: set[str] = set()
        self._blocks: dict[tuple[int, str, int], int] = {}

    def position(self, index: int | None, item_id: str | None) -> int:
        """Return the item's position in the output: as stated, else that of its id, else after the complete items.

        Ids alone are not enough: one server changes them from event to event, another uses one id for several items.
        """
        if index is not None:
            return index
        return self._positions.get(item_id or "", self.done)

    def begin(self, position: int, item_id: str | None) -> None:
        """Record that an item begins at `position`."""
        if item_id:
            self._positions[item_id] = position

    def finish(self, position: int, item_id: str | None) -> None:
        """Record that the item at `position` is complete."""
        self.done += 1
        self._whole_positions.add(position)
        if item_id:
            self._whole_ids.add(item_id)

    def has_begun(self, item_id: str | None) -> bool:
        """Return True if an item with this id has begun."""
        return item_id in self._positions

    def is_missing(self, position: int, item_id: str | None) -> bool:
        """Return True if no complete item with this position or id was received."""
        return position not in self._whole_positions and item_id not in self._whole_ids

    def is_provider_call(self, position: int, call_id: str | None = None) -> bool:
        """Return True if the provider runs the tool call itself, though it looks like one for a tool of the user."""
        if call_id and self._own_calls and call_id.startswith(self._own_calls):
            self._own_positions.add(position)
        return position in self._own_positions

    def block(self, position: int, kind: str, part: int) -> int:
        """Return the number of a stretch of thinking."""
        return self._blocks.setdefault((position, kind, part), len(self._blocks))

    def blocks(self, position: int) -> list[int]:
        """Return the numbers of all stretches of thinking of the item at `position`; at least one."""
        found = [number for (at, _, _), number in self._blocks.items() if at == position]
        return found or [self.block(position, SUMMARY, 0)]

    def emit(self, kind: str, position: int, part: int, text: str) -> Iterator[Event]:
        """Yield an event with more of a text."""
        if text:
            self.emitted.add((kind, position, part))
        if kind == TEXT:
            yield TextDelta(text, block=position)
        elif kind == REFUSAL:
            yield RefusalDelta(text, block=position)
        elif kind != ARGUMENTS:
            yield ReasoningDelta(text, block=self.block(position, kind, part))
        elif not self.is_provider_call(position):
            yield ToolCallDelta(position, arguments=text, block=position)

    def emit_whole(self, kind: str, position: int, part: int, text: str) -> Iterator[Event]:
        """Yield a whole text, unless some of it was emitted."""
        if text and (kind, position, part) not in self.emitted:
            yield from self.emit(kind, position, part, text)

    def not_emitted(self, kind: str, position: int, parts: Sequence[_Part]) -> list[tuple[int, _Part]]:
        """Return an item's parts, with their numbers, after those of which some was emitted.

        They are counted, not looked up by number: one server counts from 1 in its deltas.
        """
        emitted = sum((emitted_kind, at) == (kind, position) for emitted_kind, at, _ in self.emitted)
        return list(enumerate(parts))[emitted:]


# The fields of items that are read


class _Head(Struct, gc=False):
    type: str | None = None
    id: str | None = None


class _Part(Struct, gc=False):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: Any = None
    logprobs: Any = None


class _Message(Struct, gc=False):
    content: list[_Part] | str | None = None


class _Thinking(Struct, gc=False):
    id: str | None = None
    summary: list[_Part] | None = None
    content: list[_Part] | None = None
    encrypted_content: str | None = None


class _Call(Struct, gc=False):
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    input: str | None = None
    status: Any = None


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_thinking = msgspec.json.Decoder(_Thinking).decode
_decode_call = msgspec.json.Decoder(_Call).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode

_CALLS = frozenset({"function_call", "custom_tool_call"})


def started_item(raw: msgspec.Raw, index: int | None, reading: Reading) -> Iterator[Event]:
    """Yield what an item states before it is complete: the id and the name of a tool call."""
    head = _decode_head(raw)
    position = reading.position(index, head.id)
    reading.begin(position, head.id)
    if head.type not in _CALLS:
        return
    call = _decode_call(raw)
    if not reading.is_provider_call(position, call.call_id) and call.call_id and call.name:
        reading.calls.add(position)
        yield ToolCallDelta(position, call.call_id, call.name, block=position)


def item_events(raw: msgspec.Raw, index: int | None, reading: Reading) -> Iterator[Event]:
    """Yield what a complete item holds beyond what was emitted of it."""
    head = _decode_head(raw)
    position = reading.position(index, head.id)
    reading.finish(position, head.id)
    yield from _ITEM_READERS.get(head.type or "", _server_tool)(raw, position, reading)


def remaining_items(output: Sequence[msgspec.Raw], reading: Reading) -> Iterator[Event]:
    """Yield the events of those items of the last response object that were not received complete.

    An item that has begun is identified by its id: the positions in the last response may skip the items that it omits.
    """
    for number, raw in enumerate(output):
        item_id = _decode_head(raw).id
        if reading.is_missing(number, item_id):
            yield from item_events(raw, None if reading.has_begun(item_id) else number, reading)


def new_logprobs(entries: object, position: int) -> Iterator[Event]:
    """Yield one event per token, so that streamed and plain responses have the same ones."""
    return (Logprobs(entry, block=position) for entry in json_access.objects(entries))


def _message(raw: msgspec.Raw, position: int, reading: Reading) -> Iterator[Event]:
    content = _decode_message(raw).content
    parts = [_Part("output_text", content)] if isinstance(content, str) else content or []
    for number, part in reading.not_emitted(TEXT, position, [part for part in parts if part.text]):
        yield from reading.emit(TEXT, position, number, part.text or "")
        yield from new_logprobs(part.logprobs, position)
    for number, part in reading.not_emitted(REFUSAL, position, [part for part in parts if part.refusal]):
        yield from reading.emit(REFUSAL, position, number, part.refusal or "")
    annotations = [annotation for part in parts for annotation in json_access.objects(part.annotations)]
    for annotation in annotations[reading.cited[position] :]:
        yield Citation(annotation, block=position)


def _thinking(raw: msgspec.Raw, position: int, reading: Reading) -> Iterator[Event]:
    """Yield the rest of the text, then what the provider wants back: the id per stretch, the cipher with the first.

    Only the complete item has the final ones: both may change from its beginning to its end.
    """
    item = _decode_thinking(raw)
    for kind, parts in ((SUMMARY, item.summary), (THOUGHT, item.content)):
        for number, part in reading.not_emitted(kind, position, [part for part in parts or () if part.text]):
            yield from reading.emit(kind, position, number, part.text or "")
    cipher = item.encrypted_content or None
    for block in reading.blocks(position):
        yield ReasoningDelta(redacted=cipher, id=item.id or None, block=block)
        cipher = None


def _call(raw: msgspec.Raw, position: int, reading: Reading) -> Iterator[Event]:
    call = _decode_call(raw)
    if reading.is_provider_call(position, call.call_id):
        yield from _server_tool(raw, position, reading)
        return
    named = position in reading.calls
    text = "" if (ARGUMENTS, position, 0) in reading.emitted else json_access.text(call.input or call.arguments)
    complete = call.status != "incomplete"
    yield ToolCallDelta(
        position, None if named else call.call_id, None if named else call.name, text, complete=complete, block=position
    )


def _server_tool(raw: msgspec.Raw, position: int, _reading: Reading) -> Iterator[Event]:
    item = _decode_object(raw)
    yield ServerToolEvent(str(item.get("type") or ""), item, block=position)


def _image(raw: msgspec.Raw, position: int, _reading: Reading) -> Iterator[Event]:
    """Yield the image as media, and the rest of the item as an event of the tool that made it."""
    item = _decode_object(raw)
    try:
        data = base64.b64decode(item.get("result") or "", validate=True)
    except (TypeError, ValueError, binascii.Error):
        data = b""
    if data:
        del item["result"]
        yield MediaDelta(f"image/{item.get('output_format') or 'png'}", data, block=position)
    yield ServerToolEvent("image_generation_call", item, block=position)


_ITEM_READERS: dict[str, Callable[[msgspec.Raw, int, Reading], Iterator[Event]]] = {
    "message": _message,
    "reasoning": _thinking,
    "function_call": _call,
    "custom_tool_call": _call,
    "image_generation_call": _image,
}
"""Types of items that are more than a report of a tool that the provider runs."""
