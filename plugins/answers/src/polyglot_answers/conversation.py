"""A conversation as a plain value: its turns, what they cost, and the next response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from msgspec.structs import replace

from polyglot_core import Message, Text, Usage
from polyglot_core.errors import PolyglotError, RequestError

if TYPE_CHECKING:
    from polyglot_core import AsyncInference, Inference, InferenceResponse, PartialInferenceResponse

__all__ = ["AsyncConversationStream", "Conversation", "ConversationStream"]

_Turn = str | Message | Mapping[str, Any]


class Conversation:
    """The turns of a conversation. It is changed in place; `copy` begins a branch.

    Args:
        messages: Turns so far: strings of the user, messages, or dicts in OpenAI's format.
        system: Text of a system message before them.
        cache: If set, the prompt up to the system message, and up to the last turn of each request, is marked to be
            cached by providers with explicit cache marks: True, or a lifetime such as ``1h``.

    Attributes:
        messages: All turns.
        usage: The sum of the token counts of all responses.
        cache: As above.
    """

    __slots__ = ("cache", "messages", "usage")

    def __init__(self, messages: Iterable[_Turn] = (), *, system: str | None = None, cache: bool | str = False) -> None:
        self.messages: list[Message] = [_message(turn) for turn in messages]
        self.usage = Usage()
        self.cache = cache
        if system:
            self.messages.insert(0, Message(role="system", content=(Text(system, cache=cache),)))

    def stream(self, inference: Inference, turn: _Turn | None = None, **arguments: Any) -> ConversationStream:
        """Return the stream of the response to a further turn. At its end, both turns belong to the conversation.

        Of a response that is interrupted, only whole blocks are kept; the turn before it stays.

        Args:
            inference: Where the request is sent.
            turn: The next turn of the user; None if the conversation ends with one already.
            arguments: Further arguments of `create`.
        """
        return ConversationStream(self, inference.create(self._next(turn), **arguments).stream())

    def astream(
        self,
        inference: AsyncInference,
        turn: _Turn | None = None,
        **arguments: Any,
    ) -> AsyncConversationStream:
        """Return the stream of the response to a further turn, async; see `stream`."""
        return AsyncConversationStream(self, inference.create(self._next(turn), **arguments).stream())

    def copy(self) -> Self:
        """Return a branch: a conversation with the same turns, which grows apart from here on."""
        branch = type(self)(cache=self.cache)
        branch.messages = list(self.messages)
        branch.usage = self.usage
        return branch

    def to_dict(self) -> dict[str, Any]:
        """Return the conversation as a dict of JSON values."""
        counts = {name: getattr(self.usage, name) for name in self.usage.__struct_fields__ if name != "raw"}
        return {"messages": [message.to_dict() for message in self.messages], "usage": counts, "cache": self.cache}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Create a conversation from the dict of `to_dict`.

        Raises:
            RequestError: The dict is not one of `to_dict`.
        """
        try:
            made = cls(fields["messages"], cache=fields.get("cache", False))
            made.usage = Usage(**fields.get("usage", {}))
        except (KeyError, TypeError) as error:
            msg = f"A dict of Conversation.to_dict is invalid: {type(error).__name__} {error}."
            raise RequestError(msg, phase="encode") from error
        return made

    def take(self, response: InferenceResponse) -> None:
        """Append a response as a turn, and add its token counts."""
        message = response.message
        if message.parts:
            self.messages.append(message)
        if response.usage is not None:
            self.usage += response.usage

    def _next(self, turn: _Turn | None) -> list[Message]:
        """Append a turn; return the messages of the request, of which the last one is marked to be cached."""
        if turn is not None:
            self.messages.append(_message(turn))
        return [*self.messages[:-1], _marked(self.messages[-1], self.cache)] if self.messages else []

    def __repr__(self) -> str:
        return f"Conversation({len(self.messages)} turns)"


def _message(turn: _Turn) -> Message:
    if isinstance(turn, Message):
        return turn
    return Message(role="user", content=turn) if isinstance(turn, str) else Message.from_dict(turn)


def _marked(message: Message, cache: bool | str) -> Message:  # noqa: FBT001 (a cache mark)
    """Return a message with a cache mark on its last part, if that is a text."""
    parts = message.parts
    if not cache or not parts or not isinstance(parts[-1], Text):
        return message
    return replace(message, content=(*parts[:-1], replace(parts[-1], cache=cache)))


class ConversationStream:
    """The response to a turn, sync. Iterate it for partials; its end belongs to the conversation."""

    def __init__(self, conversation: Conversation, stream: Any) -> None:
        self._conversation: Conversation | None = conversation
        self._stream = stream

    def __iter__(self) -> Iterator[PartialInferenceResponse]:
        try:
            yield from self._stream
        except PolyglotError as error:
            self._take(error.partial)
            raise
        self.response()

    def response(self) -> InferenceResponse:
        """Read the rest of the stream, and return the complete response.

        Raises:
            PolyglotError: The call failed. The whole blocks that were received belong to the conversation.
        """
        try:
            response: InferenceResponse = self._stream.response()
        except PolyglotError as error:
            self._take(error.partial)
            raise
        self._take(response)
        return response

    def close(self) -> None:
        """End the stream; the whole blocks that were received belong to the conversation."""
        self._stream.close()
        self._take(self._stream.response())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._conversation is not None:
            self.close()

    def _take(self, response: InferenceResponse | None) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None and response is not None:
            conversation.take(response)


class AsyncConversationStream:
    """The response to a turn, async. Iterate it for partials; its end belongs to the conversation."""

    def __init__(self, conversation: Conversation, stream: Any) -> None:
        self._conversation: Conversation | None = conversation
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[PartialInferenceResponse]:
        try:
            async for partial in self._stream:
                yield partial
        except PolyglotError as error:
            self._take(error.partial)
            raise
        await self.response()

    async def response(self) -> InferenceResponse:
        """Read the rest of the stream, and return the complete response.

        Raises:
            PolyglotError: The call failed. The whole blocks that were received belong to the conversation.
        """
        try:
            response: InferenceResponse = await self._stream.response()
        except PolyglotError as error:
            self._take(error.partial)
            raise
        self._take(response)
        return response

    async def close(self) -> None:
        """End the stream; the whole blocks that were received belong to the conversation."""
        await self._stream.close()
        self._take(await self._stream.response())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._conversation is not None:
            await self.close()

    def _take(self, response: InferenceResponse | None) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None and response is not None:
            conversation.take(response)
