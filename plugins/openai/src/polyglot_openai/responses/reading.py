"""The state of decoding one response: the items received so far, and which text of them was emitted.

A stream sends an item up to three times: in deltas, whole when it is done, and once more in the response object that
ends the stream. Servers omit any of the three, and name an item by its id, its position, both or neither. So all are
read, and what was emitted is recorded by item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import (
    Logprobs,
    Note,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    json_access,
)
from polyglot_openai.responses.output import (
    ARGUMENTS,
    REFUSAL,
    TEXT,
    Item,
    Stretch,
    as_text,
    family_of,
    ids_of,
    matches,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from polyglot_core.plugin import Event

__all__ = ["Reading", "new_logprobs"]
_Place = tuple[int | None, int | None, str | None]
"""Position of an item, number of a part, and id of the item, as a delta states them."""

_JSONObject = dict[str, Any]

_CHANGED = "The provider repeated a text with other words than it had sent before; the first ones are kept."


class Reading:
    """The state of decoding one response.

    Attributes:
        growing_text: The text that the last delta belongs to: what that named as its place, block, and pieces.
        to_answer: Ids of the calls that the user has to respond to and that are no tool calls.
        response_id: The provider's id of the response.
        sequence_number: The number of the last event.
    """

    def __init__(self, own_calls: Sequence[str] = ()) -> None:
        self.growing_text: tuple[_Place | None, int, list[str]] = (None, 0, [])
        self.to_answer: set[str] = set()
        self.response_id: str | None = None
        self.sequence_number: int | None = None
        self._own_calls = tuple(own_calls)
        self._items: list[Item] = []
        self._at: dict[tuple[int, str], Item] = {}
        self._by_id: dict[tuple[str, str], Item] = {}
        self._latest: dict[str, Item] = {}
        self._blocks = 0

    # Items

    def growing(self, kind: str, position: int | None, item_id: str | None) -> Item:
        """Return the item that a delta belongs to: by its position and id, else the latest of its family."""
        family = family_of(kind)
        known = self._by_id.get((item_id or "", family))
        placed = None if position is None else self._at.get((position, family))
        if placed is not None and known is not None and item_id not in placed.ids and not known.done:
            return known
        if placed is not None and not (placed.done and _is_other(placed, item_id)):
            return placed
        if known is not None and not (known.done and position is not None):
            return known
        latest = self._latest.get(family)
        if position is None and latest is not None and not latest.done and (item_id is None or latest.begun):
            return latest
        return self._new(family, position, [item_id] if item_id else [])

    def repeated(self, kind: str, position: int | None, item_id: str | None, text: str = "") -> Item:
        """Return the item that an event repeats or adds to: by its position or id, else the latest with this text."""
        family = family_of(kind)
        placed = None if position is None else self._at.get((position, family))
        known = self._by_id.get((item_id or "", family))
        item = known if known is not None and (placed is None or item_id not in placed.ids) else placed
        latest = self._latest.get(family)
        if item is None and latest is not None and (position is None or (text and latest.content() == text)):
            item = latest
        return self.growing(kind, position, item_id) if item is None else item

    def stated(self, payload: _JSONObject, position: int | None, *, done: bool) -> Item:
        """Return the item whose beginning or completion was received."""
        family, ids = family_of(str(payload.get("type") or "")), ids_of(payload)
        placed = None if position is None else self._at.get((position, family))
        item = placed if placed is not None and not self._is_another(placed, ids, done=done) else None
        known = next((each for id_ in ids if (each := self._by_id.get((id_, family)))), None)
        if known is not None and known is not item:
            moved = position is not None and known.position not in {None, position} and (known.begun or known.done)
            if (item is None and not moved) or (item is not None and item.ids.isdisjoint(ids) and not known.done):
                item = known  # `moved`: one provider gives several items the same id
        if item is None and position is None and done:
            latest = self._latest.get(family)
            item = latest if latest is not None and not latest.done and not (latest.begun and latest.ids) else None
        if item is None and done:
            item = self._same_text(family, payload)
        if item is None:
            item = self._new(family, position, ids)
        self._name(item, ids)
        return item

    def _same_text(self, family: str, payload: _JSONObject) -> Item | None:
        """Return the latest item, if it has the text of a complete item, of which neither place nor id was known."""
        latest = self._latest.get(family)
        if latest is None or latest.done or not (text := latest.content()):
            return None
        return latest if text == as_text(payload) else None

    def _is_another(self, placed: Item, ids: Sequence[str], *, done: bool) -> bool:
        """Return whether an item differs from the one that its position had before, as servers that do not count do."""
        taken = placed.done if done else placed.begun
        return taken and not placed.ids.intersection(ids)

    def _new(self, family: str, position: int | None, ids: Sequence[str]) -> Item:
        item = Item(family, position, ids)
        self._items.append(item)
        self._latest[family] = item
        if position is not None:
            self._at[position, family] = item
        self._name(item, ids)
        return item

    def _name(self, item: Item, ids: Sequence[str]) -> None:
        item.ids.update(ids)
        for id_ in ids:
            self._by_id.setdefault((id_, item.family), item)

    def finish(self, item: Item) -> None:
        """Record that an item is complete."""
        item.done = True
        self.growing_text = (None, 0, [])

    def is_provider_call(self, item: Item, call_id: str | None = None) -> bool:
        """Return True if the provider runs the tool call itself, though it looks like one for a tool of the user."""
        if call_id and self._own_calls and call_id.startswith(self._own_calls):
            item.own = True
        return item.own

    def matched(self, output: Sequence[_JSONObject]) -> list[tuple[_JSONObject, Item]]:
        """Return the items of the last response, each with what was received of it before, or a new one."""
        found = matches(self._items, output)
        return [
            (payload, found.get(number) or self._new(family_of(str(payload.get("type") or "")), None, []))
            for number, payload in enumerate(output)
        ]

    def has_all_text(self, output: Iterable[_JSONObject]) -> bool:
        """Return whether the texts of the messages in `output` were emitted, however they are divided into messages."""
        emitted = "".join(item.content() for item in self._items if item.family == "message")
        return bool(emitted) and emitted == "".join(as_text(each) for each in output if each.get("type") == "message")

    # Texts

    def new_block(self) -> int:
        """Return the number of another block."""
        self._blocks += 1
        return self._blocks - 1

    def block(self, item: Item) -> int:
        """Return the number of the block of an item that is one block."""
        if item.block is None:
            item.block = self.new_block()
        return item.block

    def stretch(self, item: Item, kind: str, part: int) -> Stretch:
        """Return the text of a part of an item."""
        found = item.stretches.get((kind, part))
        if found is None:
            block = self.block(item) if kind == ARGUMENTS else self.new_block()
            found = item.stretches[kind, part] = Stretch(block)
            item.latest[kind] = part
        return found

    def follow(self, stretch: Stretch, place: _Place) -> None:
        """Record that the next delta with the same place belongs to the same text."""
        self.growing_text = (place, stretch.block, stretch.pieces)

    def emit(self, item: Item, kind: str, stretch: Stretch, text: str) -> Iterator[Event]:
        """Yield an event with more of a text."""
        extra = item.early if item.early and not stretch.pieces else None
        if text:
            stretch.pieces.append(text)
        if kind == TEXT:
            yield TextDelta(text, block=stretch.block, extra=extra)
        elif kind == REFUSAL:
            yield RefusalDelta(text, block=stretch.block, extra=extra)
        elif kind != ARGUMENTS:
            yield ReasoningDelta(text, block=stretch.block)
        elif text and not item.own:
            yield ToolCallDelta(stretch.block, arguments=text, block=stretch.block)

    def emit_rest(self, item: Item, kind: str, stretch: Stretch, whole: str) -> Iterator[Event]:
        """Yield what a whole text has beyond that which was emitted of it."""
        emitted = stretch.text
        if whole.startswith(emitted):
            if rest := whole[len(emitted) :]:
                yield from self.emit(item, kind, stretch, rest)
        elif whole and not _is_same_json(kind, whole, emitted):
            yield Note(_CHANGED)

    def paired(self, item: Item, kind: str, texts: Sequence[tuple[int, str]]) -> list[Stretch]:
        """Return the stretches for the texts of a complete item, given with the numbers of their parts.

        They are matched by number, or by order if that cannot be right: one server counts from 1 in its deltas.
        """
        given, emitted = dict(texts), item.texts(kind)
        if all(number in given and given[number].startswith(item.stretches[kind, number].text) for number in emitted):
            numbers = [number for number, _ in texts]
        else:
            more = max(emitted, default=0) + 1
            numbers = [*emitted, *range(more, more + len(texts))][: len(texts)]
        return [self.stretch(item, kind, number) for number in numbers]


def new_logprobs(entries: object, stretch: Stretch) -> Iterator[Event]:
    """Yield one event per token, so that streamed and plain responses have the same ones."""
    for entry in json_access.objects(entries):
        stretch.logprobs += 1
        yield Logprobs(entry, block=stretch.block)


def _is_other(item: Item, item_id: str | None) -> bool:
    return item_id is None or item_id not in item.ids


def _is_same_json(kind: str, one: str, other: str) -> bool:
    """Return whether two texts are the same arguments, which a server may write with other spaces."""
    if kind != ARGUMENTS:
        return False
    parsed = json_access.parse(one)
    return parsed is not None and parsed == json_access.parse(other)
