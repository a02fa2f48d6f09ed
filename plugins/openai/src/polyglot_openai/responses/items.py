"""Output items of a response: what each kind of them means, and what of them has been told already.

A stream tells an item up to three times: in deltas, whole when it is done, and once more in the response that ends the
stream. Servers leave out any of the three, so all are read, and what has been told is remembered.
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
    "begun_item",
    "item_events",
    "lacking_items",
    "new_logprobs",
]

TEXT, REFUSAL, SUMMARY, THOUGHT, ARGUMENTS = "text", "refusal", "summary", "thought", "arguments"
"""Kinds of text that items hold. A summary is of thinking that is not shown; a thought is shown as it was."""


class Reading:
    """What has come of one answer.

    Attributes:
        said: Texts of which something has come, as (kind, place of the item, number of the part).
        calls: Places of calls whose id and name have come.
        cited: How many citations have come, by place of the item.
        done: How many items are whole.
        response_id: The provider's id of the response.
        sequence_number: The number of the last event.
    """

    def __init__(self, own_calls: Sequence[str] = ()) -> None:
        self.said: set[tuple[str, int, int]] = set()
        self.calls: set[int] = set()
        self.cited: Counter[int] = Counter()
        self.done = 0
        self.response_id: str | None = None
        self.sequence_number: int | None = None
        self._own_calls = tuple(own_calls)
        self._own_places: set[int] = set()
        self._places: dict[str, int] = {}
        self._whole_places: set[int] = set()
        self._whole_ids: set[str] = set()
        self._blocks: dict[tuple[int, str, int], int] = {}

    def place(self, index: int | None, item_id: str | None) -> int:
        """The item's place in the output: as stated, else where its id was seen, else after those that are whole.

        Ids alone would not do: one server changes them from event to event, another uses one for several items.
        """
        if index is not None:
            return index
        return self._places.get(item_id or "", self.done)

    def begin(self, place: int, item_id: str | None) -> None:
        """An item begins at `place`."""
        if item_id:
            self._places[item_id] = place

    def finish(self, place: int, item_id: str | None) -> None:
        """The item at `place` is whole."""
        self.done += 1
        self._whole_places.add(place)
        if item_id:
            self._whole_ids.add(item_id)

    def knows(self, item_id: str | None) -> bool:
        """Whether an item with this id has begun."""
        return item_id in self._places

    def lacks(self, place: int, item_id: str | None) -> bool:
        """Whether no whole item with this place or id has come."""
        return place not in self._whole_places and item_id not in self._whole_ids

    def is_own(self, place: int, call_id: str | None = None) -> bool:
        """Whether the provider runs the call itself, though it looks like one of a tool of the user's."""
        if call_id and self._own_calls and call_id.startswith(self._own_calls):
            self._own_places.add(place)
        return place in self._own_places

    def block(self, place: int, kind: str, part: int) -> int:
        """Number of a stretch of thinking."""
        return self._blocks.setdefault((place, kind, part), len(self._blocks))

    def blocks(self, place: int) -> list[int]:
        """Numbers of all stretches of thinking that the item at `place` has; at least one."""
        found = [number for (at, _, _), number in self._blocks.items() if at == place]
        return found or [self.block(place, SUMMARY, 0)]

    def say(self, kind: str, place: int, part: int, text: str) -> Iterator[Event]:
        """More of a text."""
        if text:
            self.said.add((kind, place, part))
        if kind == TEXT:
            yield TextDelta(text, block=place)
        elif kind == REFUSAL:
            yield RefusalDelta(text, block=place)
        elif kind != ARGUMENTS:
            yield ReasoningDelta(text, block=self.block(place, kind, part))
        elif not self.is_own(place):
            yield ToolCallDelta(place, arguments=text, block=place)

    def say_whole(self, kind: str, place: int, part: int, text: str) -> Iterator[Event]:
        """A text, unless something of it has come."""
        if text and (kind, place, part) not in self.said:
            yield from self.say(kind, place, part, text)

    def untold(self, kind: str, place: int, parts: Sequence[_Part]) -> list[tuple[int, _Part]]:
        """Those of an item's parts, with their numbers, that follow the ones of which something has come.

        They are counted and not looked up by number: one server counts from 1 in its deltas.
        """
        told = sum((said, at) == (kind, place) for said, at, _ in self.said)
        return list(enumerate(parts))[told:]


# What is read of items: only the fields that are needed


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


def begun_item(raw: msgspec.Raw, index: int | None, reading: Reading) -> Iterator[Event]:
    """What an item says of itself before it is whole: the id and the name of a call."""
    head = _decode_head(raw)
    place = reading.place(index, head.id)
    reading.begin(place, head.id)
    if head.type not in _CALLS:
        return
    call = _decode_call(raw)
    if not reading.is_own(place, call.call_id) and call.call_id and call.name:
        reading.calls.add(place)
        yield ToolCallDelta(place, call.call_id, call.name, block=place)


def item_events(raw: msgspec.Raw, index: int | None, reading: Reading) -> Iterator[Event]:
    """What a whole item says beyond what has been told of it."""
    head = _decode_head(raw)
    place = reading.place(index, head.id)
    reading.finish(place, head.id)
    yield from _TELLERS.get(head.type or "", _server_tool)(raw, place, reading)


def lacking_items(output: Sequence[msgspec.Raw], reading: Reading) -> Iterator[Event]:
    """What the items of the last response say, of those that have not been told whole.

    An item that has begun is known by its id: the last response may count without those that it leaves out.
    """
    for number, raw in enumerate(output):
        item_id = _decode_head(raw).id
        if reading.lacks(number, item_id):
            yield from item_events(raw, None if reading.knows(item_id) else number, reading)


def new_logprobs(entries: object, place: int) -> Iterator[Event]:
    """One event a token, so that streamed and plain answers have the same ones."""
    return (Logprobs(entry, block=place) for entry in json_access.objects(entries))


def _message(raw: msgspec.Raw, place: int, reading: Reading) -> Iterator[Event]:
    content = _decode_message(raw).content
    parts = [_Part("output_text", content)] if isinstance(content, str) else content or []
    for number, part in reading.untold(TEXT, place, [part for part in parts if part.text]):
        yield from reading.say(TEXT, place, number, part.text or "")
        yield from new_logprobs(part.logprobs, place)
    for number, part in reading.untold(REFUSAL, place, [part for part in parts if part.refusal]):
        yield from reading.say(REFUSAL, place, number, part.refusal or "")
    annotations = [annotation for part in parts for annotation in json_access.objects(part.annotations)]
    for annotation in annotations[reading.cited[place] :]:
        yield Citation(annotation, block=place)


def _thinking(raw: msgspec.Raw, place: int, reading: Reading) -> Iterator[Event]:
    """The rest of the text, and then what the provider wants back: the id with each stretch, the cipher with the first.

    Only the whole item has the final ones: both may change from its beginning to its end.
    """
    item = _decode_thinking(raw)
    for kind, parts in ((SUMMARY, item.summary), (THOUGHT, item.content)):
        for number, part in reading.untold(kind, place, [part for part in parts or () if part.text]):
            yield from reading.say(kind, place, number, part.text or "")
    cipher = item.encrypted_content or None
    for block in reading.blocks(place):
        yield ReasoningDelta(redacted=cipher, id=item.id or None, block=block)
        cipher = None


def _call(raw: msgspec.Raw, place: int, reading: Reading) -> Iterator[Event]:
    call = _decode_call(raw)
    if reading.is_own(place, call.call_id):
        yield from _server_tool(raw, place, reading)
        return
    named = place in reading.calls
    text = "" if (ARGUMENTS, place, 0) in reading.said else json_access.text(call.input or call.arguments)
    complete = call.status != "incomplete"
    yield ToolCallDelta(
        place, None if named else call.call_id, None if named else call.name, text, complete=complete, block=place
    )


def _server_tool(raw: msgspec.Raw, place: int, _reading: Reading) -> Iterator[Event]:
    item = _decode_object(raw)
    yield ServerToolEvent(str(item.get("type") or ""), item, block=place)


def _image(raw: msgspec.Raw, place: int, _reading: Reading) -> Iterator[Event]:
    """The image as media; what else the item says stays an event of the tool that made it."""
    item = _decode_object(raw)
    try:
        data = base64.b64decode(item.get("result") or "", validate=True)
    except (TypeError, ValueError, binascii.Error):
        data = b""
    if data:
        del item["result"]
        yield MediaDelta(f"image/{item.get('output_format') or 'png'}", data, block=place)
    yield ServerToolEvent("image_generation_call", item, block=place)


_TELLERS: dict[str, Callable[[msgspec.Raw, int, Reading], Iterator[Event]]] = {
    "message": _message,
    "reasoning": _thinking,
    "function_call": _call,
    "custom_tool_call": _call,
    "image_generation_call": _image,
}
"""Kinds of items that are more than a report of a tool that the provider runs."""
