"""A conversation as a plain value: its turns, the tokens used, what to cache; and the stream of the next response."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import msgspec
from msgspec.structs import replace

from polyglot_answers.texts import AsyncTexts, Texts
from polyglot_core import (
    AsyncInference,
    AsyncInferenceStream,
    Audio,
    Document,
    Image,
    Inference,
    InferenceStream,
    Message,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from polyglot_core.errors import PolyglotError, RequestError

if TYPE_CHECKING:
    from polyglot_core import InferenceResponse, PartialInferenceResponse

__all__ = [
    "AsyncConversationStream",
    "CacheMarks",
    "Conversation",
    "ConversationStream",
    "Turn",
    "pending_calls",
]

Turn = str | Message | Mapping[str, Any]
"""A turn: a text of the user, a message, or a dict in OpenAI's format."""

CacheMarks = bool | str | dict[Literal["system", "tools", "messages"], bool | str]
"""What the provider is to cache: the system prompt, the tools, the messages; or all three.

True requests the provider's usual lifetime, and a text such as ``1h`` another one.
"""

_NO_RESULT = "This tool call has no result: it was not run, or not to its end."
_MARKABLE = (Text, Image, Audio, Document)


class Conversation(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="polyglot", tag=1):
    """The turns of a conversation. It grows in place; `copy` begins a branch.

    Attributes:
        system: Text of the system prompt, which precedes the messages of each request; None for none.
        messages: The turns. The constructor reads strings of the user and dicts in OpenAI's format, too.
        usage: The sum of the token counts of all responses.
        cache: What the provider is to cache, if it supports explicit cache marks: True or a lifetime such as ``1h`` for
            all of it, or a dict with some of ``system``, ``tools`` and ``messages``. Each request then has a mark at
            the end of its system prompt, of its tools, and of its messages. The turns themselves stay unmarked.
    """

    system: str | None = None
    messages: list[Message] = []
    usage: Usage = Usage()
    cache: CacheMarks = False

    def __post_init__(self) -> None:
        self.messages = _turns_of(self.messages)
        _check_marks(self.cache)

    @overload
    def stream(
        self,
        inference: Inference,
        turn: Turn | Sequence[Turn] | None = None,
        **arguments: Any,
    ) -> ConversationStream: ...

    @overload
    def stream(
        self,
        inference: AsyncInference,
        turn: Turn | Sequence[Turn] | None = None,
        **arguments: Any,
    ) -> AsyncConversationStream: ...

    def stream(
        self,
        inference: Inference | AsyncInference,
        turn: Turn | Sequence[Turn] | None = None,
        **arguments: Any,
    ) -> ConversationStream | AsyncConversationStream:
        """Return the stream of the response to a further turn. At its end, the turn and the response are appended.

        - A response that is interrupted, or closed early, is appended with its whole blocks and ``complete=False``.
        - A call that fails before it received any content leaves the turns as they were.
        - Tool calls without a result, when the turn is not theirs, get one that states that there is none.

        Args:
            inference: Where the request is sent. With an `AsyncInference` the stream is async.
            turn: The next turn of the user, or several, such as results of tools. None requests a response to the turns
                so far; if the last one is an interrupted response, it is replaced by the new one.
            arguments: Further arguments of `create`.

        Raises:
            RequestError: As `create` does; or `turn` is no turn. The conversation is unchanged.
        """
        turns = () if turn is None else _turns_of(turn)
        arguments = self._with_marked_tools(arguments)
        if isinstance(inference, AsyncInference):
            pending = inference.create(self.request(turns), **arguments)
            return AsyncConversationStream(self, turns, pending.stream())
        return ConversationStream(self, turns, inference.create(self.request(turns), **arguments).stream())

    def request(self, turns: Turn | Sequence[Turn] = ()) -> list[Message]:
        """Return the messages of the next request: system prompt, the turns so far and these, with cache marks."""
        following = _following(self.messages, _turns_of(turns))
        if mark := self._mark("messages"):
            following = _marked_at_end(following, mark)
        if not self.system:
            return following
        system = Text(self.system, cache=self._mark("system"))
        return [Message(role="system", content=(system,)), *following]

    def append(self, *turns: Turn) -> Self:
        """Append turns, as `stream` does with its turn, without a request. Return the conversation.

        Raises:
            RequestError: One of them is no turn.
        """
        if turns:
            self.messages = _following(self.messages, _turns_of(turns))
        return self

    def take(self, response: InferenceResponse, turns: Sequence[Turn] = ()) -> None:
        """Append turns and the response to them, and add its token counts. `stream` does it by itself.

        If the response is interrupted and empty, its token counts alone are added.
        """
        message = response.message
        if message.parts or message.complete:
            self.messages = [*_following(self.messages, _turns_of(turns)), message]
        if response.usage is not None:
            self.usage += response.usage

    @property
    def pending(self) -> tuple[ToolCall, ...]:
        """Return the tool calls of the last response that have no result yet."""
        return pending_calls(self.messages)

    @property
    def ends_cut(self) -> bool:
        """Return True if the last turn is an interrupted response, which a response without a new turn replaces."""
        return _is_cut(self.messages)

    def copy(self) -> Self:
        """Return a branch: a conversation with the same turns, which grows apart from here on."""
        cache = dict(self.cache) if isinstance(self.cache, dict) else self.cache
        return replace(self, messages=list(self.messages), cache=cache)

    __copy__ = copy

    def to_dict(self) -> dict[str, Any]:
        """Return the conversation as a dict of JSON values."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields

    def to_json(self) -> str:
        """Return the conversation as JSON. Bytes are in base64.

        Raises:
            RequestError: A message has a value that JSON does not have, such as NaN in its `extra`.
        """
        try:
            json.dumps(self.to_dict(), allow_nan=False)  # msgspec writes null for NaN
            return msgspec.json.encode(self).decode()
        except (TypeError, ValueError, RecursionError) as error:
            msg = f"The conversation has a value that JSON does not have: {error}. Fields of extra are JSON values."
            raise RequestError(msg, phase="encode") from error

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Create a conversation from the dict of `to_dict`.

        Raises:
            RequestError: The dict is not one of `to_dict`.
        """
        try:
            return msgspec.convert(fields, cls)
        except msgspec.ValidationError as error:
            msg = f"A dict of Conversation.to_dict is invalid: {error}."
            raise RequestError(msg, phase="encode") from error

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Create a conversation from the text of `to_json`.

        Raises:
            RequestError: The text is not one of `to_json`.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            msg = f"A text of Conversation.to_json is invalid: {error}."
            raise RequestError(msg, phase="encode") from error

    def _mark(self, part: Literal["system", "tools", "messages"]) -> bool | str:
        return self.cache.get(part, False) if isinstance(self.cache, dict) else self.cache

    def _with_marked_tools(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of `create`, with a cache mark on the last tool that can have one."""
        marked = dict(arguments)
        if (mark := self._mark("tools")) and marked.get("tools"):
            marked["tools"] = _marked_tools(list(marked["tools"]), mark)
        return marked


def pending_calls(messages: Sequence[Message]) -> tuple[ToolCall, ...]:
    """Return the tool calls of the last response in a conversation that have no result yet."""
    results: list[ToolResult] = []
    for message in reversed(messages):
        found = [part for part in message.parts if isinstance(part, ToolResult)]
        if found:
            results += found
            continue
        calls = (part for part in message.parts if isinstance(part, ToolCall))
        return tuple(call for call in calls if not _take_result(call, results))
    return ()


def _take_result(call: ToolCall, results: list[ToolResult]) -> bool:
    """Remove the result of a tool call, and return True; False if there is none."""
    for index, result in enumerate(results):
        if result.id == call.id and result.name in {None, call.name}:
            del results[index]
            return True
    return False


def _turns_of(turns: Turn | Sequence[Turn]) -> list[Message]:
    several = [turns] if isinstance(turns, (str, Message, Mapping)) else turns
    if not isinstance(several, Iterable):
        raise RequestError(f"Turns are a list of turns, not {type(turns).__name__}.", phase="encode")
    return [_message(turn, f"turns[{index}]") for index, turn in enumerate(several)]


def _message(turn: Turn, where: str) -> Message:
    if isinstance(turn, Message):
        content = turn.content
        return turn if isinstance(content, (str, tuple)) else replace(turn, content=tuple(content))
    if isinstance(turn, str):
        return Message(role="user", content=turn)
    if isinstance(turn, Mapping):
        return Message.from_dict(turn, where)
    msg = (
        f"{where} must be a string, a Message or a dict with role and content, not {type(turn).__name__}; put parts "
        "into a message, as in Message(role='user', content=[…])."
    )
    raise RequestError(msg, phase="encode")


def _following(messages: Sequence[Message], turns: Sequence[Message]) -> list[Message]:
    """Return the turns with further ones; tool calls that these leave without a result get one."""
    if not turns:
        return list(messages[:-1] if _is_cut(messages) else messages)
    following = list(messages)
    for turn in turns:
        if not any(isinstance(part, ToolResult) for part in turn.parts):
            following += [Message.tool_result(call, _NO_RESULT, error=True) for call in pending_calls(following)]
        following.append(turn)
    return following


def _is_cut(messages: Sequence[Message]) -> bool:
    """Return True if the last turn is an interrupted response."""
    return bool(messages) and messages[-1].role == "assistant" and not messages[-1].complete


# Cache marks


def _check_marks(marks: object) -> None:
    """Raise if marks are no `CacheMarks`, so that a typo is not silently ignored."""
    try:
        msgspec.convert(marks, CacheMarks)
    except msgspec.ValidationError as error:
        msg = f"cache is True, False, a lifetime, or a dict with some of system, tools and messages: {error}."
        raise RequestError(msg, phase="encode") from error


def _marked_at_end(messages: Sequence[Message], mark: bool | str) -> list[Message]:  # noqa: FBT001 (a cache mark)
    """Return the messages with a cache mark on the last part that can have one."""
    marked = list(messages)
    for index in reversed(range(len(marked))):
        parts = _marked(marked[index].parts, mark)
        if parts is not None:
            marked[index] = replace(marked[index], content=parts)
            break
    return marked


def _marked(parts: Sequence[Any], mark: bool | str) -> tuple[Any, ...] | None:  # noqa: FBT001 (a cache mark)
    """Return the parts with a cache mark on the last one that can have one; None if there is none."""
    for index in reversed(range(len(parts))):
        part = parts[index]
        if isinstance(part, ToolResult):
            inner = _marked(part.parts, mark)
            changed = None if inner is None else replace(part, content=inner)
        else:
            changed = replace(part, cache=mark) if _is_markable(part) else None
        if changed is not None:
            return (*parts[:index], changed, *parts[index + 1 :])
    return None


def _is_markable(part: object) -> bool:
    return isinstance(part, _MARKABLE) and not (isinstance(part, Text) and not part.text.strip())


def _marked_tools(tools: list[Any], mark: bool | str) -> list[Any]:  # noqa: FBT001 (a cache mark)
    for index in reversed(range(len(tools))):
        tool = tools[index]
        tool = Tool.from_dict(tool) if isinstance(tool, Mapping) and "function" in tool else tool
        if isinstance(tool, Tool):
            return [*tools[:index], replace(tool, cache=mark), *tools[index + 1 :]]
    return tools


# Streams


class _Ending:
    """Appends the turn and its response to the conversation, once.

    Attributes:
        settled: True if that is done.
    """

    def __init__(self, conversation: Conversation, turns: Sequence[Message]) -> None:
        self.settled = False
        self._conversation = conversation
        self._turns = turns

    def take(self, response: InferenceResponse | None) -> None:
        """Append a response, or the part of it that was received; None appends nothing."""
        if not self.settled and response is not None:
            self._conversation.take(response, self._turns)
        self.settled = True


class ConversationStream:
    """The response to a turn while it is received. Iterate it for partials. Its end belongs to the conversation.

    Use ``with`` so that a response that is not read to its end belongs to the conversation too.

    Attributes:
        stream: The stream of core, for everything else that it offers. What is read there belongs to the conversation
            when `response` or `close` is called, or the ``with`` block is left.
    """

    def __init__(self, conversation: Conversation, turns: Sequence[Message], stream: InferenceStream) -> None:
        self.stream = stream
        self._ending = _Ending(conversation, turns)

    def __iter__(self) -> Iterator[PartialInferenceResponse]:
        """Return an iterator of the partials that have not been emitted yet.

        Raises:
            PolyglotError: The call failed. The content received before belongs to the conversation.
        """
        return _Partials(self)

    def text(self) -> Iterator[str]:
        """Return an iterator of the pieces of visible text. Raises as iteration does."""
        return Texts(iter(self))

    def response(self) -> InferenceResponse:
        """Read the rest of the stream, and return the complete response.

        Raises:
            PolyglotError: The call failed. The content received before belongs to the conversation.
        """
        try:
            response = self.stream.response()
        except PolyglotError as error:
            self._ending.take(error.partial)
            raise
        self._ending.take(response)
        return response

    def close(self) -> None:
        """End the stream. The content received so far belongs to the conversation."""
        self.stream.close()
        try:
            self._ending.take(self.stream.response())
        except PolyglotError as error:
            self._ending.take(error.partial)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Partials:
    """Iterates partials, and has the end of their stream belong to the conversation."""

    def __init__(self, owner: ConversationStream) -> None:
        self._owner = owner
        self._partials = iter(owner.stream)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PartialInferenceResponse:
        try:
            return next(self._partials)
        except (StopIteration, PolyglotError):
            self._owner.response()  # raises the error of the call once more
            raise


class AsyncConversationStream:
    """The response to a turn while it is received. Iterate it for partials. Its end belongs to the conversation.

    Use ``async with`` so that a response that is not read to its end belongs to the conversation too.

    Attributes:
        stream: The stream of core, for everything else that it offers. What is read there belongs to the conversation
            when `response` or `close` is called, or the ``async with`` block is left.
    """

    def __init__(self, conversation: Conversation, turns: Sequence[Message], stream: AsyncInferenceStream) -> None:
        self.stream = stream
        self._ending = _Ending(conversation, turns)

    def __aiter__(self) -> AsyncIterator[PartialInferenceResponse]:
        """Return an iterator of the partials that have not been emitted yet.

        Raises:
            PolyglotError: The call failed. The content received before belongs to the conversation.
        """
        return _AsyncPartials(self)

    def text(self) -> AsyncIterator[str]:
        """Return an iterator of the pieces of visible text. Raises as iteration does."""
        return AsyncTexts(aiter(self))

    async def response(self) -> InferenceResponse:
        """Read the rest of the stream, and return the complete response.

        Raises:
            PolyglotError: The call failed. The content received before belongs to the conversation.
        """
        try:
            response = await self.stream.response()
        except PolyglotError as error:
            self._ending.take(error.partial)
            raise
        self._ending.take(response)
        return response

    async def close(self) -> None:
        """End the stream. The content received so far belongs to the conversation."""
        await self.stream.close()
        try:
            self._ending.take(await self.stream.response())
        except PolyglotError as error:
            self._ending.take(error.partial)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _AsyncPartials:
    """Iterates partials, and has the end of their stream belong to the conversation."""

    def __init__(self, owner: AsyncConversationStream) -> None:
        self._owner = owner
        self._partials = aiter(owner.stream)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PartialInferenceResponse:
        try:
            return await anext(self._partials)
        except (StopAsyncIteration, PolyglotError):
            await self._owner.response()  # raises the error of the call once more
            raise
