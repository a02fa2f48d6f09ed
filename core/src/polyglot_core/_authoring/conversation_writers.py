"""A conversation in a dialect's words: what the drivers' writers have in common.

A writer walks the messages part by part, as `ast.NodeVisitor` walks a tree: a subclass has a method ``write_image`` for
each `Image`, ``write_tool_call`` for each `ToolCall`, and so on. A part for which it has no method cannot be expressed,
and that is dealt with here, once. `MessageWriter` and `TurnWriter` know the two shapes that nearly all dialects have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from msgspec.structs import replace

from polyglot_core._authoring.options import cannot_express
from polyglot_core._values.parts import Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from polyglot_core._values.parts import Part
    from polyglot_core._values.request import InferenceRequest, Message

__all__ = ["ConversationWriter", "MessageWriter", "TurnWriter"]

_JSONObject = dict[str, Any]

_SYSTEM = "system"


class ConversationWriter:
    """Writes the messages of one request.

    Each method ``write_…`` takes a part and returns what it is in the dialect's words: an iterable of objects.

    Args:
        request: The request.
        driver: Name of the driver, for messages.

    Attributes:
        roles: Role → the dialect's word for it; other roles cannot be expressed.
        made_id: How the ids of calls that have none are made of their numbers, for dialects that join results to calls
            by id; None leaves them without. A result without an id gets that of the oldest such call that has no
            result yet, of its tool if it names one.
        tool_names: Whether a result is to name the tool of the call that it answers.
        given: The messages of the request, with these ids and names in them.
    """

    roles: ClassVar[Mapping[str, str]] = {
        "system": _SYSTEM,
        "developer": _SYSTEM,
        "user": "user",
        "assistant": "assistant",
        "tool": "tool",
    }
    id_format: ClassVar[str | None] = "call_{}"
    tool_names: ClassVar[bool] = False

    def __init__(self, request: InferenceRequest, driver: str) -> None:
        self.request = request
        self.driver = driver
        self.given = _Calls(self).joined(request.messages)

    def cannot(self, what: str, instead: str | None = None) -> None:
        """Deal with something that has no words in the dialect, as the request wishes.

        Raises:
            RequestError: Unless the request wishes otherwise.
        """
        cannot_express(self.request, what, driver=self.driver, instead=instead)

    def normalize_id(self, call_id: str) -> str:
        """The id of a call as the dialect can say it: as it is, where a subclass knows no better."""
        return call_id

    def role(self, message: Message) -> str | None:
        """The role in the dialect's words, or None where it has none. A speaker's name has none."""
        if message.role not in self.roles:
            self.cannot(f"the role {message.role!r}")
        if message.name:
            self.cannot("the name of a speaker")
        return self.roles.get(message.role)

    def write(self, parts: Iterable[Part]) -> list[_JSONObject]:
        """The parts in the dialect's words, one after the other."""
        return [written for part in parts for written in self._write_part(part)]

    def _write_part(self, part: Part) -> Iterable[_JSONObject]:
        method = getattr(self, f"write_{part.__struct_config__.tag}", None)
        if method is None:
            self.cannot(f"a part of type {type(part).__name__}")
            return ()
        written: Iterable[_JSONObject] = method(part)
        return written

    def arguments(self, call: ToolCall) -> _JSONObject:
        """The arguments of a call as an object, for dialects that do not take their text."""
        if call.arguments is None:
            self.cannot(f"a call of {call.name!r} whose arguments are no JSON object")
        return call.arguments or {}


class MessageWriter(ConversationWriter):
    """Writes messages as flat objects: role, content, and tool calls beside it. Each tool result is a message."""

    def messages(self) -> list[_JSONObject]:
        """All messages, in order.

        Raises:
            RequestError: Something cannot be expressed, and the request makes that an error.
        """
        return [{**said, **message.extra} for message in self.given for said in self._messages_of(message)]

    def _messages_of(self, message: Message) -> Iterator[_JSONObject]:
        """A message of its own for each tool result, and one for all that is no result."""
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        yield from map(self.result, results)
        if not results or len(results) < len(message.parts):
            rest = tuple(part for part in message.parts if not isinstance(part, ToolResult))
            yield self.turn(replace(message, content=rest))

    def turn(self, message: Message) -> _JSONObject:
        """A message without results."""
        calls = [self.call(part) for part in message.parts if isinstance(part, ToolCall)]
        content = self.content(part for part in message.parts if not isinstance(part, ToolCall))
        said: _JSONObject = {"role": self.role(message) or message.role}
        if content or not calls:
            said["content"] = content
        return {**said, "tool_calls": calls} if calls else said

    def content(self, parts: Iterable[Part]) -> str | list[_JSONObject]:
        """One text as a text, anything else as a list of parts."""
        said = self.write(parts)
        if not said:
            return ""
        return said[0]["text"] if len(said) == 1 and set(said[0]) == {"type", "text"} else said

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """A text."""
        yield {"type": "text", "text": part.text}

    def call(self, call: ToolCall) -> _JSONObject:
        """A call, with its arguments as text."""
        function = {"name": call.name, "arguments": call.arguments_raw or "{}"}
        return {"id": call.id, "type": "function", "function": function}

    def result(self, result: ToolResult) -> _JSONObject:
        """A result. There is no field for a failure, so the text says it."""
        return {"role": "tool", "tool_call_id": result.id, "content": self.content(result.said)}


class TurnWriter(ConversationWriter):
    """Writes turns of blocks: the system prompt is apart, and results belong to the user's turn.

    Attributes:
        content: Name of the field that holds a turn's blocks.
    """

    roles: ClassVar[Mapping[str, str]] = {**ConversationWriter.roles, "tool": "user"}
    content: ClassVar[str] = "content"

    def conversation(self) -> tuple[list[_JSONObject], list[_JSONObject]]:
        """The blocks of the system prompt, from wherever they stood, and the turns. A turn without blocks is left out.

        Raises:
            RequestError: Something cannot be expressed, and the request makes that an error.
        """
        system: list[_JSONObject] = []
        turns: list[_JSONObject] = []
        before: Message | None = None
        for message in self.given:
            role, blocks = self.role(message), self.blocks(message)
            if role == _SYSTEM:
                system += blocks
            elif role is None or not blocks:
                continue
            elif before is not None and self.goes_on(before, message):
                turns[-1][self.content] += blocks
            else:
                turns.append({"role": role, self.content: blocks})
            before = before if role == _SYSTEM else message
        return system, turns

    def role(self, message: Message) -> str | None:
        """The role, as of any conversation. Further fields of a message have no place in a turn."""
        if fields := sorted(name for name, value in message.extra.items() if value):
            self.cannot(f"the field {fields[0]!r} of a message")
        return super().role(message)

    def blocks(self, message: Message) -> list[_JSONObject]:
        """The blocks of a message; those that a system prompt cannot hold are not expressed."""
        blocks = self.write(message.parts)
        if self.roles.get(message.role) != _SYSTEM:
            return blocks
        return [block for block in blocks if self.in_system(block)]

    def in_system(self, block: _JSONObject) -> bool:  # noqa: ARG002 (for subclasses)
        """Whether the system prompt can hold a block."""
        return True

    def goes_on(self, before: Message, message: Message) -> bool:
        """Whether a message goes on with the turn of the one before: it does where both are of one role."""
        return self.roles[before.role] == self.roles[message.role]


class _Calls:
    """Joins the results of a conversation to its calls."""

    def __init__(self, writer: ConversationWriter) -> None:
        self._writer = writer
        self._count = 0
        self._tools: dict[str, str] = {}
        self._unanswered: list[tuple[str, str]] = []

    def joined(self, messages: Iterable[Message]) -> list[Message]:
        """The messages, with ids and names where the dialect wants them."""
        return [replace(message, content=tuple(map(self._part, message.parts))) for message in messages]

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolCall):
            return self._call(part)
        return self._result(part) if isinstance(part, ToolResult) else part

    def _call(self, call: ToolCall) -> ToolCall:
        self._count += 1
        made = self._made(self._count)
        if not call.id:
            self._unanswered.append((call.name, made))
        self._tools[call.id or made] = call.name
        return replace(call, id=self._id(call.id, made))

    def _result(self, result: ToolResult) -> ToolResult:
        answered = result.id or self._oldest(result.name)
        name = result.name or (self._tools.get(answered) if self._writer.tool_names else None)
        return replace(result, id=self._id(result.id, answered), name=name)

    def _oldest(self, tool: str | None) -> str:
        """The made id of the oldest call without a result, or else that of the last call."""
        found = next((call for call in self._unanswered if tool in {None, call[0]}), None)
        if found is None:
            return self._made(max(self._count, 1))
        self._unanswered.remove(found)
        return found[1]

    def _made(self, number: int) -> str:
        return (self._writer.id_format or "call_{}").format(number)

    def _id(self, given: str | None, made: str) -> str | None:
        call_id = given or (made if self._writer.id_format else None)
        return self._writer.normalize_id(call_id) if call_id else None
