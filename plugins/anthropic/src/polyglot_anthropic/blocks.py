"""The blocks of a message: the events that a block becomes, streamed piece by piece or whole.

A block begins, is extended by deltas, and ends. A whole block begins and ends at once, so both are read in the same
way. Every field that a block has is kept, because the API takes a turn back only as it sent it: fields that no event
has become `extra`, and a block without an event of its own is emitted as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from polyglot_core.plugin import (
    Citation,
    ReasoningDelta,
    ResponseStarted,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    json_access,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from polyglot_core.plugin import Event

__all__ = ["TEXT", "OpenBlock", "whole_block"]

_JSONObject = dict[str, Any]

TEXT, _TOOL_USE = "text", "tool_use"


class OpenBlock:
    """A block between its begin and its end.

    Attributes:
        index: Index of the block in the content of the message.
        kind: Type of the block.
        is_raw: True if the block has no events of its own, and is emitted whole at its end.
    """

    __slots__ = ("_fields", "_pieces", "index", "is_raw", "kind")

    def __init__(self, fields: _JSONObject, index: int) -> None:
        self.index = index
        self.kind = _kind_of(fields)
        self.is_raw = self.kind not in _KINDS
        self._fields = fields
        self._pieces: dict[str, list[Any]] = {}  # what deltas add, by field

    def begin(self) -> Iterator[Event]:
        """Yield the events of the beginning of the block."""
        yield from _KINDS.get(self.kind, _RAW).begin(self)

    def end(self) -> Iterator[Event]:
        """Yield the events of the end of the block."""
        yield from _KINDS.get(self.kind, _RAW).end(self)

    def add(self, name: str, value: object) -> None:
        """Add a piece to a field of the block. Texts and lists are appended, objects are merged."""
        self._pieces.setdefault(name, []).append(value)

    def merge(self, delta: _JSONObject) -> None:
        """Add all fields of a delta."""
        for name, value in delta.items():
            if name == "partial_json" and value:
                self.add("input", value)
            elif name not in {"type", "partial_json"} and value is not None:
                self.add(name, value)

    @property
    def has_pieces_of_input(self) -> bool:
        """Whether deltas with input were received, which replace the input at the beginning."""
        return "input" in self._pieces

    @property
    def whole(self) -> _JSONObject:
        """The block with everything that was added to it. Input that is not JSON stays text."""
        fields = dict(self._fields)
        for name, pieces in self._pieces.items():
            if name == "input":
                text = "".join(map(json_access.text, pieces))
                fields[name] = json_access.parse(text, text)
            else:
                fields[name] = _joined(fields.get(name), pieces)
        return fields

    def text(self, name: str) -> str:
        """Return a field at the beginning of the block, as text."""
        return json_access.text(self._fields.get(name))

    def value(self, name: str) -> Any:  # noqa: ANN401 (any JSON value)
        """Return a field at the beginning of the block."""
        return self._fields.get(name)

    def extra(self) -> _JSONObject | None:
        """Return the fields that no event has; None without any."""
        return {name: value for name, value in self.whole.items() if name not in _KINDS[self.kind].fields} or None


def whole_block(fields: _JSONObject, index: int) -> Iterator[Event]:
    """Yield the events of a block that was received whole."""
    block = OpenBlock(fields, index)
    yield from block.begin()
    yield from block.end()


def _kind_of(fields: _JSONObject) -> str:
    """Return the type of a block. Some gateways leave out that of a text."""
    return json_access.text(fields.get("type")) or (TEXT if TEXT in fields else "")


def _joined(before: object, pieces: list[Any]) -> Any:  # noqa: ANN401 (any JSON value)
    """Return the value of a field that began as `before`; pieces of another type replace it."""
    if all(isinstance(piece, str) for piece in pieces):
        added = "".join(pieces)
        return before + added if isinstance(before, str) and before != added else added
    if all(isinstance(piece, list) for piece in pieces):
        return [*(before if isinstance(before, list) else ()), *(each for piece in pieces for each in piece)]
    if all(isinstance(piece, dict) for piece in pieces):
        merged = dict(before) if isinstance(before, dict) else {}
        for piece in pieces:
            merged |= piece
        return merged
    return pieces[-1]


# The types of blocks


class _Kind(NamedTuple):
    """How a type of block is read.

    Attributes:
        fields: The fields that the events have; further ones become `extra`.
        begin: Yields the events of the beginning.
        end: Yields the events of the end.
    """

    fields: frozenset[str]
    begin: Callable[[OpenBlock], Iterable[Event]]
    end: Callable[[OpenBlock], Iterable[Event]]


def _text_begins(block: OpenBlock) -> Iterator[Event]:
    yield TextDelta(block.text(TEXT), block=block.index)
    for citation in json_access.objects(block.value("citations")):
        yield Citation(citation, block=block.index)


def _text_ends(block: OpenBlock) -> Iterator[Event]:
    if extra := block.extra():
        yield TextDelta("", block=block.index, extra=extra)


def _thinking_begins(block: OpenBlock) -> Iterator[Event]:
    text, signature = block.text("thinking"), block.text("signature")
    if text or signature:
        yield ReasoningDelta(text, signature or None, block=block.index)


def _redacted_thinking_begins(block: OpenBlock) -> Iterator[Event]:
    yield ReasoningDelta(redacted=block.text("data") or None, block=block.index)


def _reasoning_ends(block: OpenBlock) -> Iterator[Event]:
    if extra := block.extra():
        yield ReasoningDelta(block=block.index, extra=extra)


def _call_begins(block: OpenBlock) -> Iterator[Event]:
    yield ToolCallDelta(block.index, block.text("id") or None, block.text("name") or None, block=block.index)


def _call_ends(block: OpenBlock) -> Iterator[Event]:
    early = "" if block.has_pieces_of_input else json_access.text(block.value("input") or None)
    yield ToolCallDelta(block.index, arguments=early, complete=True, block=block.index, extra=block.extra())


def _raw_begins(block: OpenBlock) -> Iterator[Event]:
    """Reserve the position of the block in the turn. A fallback names the model that continues."""
    yield ServerToolEvent(block.kind, {}, block=block.index)
    if block.kind == "fallback" and isinstance(model := json_access.get(block.value("to"), "model"), str):
        yield ResponseStarted(model=model, replaces=True)


def _raw_ends(block: OpenBlock) -> Iterator[Event]:
    yield ServerToolEvent(block.kind, block.whole, block=block.index, replay=True)


_KINDS = {
    TEXT: _Kind(frozenset({"type", "text"}), _text_begins, _text_ends),
    "thinking": _Kind(frozenset({"type", "thinking", "signature"}), _thinking_begins, _reasoning_ends),
    "redacted_thinking": _Kind(frozenset({"type", "data"}), _redacted_thinking_begins, _reasoning_ends),
    _TOOL_USE: _Kind(frozenset({"type", "id", "name", "input"}), _call_begins, _call_ends),
}
_RAW = _Kind(frozenset(), _raw_begins, _raw_ends)
