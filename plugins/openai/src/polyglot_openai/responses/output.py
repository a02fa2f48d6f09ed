"""The items of the output, as far as they were received, and how they are recognized when they are repeated."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from polyglot_core.plugin import json_access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "ARGUMENTS",
    "OTHER",
    "REFUSAL",
    "SUMMARY",
    "TEXT",
    "THOUGHT",
    "Item",
    "Stretch",
    "as_text",
    "family_of",
    "ids_of",
    "matches",
]

_JSONObject = dict[str, Any]

TEXT, REFUSAL, SUMMARY, THOUGHT, ARGUMENTS = "text", "refusal", "summary", "thought", "arguments"
"""Kinds of text in items. A summary is of thinking that is not shown; a thought is thinking shown as it was."""

OTHER = "other"
"""What is a part of a message and no text."""

_FAMILIES = {
    TEXT: "message",
    REFUSAL: "message",
    SUMMARY: "reasoning",
    THOUGHT: "reasoning",
    ARGUMENTS: "call",
    "function_call": "call",
    "custom_tool_call": "call",
}


def family_of(kind: str) -> str:
    """Return what items of a type, or with a kind of text, have in common; the type itself for most."""
    return _FAMILIES.get(kind, kind)


def ids_of(payload: _JSONObject) -> list[str]:
    """Return the ids by which an item is known."""
    return [value for value in (payload.get("id"), payload.get("call_id")) if isinstance(value, str) and value]


class Stretch:
    """The text of one part of an item.

    Attributes:
        block: Number of the block in the response.
        pieces: What was emitted of the text.
        logprobs: Number of log probabilities that were emitted.
    """

    __slots__ = ("block", "logprobs", "pieces")

    def __init__(self, block: int) -> None:
        self.block = block
        self.pieces: list[str] = []
        self.logprobs = 0

    @property
    def text(self) -> str:
        """Return what was emitted of the text."""
        if len(self.pieces) > 1:
            self.pieces[:] = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""


class Item:
    """An item of the output, as far as it was received.

    Attributes:
        family: See `family_of`.
        position: The first stated position in the output.
        ids: The ids under which it was received.
        stretches: Its texts, by kind and number of the part.
        latest: Number of the part that was received last, by kind.
        block: Number of the block of an item that is one block; None if no event had it.
        begun: Whether its beginning was received.
        done: Whether it is complete.
        named: Whether the name of the tool call was emitted.
        own: Whether it is a tool call that the provider runs itself.
        cited: Number of citations that were emitted.
        early: Fields of the item that are known before it is complete.
        payload: The complete item, if no other event holds it.
    """

    def __init__(self, family: str, position: int | None, ids: Iterable[str]) -> None:
        self.family = family
        self.position = position
        self.ids = set(ids)
        self.stretches: dict[tuple[str, int], Stretch] = {}
        self.latest: dict[str, int] = {}
        self.block: int | None = None
        self.begun = self.done = self.named = self.own = False
        self.cited = 0
        self.early: _JSONObject = {}
        self.payload: _JSONObject | None = None

    @property
    def is_known(self) -> bool:
        """Whether anything of the item was received before the last response."""
        return self.done or self.begun or bool(self.stretches) or self.block is not None

    @property
    def is_anonymous(self) -> bool:
        """Whether neither the position nor an id was received."""
        return self.position is None and not self.ids

    def texts(self, kind: str) -> list[int]:
        """Return the numbers of the parts of a kind, in order."""
        return sorted(number for at, number in self.stretches if at == kind)

    def emitted(self, kind: str, number: int) -> str | None:
        """Return what was emitted of the text of a part; None if nothing of it was received."""
        stretch = self.stretches.get((kind, number))
        return None if stretch is None else stretch.text

    def content(self) -> str:
        """Return all that was emitted of the item, as text, to recognize it by."""
        if self.payload is not None:
            return as_text(self.payload)
        return "".join(stretch.text for stretch in self.stretches.values())


# Recognizing the items of the last response


def matches(items: Sequence[Item], output: Sequence[_JSONObject]) -> dict[int, Item]:
    """Return the items that were received before, by their numbers in the last response.

    They are matched by id, else by position, else by content, else as the only ones left of their family. The positions
    alone are not enough: a server may omit an item in the stream, or count otherwise there.
    """
    found: dict[int, Item] = {}
    for keys in (_ids, _place, _content):
        _match(keys, _remaining(items, found), output, found)
    _match_last(_remaining(items, found), output, found)
    return found


def _remaining(items: Sequence[Item], found: dict[int, Item]) -> list[Item]:
    taken = {id(item) for item in found.values()}
    return [item for item in items if id(item) not in taken]


def _match(keys: _Keys, items: Sequence[Item], output: Sequence[_JSONObject], found: dict[int, Item]) -> None:
    """Add to `found` the items that have a key in common, each once, in order."""
    known: defaultdict[tuple[str, object], deque[Item]] = defaultdict(deque)
    taken: set[int] = set()
    for item in items:
        for key in keys.of_item(item):
            known[item.family, key].append(item)
    for number, payload in enumerate(output):
        if number not in found:
            queues = [known[_family(payload), key] for key in keys.of_payload(number, payload)]
            if (first := _first(queues, taken)) is not None:
                found[number] = first
                taken.add(id(first))


def _first(queues: Iterable[deque[Item]], taken: set[int]) -> Item | None:
    """Return the first item that is not taken."""
    for queue in queues:
        while queue:
            item = queue.popleft()
            if id(item) not in taken:
                return item
    return None


def _match_last(items: Sequence[Item], output: Sequence[_JSONObject], found: dict[int, Item]) -> None:
    """Match the only item of a family that is left with the only one left of the last response."""
    known: defaultdict[str, list[Item]] = defaultdict(list)
    left: defaultdict[str, list[int]] = defaultdict(list)
    for item in items:
        known[item.family].append(item)
    for number, payload in enumerate(output):
        if number not in found:
            left[_family(payload)].append(number)
    for family, numbers in left.items():
        if len(numbers) == len(known[family]) == 1:
            (number,), (item,) = numbers, known[family]
            if item.is_anonymous or as_text(output[number]).startswith(item.content()):
                found[number] = item


class _Keys(NamedTuple):
    """What items are compared by."""

    of_item: Callable[[Item], Iterable[object]]
    of_payload: Callable[[int, _JSONObject], Iterable[object]]


_ids = _Keys(lambda item: item.ids, lambda _number, payload: ids_of(payload))
_place = _Keys(
    lambda item: () if item.position is None else (item.position,),
    lambda number, _payload: (number,),
)
_content = _Keys(lambda item: (item.content(),), lambda _number, payload: (as_text(payload),))


def _family(payload: _JSONObject) -> str:
    return family_of(str(payload.get("type") or ""))


def as_text(payload: _JSONObject) -> str:
    """Return what an item contains as text, to compare it with what was emitted."""
    match payload.get("type"):
        case "message":
            return _texts_of(payload.get("content"))
        case "reasoning":
            return _texts_of(payload.get("summary")) + _texts_of(payload.get("content"))
        case "function_call" | "custom_tool_call":
            return json_access.text(payload.get("input") or payload.get("arguments"))
        case _:
            return msgspec.json.encode(payload).decode()


def _texts_of(parts: object) -> str:
    if isinstance(parts, str):
        return parts
    texts = (part.get("text") or part.get("refusal") for part in json_access.objects(parts))
    return "".join(text for text in texts if isinstance(text, str))
