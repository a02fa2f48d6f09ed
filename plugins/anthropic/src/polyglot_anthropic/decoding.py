"""Decoding of the response: events of a stream, or a whole message.

A message consists of blocks. A stream opens a block, adds to it and closes it. The fields that are needed are read into
structs; blocks of tools that the provider runs itself are emitted unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_core.plugin import (
    Citation,
    End,
    Finish,
    FinishReason,
    Ping,
    ReasoningDelta,
    ResponseStarted,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    failure_from_payload,
    hookimpl,
    json_access,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polyglot_core.plugin import Chunk, Event, Failure

__all__ = ["decode_chunk", "read_failure"]

_JSONObject = dict[str, Any]

_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
}
"""By value of the API reference. Another one is ``pause_turn``: the turn continues when it is sent back."""


class _Delta(Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None


class _Event(Struct, gc=False):
    type: str | None = None
    index: int | None = None
    delta: _Delta | None = None


class _Message(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    content: list[_JSONObject] | None = None
    stop_reason: str | None = None
    usage: _JSONObject | None = None


class _Change(Struct, gc=False):
    """The part of a ``message_delta`` that concerns the whole message."""

    stop_reason: str | None = None


class _RareEvent(Struct, gc=False):
    message: _Message | None = None
    content_block: _JSONObject | None = None
    delta: _JSONObject | None = None
    usage: _JSONObject | None = None


class _Block(Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    citations: list[_JSONObject] | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None


class _OpenBlock:
    """A block that is emitted when it closes: a tool call, or a block of the provider's own tools."""

    __slots__ = ("block", "is_call", "pieces")

    def __init__(self, block: _JSONObject) -> None:
        self.block = block
        self.is_call = _type_of(block) == _TOOL_USE
        self.pieces: list[str] = []

    @property
    def whole(self) -> _JSONObject:
        """Return the block with the input received so far; input that is not JSON stays text."""
        text = "".join(self.pieces)
        return {**self.block, "input": json_access.parse(text, text)} if text else self.block


_decode = msgspec.json.Decoder(_Event).decode
_decode_rare = msgspec.json.Decoder(_RareEvent).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_any = msgspec.json.Decoder().decode

_TOOL_USE = "tool_use"
_DONE = b"[DONE]"  # sent by gateways after the last event
_END = (End(),)
_PING = (Ping(),)


@hookimpl
def decode_chunk(state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode an event or a whole message. `state` holds the open blocks by their index."""
    try:
        event = _decode(chunk.data)
    except msgspec.DecodeError:
        if chunk.data.strip() == _DONE:
            return _END
        raise
    kind, delta = event.type, event.delta
    if kind == "content_block_delta" and delta is not None:
        if delta.type == "text_delta":
            return (TextDelta(delta.text or "", 0, event.index or 0),)
        return _delta(delta, event.index or 0, chunk, state)
    if kind == "error" or (chunk.kind == "whole" and kind != "message"):
        return _error_or_message(chunk)
    read = _READERS.get(kind or "")
    return () if read is None else list(read(chunk, event.index or 0, state))


def _delta(delta: _Delta, index: int, chunk: Chunk, state: dict[str, Any]) -> Sequence[Event]:
    """Return the events of a delta other than visible text."""
    match delta.type:
        case "thinking_delta":
            return (ReasoningDelta(delta.thinking or "", block=index),)
        case "signature_delta":
            return (ReasoningDelta(signature=delta.signature, block=index),)
        case "input_json_delta":
            return _input_delta(delta.partial_json or "", index, state.get(str(index)))
        case _:
            return _other_delta(_decode_rare(chunk.data).delta or {}, index, state.get(str(index)))


def _other_delta(delta: _JSONObject, index: int, opened: _OpenBlock | None) -> Sequence[Event]:
    """Return a citation, or merge fields into an open block: the text of a compaction, and deltas of unknown types."""
    if delta.get("type") == "citations_delta":
        citation = delta.get("citation")
        return (Citation(citation, block=index),) if isinstance(citation, dict) else ()
    if opened is not None:
        opened.block |= {name: value for name, value in delta.items() if name != "type"}
    return ()


def _input_delta(text: str, index: int, opened: _OpenBlock | None) -> Sequence[Event]:
    if not text:
        return ()
    if opened is not None:
        opened.pieces.append(text)
        if not opened.is_call:
            return ()
    return (ToolCallDelta(index, arguments=text, block=index),)


# Events sent once per message or block


def _message_started(chunk: Chunk, _index: int, state: dict[str, Any]) -> Iterator[Event]:
    state.clear()
    message = _decode_rare(chunk.data).message
    if message is not None:
        yield from _message_so_far(message)


def _block_started(chunk: Chunk, index: int, state: dict[str, Any]) -> Iterator[Event]:
    block = _decode_rare(chunk.data).content_block
    if not block:
        return
    read = _READ_BLOCKS.get(_type_of(block))
    if read is not None:
        yield from read(msgspec.convert(block, _Block), index)
        return
    opened = state[str(index)] = _OpenBlock(block)
    if opened.is_call:
        call = msgspec.convert(block, _Block)
        yield ToolCallDelta(index, call.id, call.name, block=index)


def _block_stopped(_chunk: Chunk, index: int, state: dict[str, Any]) -> Iterator[Event]:
    opened: _OpenBlock | None = state.pop(str(index), None)
    if opened is None:
        return
    if opened.is_call:
        early = "" if opened.pieces else json_access.text(opened.block.get("input") or None)
        yield ToolCallDelta(index, arguments=early, complete=True, block=index)
    else:
        yield _server_tool(opened.whole, index)


def _message_changed(chunk: Chunk, _index: int, _state: dict[str, Any]) -> Iterator[Event]:
    event = _decode_rare(chunk.data)
    if event.usage:  # merged into that of the start; an unknown count does not replace a known one
        known = {name: value for name, value in event.usage.items() if value is not None}
        yield UsageReport(known, merge=True)
    yield from _finish(msgspec.convert(event.delta or {}, _Change).stop_reason)


_READERS: dict[str, Callable[[Chunk, int, dict[str, Any]], Iterator[Event] | Sequence[Event]]] = {
    "message_start": _message_started,
    "content_block_start": _block_started,
    "content_block_stop": _block_stopped,
    "message_delta": _message_changed,
    "message_stop": lambda _chunk, _index, _state: _END,
    "ping": lambda _chunk, _index, _state: _PING,
    "message": lambda chunk, _index, _state: _whole(chunk),
}


# Whole messages and blocks


def _error_or_message(chunk: Chunk) -> Sequence[Event]:
    """Return the events of a body without a type, or with the type of an error."""
    payload = _decode_any(chunk.data)
    if payload.get("type") == "error" or payload.get("error"):
        return (read_failure(payload, raw=chunk.data),)
    return list(_whole(chunk))


def _whole(chunk: Chunk) -> Iterator[Event]:
    message = _decode_message(chunk.data)
    yield from _message_so_far(message)
    yield from _finish(message.stop_reason)
    yield from _END


def _message_so_far(message: _Message) -> Iterator[Event]:
    if message.id or message.model:
        yield ResponseStarted(message.id, message.model)
    for index, block in enumerate(message.content or ()):
        read = _READ_BLOCKS.get(_type_of(block))
        if read is not None:
            yield from read(msgspec.convert(block, _Block), index)
        elif _type_of(block) == _TOOL_USE:
            yield _whole_call(msgspec.convert(block, _Block), index)
        else:
            yield _server_tool(block, index)
    if message.usage:
        yield UsageReport(message.usage)


def _finish(reason: str | None) -> Iterator[Event]:
    if reason:
        yield Finish(_REASONS.get(reason, FinishReason.OTHER), reason)


def _text(block: _Block, index: int) -> Iterator[Event]:
    yield TextDelta(block.text or "", block=index)
    for citation in block.citations or ():
        yield Citation(citation, block=index)


def _thinking(block: _Block, index: int) -> Iterator[Event]:
    if block.thinking or block.signature:
        yield ReasoningDelta(block.thinking or "", block.signature or None, block=index)


def _redacted_thinking(block: _Block, index: int) -> Iterator[Event]:
    yield ReasoningDelta(redacted=block.data, block=index)


_READ_BLOCKS: dict[str, Callable[[_Block, int], Iterator[Event]]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
}


def _whole_call(block: _Block, index: int) -> ToolCallDelta:
    return ToolCallDelta(index, block.id, block.name, json_access.text(block.input or None), complete=True, block=index)


def _server_tool(block: _JSONObject, index: int) -> ServerToolEvent:
    return ServerToolEvent(_type_of(block), block, block=index)


def _type_of(block: _JSONObject) -> str:
    return str(block.get("type") or "")


# Errors in the response

_CODES_BY_TEXT = {
    "prompt is too long": "context_length_exceeded",
    "exceed context limit": "context_length_exceeded",
    "credit balance is too low": "insufficient_quota",
}
"""Texts of errors that the API classifies only as an invalid request."""


def read_failure(payload: object, *, status: int | None = None, raw: bytes = b"") -> Failure:
    """Read an error object. If only its text is specific, the code is derived from that."""
    failure = failure_from_payload(payload, status=status, raw=raw)
    code = next((code for text, code in _CODES_BY_TEXT.items() if text in failure.message.lower()), None)
    return failure if code is None else replace(failure, code=code)
