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
from polyglot_openai.chat.paths import without
from polyglot_openai.chat.received import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_core.plugin import Event
    from polyglot_openai.chat.facts import Facts
    from polyglot_openai.chat.received import Received

__all__ = ["IN_CONTENT", "content_events", "further_piece", "is_text_only"]

_JSONObject = dict[str, Any]

_READ_OF_BLOCKS = frozenset({"text", "summary", "thinking", "signature", "data", "id", "index"})
_READ_OF_CALLS = frozenset({"id", "index", "type", "function", "custom"})
_OF_PIECES = frozenset({"index", "id", "type", "function"})
_READ_OF_FUNCTIONS = frozenset({"name", "arguments"})
_TEXT_FIELDS = frozenset({"content", "role"})

IN_CONTENT = ("reasoning", "thinking")
"""Types of thinking that is a part of the content; that in a field of its own has other types, or none."""

_CALLS, _REFUSAL, _IMAGES, _AUDIO = -1, -2, -1000, -3
"""Blocks of what is in fields beside the content, which is one text however these come in between. Each image has its
own."""


def is_text_only(message: _JSONObject) -> bool:
    """Return True if the content is the only field with a value."""
    return not any(value for name, value in message.items() if name not in _TEXT_FIELDS)


def further_piece(delta: _JSONObject, choice: int, facts: Facts, received: Received) -> Event | None:
    """Return the event of a delta with one more piece of thinking, or of a tool call, and nothing else; else None.

    It is the event that `content_events` yields for such a delta, which changes nothing in `received`.
    """
    filled = [(name, value) for name, value in delta.items() if name != "role" and value not in EMPTY]
    if len(filled) != 1:
        return None
    ((name, value),) = filled
    if name in facts.reasoning_fields and name in received.names and type(value) is str:
        return ReasoningDelta(value, None, None, None, choice) if name != facts.reasoning_blocks else None
    if name == "tool_calls" and received.calls and type(value) is list and len(value) == 1 and _is_further(value[0]):
        arguments = value[0]["function"]["arguments"]
        return ToolCallDelta(value[0]["index"], arguments=arguments, choice=choice, block=_CALLS)
    return None


def _is_further(call: object) -> bool:
    """Return True if a piece of a tool call has an index and arguments, and nothing else."""
    if not isinstance(call, dict) or type(call.get("index")) is not int or call.keys() - _OF_PIECES:
        return False
    function = call.get("function")
    others = call.get("id") or call.get("type", "function") != "function"
    return (
        not others and isinstance(function, dict) and [*function] == ["arguments"] and _is_text(function["arguments"])
    )


def _is_text(value: object) -> bool:
    return type(value) is str and bool(value)


def content_events(
    message: _JSONObject, choice: int, facts: Facts, received: Received, *, whole: bool
) -> Iterator[Event]:
    """Yield the events of a choice's delta or, if `whole`, of its message."""
    content = message.get("content")
    if is_text_only(message) and (content is None or isinstance(content, str)):  # as the first delta, with a role
        if content is not None:
            yield from _content(content, choice, received, whole=whole)
        return
    yield from _reasoning(message, choice, facts, received)
    if content is not None:
        yield from _content(content, choice, received, whole=whole)
    if refusal := _string(message.get("refusal")):
        yield RefusalDelta(refusal, choice, _REFUSAL)
    yield from _tool_calls(message, choice, facts, received, whole=whole)
    for annotation in json_access.objects(message.get("annotations")):
        yield _citation(annotation, choice, received.text_block)
    for tool in json_access.objects(message.get("executed_tools")):
        yield ServerToolEvent(_string(tool.get("type")) or "executed_tool", tool, choice, _CALLS)
    for image in json_access.objects(message.get("images")):
        received.images += 1
        yield _image(image, choice, _IMAGES - received.images, marked=True)
    if isinstance(audio := message.get("audio"), dict):
        yield from _audio(audio, choice, received)


# Text


def _content(content: object, choice: int, received: Received, *, whole: bool) -> Iterator[Event]:
    """Yield text from a string, the parts of a list one by one, and any other JSON value as JSON text."""
    if isinstance(content, str):
        yield TextDelta(content, choice, received.in_block("text") if content else received.text_block)
    elif isinstance(content, list):
        received.listed = True
        for part in content:
            if whole:
                received.end_block()
            yield from _part(part, choice, received)
    else:
        yield TextDelta(json_access.text(content), choice, received.in_block("text"))


def _part(part: object, choice: int, received: Received) -> Iterator[Event]:
    """Yield the events of one part of a content list, which keeps its position."""
    if not isinstance(part, dict):
        if text := json_access.text(part):
            yield TextDelta(text, choice, received.in_block("text"))
        return
    kind = _string(part.get("type"))
    if kind in IN_CONTENT:
        yield from _thinking(part, choice, received)
    elif kind == "image_url":
        yield _image(part, choice, received.in_block("image", fresh=True), marked=False)
    elif kind == "refusal" and isinstance(part.get("refusal"), str):
        extra = {name: value for name, value in part.items() if name not in {"refusal", "index"}}
        yield RefusalDelta(part["refusal"], choice, received.in_block("refusal"), extra)
    elif isinstance(part.get("text"), str) and not _is_tool(kind):
        yield from _text_part(part, kind, choice, received)
    elif kind not in {"", "text"} or set(part) - {"type", "text", "index"}:  # an empty text has no other field
        yield ServerToolEvent(kind or "part", part, choice, received.in_block("part", fresh=True), replay=True)


def _is_tool(kind: str) -> bool:
    return "tool" in kind or "file" in kind


def _text_part(part: _JSONObject, kind: str, choice: int, received: Received) -> Iterator[Event]:
    """Yield a text with its further fields, and its sources."""
    plain = {"text", "annotations", "index"} | ({"type"} if kind in {"", "text", "output_text"} else set())
    extra = {name: value for name, value in part.items() if name not in plain and value is not None}
    text = part["text"]
    if text or extra:
        block = received.in_block("text")
        yield TextDelta(text, choice, block, extra or None)
    for annotation in json_access.objects(part.get("annotations")):
        yield _citation(annotation, choice, received.text_block)


def _citation(annotation: _JSONObject, choice: int, block: int) -> Citation:
    """Return a source with the range of the text that it supports, if there is one."""
    details = annotation.get("url_citation")
    place = details if isinstance(details, dict) else annotation
    start, end = (json_access.number(place, name) for name in ("start_index", "end_index"))
    if start is None or end is None or not 0 <= start < end:
        return Citation(annotation, choice, block)
    return Citation(annotation, choice, block, start, end)


# Thinking


def _reasoning(message: _JSONObject, choice: int, facts: Facts, received: Received) -> Iterator[Event]:
    """Yield thinking from the endpoint's first field that has text, and the signatures from other fields.

    If an endpoint sends the same text both in a field and in blocks, it is emitted once, from the blocks.
    """
    text = next((text for field in facts.reasoning_fields if (text := readable(message.get(field)))), "")
    blocks = json_access.objects(message.get(facts.reasoning_blocks))
    in_blocks = not text or text == "".join(map(_block_text, blocks))
    if text and not (blocks and in_blocks):
        yield ReasoningDelta(text, choice=choice)
    yield from (_block(block, choice, received, with_text=in_blocks) for block in blocks)
    signature = _string(json_access.get(message, facts.reasoning_signature)) or None
    redacted = _string(json_access.get(message, facts.reasoning_encrypted)) or None
    if signature or redacted:
        yield ReasoningDelta("", signature, redacted, choice=choice)


def readable(value: object) -> str:
    """Return the text of thinking that is a string, a list of texts or objects, or an object with a text."""
    if isinstance(value, list):
        return "".join(map(readable, value))
    if isinstance(value, dict):
        texts = (readable(value.get(name)) for name in ("text", "content", "thinking", "summary", "reasoning"))
        return next(filter(None, texts), "") or ("" if not value or "type" in value else json_access.text(value))
    return value if isinstance(value, str) else ""


def _block(block: _JSONObject, choice: int, received: Received, *, with_text: bool) -> ReasoningDelta:
    number = block.get("index")
    signature, redacted = _string(block.get("signature")) or None, _string(block.get("data")) or None
    if not isinstance(number, int):
        number = received.thinking_block(sealed=bool(signature or redacted))
    extra = {name: value for name, value in block.items() if name not in _READ_OF_BLOCKS}
    return ReasoningDelta(
        _block_text(block) if with_text else "",
        signature,
        redacted,
        _string(block.get("id")) or None,
        choice,
        number,
        extra or None,
    )


def _block_text(block: _JSONObject) -> str:
    return _string(block.get("text")) or _string(block.get("summary")) or _string(block.get("thinking"))


def _thinking(part: _JSONObject, choice: int, received: Received) -> Iterator[Event]:
    """Yield thinking that is a part of the content. `extra` keeps the part without its text, to send it back."""
    field = next((name for name in ("summary", "thinking", "text") if part.get(name)), "text")
    value = part.get(field)
    pieces = json_access.objects(value) if isinstance(value, list) else [{"text": value, **_sealed(part)}]
    for piece in pieces:
        inner = {name: each for name, each in piece.items() if name not in {"text", "signature"}}
        rest = {name: each for name, each in part.items() if name not in {field, "signature", "index"}}
        block = received.in_block("thinking")
        signature = _string(piece.get("signature")) or None
        shape = {**rest, field: [inner] if isinstance(value, list) else ""}
        yield ReasoningDelta(readable(piece.get("text")), signature, choice=choice, block=block, extra=shape)
        if signature:
            received.end_block()


def _sealed(part: _JSONObject) -> _JSONObject:
    return {"signature": part["signature"]} if part.get("signature") else {}


# Tool calls


def _tool_calls(
    message: _JSONObject, choice: int, facts: Facts, received: Received, *, whole: bool
) -> Iterator[ToolCallDelta]:
    """Yield pieces of tool calls.

    The deprecated field of a single one counts only if there is nothing in the new one: some servers send both.
    """
    for number, call in enumerate(json_access.objects(message.get("tool_calls"))):
        for piece in _tool_call(call, number if whole else call.get("index"), choice, facts, whole=whole):
            received.calls = True
            yield piece
    legacy = message.get("function_call")
    if isinstance(legacy, dict) and not received.calls:
        yield from _tool_call({"function": legacy}, 0, choice, facts, whole=whole)


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
    extra = _further_fields(call, facts)
    if call_id or name or text or signature or set(extra) - {"type"}:
        yield ToolCallDelta(
            _number(number),
            call_id or None,
            _string(name) or None,
            text,
            whole,
            choice,
            _CALLS,
            signature or None,
            extra or None,
        )


def _further_fields(call: _JSONObject, facts: Facts) -> _JSONObject:
    """Return the fields of a tool call that are not read, at their places."""
    extra = {name: value for name, value in call.items() if name not in _READ_OF_CALLS and value is not None}
    if call.get("type") not in (None, "", "function") or "custom" in call:
        extra["type"] = call.get("type") or "custom"
    for inside in ("function", "custom"):
        fields = call.get(inside)
        known = _READ_OF_FUNCTIONS if inside == "function" else {"name", "input"}
        if isinstance(fields, dict) and (more := {k: v for k, v in fields.items() if k not in known and v is not None}):
            extra[inside] = more
    return without(extra, facts.call_signature)


def _number(value: object) -> int | None:
    """Return the index of a tool call, which may be the text of a number."""
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# Media


def _image(part: _JSONObject, choice: int, block: int, *, marked: bool) -> Event:
    """Return the image's bytes, or an event with the part as received if it is only a URL.

    If `marked`, the image was in a field beside the content, and its type in `extra` shows that it goes back there.
    """
    inline = Image(url=_string(json_access.get(part, "image_url.url"))).inline
    data = _from_base64(inline[1]) if inline else b""
    if inline is None or not data:
        payload = {"images": [part]} if marked else part
        return ServerToolEvent("image_url", payload, choice, block, replay=True)
    extra = {name: value for name, value in part.items() if name not in {"type", "image_url"}}
    if more := {name: value for name, value in part["image_url"].items() if name != "url"}:
        extra["image_url"] = more
    return MediaDelta(inline[0], data, choice, block, {"type": "image_url", **extra} if marked else extra or None)


_SOUNDS = {b"RIFF": "audio/wav", b"OggS": "audio/ogg", b"fLaC": "audio/flac", b"ID3": "audio/mpeg"}


def _audio(audio: _JSONObject, choice: int, received: Received) -> Iterator[Event]:
    """Yield the bytes of a sound, and once its id, which is what is sent back. Its other fields become details."""
    sound_id = _string(audio.get("id"))
    if sound_id and not received.sound_id:
        received.sound_id = sound_id
        yield ServerToolEvent("audio", {"audio": {"id": sound_id}}, choice, _AUDIO - 1, replay=True)
    if sound := _string(audio.get("data")):
        data = _from_base64(sound)
        if not data:
            yield ServerToolEvent("audio", {"data": sound}, choice, _AUDIO - 2)
            return
        received.sound_type = received.sound_type or _sound_type(data)
        yield MediaDelta(received.sound_type, data, choice, _AUDIO, replay=not received.sound_id)


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
