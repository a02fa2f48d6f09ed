"""Encode the messages of a request in a dialect.

A writer visits the parts of all messages, as `ast.NodeVisitor` visits the nodes of a tree: a subclass defines
``write_image`` for `Image`, ``write_tool_call`` for `ToolCall`, and so on. A part without a method is reported with
`cannot_express`. `MessageWriter` and `TurnWriter` implement the two shapes that nearly all dialects have.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from msgspec.structs import replace

from polyglot_core._authoring.json_requests import merged
from polyglot_core._authoring.options import cannot_express
from polyglot_core._values.parts import Audio, Document, Image, RawPart, Reasoning, Refusal, Text, ToolCall, ToolResult
from polyglot_core._values.request import Tool
from polyglot_core.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from polyglot_core._values.parts import Part
    from polyglot_core._values.request import InferenceRequest, Message

__all__ = ["ConversationWriter", "MessageWriter", "TurnWriter"]

_JSONObject = dict[str, Any]

_SYSTEM, _TOOL = "system", "tool"

_NAMELESS = "unnamed_tool"
"""Name of a tool call that was received without one, because APIs reject an empty name."""

_FILES = (Image, Audio, Document)

_FILE_LATER = "the file in a user's message"

_BLOCKS = (Text, Refusal, Image, Audio, Document, ToolCall)
"""Parts whose `extra` belongs to the block that they are written as."""


class ConversationWriter:
    """Encodes the messages of one request. Each method ``write_…`` takes a part and returns its JSON objects.

    Args:
        request: The request.
        driver: Name of the driver, for error messages.

    Attributes:
        roles: Role → role in the dialect. Other roles cannot be expressed.
        id_format: Format of the ids that are generated, from 1, for tool calls without an id, for dialects that match
            results to tool calls by id; None generates none. A result without an id gets the id of the oldest such tool
            call without a result, and of the same tool if the result names one.
        tool_names: True if the dialect requires the name of the tool in a result.
        optional_tool_names: True if it has a field for that name, but does not require it. Where neither is True, a
            name that is not that of the call is reported with `cannot`.
        tool_name: Regular expression of the names that a `Tool` may have: by default, that of OpenAI's API. A tool call
            in the turn of another provider whose name does not match is reported with `cannot`, and then renamed.
        longest_tool_name: Characters that such a name is cut to, if it is longer.
        sends_extra: True if the provider reads further fields of a block. The `extra` of a part is then laid over the
            block that the part is written as. Else a field in the `extra` of a user's part is reported with `cannot`.
        cache_marks: True if the dialect has cache marks. Else a mark of a part or of a tool is reported with `cannot`.
        instead_of_cache_marks: Alternative to suggest for a cache mark.
        writes_extra: True if the ``write_…`` methods send the `extra` of their parts themselves, in another way.
        files_in_responses: True if a turn of the assistant may contain files. Else those that a model of another
            provider generated are reported with `cannot`.
        dialect: Names of the drivers whose turns this dialect sends back unchanged, besides `driver` itself.
        given: The messages of the request, with these ids and names filled in. The name of a message with tool results
            is the name of their tool. A turn of another provider's response is reduced to what is not that provider's
            own.
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
    optional_tool_names: ClassVar[bool] = False
    tool_name: ClassVar[str] = "[a-zA-Z0-9_-]{1,64}"
    longest_tool_name: ClassVar[int] = 64
    sends_extra: ClassVar[bool] = False
    writes_extra: ClassVar[bool] = False
    cache_marks: ClassVar[bool] = False
    instead_of_cache_marks: ClassVar[str | None] = None
    files_in_responses: ClassVar[bool] = True
    dialect: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, request: InferenceRequest, driver: str) -> None:
        self.request = request
        self.driver = driver
        self._check_tool_names()
        if not self.cache_marks:
            self._report_cache_marks()
        messages = request.messages
        self.given = (
            [replace(message, content=message.parts) for message in messages]
            if all(map(_is_text, messages))
            else _Calls(self).joined(map(self._readable, messages))
        )

    def _report_cache_marks(self) -> None:
        parts = [part for message in self.request.messages if not _is_text(message) for part in message.parts]
        inner = [each for part in parts if isinstance(part, ToolResult) for each in part.parts]
        for marked in (*parts, *inner, *self.request.tools):
            if getattr(marked, "cache", False):
                what = "a tool" if isinstance(marked, Tool) else f"a part of type {type(marked).__name__}"
                self.cannot(f"the cache mark of {what}", self.instead_of_cache_marks)

    def _check_tool_names(self) -> None:
        for index, tool in enumerate(self.request.tools):
            if isinstance(tool, Tool) and not re.fullmatch(self.tool_name, tool.name):
                msg = (
                    f"tools[{index}].name is {tool.name!r:.160}, and the driver {self.driver!r} takes names that match "
                    f"{self.tool_name}; rename the tool, or pass it as a RawTool."
                )
                raise RequestError(msg, provider=self.driver, phase="encode")

    def is_own(self, message: Message) -> bool:
        """Return True unless a message is the response of a driver with another dialect."""
        return message.provider is None or message.provider == self.driver or message.provider in self.dialect

    def _readable(self, message: Message) -> Message:
        """Return a message without what only the provider that sent it can read: signatures, ids, its own blocks.

        Its own blocks are reported with `cannot`. The other fields have no meaning elsewhere and are left out.
        """
        if message.provider is None and not (self.sends_extra or self.writes_extra):
            return replace(message, content=tuple(map(self._without_extra, message.parts)))
        if self.is_own(message):
            return message
        kept: list[Part] = []
        for part in message.parts:
            if isinstance(part, RawPart):
                kind = part.payload.get("type") or next(iter(part.payload), None)
                self.cannot(f"a block {kind!r} of a turn from {message.provider!r}")
            elif isinstance(part, _FILES) and not self.files_in_responses:
                self.cannot(f"a part of type {type(part).__name__} in a turn from {message.provider!r}", _FILE_LATER)
            elif isinstance(part, Reasoning):
                kept.append(Reasoning(text=part.text))
            elif isinstance(part, _BLOCKS):
                bare = replace(part, extra={})
                kept.append(replace(bare, signature=None) if isinstance(bare, ToolCall) else bare)
            else:
                kept.append(part)
        return replace(message, content=tuple(kept))

    def _without_extra(self, part: Part) -> Part:
        """Return a user's part without its `extra`, whose fields are reported with `cannot`."""
        if isinstance(part, ToolResult) and not isinstance(part.content, str):
            inner: Any = tuple(map(self._without_extra, part.content))
            return replace(part, content=inner)
        if not isinstance(part, _BLOCKS) or not part.extra:
            return part
        for name in part.extra:
            self.cannot(f"the field {name!r} of a part of type {type(part).__name__}")
        return replace(part, extra={})

    def whole(self, message: Message, is_cut_off: Callable[[Part], bool]) -> Message:
        """Return the turn of an interrupted response without what a provider refuses in it; any other turn as it is.

        That is every part that is cut off, and at the end reasoning that nothing follows then, and blank text.

        Args:
            message: The turn.
            is_cut_off: Returns True for a part whose continuation was not received.
        """
        if message.complete:
            return message
        parts = [part for part in message.parts if not is_cut_off(part)]
        while parts and _is_nothing_at_end(parts[-1]):
            parts.pop()
        return replace(message, content=tuple(parts))

    def cannot(self, what: str, instead: str | None = None) -> None:
        """Report something that the dialect cannot express; see `cannot_express`.

        Raises:
            RequestError: `request.unsupported` is ``raise``.
        """
        cannot_express(self.request, what, driver=self.driver, instead=instead)

    def normalize_id(self, call_id: str) -> str:
        """Return a tool call's id in a form that the dialect accepts. Override it for a dialect that restricts ids."""
        return call_id

    def role(self, message: Message) -> str | None:
        """Return the role of a message in the dialect; None if it has none. The name of a speaker is not supported."""
        if message.role not in self.roles:
            self.cannot(f"the role {message.role!r}")
        if message.name:
            self.cannot("the name of a speaker")
        return self.roles.get(message.role)

    def write(self, parts: Iterable[Part]) -> list[_JSONObject]:
        """Return the encoded parts, in order."""
        return [written for part in parts for written in self._write_part(part)]

    def _write_part(self, part: Part) -> Iterable[_JSONObject]:
        method = getattr(self, f"write_{part.__struct_config__.tag}", None)
        if method is None:
            self.cannot(f"a part of type {type(part).__name__}")
            return ()
        written: list[_JSONObject] = list(method(part))
        if written and self.sends_extra and isinstance(part, _BLOCKS):
            written[-1] = merged(written[-1], part.extra)
        return written

    def arguments(self, call: ToolCall) -> _JSONObject:
        """Return the arguments of a tool call as an object.

        Arguments that are not a JSON object go under ``INVALID_JSON``, as Anthropic's page "Fine-grained tool
        streaming" recommends: servers refuse a conversation that contains the text itself.
        """
        found = call.arguments
        return {"INVALID_JSON": call.arguments_raw} if found is None else found

    def arguments_text(self, call: ToolCall) -> str:
        """Return the arguments of a tool call as the JSON text of an object: as received, if they are one."""
        if call.arguments:
            return call.arguments_raw
        return msgspec.json.encode(self.arguments(call)).decode()

    def write_refusal(self, part: Refusal) -> Iterable[_JSONObject]:
        """Write a refusal as text. Override it for a dialect with a block for refusals."""
        return self.write([Text(part.text, extra=part.extra)])


def _is_text(message: Message) -> bool:
    """Return True for a message of plain text, as most are: it has nothing that is matched, renamed or left out."""
    return isinstance(message.content, str)


def _is_empty(turn: _JSONObject) -> bool:
    return not turn.get("content") and turn.keys() <= {"role", "content"}


class MessageWriter(ConversationWriter):
    """Encodes messages as flat objects with role, content and tool calls. Each tool result is a message of its own.

    Attributes:
        empty_responses: True if the dialect accepts a turn of the assistant without content and tool calls. A whole
            response of this dialect without any is then sent back so. Else, and if nothing is left of a response that
            was interrupted or is another provider's, its turn is omitted: many servers refuse it.
    """

    empty_responses: ClassVar[bool] = True

    def messages(self) -> list[_JSONObject]:
        """Return all messages, in order.

        Raises:
            RequestError: Something cannot be expressed, and `request.unsupported` is ``raise``.
        """
        return [
            merged(written, message.extra) if message.extra else written
            for message in self.given
            for written in self._messages_of(message)
        ]

    def _messages_of(self, message: Message) -> Iterator[_JSONObject]:
        """Yield a message for each tool result, then one for all other parts.

        The name of a message with tool results is the name of their tool.
        """
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        yield from map(self.result, results)
        rest = message
        if results:
            rest = replace(message, content=tuple(part for part in message.parts if not isinstance(part, ToolResult)))
        if not results or rest.parts:
            turn = self.turn(rest)
            if message.provider is None or message.extra or not _is_empty(turn) or self._may_be_empty(message):
                yield turn

    def _may_be_empty(self, message: Message) -> bool:
        """Return True for a response that is sent back although it is empty, as it was received."""
        return self.empty_responses and message.complete and self.is_own(message)

    def turn(self, message: Message) -> _JSONObject:
        """Return the message for parts that are not tool results."""
        calls = [self._call(part) for part in message.parts if isinstance(part, ToolCall)]
        others = [part for part in message.parts if not isinstance(part, ToolCall)]
        content = self.content(others if message.provider is None else _joined_texts(others))
        turn: _JSONObject = {"role": self.role(message) or message.role}
        if content or not calls:
            turn["content"] = content
        return {**turn, "tool_calls": calls} if calls else turn

    def _call(self, part: ToolCall) -> _JSONObject:
        return merged(self.call(part), part.extra) if self.sends_extra else self.call(part)

    def content(self, parts: Iterable[Part]) -> str | list[_JSONObject]:
        """Return the content: a string for a single text, else a list of encoded parts."""
        written = self.write(parts)
        if not written:
            return ""
        return written[0]["text"] if len(written) == 1 and set(written[0]) == {"type", "text"} else written

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """Yield the part for a text."""
        yield {"type": "text", "text": part.text}

    def call(self, call: ToolCall) -> _JSONObject:
        """Return a tool call, with its arguments as JSON text."""
        function = {"name": call.name, "arguments": self.arguments_text(call)}
        return {"id": call.id, "type": "function", "function": function}

    def result(self, result: ToolResult) -> _JSONObject:
        """Return the message for a tool result. There is no field for a failure: the text begins with "Error:"."""
        return {"role": "tool", "tool_call_id": result.id, "content": self.content(result.said)}


class TurnWriter(ConversationWriter):
    """Encodes messages as turns of blocks, with a separate system prompt. Tool results belong to the user's turns.

    A system message after the first turn is reported with `cannot`; if that returns, it goes into the system prompt.

    Attributes:
        content: Name of the field with a turn's blocks.
        system_in_place: True if the dialect has turns of the system, for system messages after the first turn.
    """

    roles: ClassVar[Mapping[str, str]] = {**ConversationWriter.roles, "tool": "user"}
    content: ClassVar[str] = "content"
    system_in_place: ClassVar[bool] = False

    def conversation(self) -> tuple[list[_JSONObject], list[_JSONObject]]:
        """Return the blocks of all system messages, and the turns. A turn without blocks is omitted.

        Raises:
            RequestError: Something cannot be expressed, and `request.unsupported` is ``raise``.
        """
        system: list[_JSONObject] = []
        turns: list[_JSONObject] = []
        before: Message | None = None
        for message in self.given:
            role, blocks = self.role(message), self.blocks(message)
            if role == _SYSTEM and self._leads(before, blocks):
                system += blocks
                continue
            if role is not None and blocks:
                if before is not None and self.goes_on(before, message):
                    turns[-1][self.content] += blocks
                else:
                    turns.append({"role": role, self.content: blocks})
                before = message
        return system, turns

    def _leads(self, before: Message | None, blocks: Sequence[_JSONObject]) -> bool:
        """Return True if the blocks of a system message belong to the system prompt, and not to a turn in place."""
        if before is None or not blocks:
            return True
        if not self.system_in_place:
            self.cannot("a system message after the first turn", instead=_SYSTEM_LATER)
        return not self.system_in_place

    def role(self, message: Message) -> str | None:
        """Return the role of a message in the dialect; None if it has none. A turn cannot hold a message's `extra`."""
        if fields := sorted(name for name, value in message.extra.items() if value):
            self.cannot(f"the field {fields[0]!r} of a message")
        return super().role(message)

    def blocks(self, message: Message) -> list[_JSONObject]:
        """Return the blocks of a message, without those that the system prompt cannot hold."""
        blocks = self.write(message.parts)
        if self.roles.get(message.role) != _SYSTEM:
            return blocks
        return [block for block in blocks if self.in_system(block)]

    def in_system(self, block: _JSONObject) -> bool:  # noqa: ARG002 (for subclasses)
        """Return True if the system prompt can hold a block. Override it to report and omit others."""
        return True

    def goes_on(self, before: Message, message: Message) -> bool:
        """Return True if a message continues the previous turn: by default, if both have the same role."""
        return self.roles[before.role] == self.roles[message.role]


_SYSTEM_LATER = "a user's message instead, or unsupported='drop' to move it to the beginning"


def _is_nothing_at_end(part: Part) -> bool:
    return isinstance(part, Reasoning) or (isinstance(part, Text) and not part.text.strip() and not part.extra)


def _joined_texts(parts: Sequence[Part]) -> list[Part]:
    """Return the parts with consecutive texts as one: many servers take the content of a response as a string only."""
    joined: list[Part] = []
    for part in parts:
        before = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(before, Text) and not (part.extra or before.extra):
            joined[-1] = replace(before, text=before.text + part.text)
        else:
            joined.append(part)
    return joined


class _Calls:
    """Matches the tool results of a conversation to its tool calls, and names those without a name.

    Some servers give several tool calls one id, and some APIs refuse that. So in turns of another provider only the
    first of them keeps it; the results with that id belong to those calls, in order.
    """

    def __init__(self, writer: ConversationWriter) -> None:
        self._writer = writer
        self._count = 0
        self._tools: dict[str, list[str]] = {}  # by the id of a call, the names of the tools called with it
        self._without_result: set[str] = set()
        self._waiting: dict[str | None, deque[str]] = {}  # in order, by tool and, under None, of all tools
        self._taken: set[str] = set()
        self._sent: dict[str, str] = {}  # by the id of a call, the id that the last call with it is sent with
        self._open: dict[str, deque[str]] = {}  # the same of all calls of this round that have no result yet
        self._in_results = False
        self._is_own = True
        self._names = _ToolNames(writer)

    def joined(self, messages: Iterable[Message]) -> list[Message]:
        """Return the messages with the ids and names that the dialect requires."""
        return [self._message(message) for message in messages]

    def _message(self, message: Message) -> Message:
        self._is_own = self._writer.is_own(message)
        named = message.name is not None and message.role == _TOOL
        if named and any(isinstance(part, ToolResult) for part in message.parts):
            if any(isinstance(part, ToolResult) and part.name not in {None, message.name} for part in message.parts):
                self._writer.cannot("the name of a message whose tool result has another")
            message = _with_named_results(message)
        return replace(message, content=tuple(self._part(part, message) for part in message.parts))

    def _part(self, part: Part, message: Message) -> Part:
        if isinstance(part, ToolCall):
            return self._call(part, message.provider)
        return self._result(part) if isinstance(part, ToolResult) else part

    def _call(self, call: ToolCall, provider: str | None) -> ToolCall:
        if self._in_results:
            self._in_results = False
            self._open.clear()
        self._count += 1
        made = self._made(self._count)
        if not call.id:
            self._without_result.add(made)
            for tool in (None, call.name):
                self._waiting.setdefault(tool, deque()).append(made)
        given = call.id or made
        name = self._names.sent(call.name or _NAMELESS, None if self._is_own else provider)
        self._tools.setdefault(given, []).append(name)
        sent = self._sent[given] = self._unique(given)
        self._open.setdefault(given, deque()).append(sent)
        return replace(call, id=self._id(call.id, sent), name=name)

    def _unique(self, given: str) -> str:
        """Return the id as the dialect accepts it, with a number appended if another provider gave it twice."""
        found, number = self._writer.normalize_id(given), self._count
        while found in self._taken and not self._is_own:
            found = self._writer.normalize_id(f"{given}_{number}")
            number += 1
        self._taken.add(found)
        return found

    def _result(self, result: ToolResult) -> ToolResult:
        self._in_results = True
        given = result.id or self._oldest(result.name)
        called = self._tools.get(given, [])
        name = self._names.of_result(result.name, called)
        if name is None and called and self._writer.tool_names:
            name = called[-1]
        still_open = self._open.get(given)
        sent = still_open.popleft() if still_open else self._sent.get(given) or self._writer.normalize_id(given)
        return replace(result, id=self._id(result.id, sent), name=name)

    def _oldest(self, tool: str | None) -> str:
        """Return the generated id of the oldest tool call without a result, or else that of the last tool call."""
        waiting = self._waiting.get(tool, deque())
        while waiting and waiting[0] not in self._without_result:
            waiting.popleft()  # it has got its result under the other key
        if not waiting:
            return self._made(max(self._count, 1))
        self._without_result.remove(waiting[0])
        return waiting.popleft()

    def _made(self, number: int) -> str:
        return (self._writer.id_format or "call_{}").format(number)

    def _id(self, given: str | None, sent: str) -> str | None:
        """Return the id as it is sent; None for a call without an id in a dialect that generates none."""
        return sent if given or self._writer.id_format else None


def _with_named_results(message: Message) -> Message:
    """Return a message of the role ``tool`` with its name as that of its results that have none."""
    results = (
        replace(part, name=part.name or message.name) if isinstance(part, ToolResult) else part
        for part in message.parts
    )
    return replace(message, content=tuple(results), name=None)


class _ToolNames:
    """The names of tools as they are sent: a name of another provider may have characters that the dialect refuses."""

    def __init__(self, writer: ConversationWriter) -> None:
        self._writer = writer
        self._sent: dict[str, str] = {}  # by the name that another provider gave
        self._taken = {tool.name for tool in writer.request.tools}

    def sent(self, name: str, provider: str | None) -> str:
        """Return the name of a tool that is called in a turn of `provider`; None stands for a turn of the dialect."""
        matches = re.compile(self._writer.tool_name).fullmatch
        if provider is None or matches(name):
            return name
        if name not in self._sent:
            made = self._renamed(name, matches)
            self._writer.cannot(f"the name {name!r:.160} of a tool in a turn from {provider!r}, and sends {made!r}")
            self._sent[name] = made
        return self._sent[name]

    def of_result(self, name: str | None, called: Sequence[str]) -> str | None:
        """Return the name in a result as it is sent, where `called` are the names that the calls of its id have.

        Another name is reported with `cannot` if the dialect has no field for it.
        """
        if not name:
            return None
        sent = self._sent.get(name, name)
        if called and sent not in called and not (self._writer.tool_names or self._writer.optional_tool_names):
            self._writer.cannot(f"the name {name!r:.160} of a tool result, whose call names {called[-1]!r:.160}")
        return sent

    def _renamed(self, name: str, matches: Callable[[str], object]) -> str:
        """Return a name that the dialect accepts, and that no other tool has."""
        longest = self._writer.longest_tool_name
        plain = re.sub("[^a-zA-Z0-9_-]", "_", name)
        made = found = (plain if matches(plain[:longest]) else f"_{plain}")[:longest]
        number = 1
        while found in self._taken:
            number += 1
            found = f"{made[: longest - len(str(number)) - 1]}_{number}"
        self._taken.add(found)
        return found
