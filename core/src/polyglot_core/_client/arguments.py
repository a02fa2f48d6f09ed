"""Reading of the arguments of `create`, in all the forms that users may write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec.structs import replace

from polyglot_core._values.openai_shape import read_parts
from polyglot_core._values.request import JSONObject, JSONSchema, Message, Messages, ResponseFormat, Tool
from polyglot_core.errors import RequestError

__all__ = ["as_messages", "as_response_format", "as_tools", "check_word"]


def as_messages(messages: Messages) -> tuple[Message, ...]:
    """Return the messages as `Message` objects. A string becomes a message of the user.

    Raises:
        RequestError: There are no messages, or one is neither a string, a `Message` nor a mapping with a role.
    """
    if not isinstance(messages, (str, Message, Mapping, Iterable)):
        msg = f"messages must be a string or a list of messages, not {type(messages).__name__}."
        raise RequestError(msg, phase="encode")
    turns = [messages] if isinstance(messages, (str, Message, Mapping)) else list(messages)
    if not turns:
        msg = "There are no messages; pass a string or at least one message."
        raise RequestError(msg, phase="encode")
    return tuple(_as_message(turn) for turn in turns)


def _as_message(turn: object) -> Message:
    if isinstance(turn, Message):
        return turn if isinstance(turn.content, str) else replace(turn, content=read_parts(turn.content))
    if isinstance(turn, str):
        return Message(role="user", content=turn)
    if isinstance(turn, Mapping):
        return Message.from_dict(turn)
    msg = f"A message must be a string, a Message or a dict with role and content, not {type(turn).__name__}."
    raise RequestError(msg, phase="encode")


def check_word(field: str, word: object, words: Sequence[object]) -> None:
    """Raise if `word` is not a valid value of `field`, so that a typo is not silently ignored.

    Raises:
        RequestError: `word` is not one of `words`.
    """
    if word not in words:
        *most, last = map(repr, words)
        raise RequestError(f"{field} must be {', '.join(most)} or {last}, not {word!r:.80}.", phase="encode")


def as_tools(tools: Sequence[Tool | JSONObject]) -> tuple[Tool, ...]:
    """Return the tools as `Tool` objects. Each may be a `Tool` or a dict in OpenAI's shape.

    Raises:
        RequestError: A tool is neither.
    """
    return tuple(_as_tool(tool) for tool in tools)


def _as_tool(tool: object) -> Tool:
    if isinstance(tool, Tool):
        return tool
    if isinstance(tool, Mapping):
        return Tool.from_dict(tool)
    raise RequestError(f"A tool must be a Tool or a dict with a function, not {type(tool).__name__}.", phase="encode")


_NAMED_FORMATS: dict[str, Literal["text", "json"]] = {
    "text": "text",
    "json": "json",
    "json_object": "json",
}


def as_response_format(given: object) -> ResponseFormat | None:
    """Return the response format. It may be a word, a `JSONSchema`, a dict in OpenAI's shape, or a raw JSON Schema.

    Raises:
        RequestError: It is none of these.
    """
    if given is None or isinstance(given, JSONSchema):
        return given
    kind = given.get("type") if isinstance(given, Mapping) else given
    if isinstance(kind, str) and kind in _NAMED_FORMATS:
        return _NAMED_FORMATS[kind]
    if isinstance(given, Mapping):
        inner = given.get("json_schema", given) if kind == "json_schema" else None
        if inner is None:
            return JSONSchema(given)
        if isinstance(inner, Mapping) and isinstance(inner.get("schema"), Mapping):
            name, strict = inner.get("name", "answer"), inner.get("strict")
            return JSONSchema(inner["schema"], name, strict, inner.get("description"))
    msg = f"response_format must be 'text', 'json', a JSONSchema or a dict with a JSON Schema, not {given!r:.80}."
    raise RequestError(msg, phase="encode")
