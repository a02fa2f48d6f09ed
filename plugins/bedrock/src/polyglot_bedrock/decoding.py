"""Decoding of the response: events of ConverseStream, or the whole message of Converse.

A message consists of blocks, which `blocks` reads. Text, the most frequent event, is read into structs; all else is
read as objects, because any value may have another type than the API reference specifies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from polyglot_bedrock.blocks import OpenBlock, read_delta, whole_block
from polyglot_bedrock.provider_errors import exception_frame, failure_in, is_exception
from polyglot_core.plugin import (
    Details,
    End,
    FinishReason,
    TextDelta,
    UsageReport,
    finish_of,
    hookimpl,
    json_access,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polyglot_core.plugin import Chunk, Event

__all__ = ["decode_chunk"]

_JSONObject = dict[str, Any]

_WORDS = {
    "malformed_model_output": FinishReason.ERROR,
    "malformed_tool_use": FinishReason.ERROR,
}
"""Stop reasons of this dialect alone."""


class _Delta(Struct, gc=False):
    text: str | None = None


class _Event(Struct, gc=False, rename="camel"):
    content_block_index: int | None = None
    delta: _Delta | None = None


_decode = msgspec.json.Decoder(_Event).decode


@hookimpl
def decode_chunk(state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode a frame or a whole response. `state` holds the open blocks by their index."""
    if chunk.event == "contentBlockDelta":
        try:
            event = _decode(chunk.data)
        except msgspec.ValidationError:  # a value of another type
            event = _Event()
        delta = event.delta
        if delta is not None and delta.text is not None:
            return (TextDelta(delta.text, 0, event.content_block_index or 0),)
    if chunk.kind == "whole":
        return list(_whole(chunk))
    if is_exception(chunk):
        return (exception_frame(chunk),)
    return _events(chunk, state)


def _events(chunk: Chunk, state: dict[str, Any]) -> Sequence[Event]:
    read = _READERS.get(chunk.event or "")
    if read is None:
        failure = failure_in(json_access.parse(chunk.data), raw=chunk.data)
        return () if failure is None else (failure,)
    payload = msgspec.json.decode(chunk.data)
    return list(read(payload, state)) if isinstance(payload, dict) else ()


def _index(event: _JSONObject) -> int:
    given = event.get("contentBlockIndex")
    if isinstance(given, str) and given.isdecimal():
        return int(given)
    return json_access.number(event, "contentBlockIndex") or 0


def _message_started(event: _JSONObject, state: dict[str, Any]) -> Iterator[Event]:
    state.clear()
    yield TextDelta("")
    yield from _details(event)


def _block_started(event: _JSONObject, state: dict[str, Any]) -> Iterator[Event]:
    index, start = _index(event), event.get("start")
    for kind, fields in start.items() if isinstance(start, dict) else ():
        if not isinstance(fields, dict):
            continue
        if (before := state.pop(str(index), None)) is not None:
            yield from before.end()
        opened = state[str(index)] = OpenBlock(kind, fields, index)
        yield from opened.begin()


def _block_continued(event: _JSONObject, state: dict[str, Any]) -> Iterator[Event]:
    delta = event.get("delta")
    for kind, value in delta.items() if isinstance(delta, dict) else ():
        if value is not None:
            yield from read_delta(kind, value, _index(event), state)


def _block_stopped(event: _JSONObject, state: dict[str, Any]) -> Iterator[Event]:
    opened: OpenBlock | None = state.pop(str(_index(event)), None)
    if opened is not None:
        yield from opened.end()


def _message_stopped(event: _JSONObject, state: dict[str, Any]) -> Iterator[Event]:
    """Close what is still open, and yield the end of the message: usage, the finish reason, or both."""
    for index in list(state):
        yield from state.pop(index).end()
    yield from _end_of_message(event)


def _end_of_message(event: _JSONObject) -> Iterator[Event]:
    yield from _details(event)
    if isinstance(usage := event.get("usage"), dict) and usage:
        yield UsageReport(usage)
    if (finish := finish_of(event.get("stopReason"), _WORDS)) is not None:
        yield finish


_READERS: dict[str, Callable[[_JSONObject, dict[str, Any]], Iterator[Event]]] = {
    "messageStart": _message_started,
    "contentBlockStart": _block_started,
    "contentBlockDelta": _block_continued,
    "contentBlockStop": _block_stopped,
    "messageStop": _message_stopped,
    "metadata": lambda event, _state: _end_of_message(event),
}

_NO_DETAILS = frozenset({"output", "role", "content", "usage", "stopReason", "p"})
"""Fields of a response and of its events that are not details; ``p`` is padding of frames."""


def _details(fields: _JSONObject) -> Iterator[Event]:
    """Yield the facts beside the content: the trace of a guardrail, latency, service tier, the model's own fields."""
    rest = {name: value for name, value in fields.items() if value is not None and name not in _NO_DETAILS}
    if rest:
        yield Details(rest)


def _whole(chunk: Chunk) -> Iterator[Event]:
    payload = msgspec.json.decode(chunk.data)
    if payload and isinstance(payload, list):
        msg = "Expected `object`, got `array`"
        raise msgspec.ValidationError(msg)  # core reads the elements
    if not isinstance(payload, dict):
        return
    if payload.get("output") is None and payload.get("stopReason") is None:
        if (failure := failure_in(payload, raw=chunk.data, whole=True)) is not None:
            yield failure
        return
    yield TextDelta("")
    message = json_access.get(payload, "output.message")
    message = message if isinstance(message, dict) else {}
    for index, block in enumerate(json_access.objects(message.get("content"))):
        for kind, value in block.items():
            if value is not None:
                yield from whole_block(kind, value, index)
    yield from _details(message)
    yield from _end_of_message(payload)
    yield End()
