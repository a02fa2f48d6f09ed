"""Decoding of a chunk's delta, or of the message of a whole completion: text, thinking, tool calls, and the rest.

Endpoints add fields of their own and omit others, so the presence and the type of every field are checked.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import (
    Citation,
    Image,
    MediaDelta,
    ReasoningDelta,
    RefusalDelta,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    json_access,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_core.plugin import Event
    from polyglot_openai.chat.facts import Facts

__all__ = ["content_events", "is_text_only"]

_JSONObject = dict[str, Any]

_READ_OF_BLOCKS = frozenset({"text", "summary", "signature", "data", "id", "index"})
_TEXT_FIELDS = frozenset({"content", "role"})


def is_text_only(message: _JSONObject) -> bool:
    """Return True if the content is the only field with a value."""
    return not any(value for name, value in message.items() if name not in _TEXT_FIELDS)


def content_events(message: _JSONObject, choice: int, facts: Facts, *, whole: bool) -> Iterator[Event]:
    """Yield the events of a choice's delta or, if `whole`, of its message."""
    yield from _reasoning(message, choice, facts)
    if (content := message.get("content")) is not None:
        yield from _content(content, choice)
    if refusal := _string(message.get("refusal")):
        yield RefusalDelta(refusal, choice)
    for number, call in enumerate(json_access.objects(message.get("tool_calls"))):
        yield from _tool_call(call, number if whole else call.get("index"), choice, facts, whole=whole)
    if isinstance(legacy := message.get("function_call"), dict):  # the deprecated form of a single tool call
        yield from _tool_call({"function": legacy}, 0, choice, facts, whole=whole)
    for annotation in json_access.objects(message.get("annotations")):
        yield Citation(annotation, choice)
    for tool in json_access.objects(message.get("executed_tools")):
        yield ServerToolEvent(_string(tool.get("type")) or "executed_tool", tool, choice)
    for image in json_access.objects(message.get("images")):
        yield _image(image, choice)
    if sound := _string(json_access.get(message, "audio.data")):
        data = _from_base64(sound)
        yield MediaDelta(_sound_type(data), data, choice)


# Text


def _content(content: object, choice: int) -> Iterator[Event]:
    """Yield text from a string, the parts of a list one by one, and any other JSON value as JSON text."""
    if isinstance(content, str):
        yield TextDelta(content, choice)
    elif isinstance(content, list):
        yield from (event for part in json_access.objects(content) for event in _part(part, choice))
    else:
        yield TextDelta(json_access.text(content), choice)


def _part(part: _JSONObject, choice: int) -> Iterator[Event]:
    """Yield the event of one part of a content list: text, thinking with its summary, or an image."""
    if _string(part.get("type")) in {"reasoning", "thinking"}:
        for piece in json_access.objects(part.get("summary")) or json_access.objects(part.get("thinking")) or [part]:
            yield ReasoningDelta(_string(piece.get("text")), _string(piece.get("signature")) or None, choice=choice)
    elif part.get("type") == "image_url":
        yield _image(part, choice)
    elif text := _string(part.get("text")):
        yield TextDelta(text, choice)


# Thinking


def _reasoning(message: _JSONObject, choice: int, facts: Facts) -> Iterator[Event]:
    """Yield thinking from the endpoint's first field that has text, and the signatures from other fields.

    If an endpoint sends the same text both in a field and in blocks, it is emitted once, from the blocks.
    """
    text = next((value for field in facts.reasoning_fields if (value := _string(message.get(field)))), "")
    blocks = json_access.objects(message.get(facts.reasoning_blocks))
    in_blocks = not text or text == "".join(map(_block_text, blocks))
    if text and not (blocks and in_blocks):
        yield ReasoningDelta(text, choice=choice)
    yield from (_block(block, choice, with_text=in_blocks) for block in blocks)
    signature = _string(json_access.get(message, facts.reasoning_signature)) or None
    redacted = _string(json_access.get(message, facts.reasoning_encrypted)) or None
    if signature or redacted:
        yield ReasoningDelta("", signature, redacted, choice=choice)


def _block(block: _JSONObject, choice: int, *, with_text: bool) -> ReasoningDelta:
    number = block.get("index")
    extra = {name: value for name, value in block.items() if name not in _READ_OF_BLOCKS}
    return ReasoningDelta(
        _block_text(block) if with_text else "",
        _string(block.get("signature")) or None,
        _string(block.get("data")) or None,
        _string(block.get("id")) or None,
        choice,
        number if isinstance(number, int) else 0,
        extra or None,
    )


def _block_text(block: _JSONObject) -> str:
    return _string(block.get("text")) or _string(block.get("summary"))


# Tool calls


def _tool_call(call: _JSONObject, number: object, choice: int, facts: Facts, *, whole: bool) -> Iterator[ToolCallDelta]:
    """Yield a piece of a tool call; nothing for a placeholder without id, name and arguments."""
    name, arguments = json_access.get(call, "function.name"), json_access.get(call, "function.arguments")
    if json_access.get(call, "custom.name") or json_access.get(
        call, "custom.input"
    ):  # a tool without a schema: its input is any text
        name, arguments = json_access.get(call, "custom.name"), json_access.get(call, "custom.input")
    text = json_access.text(arguments)
    call_id = "" if call.get("id") is None else str(call["id"])
    signature = _string(json_access.get(call, facts.call_signature)) if facts.call_signature else ""
    if call_id or name or text:
        index = number if isinstance(number, int) else None
        yield ToolCallDelta(
            index, call_id or None, _string(name) or None, text, whole, choice, signature=signature or None
        )


# Media


def _image(part: _JSONObject, choice: int) -> Event:
    """Return the image's bytes, or an event with the part as received if it is only a URL."""
    inline = Image(url=_string(json_access.get(part, "image_url.url"))).inline
    if inline is None:
        return ServerToolEvent("image_url", part, choice)
    return MediaDelta(inline[0], _from_base64(inline[1]), choice)


_SOUNDS = {b"RIFF": "audio/wav", b"OggS": "audio/ogg", b"fLaC": "audio/flac", b"ID3": "audio/mpeg"}


def _sound_type(data: bytes) -> str:
    """Return the media type of audio by its first bytes: the response does not name it. Streams send bare samples."""
    return next((name for magic, name in _SOUNDS.items() if data.startswith(magic)), "audio/pcm")


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:  # binascii.Error is a ValueError; so is the error for characters outside ASCII
        return b""


# JSON values of unknown types


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
