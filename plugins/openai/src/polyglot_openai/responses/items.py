"""Decoding of output items: the events of each type of item, beyond what was emitted of it."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import (
    Citation,
    MediaDelta,
    ReasoningDelta,
    RefusalDelta,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    json_access,
)
from polyglot_openai.responses.output import (
    ARGUMENTS,
    OTHER,
    REFUSAL,
    SUMMARY,
    TEXT,
    THOUGHT,
    ids_of,
)
from polyglot_openai.responses.reading import new_logprobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polyglot_core.plugin import Event
    from polyglot_openai.responses.output import Item, Stretch
    from polyglot_openai.responses.reading import Reading

__all__ = ["INDEX", "PART", "TO_ANSWER", "citation", "finished_item", "remaining_items", "started_item", "started_part"]

_JSONObject = dict[str, Any]

PART = "part"
"""Key in `extra` of a text, refusal or reasoning for the fields of its part; all other keys are of its item."""

INDEX = "index"
"""Key among the fields of a part for its number in the item, except for the first one, which begins the item."""

_TYPES = {TEXT: "output_text", REFUSAL: "refusal", SUMMARY: "summary_text", THOUGHT: "reasoning_text"}
TO_ANSWER = ("computer_call", "shell_call", "local_shell_call", "apply_patch_call", "mcp_approval_request")
"""Types of items that the user has to respond to, unless a later item is their output."""


def started_item(payload: _JSONObject, position: int | None, reading: Reading) -> Iterator[Event]:
    """Yield what an item states before it is complete: the name of a tool call, or only its place."""
    item = reading.stated(payload, position, done=False)
    if item.begun:
        return
    item.begun = True
    if item.family == "message":
        item.early = {"phase": payload["phase"]} if payload.get("phase") is not None else {}
    elif item.family == "call":
        call_id, name = _string(payload.get("call_id")), _string(payload.get("name"))
        if not reading.is_provider_call(item, call_id) and call_id and name:
            item.named = True
            yield ToolCallDelta(reading.block(item), call_id, name, block=reading.block(item))
    elif item.family != "reasoning":
        yield ServerToolEvent(item.family, {}, block=reading.block(item))


def finished_item(payload: _JSONObject, position: int | None, reading: Reading) -> Iterator[Event]:
    """Yield what a complete item holds beyond what was emitted of it."""
    item = reading.stated(payload, position, done=True)
    return iter(()) if item.done else _finish(payload, item, reading)


def remaining_items(output: Sequence[_JSONObject], reading: Reading) -> Iterator[Event]:
    """Yield what the items of the last response object hold beyond what was emitted of them."""
    pairs = reading.matched(output)
    has_all_text = reading.has_all_text(output)
    following = _known_after(pairs)
    for (payload, item), next_id in zip(pairs, following, strict=True):
        if item.done and item.family == "message":
            yield from _late_citations(payload, item, reading)
        if item.done or (has_all_text and item.family == "message" and not item.is_known):
            continue
        if item.family == "reasoning" and not item.is_known and next_id:
            item.early = {"before": next_id}
        yield from _finish(payload, item, reading)


def _known_after(pairs: Sequence[tuple[_JSONObject, Item]]) -> list[str | None]:
    """Return for each item an id of the next one of which something was emitted before."""
    following: list[str | None] = []
    next_id: str | None = None
    for payload, item in reversed(pairs):
        following.append(next_id)
        if item.is_known:
            next_id = next(iter(ids_of(payload)), None)
    return following[::-1]


def _finish(payload: _JSONObject, item: Item, reading: Reading) -> Iterator[Event]:
    reading.finish(item)
    return _READERS.get(str(payload.get("type") or ""), _other)(payload, item, reading)


def citation(payload: _JSONObject, block: int) -> Citation:
    """Return the event for an annotation of a text."""
    start, end = (_offset(payload.get(name)) for name in ("start_index", "end_index"))
    if start is None or end is None:
        start = end = None
    return Citation(payload, block=block, start=start, end=end)


# Messages


def _message(payload: _JSONObject, item: Item, reading: Reading) -> Iterator[Event]:
    """Yield the rest of each part, with the fields that are sent back: those of the message, and those of the part."""
    parts = _parts(payload.get("content"), "output_text")
    fields = {name: value for name, value in payload.items() if name not in {"type", "content"}}
    if fields.get("role") == "assistant":
        del fields["role"]
    stretches = _stretches_of_message(parts, item, reading)
    citations: list[tuple[_JSONObject, int]] = []
    for number, part in enumerate(parts):
        kind = _kind(part)
        if kind is None:
            block = reading.stretch(item, OTHER, number).block
            yield ServerToolEvent("message", {**payload, "content": [part]}, block=block, replay=True)
            continue
        stretch = stretches[number]
        yield from reading.emit_rest(item, kind, stretch, part[kind])
        extra = {**fields, PART: _part_fields(part, kind, number)}
        if not extra[PART]:
            del extra[PART]
        event = TextDelta if kind == TEXT else RefusalDelta
        yield event("", block=stretch.block, extra=extra)
        logprobs = part.get("logprobs")
        yield from new_logprobs(json_access.objects(logprobs)[stretch.logprobs :], stretch)
        citations += [(each, stretch.block) for each in json_access.objects(part.get("annotations"))]
    yield from _new_citations(citations, item)
    if not parts and not item.stretches:
        yield ServerToolEvent("message", payload, block=reading.new_block(), replay=True)


def started_part(part: _JSONObject, item: Item, number: int, reading: Reading) -> Iterator[Event]:
    """Yield the place of a part of a message that is neither text nor a refusal."""
    if _kind(part) is None and item.family == "message":
        yield ServerToolEvent("message", {}, block=reading.stretch(item, OTHER, number).block)


def _new_citations(citations: Sequence[tuple[_JSONObject, int]], item: Item) -> Iterator[Event]:
    """Yield those citations, given with their blocks, that were not emitted yet."""
    new = citations[item.cited :]
    item.cited += len(new)
    for payload, block in new:
        yield citation(payload, block)


def _late_citations(payload: _JSONObject, item: Item, reading: Reading) -> Iterator[Event]:
    """Yield the citations that a complete message has only in the last response."""
    parts = _parts(payload.get("content"), "output_text")
    stretches = [reading.stretch(item, TEXT, number) for number in item.texts(TEXT)]
    texts = [part for part in parts if _kind(part) == TEXT]
    citations = [
        (each, stretch.block)
        for part, stretch in zip(texts, stretches, strict=False)
        for each in json_access.objects(part.get("annotations"))
    ]
    return _new_citations(citations, item)


def _kind(part: _JSONObject) -> str | None:
    """Return the kind of text that a part of a message holds; None if it holds none."""
    if isinstance(part.get("refusal"), str):
        return REFUSAL
    return TEXT if isinstance(part.get("text"), str) else None


def _stretches_of_message(parts: Sequence[_JSONObject], item: Item, reading: Reading) -> dict[int, Stretch]:
    """Return the stretch of each part that is text, by number of the part."""
    found: dict[int, Stretch] = {}
    for kind in (TEXT, REFUSAL):
        texts = [(number, part[kind]) for number, part in enumerate(parts) if _kind(part) == kind]
        numbers = (number for number, _ in texts)
        found.update(zip(numbers, reading.paired(item, kind, texts), strict=True))
    return found


def _part_fields(part: _JSONObject, kind: str, number: int) -> _JSONObject:
    """Return the fields of a part without its text and its usual type, and its number unless it is the first part."""
    fields = {name: value for name, value in part.items() if name not in {"text", "refusal", INDEX}}
    if fields.get("type") in (None, _TYPES[kind]):
        fields.pop("type", None)
    return {**fields, INDEX: number} if number else fields


# Thinking


def _thinking(payload: _JSONObject, item: Item, reading: Reading) -> Iterator[Event]:
    """Yield the rest of the text, then what the provider wants back: the id per stretch, the cipher with the first.

    Only the complete item has the final ones: both may change from its beginning to its end.
    """
    part_fields: dict[int, _JSONObject] = {}
    for kind, name in ((SUMMARY, "summary"), (THOUGHT, "content")):
        parts = [part for part in _parts(payload.get(name), _TYPES[kind]) if isinstance(part.get("text"), str)]
        texts = [(number, part["text"]) for number, part in enumerate(parts)]
        for (_, text), part, stretch in zip(texts, parts, reading.paired(item, kind, texts), strict=True):
            yield from reading.emit_rest(item, kind, stretch, text)
            part_fields[stretch.block] = {name: value for name, value in part.items() if name != "text"}
    fields = {name: value for name, value in payload.items() if name not in _OF_THINKING} | item.early
    cipher = _string(payload.get("encrypted_content"))
    for number, (block, kind) in enumerate(_blocks_of_thinking(item, reading)):
        part = {"type": _TYPES[kind], **part_fields.get(block, {})}
        extra = {**fields, PART: {**part, INDEX: number} if number else part}
        yield ReasoningDelta(redacted=cipher, id=_string(payload.get("id")), block=block, extra=extra)
        cipher, fields = None, {}


_OF_THINKING = frozenset({"type", "id", "summary", "content", "encrypted_content"})


def _blocks_of_thinking(item: Item, reading: Reading) -> list[tuple[int, str]]:
    """Return the blocks of an item, in order, each with its kind; at least one."""
    if not item.stretches:
        reading.stretch(item, SUMMARY, 0)
    return sorted((stretch.block, kind) for (kind, _), stretch in item.stretches.items())


# Tool calls


def _call(payload: _JSONObject, item: Item, reading: Reading) -> Iterator[Event]:
    call_id = _string(payload.get("call_id"))
    is_empty = not (item.named or item.stretches or call_id or payload.get("name") or payload.get("arguments"))
    if reading.is_provider_call(item, call_id) or is_empty:
        yield from _other(payload, item, reading)
        return
    stretch = reading.stretch(item, ARGUMENTS, 0)
    id_, name = (None, None) if item.named else (call_id, _string(payload.get("name")))
    if id_ or name:
        yield ToolCallDelta(stretch.block, id_, name, block=stretch.block)
    written = payload.get("input") if payload.get("input") is not None else payload.get("arguments")
    yield from reading.emit_rest(item, ARGUMENTS, stretch, json_access.text(written))
    extra = {name: value for name, value in payload.items() if name not in _OF_CALLS}
    if payload.get("type") != "function_call":
        extra["type"] = payload["type"]
    complete = payload.get("status") != "incomplete"
    yield ToolCallDelta(stretch.block, complete=complete, block=stretch.block, extra=extra)


_OF_CALLS = frozenset({"type", "call_id", "name", "arguments", "input"})


# Everything else


def _other(payload: _JSONObject, item: Item, reading: Reading) -> Iterator[Event]:
    """Yield an item that is sent back unchanged, and record whether the user has to respond to it."""
    kind = str(payload.get("type") or "")
    item.payload = payload
    key = str(payload.get("call_id") or payload.get("id") or "")
    if kind in TO_ANSWER or (kind == "tool_search_call" and payload.get("execution") == "client"):
        reading.to_answer.add(key)
    elif kind.endswith("_output"):
        reading.to_answer.discard(key)
    yield ServerToolEvent(kind, payload, block=reading.block(item), replay=True)


def _image(payload: _JSONObject, item: Item, reading: Reading) -> Iterator[Event]:
    """Yield the image as media too."""
    yield from _other(payload, item, reading)
    if data := _bytes_of(payload.get("result")):
        form = _string(payload.get("output_format")) or "png"
        yield MediaDelta(f"image/{form}", data, block=reading.new_block(), replay=False)


_READERS: dict[str, Callable[[_JSONObject, Item, Reading], Iterator[Event]]] = {
    "message": _message,
    "reasoning": _thinking,
    "function_call": _call,
    "custom_tool_call": _call,
    "image_generation_call": _image,
}
"""Types of items that have events of their own."""


# Values of unknown type


def _parts(content: object, kind: str) -> list[_JSONObject]:
    return [{"type": kind, "text": content}] if isinstance(content, str) else json_access.objects(content)


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _offset(value: object) -> int | None:
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    return number if type(number) is int and number >= 0 else None


def _bytes_of(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (ValueError, binascii.Error):
        return b""
