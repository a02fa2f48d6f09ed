"""Parses message content in OpenAI's format, as users write it, into parts.

Nothing is left out: a cache mark becomes the part's `cache`, any other field that is not read goes into its `extra`,
and a part of an unknown type becomes a `RawPart`. Fields whose value is None are not set.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from polyglot_core._values.json_values import encode_json
from polyglot_core._values.parts import (
    Audio,
    Document,
    Image,
    JSONObject,
    Part,
    RawPart,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from polyglot_core._values.suggest import nearest
from polyglot_core.errors import RequestError

__all__ = ["CACHE_MARK", "read_cache", "read_parts", "read_result", "read_tool_call"]

CACHE_MARK = "cache_control"
"""The field that marks the end of what is cached."""

_EPHEMERAL = "ephemeral"


def read_cache(mark: object) -> bool | str | None:
    """Return a cache mark in Anthropic's format as the `cache` of a part; None if it is not in that format.

    ``{"type": "ephemeral"}`` is True, and with a ``ttl`` it is that lifetime.
    """
    if not isinstance(mark, Mapping) or mark.get("type") != _EPHEMERAL or not mark.keys() <= {"type", "ttl"}:
        return None
    lifetime = mark.get("ttl")
    return lifetime if isinstance(lifetime, str) and lifetime else True if lifetime is None else None


def read_parts(content: object, where: str = "content") -> tuple[Part, ...]:
    """Parse a message's content: None, a string, or a list of parts, which may be dicts in OpenAI's format.

    Args:
        content: The content.
        where: Its place, for messages.

    Raises:
        RequestError: The content is none of these.
    """
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),) if content else ()
    if isinstance(content, Sequence) and not isinstance(content, (bytes, bytearray)):
        return tuple(_part(part, f"{where}[{index}]") for index, part in enumerate(content))
    hint = "; put it in a list" if isinstance(content, (*_PARTS, Mapping)) else ""
    msg = f"{where} is of type {type(content).__name__}, and should be text or a list of parts{hint}."
    raise RequestError(msg, phase="encode")


_PARTS = (Text, Image, Audio, Document, Reasoning, Refusal, ToolCall, ToolResult, RawPart)


def _part(part: object, where: str) -> Part:
    if isinstance(part, _PARTS):
        return part
    if isinstance(part, str):
        return Text(part)
    if not isinstance(part, Mapping):
        msg = (
            f"{where} is of type {type(part).__name__}, and should be text, a part such as Image, or a dict with a "
            "type, such as {'type': 'text', 'text': '…'}."
        )
        raise RequestError(msg, phase="encode")
    kind = part.get("type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None and (close := nearest(str(kind), [own for own in _READERS if own in part])):
        raise RequestError(f"{where}.type is {kind!r:.40}; did you mean {close!r}?", phase="encode")
    try:
        return RawPart(part) if reader is None else _with_rest(part, *reader)
    except (KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise _unreadable(part, where, error) from error


def _unreadable(part: JSONObject, where: str, error: Exception) -> RequestError:
    """Return the error for a part of a known type that is not in OpenAI's format."""
    kind = part["type"]
    if isinstance(error, binascii.Error):
        what = f"has bytes that are not base64: {error}"
    elif isinstance(error, KeyError):
        what = f"lacks the field {error}"
    else:
        what = "has a field of the wrong type"
    return RequestError(f"{where}, a part of type {kind!r}, {what}; it should be {_EXAMPLES[kind]}.", phase="encode")


def _with_rest(part: JSONObject, read: Callable[[JSONObject], Part], own: Mapping[str, Collection[str]]) -> Part:
    """Return a part with its cache mark, and with the fields that `read` does not read in `extra`.

    Args:
        part: The dict.
        read: Returns the part for it.
        own: Names of the fields that `read` reads; for a field that is an object, the names that it reads there.
    """
    rest = _rest(part, own)
    made: Any = read(part)
    if (cache := read_cache(rest.get(CACHE_MARK))) is not None and hasattr(made, "cache"):
        made = replace(made, cache=cache)
        del rest[CACHE_MARK]
    return replace(made, extra=rest) if rest and not isinstance(made, RawPart) else made  # type: ignore[no-any-return]


def _rest(fields: JSONObject, own: Mapping[str, Collection[str]]) -> dict[str, Any]:
    """Return the fields that are not named in `own`, also those in the objects that it names."""
    rest = {}
    for name, value in fields.items():
        if name not in own:
            rest[name] = value
        elif own[name] and isinstance(value, Mapping) and (inner := _rest(value, dict.fromkeys(own[name], ()))):
            rest[name] = inner
    return {name: value for name, value in rest.items() if value is not None}


def _text(part: JSONObject) -> Part:
    return Text(_is_text(part["text"]))


def _refusal(part: JSONObject) -> Part:
    return Refusal(_is_text(part["refusal"]))


def _is_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _image(part: JSONObject) -> Part:
    inner = part["image_url"]
    url, detail = (inner, None) if isinstance(inner, str) else (_is_text(inner["url"]), inner.get("detail"))
    mime_type, data = _from_data_url(url)
    if data is None:
        return Image(url=url, detail=detail)
    return Image(data=data, mime_type=mime_type, detail=detail)


def _audio(part: JSONObject) -> Part:
    inner = part["input_audio"]
    return Audio(data=_from_base64(inner["data"]), mime_type=f"audio/{_is_text(inner['format'])}")


def _document(part: JSONObject) -> Part:
    inner = part["file"]
    if inner.get("file_data") is None:
        return Document(file_id=_is_text(inner["file_id"]), name=inner.get("filename"))
    mime_type, data = _from_data_url(inner["file_data"])
    if data is None:
        return RawPart(part)
    return Document(data=data, mime_type=mime_type, file_id=inner.get("file_id"), name=inner.get("filename"))


_READERS: dict[str, tuple[Callable[[JSONObject], Part], Mapping[str, Collection[str]]]] = {
    "text": (_text, {"type": (), "text": ()}),
    "refusal": (_refusal, {"type": (), "refusal": ()}),
    "image_url": (_image, {"type": (), "image_url": ("url", "detail")}),
    "input_audio": (_audio, {"type": (), "input_audio": ("data", "format")}),
    "file": (_document, {"type": (), "file": ("file_data", "file_id", "filename")}),
}
"""By the type of a part: the function that reads it, and the names of the fields that this function reads."""

_EXAMPLES = {
    "text": "{'type': 'text', 'text': '…'}",
    "refusal": "{'type': 'refusal', 'refusal': '…'}",
    "image_url": "{'type': 'image_url', 'image_url': {'url': 'https://…'}}",
    "input_audio": "{'type': 'input_audio', 'input_audio': {'data': '(base64)', 'format': 'wav'}}",
    "file": "{'type': 'file', 'file': {'file_data': 'data:application/pdf;base64,…', 'filename': '…'}}",
}


def _from_data_url(url: str) -> tuple[str, bytes | None]:
    """Return the media type and bytes of a ``data:`` URL; an empty type and None for any other URL."""
    head, comma, body = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return "", None
    return head.removeprefix("data:").removesuffix(";base64"), _from_base64(body)


def _from_base64(text: str) -> bytes:
    if not text.isascii():  # b64decode raises a ValueError of its own for it
        msg = "a character outside ASCII"
        raise binascii.Error(msg)
    return base64.b64decode(text, validate=True)


def read_tool_call(call: object, where: str = "The tool call") -> ToolCall:
    """Parse a tool call in OpenAI's format. Fields that are not read go into `extra`.

    Raises:
        RequestError: The tool call is not in that format.
    """
    if isinstance(call, ToolCall):
        return call
    try:
        function = call["function"]  # type: ignore[index]  # TypeError and KeyError are handled below
        name, arguments = _is_text(function["name"]), function.get("arguments") or ""
        rest = _rest(call, _OF_A_CALL)  # type: ignore[arg-type]
    except (KeyError, TypeError, AttributeError) as error:
        given = f"of type {type(call).__name__}" if not isinstance(call, Mapping) else f"a dict with {sorted(call)}"
        msg = (
            f"{where} is {given}, and should be a ToolCall, or a dict such as {{'id': '…', 'type': 'function', "
            "'function': {'name': '…', 'arguments': '{}'}}."
        )
        raise RequestError(msg, phase="encode") from error
    text = arguments if isinstance(arguments, str) else encode_json(arguments, f"{where}.arguments").decode()
    return ToolCall(name=name, id=call.get("id"), arguments_raw=text, complete=True, extra=rest)  # type: ignore[attr-defined]


_OF_A_CALL = {"id": (), "type": (), "function": ("name", "arguments"), "index": ()}
"""Fields of a tool call. ``index``, of the pieces of a stream, repeats the place in the list."""


def read_result(content: object, parts: tuple[Part, ...], where: str = "content") -> str | tuple[Any, ...]:
    """Return the content of a tool result: a string, or the parts.

    Raises:
        RequestError: A tool result cannot hold one of the parts.
    """
    if isinstance(content, str) or content is None:
        return content or ""
    for index, part in enumerate(parts):
        if not isinstance(part, (Text, Image, Document, RawPart)):
            msg = (
                f"{where}[{index}] is of type {type(part).__name__}, and the result of a tool holds Text, Image, "
                "Document and RawPart."
            )
            raise RequestError(msg, phase="encode")
    return parts
