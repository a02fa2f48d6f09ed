"""The JSON of a chunk or a whole completion, with its choices as structs, whatever types the server gives its fields.

Nearly every chunk has the types of the API reference, and is decoded by one typed decoder. A chunk that does not is
decoded again without types, converted where its meaning is plain, and noted.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from polyglot_core.plugin import json_access

__all__ = ["Choice", "Completion", "converted", "decode", "decode_any", "decode_leniently", "decode_text", "unwrapped"]

_JSONObject = dict[str, Any]
_Nothing = Literal[""] | None


class Choice(Struct, gc=False):
    """A choice: only the fields that are read.

    Deltas and messages stay dicts: their fields differ between endpoints, and len() detects a delta with text only.
    """

    index: int | None = 0
    delta: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    error: Any = None
    text: Any = None
    native_finish_reason: Any = None


class Completion(Struct, gc=False):
    """A chunk or a whole completion: only the fields that are read."""

    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None


# A chunk that is one piece of text of one choice, as nearly all are


class _TextDelta(Struct, forbid_unknown_fields=True, gc=False):
    """A delta with a text, and with nothing else but the role and fields that many servers send without a value."""

    content: str
    role: str | None = None
    refusal: _Nothing = None
    reasoning: _Nothing = None
    reasoning_content: _Nothing = None
    tool_calls: _Nothing = None
    function_call: _Nothing = None


class _TextChoice(Struct, gc=False):
    delta: _TextDelta
    index: int = 0
    finish_reason: None = None
    logprobs: None = None
    error: None = None


class TextPiece(Struct, gc=False):
    """Such a chunk. A chunk with anything else that is read of a `Completion` does not have this shape."""

    choices: tuple[_TextChoice]
    usage: None = None
    error: None = None


decode = msgspec.json.Decoder(Completion).decode
decode_text = msgspec.json.Decoder(TextPiece).decode
decode_any = msgspec.json.Decoder().decode

_OF_A_CHOICE = frozenset({"delta", "message", "text", "finish_reason"})
_WRAPPERS = ("response", "result", "output", "data", "completion", "body")
_TEXTS = frozenset({"response", "result"})


def decode_leniently(data: bytes) -> list[tuple[Completion, _JSONObject]]:
    """Return the completions in JSON that the typed decoder rejects, each with its payload, or raise what that raises.

    They are several if the chunk is a list of completions.
    """
    value = decode_any(data)
    payloads = json_access.objects(value) if isinstance(value, list) else [value]
    if not payloads or not all(map(_is_readable, payloads)):
        decode(data)
    return [(converted(payload), payload) for payload in payloads]


def unwrapped(payload: _JSONObject) -> _JSONObject | None:
    """Return an object without choices with the completion, or the text, that one of its fields holds; else None."""
    for name in _WRAPPERS:
        inner = payload.get(name)
        text = inner if isinstance(inner, str) else json_access.get(inner, "response")
        if isinstance(text, str) and text and name in _TEXTS:
            inner = {"choices": [{"index": 0, "delta": {"content": text}}]}
        if isinstance(inner, dict) and inner.get("choices") and _is_readable(inner):
            return {**payload, name: None, **inner}
    return None


def converted(payload: _JSONObject) -> Completion:
    """Return the completion of an untyped payload."""
    choices = payload.get("choices")
    listed = None if choices is None else [_choice(*pair) for pair in enumerate(_items(choices))]
    return Completion(listed, payload.get("usage"), payload.get("error"))


def _is_readable(payload: object) -> bool:
    return isinstance(payload, dict) and isinstance(payload.get("choices"), (list, dict, type(None)))


def _items(choices: list[Any] | _JSONObject) -> list[_JSONObject]:
    """Return the choices of a list, of an object by index, or the single choice that the object is."""
    if isinstance(choices, list):
        return [item if isinstance(item, dict) else {"text": item} for item in choices]
    if not _OF_A_CHOICE.isdisjoint(choices):
        return [choices]
    return [{"index": name, **item} for name, item in choices.items() if isinstance(item, dict)]


def _choice(position: int, item: _JSONObject) -> Choice:
    return Choice(
        index=_index(item.get("index"), position),
        delta=_message(item.get("delta")),
        message=_message(item.get("message")),
        finish_reason=_word(item.get("finish_reason")),
        logprobs=item.get("logprobs"),
        error=item.get("error"),
        text=item.get("text"),
        native_finish_reason=item.get("native_finish_reason"),
    )


def _index(value: object, position: int) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else position


def _message(value: object) -> _JSONObject | None:
    """Return a delta or a message; a text or a list of parts is its content."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and "type" not in value[0]:
        value = value[0]
    if value is None or isinstance(value, dict):
        return value
    return {"content": value}


def _word(value: object) -> str | None:
    """Return the finish reason in a string, in a list, or in an object."""
    if isinstance(value, list):
        return next(filter(None, map(_word, value)), None)
    if isinstance(value, dict):
        words = (value.get(name) for name in ("reason", "type", "finish_reason", "name", "code", "value"))
        return next(filter(None, map(_word, words)), json_access.text(value) or None)
    if value is None or value is False:
        return None
    return value if isinstance(value, str) else json_access.text(value)
