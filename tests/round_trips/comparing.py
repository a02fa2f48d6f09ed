"""Compares the turn that a response had with the turn that the next request has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["RULES", "difference", "reason_for", "sent_turn"]

JSONObject = dict[str, Any]

_CHAT = ("openai-chat", "azure-openai")
_GOOGLE = ("gemini-generate", "vertex")

RULES = (
    "A field that is null, false, or empty equals a missing one, and an empty text equals none.",
    "Texts without further fields that follow one another equal one text, as a stream cuts them anywhere.",
    "Arguments of tool calls are compared as JSON values, and not as texts.",
    "A content that is a string equals a list with one text, as these APIs define it.",
    "The index of a block or a tool call, the type of a function call, and the role order or name what is received.",
    "A stream of OpenAI Responses has each item twice, encrypted anew; the item of `response.output_item.done` counts.",
)
"""What is no difference."""

_REASONS = (
    (
        ("mistral-chat",),
        ("tool_calls[].id",),
        "Mistral takes ids of nine letters and digits only, so others are replaced",
    ),
    (_CHAT, ("reasoning",), "the endpoint has no field for the thinking of earlier turns, as its preset states"),
    (_CHAT, ("annotations",), "the API has no field for the sources of earlier turns; they are in `citations`"),
    (_CHAT, ("content",), "a content that is an object goes back as its JSON text, as the API takes texts only"),
    (_CHAT, ("audio",), "the API takes sound back by its id"),
    (_CHAT, ("",), "the API has no such field in a turn; it is in `response.details`"),
    (_GOOGLE, ("[] (number)",), "arguments that were received value by value go back as one object"),
    (("openai-responses",), ("[].arguments",), "the recording has two responses in one body"),
    (("openai-responses",), ("[].content[].text",), "the recording states a text twice, in different words"),
)
"""Dialects, beginnings of the place of a difference, and why it is one."""


def reason_for(dialect: str, place: str) -> str | None:
    """Return why a turn differs at a place; None if there is no known reason."""
    for dialects, places, reason in _REASONS:
        if dialect in dialects and place.startswith(places):
            return reason
    return None


def sent_turn(dialect: str, body: JSONObject) -> Any:
    """Return the assistant's turn in the body of a request, in the shape that the reference reader of a dialect has.

    Raises:
        IndexError: There is no such turn.
    """
    if dialect == "openai-responses":
        return [item for item in body["input"] if item.get("role") != "user" and not _is_result(item)]
    if dialect in {"gemini-generate", "vertex"}:
        return [turn for turn in body["contents"] if turn["role"] == "model"][-1]["parts"]
    turn = [turn for turn in body["messages"] if turn["role"] == "assistant"][-1]
    if dialect.startswith(("anthropic", "bedrock")):
        content = turn["content"]
        return [{"type": "text", "text": content}] if isinstance(content, str) else content
    calls = [{"id": call.get("id"), **call["function"]} for call in turn.get("tool_calls") or []]
    message = {name: value for name, value in turn.items() if name != "role"}
    if dialect in {"mistral-chat", "cohere-v2-chat"} and isinstance(message.get("content"), str):
        message["content"] = [{"type": "text", "text": message["content"]}]
    return {**message, "tool_calls": calls}


def _is_result(item: JSONObject) -> bool:
    return item.get("type") in {"function_call_output", "custom_tool_call_output"}


def difference(received: object, sent: object) -> str | None:
    """Return the place of the first difference, without the indexes of lists; None if the turns are equal."""
    return next(_differences(_normal(received), _normal(sent), ""), None)


def _normal(value: Any) -> Any:
    """Return a JSON value by the `RULES`."""
    if isinstance(value, list):
        items = [item for item in map(_normal, value) if not _is_empty(item)]
        joined: list[Any] = []
        for item in items:
            if joined and _is_text(item) and _is_text(joined[-1]) and item.keys() == joined[-1].keys():
                joined[-1] = {**item, "text": joined[-1]["text"] + item["text"]}
            else:
                joined.append(item)
        return joined
    if isinstance(value, dict):
        fields = {name: _as_json(inner) if name in {"arguments", "input"} else inner for name, inner in value.items()}
        if "arguments" in fields and fields.get("type") == "function":
            del fields["type"]
        plain = {name: _normal(inner) for name, inner in fields.items() if name != "index"}
        if isinstance(text := plain.get("content"), str) and text:
            plain["content"] = [{"type": "text", "text": text}]
        return {name: inner for name, inner in plain.items() if not _is_empty(inner)}
    return value


def _is_empty(value: object) -> bool:
    return value in (None, False, "", [], {}) or value in ({"type": "text"}, {"thought": True})


def _is_text(value: object) -> bool:
    return isinstance(value, dict) and "text" in value and value.keys() <= {"type", "text", "thought"}


def _as_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return {"INVALID_JSON": value} if value else value


def _differences(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in {**one, **other}:
            yield from _differences(one.get(name), other.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            yield f"{path}[] (number)".lstrip()
        for first, second in zip(one, other, strict=False):
            yield from _differences(first, second, f"{path}[]")
    elif one != other:
        yield path
