"""Decoding of a message or a piece of one: text, thinking, sources and tool calls, in the order of the content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import (
    Citation,
    Details,
    ReasoningDelta,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    json_access,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_core.plugin import Event

__all__ = ["Received", "message_events"]

_JSONObject = dict[str, Any]

_CALLS = -1
"""Block of the tool calls, which are in a field beside the content."""

_NO_ID = (None, "", "null")
"""Values that mean no id: some models write the word."""

_REFERENCES = frozenset({"reference", "tool_reference"})
_READ = frozenset({"content", "tool_calls", "role"})
_READ_OF_CALLS = frozenset({"id", "index", "type", "function"})
_READ_OF_FUNCTIONS = frozenset({"name", "arguments"})


class Received:
    """What a choice has received so far, as far as the meaning of later chunks depends on it.

    Attributes:
        begun: Whether there was content or a tool call.
        listed: Whether the content was a list of parts once.
        text_block: Block of the latest text.
        so_far: The text of the messages that were sent instead of pieces.
    """

    __slots__ = ("_block", "_kind", "begun", "listed", "so_far", "text_block")

    def __init__(self) -> None:
        self.begun = False
        self.listed = False
        self.text_block = 0
        self.so_far = ""
        self._block = -1
        self._kind = ""

    def in_block(self, kind: str, *, fresh: bool = False) -> int:
        """Return the block of the next part of the content: the current one, if it is of the same kind."""
        if fresh or kind != self._kind:
            self._block += 1
            self._kind = "" if fresh else kind
        if kind == "text":
            self.text_block = self._block
        return self._block

    def end_block(self) -> None:
        """Let the next part of the content begin a block."""
        self._kind = ""


def message_events(message: _JSONObject, choice: int, received: Received, *, whole: bool) -> Iterator[Event]:
    """Yield the events of a message or, unless `whole`, of a piece of one."""
    received.begun = received.begun or bool(message.get("content") or message.get("tool_calls"))
    yield from _content(message.get("content"), choice, received, whole=whole)
    for number, call in enumerate(json_access.objects(message.get("tool_calls"))):
        yield from _tool_call(call, number if whole else call.get("index"), choice, whole=whole)
    if not _READ.issuperset(message) and (others := _others(message, _READ)):
        yield Details({"message": others}, choice)


def _content(content: object, choice: int, received: Received, *, whole: bool) -> Iterator[Event]:
    if isinstance(content, str):
        yield TextDelta(content, choice, received.in_block("text") if content else received.text_block)
    elif isinstance(content, list):
        received.listed = True
        for part in content:
            if whole:
                received.end_block()
            yield from _part(part, choice, received)
    elif content is not None:
        yield TextDelta(json_access.text(content), choice, received.in_block("text"))


def _part(part: object, choice: int, received: Received) -> Iterator[Event]:
    """Yield the events of a part of the content, which keeps its position, whatever its type."""
    if not isinstance(part, dict):
        if text := json_access.text(part):
            yield TextDelta(text, choice, received.in_block("text"))
        return
    kind = _string(part.get("type"))
    if kind == "thinking":
        yield from _thinking(part, choice, received)
    elif kind in _REFERENCES:
        yield Citation(part, choice, received.text_block)
        yield ServerToolEvent(kind, part, choice, received.in_block(kind, fresh=True), replay=True)
    elif isinstance(part.get("text"), str):
        extra = _others(part, frozenset({"text"} | ({"type"} if kind in {"", "text"} else set())))
        if part["text"] or extra:
            yield TextDelta(part["text"], choice, received.in_block("text"), extra or None)
    elif kind not in {"", "text"} or _others(part, frozenset({"type", "text"})):
        yield ServerToolEvent(kind or "part", part, choice, received.in_block(kind, fresh=True), replay=True)


def _thinking(part: _JSONObject, choice: int, received: Received) -> Iterator[Event]:
    """Yield a part of thinking, which has parts of its own. `extra` keeps what is not text, to send it back.

    A source inside it becomes a part of thinking of its own; `Writer.content` joins them again.
    """
    rest = _others(part, frozenset({"thinking", "closed"}))
    inner = part.get("thinking")
    if not isinstance(inner, list):
        shape = {**rest, "thinking": ""}
        yield ReasoningDelta(json_access.text(inner), None, None, None, choice, received.in_block("thinking"), shape)
        return
    for number, piece in enumerate(inner, start=1):
        closed = {"closed": part["closed"]} if "closed" in part and number == len(inner) else {}
        if isinstance(piece, dict) and (not isinstance(piece.get("type"), str) or piece["type"] == "text"):
            further = _others(piece, frozenset({"text"}))
            shape = {**rest, "thinking": [further], **closed}
            block = received.in_block("thinking")
            yield ReasoningDelta(_string(piece.get("text")), None, None, None, choice, block, shape)
        elif isinstance(piece, str):
            block = received.in_block("thinking")
            yield ReasoningDelta(piece, None, None, None, choice, block, {**rest, "thinking": [{"type": "text"}]})
        elif isinstance(piece, dict):
            kind = piece["type"]
            if kind in _REFERENCES:
                yield Citation(piece, choice, _CALLS)
            payload = {**rest, "thinking": [piece], **closed}
            yield ServerToolEvent(kind, payload, choice, received.in_block(kind, fresh=True), replay=True)


def _tool_call(call: _JSONObject, index: object, choice: int, *, whole: bool) -> Iterator[ToolCallDelta]:
    """Yield a tool call, which the provider's own models send in one piece; nothing for a placeholder."""
    function = call.get("function")
    fields: _JSONObject = function if isinstance(function, dict) else {}
    name, arguments = _string(fields.get("name")), json_access.text(fields.get("arguments"))
    call_id = None if call.get("id") in _NO_ID else str(call["id"])
    extra = _others(call, _READ_OF_CALLS)
    if call.get("type") not in (None, "", "function"):
        extra["type"] = call["type"]
    if further := _others(fields, _READ_OF_FUNCTIONS):
        extra["function"] = further
    if call_id or name or arguments or extra:
        number = int(index) if isinstance(index, (int, str)) and str(index).isdecimal() else None
        yield ToolCallDelta(number, call_id, name or None, arguments, whole, choice, _CALLS, extra=extra or None)


def _others(fields: _JSONObject, read: frozenset[str]) -> _JSONObject:
    return {name: value for name, value in fields.items() if name not in read and value is not None}


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
