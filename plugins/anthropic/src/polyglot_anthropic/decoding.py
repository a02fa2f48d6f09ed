"""Decoding of the response: events of a stream, or a whole message.

A message consists of blocks, which `blocks` reads. A stream opens a block, adds to it and closes it. The fields of the
frequent events are read into structs; values of other types are converted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_anthropic.blocks import TEXT, OpenBlock, whole_block
from polyglot_core.plugin import (
    Citation,
    Details,
    End,
    Finish,
    FinishReason,
    Ping,
    ReasoningDelta,
    ResponseStarted,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    failure_from_payload,
    finish_of,
    hookimpl,
    is_vendor_event,
    json_access,
    stated_failure,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polyglot_core.plugin import Chunk, Event

__all__ = ["decode_chunk"]

_JSONObject = dict[str, Any]


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


_decode = msgspec.json.Decoder(_Event).decode

_DONE = b"[DONE]"  # sent by gateways after the last event
_END = (End(),)
_PING = (Ping(),)
_LATEST = "latest"  # key of the number of the latest block, if the provider numbers none


@hookimpl
def decode_chunk(state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode an event or a whole message. `state` holds those open blocks that are more than a text, by their index."""
    try:
        event = _decode(chunk.data)
    except msgspec.DecodeError:
        return _odd_chunk(chunk, state)
    delta = event.delta
    if delta is not None and delta.type == "text_delta" and event.type == "content_block_delta" and not state:
        return (TextDelta(delta.text or "", 0, event.index or 0),)
    return _events(event, chunk, state)


def _events(event: _Event, chunk: Chunk, state: dict[str, Any]) -> Sequence[Event]:
    kind, delta = event.type or (None if chunk.event == "message" else chunk.event), event.delta  # it says nothing
    if kind == "content_block_delta" and delta is not None:
        return _delta_events(delta, _number(event.index, state), chunk, state)
    read = _READERS.get(kind or "") if chunk.kind != "whole" or kind == "message" else None
    if read is None or chunk.event == "error":
        return _other_event(chunk)
    return list(read(_object(chunk.data), event.index, state))


def _delta_events(delta: _Delta, index: int, chunk: Chunk, state: dict[str, Any]) -> Sequence[Event]:
    """Return the events of a delta, which belongs to the open block with its index."""
    opened: OpenBlock | None = state.get(str(index))
    read = None if opened is not None and opened.is_raw else _DELTAS.get(delta.type or _likely_type(delta))
    if read is not None:
        return read(delta, index, opened)
    if opened is None:
        opened = state[str(index)] = OpenBlock({"type": TEXT}, index)
    return _merged(_object(chunk.data, "delta"), index, opened)


def _likely_type(delta: _Delta) -> str:
    """Return the type of a delta without one, by the field that it has."""
    return next((kind for kind, field in _FIELDS.items() if getattr(delta, field) is not None), "")


def _input_delta(delta: _Delta, index: int, opened: OpenBlock | None) -> Sequence[Event]:
    if not delta.partial_json:
        return ()
    if opened is not None:
        opened.add("input", delta.partial_json)
    return (ToolCallDelta(index, arguments=delta.partial_json, block=index),)


_DELTAS: dict[str, Callable[[_Delta, int, OpenBlock | None], Sequence[Event]]] = {
    "text_delta": lambda delta, index, _opened: (TextDelta(delta.text or "", 0, index),),
    "thinking_delta": lambda delta, index, _opened: (ReasoningDelta(delta.thinking or "", block=index),),
    "signature_delta": lambda delta, index, _opened: (ReasoningDelta(signature=delta.signature, block=index),),
    "input_json_delta": _input_delta,
}
_FIELDS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}


def _merged(delta: _JSONObject, index: int, opened: OpenBlock) -> Sequence[Event]:
    """Merge a delta into an open block: a citation, the text of a compaction, or a delta of an unknown type."""
    if delta.get("type") != "citations_delta":
        opened.merge(delta)
        return ()
    citation = delta.get("citation")
    opened.add("citations", [citation])
    return (Citation(citation, block=index),) if isinstance(citation, dict) else ()


# Values of other types than those of the API reference, and chunks that are no JSON object


def _odd_chunk(chunk: Chunk, state: dict[str, Any]) -> Sequence[Event]:
    """Return the events of a chunk whose values have other types than expected, or that is not JSON.

    Raises:
        msgspec.DecodeError: It is not JSON, although it is an event of this API, or it is no object.
    """
    try:
        payload = msgspec.json.decode(chunk.data)
    except msgspec.DecodeError:
        if chunk.data.strip() == _DONE:
            return [*_rest(state), *_END]
        if chunk.event == "error":
            return (failure_from_payload(chunk.data.decode("utf-8", "replace").strip(), raw=chunk.data),)
        if chunk.event is None or chunk.event in _READERS.keys() - {"ping"}:
            raise
        return _PING
    if chunk.event != "error" and not isinstance(payload, dict):  # core reads what a list or a text contains
        _decode(chunk.data)
    return _events(_converted(payload), chunk, state)


def _converted(payload: object) -> _Event:
    """Return an event with the values that are of the right type, or can be converted to it."""
    if not isinstance(payload, dict):
        return _Event()
    index, delta = payload.get("index"), payload.get("delta")
    return _Event(
        type=_text_or_none(payload.get("type")),
        index=int(index) if isinstance(index, str) and index.isdecimal() else json_access.number(payload, "index"),
        delta=_Delta(**{name: _text_or_none(delta.get(name)) for name in _Delta.__struct_fields__})
        if isinstance(delta, dict)
        else None,
    )


def _text_or_none(value: object) -> str | None:
    return None if value is None else json_access.text(value)


def _object(data: bytes, field: str | None = None) -> _JSONObject:
    """Return the object in a JSON text, or in one of its fields; an empty one for any other value."""
    payload = msgspec.json.decode(data)
    found = payload if field is None else json_access.get(payload, field)
    return found if isinstance(found, dict) else {}


def _number(index: int | None, state: dict[str, Any]) -> int:
    """Return the number of the block that an event belongs to: the latest one if the event does not name it."""
    return int(state.get(_LATEST, 0)) if index is None else index


# Events sent once per message or block


def _message_started(event: _JSONObject, _index: int | None, state: dict[str, Any]) -> Iterator[Event]:
    yield from _rest(state)
    state.clear()
    message = event.get("message")
    if isinstance(message, dict):
        yield from _message_so_far(message)


def _block_started(event: _JSONObject, index: int | None, state: dict[str, Any]) -> Iterator[Event]:
    fields = event.get("content_block")
    if not isinstance(fields, dict) or not fields:
        return
    if index is None:
        index = state[_LATEST] = int(state.get(_LATEST, -1)) + 1
    if (before := state.pop(str(index), None)) is not None:
        yield from before.end()
    block = OpenBlock(fields, index)
    if block.kind != TEXT or block.extra():
        state[str(index)] = block
    yield from block.begin()


def _block_stopped(_event: _JSONObject, index: int | None, state: dict[str, Any]) -> Iterator[Event]:
    opened: OpenBlock | None = state.pop(str(_number(index, state)), None)
    if opened is not None:
        yield from opened.end()


def _message_changed(event: _JSONObject, _index: int | None, _state: dict[str, Any]) -> Iterator[Event]:
    change, usage = event.get("delta"), event.get("usage")
    change = change if isinstance(change, dict) else {}
    yield from _details(event)
    yield from _details(change)
    if isinstance(usage, dict) and usage:  # merged into that of the start; an unknown count replaces no known one
        yield UsageReport({name: value for name, value in usage.items() if value is not None}, merge=True)
    yield from _finish(change)


def _message_stopped(_event: _JSONObject, _index: int | None, state: dict[str, Any]) -> Iterator[Event]:
    yield from _rest(state)
    yield from _END


def _ping(event: _JSONObject, _index: int | None, _state: dict[str, Any]) -> Iterator[Event]:
    yield from _details(event)
    yield from _PING


def _rest(state: dict[str, Any]) -> Iterator[Event]:
    """Close the blocks that are still open: some gateways do not send the event for it."""
    for key in [key for key, block in state.items() if isinstance(block, OpenBlock)]:
        yield from state.pop(key).end()


_READERS: dict[str, Callable[[_JSONObject, int | None, dict[str, Any]], Iterator[Event]]] = {
    "message_start": _message_started,
    "content_block_start": _block_started,
    "content_block_delta": lambda _event, _index, _state: iter(()),  # without a delta in it
    "content_block_stop": _block_stopped,
    "message_delta": _message_changed,
    "message_stop": _message_stopped,
    "ping": _ping,
    "message": lambda event, _index, _state: _whole(event),
}


# Whole messages


_OF_MESSAGES = frozenset({"type", "id", "model", "role", "content", "usage", "stop_reason", "delta", "index"})
"""The fields of a message and of its events that are not details."""


def _whole(message: _JSONObject) -> Iterator[Event]:
    yield from _message_so_far(message)
    yield from _finish(message)
    yield from _END


def _message_so_far(message: _JSONObject) -> Iterator[Event]:
    name, model = (json_access.text(message.get(field)) or None for field in ("id", "model"))
    if name or model:
        yield ResponseStarted(name, model)
    for index, block in enumerate(_blocks_of(message.get("content"))):
        yield from whole_block(block, index)
    yield from _details(message)
    if isinstance(usage := message.get("usage"), dict) and usage:
        yield UsageReport(usage)


def _blocks_of(content: object) -> list[_JSONObject]:
    """Return the blocks of a message. Some gateways send a string in place of a block, or of all blocks."""
    items = content if isinstance(content, list) else [content]
    return json_access.objects([{"type": TEXT, "text": item} if isinstance(item, str) else item for item in items])


def _details(fields: _JSONObject) -> Iterator[Event]:
    """Yield the facts beside the content: container, stop sequence, edits of the context, and unknown fields."""
    rest = {name: value for name, value in fields.items() if value is not None and name not in _OF_MESSAGES}
    if rest:
        yield Details(rest)


def _finish(fields: _JSONObject) -> Iterator[Event]:
    event = finish_of(fields.get("stop_reason"))
    if isinstance(event, Finish) and event.reason == FinishReason.REFUSAL:
        event = replace(
            event, explanation=json_access.text(json_access.get(fields, "stop_details.explanation")) or None
        )
    if event is not None:
        yield event


# Errors in the response


def _other_event(chunk: Chunk) -> Sequence[Event]:
    """Return the events of an error in any spelling, or of a whole message without a type; none for another event."""
    payload = msgspec.json.decode(chunk.data)
    if chunk.event == "error":
        return (failure_from_payload(payload, raw=chunk.data),)
    if not isinstance(payload, dict):
        return ()
    kind = payload.get("type")
    if kind == "error" or (payload.get("error") and not is_vendor_event(str(kind or chunk.event or ""))):
        return (failure_from_payload(payload, raw=chunk.data),)
    whole = chunk.kind == "whole" or chunk.event == "message"
    if whole and {"content", "stop_reason"}.intersection(payload):
        return list(_whole(payload))
    return () if stated_failure(chunk) is None else (failure_from_payload(payload, raw=chunk.data),)
