"""Decoding of the response: events of ConverseStream, or the whole message of Converse.

A message consists of blocks. A stream opens a block explicitly only if the block has attributes; text has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from polyglot_bedrock.provider_errors import exception_frame, read_failure
from polyglot_core.plugin import (
    Citation,
    End,
    Finish,
    FinishReason,
    MediaDelta,
    ReasoningDelta,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    hookimpl,
    json_access,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polyglot_core.plugin import Chunk, Event

__all__ = ["decode_chunk"]

_JSONObject = dict[str, Any]

_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.REFUSAL,
    "malformed_model_output": FinishReason.ERROR,
    "malformed_tool_use": FinishReason.ERROR,
}
"""By stop reason of the API reference; ``refusal`` is sent by newer models of Anthropic."""


class _Source(Struct, gc=False):
    data: bytes | None = msgspec.field(default=None, name="bytes")


class _Media(Struct, gc=False):
    format: str | None = None
    source: _Source | None = None


class _Reasoning(Struct, gc=False, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None
    reasoning_text: _Reasoning | None = None  # in a whole response, where it holds text and signature


class _ToolUse(Struct, gc=False, rename="camel"):
    tool_use_id: str | None = None
    name: str | None = None
    input: Any = None
    type: str | None = None


class _Delta(Struct, gc=False, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citation: _JSONObject | None = None
    tool_result: list[Any] | None = None
    image: _Media | None = None


class _Event(Struct, gc=False, rename="camel"):
    content_block_index: int | None = None
    delta: _Delta | None = None


class _RareEvent(Struct, gc=False, rename="camel"):
    """An event that is sent once per message or block, or a whole response."""

    content_block_index: int | None = None
    start: _JSONObject | None = None
    output: _JSONObject | None = None
    stop_reason: str | None = None
    usage: _JSONObject | None = None


class _OpenBlock:
    """A block that was opened explicitly: a tool call, a result of one of the provider's own tools, or an image."""

    __slots__ = ("fields", "is_call", "kind", "more")

    def __init__(self, kind: str, fields: _JSONObject) -> None:
        self.kind = kind
        self.fields = fields
        self.is_call = kind == _TOOL_USE and fields.get("type") != _SERVER_TOOL
        self.more: list[Any] = []  # pieces of the input's text, or of the result

    @property
    def whole(self) -> _JSONObject:
        """Return the block as a plain response has it; input that is not JSON stays text."""
        if self.kind != _TOOL_USE:
            return {self.kind: {**self.fields, "content": self.more}}
        text = "".join(self.more) or "{}"
        return {self.kind: {**self.fields, "input": json_access.parse(text, text)}}


_decode = msgspec.json.Decoder(_Event).decode
_decode_rare = msgspec.json.Decoder(_RareEvent).decode

_TOOL_USE, _TOOL_RESULT, _SERVER_TOOL = "toolUse", "toolResult", "server_tool_use"


@hookimpl
def decode_chunk(state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode a frame or a whole response. `state` holds the open blocks by their index."""
    if chunk.kind == "whole":
        return list(_whole(chunk))
    if (chunk.headers or {}).get(":message-type", "event") != "event":
        return (exception_frame(chunk),)
    if chunk.event == "contentBlockDelta":
        event = _decode(chunk.data)
        delta, index = event.delta, event.content_block_index or 0
        if delta is None:
            return ()
        if delta.text is not None:
            return (TextDelta(delta.text, 0, index),)
        return list(_delta_events(delta, index, state.get(str(index))))
    read = _READERS.get(chunk.event or "")
    return () if read is None else list(read(_decode_rare(chunk.data), state))


def _delta_events(delta: _Delta, index: int, opened: _OpenBlock | None) -> Iterator[Event]:
    """Return the events of a delta other than visible text."""
    if delta.reasoning_content is not None:
        yield from _reasoning(delta.reasoning_content, index)
    if delta.citation is not None:
        yield Citation(delta.citation, block=index)
    if delta.tool_use is not None and (text := json_access.text(delta.tool_use.input)):
        if opened is not None:
            opened.more.append(text)
        if opened is None or opened.is_call:
            yield ToolCallDelta(index, arguments=text, block=index)
    if delta.tool_result and opened is not None:
        opened.more += delta.tool_result
    if delta.image is not None:
        yield from _media("image", delta.image, index, (opened.fields.get("format") if opened else None) or "png")


def _reasoning(more: _Reasoning, index: int) -> Iterator[Event]:
    if more.text or more.signature or more.redacted_content:
        yield ReasoningDelta(more.text or "", more.signature or None, more.redacted_content or None, block=index)


def _media(kind: str, media: _Media, index: int, usual: str) -> Iterator[Event]:
    if media.source is not None and media.source.data:
        yield MediaDelta(f"{kind}/{media.format or usual}", media.source.data, block=index)


# Events sent once per message or block


def _message_started(_event: _RareEvent, state: dict[str, Any]) -> Iterator[Event]:
    state.clear()
    yield TextDelta("")


def _block_started(event: _RareEvent, state: dict[str, Any]) -> Iterator[Event]:
    index = event.content_block_index or 0
    for kind, fields in (event.start or {}).items():
        if not isinstance(fields, dict):
            continue
        opened = state[str(index)] = _OpenBlock(kind, fields)
        if opened.is_call:
            call = msgspec.convert(fields, _ToolUse)
            yield ToolCallDelta(index, call.tool_use_id or None, call.name, block=index)


def _block_stopped(event: _RareEvent, state: dict[str, Any]) -> Iterator[Event]:
    index = event.content_block_index or 0
    opened: _OpenBlock | None = state.pop(str(index), None)
    if opened is None:
        return
    if opened.is_call:
        yield ToolCallDelta(index, complete=True, block=index)
    elif opened.kind in _SERVER_BLOCKS:
        yield _server_tool(opened.kind, opened.whole, index)


def _finish_events(event: _RareEvent, _state: dict[str, Any]) -> Iterator[Event]:
    """Yield the end of a message: usage, the finish reason, or both."""
    if event.usage:
        yield UsageReport(event.usage)
    if event.stop_reason:
        yield Finish(_REASONS.get(event.stop_reason, FinishReason.OTHER), event.stop_reason)


_READERS: dict[str, Callable[[_RareEvent, dict[str, Any]], Iterator[Event]]] = {
    "messageStart": _message_started,
    "contentBlockStart": _block_started,
    "contentBlockStop": _block_stopped,
    "messageStop": _finish_events,
    "metadata": _finish_events,
}


# Whole messages


def _whole(chunk: Chunk) -> Iterator[Event]:
    response = _decode_rare(chunk.data)
    if response.output is None and response.stop_reason is None:
        payload = msgspec.json.decode(chunk.data)
        yield read_failure(payload, payload.get("__type"), raw=chunk.data)
        return
    yield TextDelta("")
    for index, block in enumerate(json_access.objects(json_access.get(response.output, "message.content"))):
        for kind, value in block.items():
            yield from _block(kind, value, index)
    yield from _finish_events(response, {})
    yield End()


def _block(kind: str, value: object, index: int) -> Iterator[Event]:
    if value is None:
        return
    read = _READ_BLOCKS.get(kind)
    if read is not None:
        yield from read(value, index)
    elif isinstance(value, dict):
        yield _server_tool(kind, {kind: value}, index)


def _text(value: object, index: int) -> Iterator[Event]:
    yield TextDelta(str(value), block=index)


def _tool_use(value: object, index: int) -> Iterator[Event]:
    call = msgspec.convert(value, _ToolUse)
    if call.type == _SERVER_TOOL:
        yield _server_tool(_TOOL_USE, {_TOOL_USE: value}, index)
        return
    arguments = json_access.text(call.input)
    yield ToolCallDelta(index, call.tool_use_id or None, call.name, arguments, complete=True, block=index)


def _whole_reasoning(value: object, index: int) -> Iterator[Event]:
    block = msgspec.convert(value, _Reasoning)
    yield from _reasoning(block.reasoning_text or block, index)


def _cited_text(value: object, index: int) -> Iterator[Event]:
    for piece in json_access.objects(json_access.get(value, "content")):
        yield TextDelta(json_access.text(piece.get("text")), block=index)
    for citation in json_access.objects(json_access.get(value, "citations")):
        yield Citation(citation, block=index)


_READ_BLOCKS: dict[str, Callable[[object, int], Iterator[Event]]] = {
    "text": _text,
    "toolUse": _tool_use,
    "reasoningContent": _whole_reasoning,
    "citationsContent": _cited_text,
    "image": lambda value, index: _media("image", msgspec.convert(value, _Media), index, "png"),
    "audio": lambda value, index: _media("audio", msgspec.convert(value, _Media), index, "wav"),
}

_SERVER_BLOCKS = frozenset({_TOOL_USE, _TOOL_RESULT})


def _server_tool(kind: str, block: _JSONObject, index: int) -> ServerToolEvent:
    """Return the event of a block of the provider's own tools, which must be sent back at the same position."""
    inner = block[kind]
    name = inner.get("name" if kind == _TOOL_USE else "type") or kind
    return ServerToolEvent(str(name), block, block=index, replay=kind in _SERVER_BLOCKS)
