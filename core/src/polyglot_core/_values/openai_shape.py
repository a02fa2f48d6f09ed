"""Parses message content in OpenAI's format, as users write it, into parts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence

import msgspec

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
from polyglot_core.errors import RequestError

__all__ = ["read_parts", "read_result", "read_tool_call"]


def read_parts(content: object) -> tuple[Part, ...]:
    """Parse a message's content: None, a string, or a list of parts, which may be dicts in OpenAI's format.

    Raises:
        RequestError: The content is none of these.
    """
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),) if content else ()
    if isinstance(content, Sequence):
        return tuple(_part(part) for part in content)
    msg = f"A message's content must be a string or a list of parts, not {type(content).__name__}."
    raise RequestError(msg, phase="encode")


_PARTS = (Text, Image, Audio, Document, Reasoning, Refusal, ToolCall, ToolResult, RawPart)


def _part(part: object) -> Part:
    if isinstance(part, _PARTS):
        return part
    if isinstance(part, str):
        return Text(part)
    if not isinstance(part, Mapping):
        msg = f"A part of a message must be a string, a part or a dict with a type, not {type(part).__name__}."
        raise RequestError(msg, phase="encode")
    read = _READERS.get(str(part.get("type")))
    try:
        return RawPart(part) if read is None else read(part)
    except (KeyError, TypeError, AttributeError, binascii.Error) as error:
        msg = f"A part of type {part.get('type')!r} is not in OpenAI's format: {type(error).__name__} {error}."
        raise RequestError(msg, phase="encode") from error


def _image(part: JSONObject) -> Part:
    inner = part["image_url"]
    url, detail = (inner, None) if isinstance(inner, str) else (inner["url"], inner.get("detail"))
    mime_type, data = _from_data_url(url)
    if data is None:
        return Image(url=url, detail=detail)
    return Image(data=data, mime_type=mime_type, detail=detail)


def _audio(part: JSONObject) -> Part:
    inner = part["input_audio"]
    return Audio(data=base64.b64decode(inner["data"], validate=True), mime_type=f"audio/{inner['format']}")


def _document(part: JSONObject) -> Part:
    inner = part["file"]
    if "file_data" not in inner:
        return Document(file_id=inner["file_id"], name=inner.get("filename"))
    mime_type, data = _from_data_url(inner["file_data"])
    if data is None:
        return RawPart(part)
    return Document(data=data, mime_type=mime_type, name=inner.get("filename"))


_READERS = {
    "text": lambda part: Text(part["text"]),
    "image_url": _image,
    "input_audio": _audio,
    "file": _document,
}


def _from_data_url(url: str) -> tuple[str, bytes | None]:
    """Return the media type and bytes of a ``data:`` URL; an empty type and None for any other URL."""
    head, comma, body = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return "", None
    return head.removeprefix("data:").removesuffix(";base64"), base64.b64decode(body, validate=True)


def read_tool_call(call: object) -> ToolCall:
    """Parse a tool call in OpenAI's format.

    Raises:
        RequestError: The tool call is not in that format.
    """
    if isinstance(call, ToolCall):
        return call
    try:
        function = call["function"]  # type: ignore[index]  # TypeError and KeyError are handled below
        arguments = function.get("arguments") or ""
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
        return ToolCall(name=function["name"], id=call.get("id"), arguments_raw=text, complete=True)  # type: ignore[attr-defined]
    except (KeyError, TypeError, AttributeError) as error:
        msg = "A tool call must be a ToolCall, or a dict with id and function: {name, arguments}."
        raise RequestError(msg, phase="encode") from error


def read_result(content: object, parts: tuple[Part, ...]) -> str | tuple[Text | Image | Document, ...]:
    """Return the content of a tool result: a string, or those of its parts that a tool result can have."""
    if isinstance(content, str) or content is None:
        return content or ""
    return tuple(part for part in parts if isinstance(part, (Text, Image, Document)))
