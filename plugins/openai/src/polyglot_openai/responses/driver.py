"""OpenAI Responses: the request is a JSON body, the response a series of typed events, or one object.

Sources: OpenAI's API reference, pages "Create a model response" and "Streaming events"; recorded exchanges for what the
pages leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
    Details,
    Failure,
    ServerToolEvent,
    TextDelta,
    Usage,
    failure_from_payload,
    hookimpl,
    is_vendor_event,
    json_access,
    json_request,
    read_facts,
    stated_failure,
    url_of,
)
from polyglot_openai.models import read_models
from polyglot_openai.responses.ending import LAST_STATUSES, closing, started
from polyglot_openai.responses.facts import Facts
from polyglot_openai.responses.items import citation, finished_item, started_item, started_part
from polyglot_openai.responses.output import ARGUMENTS, REFUSAL, SUMMARY, TEXT, THOUGHT
from polyglot_openai.responses.presets import PRESETS
from polyglot_openai.responses.reading import Reading, new_logprobs
from polyglot_openai.responses.request import request_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from polyglot_core.plugin import Chunk, Connection, Event, InferenceRequest, Model, WireRequest
    from polyglot_openai.responses.output import Item

__all__ = ["decode_chunk", "encode_request", "encode_resume", "extract_usage", "list_models"]


# The request


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode a request that creates a response."""
    facts = read_facts(connection, Facts, shared=True)
    return json_request(
        _url(connection, facts, "/responses"),
        request_body(request, facts, connection.driver),
        stream=request.stream,
        flush_at_eof=True,
        complete_on="end",
    )


@hookimpl
def encode_resume(connection: Connection, request: InferenceRequest, state: dict[str, Any]) -> WireRequest | None:
    """Encode a request for the rest of a background response, from the event after the last one received.

    Return None while the response's id or the event's sequence number is unknown. Source: OpenAI's guide "Background
    mode", section on streaming.

    Raises:
        RequestError: The response is not generated in the background, so it ends with the connection.
    """
    if not request.extra.get("background"):
        raise RequestError(
            "resume='provider' requires a response that is generated in the background, which outlives its connection: "
            "add extra={'background': True}. Or use resume='restart'."
        )
    reading: Reading | None = state.get("reading")
    if reading is None or reading.response_id is None or reading.sequence_number is None:
        return None
    wire = encode_request(connection, request)
    address, _, query = wire.url.partition("?")
    after = urlencode({"stream": "true", "starting_after": reading.sequence_number})
    url = f"{address}/{quote(reading.response_id, safe='')}?{'&'.join(filter(None, (query, after)))}"
    return replace(wire, method="GET", url=url, body=b"")


@hookimpl
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    """Encode the request for the list of models, which has one page, or read it."""
    if data is None:
        return json_request(_url(connection, read_facts(connection, Facts, shared=True), "/models"), None, stream=False)
    models += read_models(data)
    return None


def _url(connection: Connection, facts: Facts, path: str) -> str:
    query = f"?{urlencode(facts.query)}" if facts.query else ""
    return url_of(connection, f"{path}{query}", default=PRESETS["openai-responses"].base_url)


# The response: only the fields of events that are read


class _Piece(Struct, gc=False):
    """The fields of a piece of text, which nearly every chunk is."""

    type: str | None = None
    delta: Any = None
    output_index: int | None = None
    item_id: str | None = None
    content_index: int | None = None
    logprobs: Any = None
    sequence_number: int | None = None


class _Event(_Piece, gc=False):
    summary_index: int | None = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    input: Any = None
    annotation: Any = None
    part: Any = None
    item: Any = None
    response: Any = None
    error: Any = None


_decode_piece = msgspec.json.Decoder(_Piece).decode
_decode = msgspec.json.Decoder(_Event).decode
_decode_any = msgspec.json.Decoder().decode

_TEXT_DELTA = "response.output_text.delta"
_DONE = b"[DONE]"


@hookimpl
def decode_chunk(connection: Connection, state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode an event or a whole response.

    `state` holds the `Reading`, which records what was emitted of the response.
    """
    reading: Reading | None = state.get("reading")
    if reading is None:
        reading = state["reading"] = Reading(read_facts(connection, Facts, shared=True).own_calls)
    if chunk.kind == "whole":
        return list(_whole(chunk.data, reading))
    try:
        piece = _decode_piece(chunk.data)
        # Fast path: nearly every chunk is one piece of text that goes on where the last one ended.
        delta = piece.delta
        if delta and type(delta) is str and (piece.type or chunk.event) == _TEXT_DELTA and not piece.logprobs:
            place, block, pieces = reading.growing_text
            if place == (piece.output_index, piece.content_index, piece.item_id):
                reading.sequence_number = piece.sequence_number
                pieces.append(delta)
                return (TextDelta(delta, 0, block),)
        event = _decode(chunk.data)
    except msgspec.DecodeError:
        return _odd(chunk, reading)
    return _read(event, chunk, reading)


def _read(event: _Event, chunk: Chunk, reading: Reading) -> Sequence[Event]:
    event.type = kind = event.type or chunk.event or ""
    if event.sequence_number is not None:
        reading.sequence_number = event.sequence_number
    if _is_error(event, kind, chunk):
        return (_failure(_decode_any(chunk.data), chunk.data),)
    read = _READERS.get(kind)
    return _unknown(kind, event, chunk.data, reading) if read is None else list(read(event, reading))


def _odd(chunk: Chunk, reading: Reading) -> Sequence[Event]:
    """Return the events of a chunk that is not an object with fields of the usual types.

    Numbers may be strings. Other values have no meaning here, unless they are named as an error.

    Raises:
        DecodeError: The chunk is not JSON.
    """
    payload = json_access.parse(chunk.data, chunk.data)
    if isinstance(payload, dict):
        return _read(_converted(payload), chunk, reading)
    if chunk.event == "error":
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else payload
        return (failure_from_payload(text, raw=chunk.data),)
    if chunk.data.strip() != _DONE:  # some gateways append that after the last event
        _decode(chunk.data)
    return ()


_NUMBERS = ("output_index", "content_index", "summary_index", "sequence_number")
_STRINGS = ("type", "item_id")


def _converted(payload: dict[str, Any]) -> _Event:
    """Return an event with those of its fields that can be read."""
    fields = {name: value for name, value in payload.items() if name in _Event.__struct_fields__}
    for name in _NUMBERS:
        value = fields.get(name)
        fields[name] = int(value) if isinstance(value, str) and value.isdecimal() else json_access.number(fields, name)
    for name in _STRINGS:
        value = fields.get(name)
        fields[name] = value if isinstance(value, str) or value is None else json_access.text(value)
    return _Event(**fields)


# Events


def _delta_of(kind: str) -> Callable[[_Event, Reading], Iterator[Event]]:
    """Return a reader of the delta events of a kind of text."""

    def read(event: _Event, reading: Reading) -> Iterator[Event]:
        if not isinstance(event.delta, str) or not (event.delta or event.logprobs):
            return
        item = reading.growing(kind, event.output_index, event.item_id)
        stretch = reading.stretch(item, kind, _part(event, kind))
        if kind == TEXT:
            reading.follow(stretch, (event.output_index, event.content_index, event.item_id))
        if event.delta:
            yield from reading.emit(item, kind, stretch, event.delta)
        yield from new_logprobs(event.logprobs, stretch)

    return read


def _whole_of(kind: str, *names: str) -> Callable[[_Event, Reading], Iterator[Event]]:
    """Return a reader of the events that repeat a whole text, in one of the fields or in those of a part."""

    def read(event: _Event, reading: Reading) -> Iterator[Event]:
        text = next((value for name in names if (value := getattr(event, name))), None)
        if isinstance(text, dict) and kind == ARGUMENTS:
            text = json_access.text(text)
        if isinstance(text, str):
            yield from _emit_whole(kind, text, event, reading)

    return read


def _part_added(event: _Event, reading: Reading) -> Iterator[Event]:
    if not isinstance(event.part, dict) or event.part.get("type") in (None, *_KINDS):
        return iter(())
    item = reading.repeated("message", event.output_index, event.item_id)
    return started_part(event.part, item, event.content_index or 0, reading)


def _part_done(event: _Event, reading: Reading) -> Iterator[Event]:
    """Yield the rest of a part, whose kind is its type."""
    kind = _KINDS.get(str(json_access.get(event.part, "type")))
    text = json_access.get(event.part, "refusal" if kind == REFUSAL else "text")
    if kind is not None and isinstance(text, str) and text:
        yield from _emit_whole(kind, text, event, reading)


_KINDS = {"output_text": TEXT, "refusal": REFUSAL, "summary_text": SUMMARY, "reasoning_text": THOUGHT}


def _emit_whole(kind: str, text: str, event: _Event, reading: Reading) -> Iterator[Event]:
    part = _part(event, kind)
    item = reading.repeated(kind, event.output_index, event.item_id, text)
    latest = item.latest.get(kind, part)
    number = latest if (kind, part) not in item.stretches and item.emitted(kind, latest) == text else part
    if not item.done:
        yield from reading.emit_rest(item, kind, reading.stretch(item, kind, number), text)


def _part(event: _Event, kind: str) -> int:
    if kind == ARGUMENTS:
        return 0
    return (event.summary_index if kind == SUMMARY else event.content_index) or 0


def _begun(event: _Event, reading: Reading) -> Iterator[Event]:
    return started(event.response, reading) if isinstance(event.response, dict) else iter(())


def _item_added(event: _Event, reading: Reading) -> Iterator[Event]:
    return started_item(event.item, event.output_index, reading) if isinstance(event.item, dict) else iter(())


def _item_done(event: _Event, reading: Reading) -> Iterator[Event]:
    return finished_item(event.item, event.output_index, reading) if isinstance(event.item, dict) else iter(())


def _annotation(event: _Event, reading: Reading) -> Iterator[Event]:
    if isinstance(event.annotation, dict):
        item = reading.repeated(TEXT, event.output_index, event.item_id)
        if not item.done:
            item.cited += 1
            yield citation(event.annotation, reading.stretch(item, TEXT, _cited_part(event, item)).block)


def _cited_part(event: _Event, item: Item) -> int:
    part = event.content_index or 0
    return part if (TEXT, part) in item.stretches else item.latest.get(TEXT, part)


def _ended(event: _Event, reading: Reading) -> Iterator[Event]:
    response = dict(event.response) if isinstance(event.response, dict) else {}
    if str(response.get("status")).lower() not in LAST_STATUSES:  # missing, or not updated
        response["status"] = (event.type or "").removeprefix("response.")
    return closing(response, reading)


_READERS: dict[str, Callable[[_Event, Reading], Iterator[Event]]] = {
    "response.created": _begun,
    "response.queued": _begun,
    "response.in_progress": _begun,
    "response.output_item.added": _item_added,
    "response.output_item.done": _item_done,
    "response.content_part.added": _part_added,
    "response.content_part.done": _part_done,
    "response.reasoning_part.done": _part_done,
    "response.reasoning_summary_part.done": _part_done,
    _TEXT_DELTA: _delta_of(TEXT),
    "response.output_text.done": _whole_of(TEXT, "text"),
    "response.output_text.annotation.added": _annotation,
    "response.refusal.delta": _delta_of(REFUSAL),
    "response.refusal.done": _whole_of(REFUSAL, "refusal", "text"),
    "response.reasoning_summary_text.delta": _delta_of(SUMMARY),
    "response.reasoning_summary_text.done": _whole_of(SUMMARY, "text"),
    "response.reasoning_text.delta": _delta_of(THOUGHT),
    "response.reasoning_text.done": _whole_of(THOUGHT, "text"),
    "response.function_call_arguments.delta": _delta_of(ARGUMENTS),
    "response.function_call_arguments.done": _whole_of(ARGUMENTS, "arguments"),
    "response.custom_tool_call_input.delta": _delta_of(ARGUMENTS),
    "response.custom_tool_call_input.done": _whole_of(ARGUMENTS, "input"),
    "response.completed": _ended,
    "response.incomplete": _ended,
    "response.failed": _ended,
    "response.cancelled": _ended,
}
"""Readers by type of event."""


# Other events

_PARTIAL_IMAGE = "response.image_generation_call.partial_image"
_REPEATED = frozenset(
    f"response.{name}"
    for name in (
        *("reasoning_part.added", "reasoning_summary_part.added"),
        *("code_interpreter_call_code.done", "apply_patch_call_operation_diff.done"),
        *("shell_call_command.added", "shell_call_command.done", "shell_call_output_content.done"),
        *("mcp_call_arguments.done", "mcp_call.arguments.done"),
    )
)
"""Events whose content the finished item has too."""

_PLACE = frozenset(
    {
        *("type", "sequence_number", "output_index", "item_id", "content_index", "summary_index", "annotation_index"),
        *("command_index", "obfuscation"),
    }
)


def _unknown(kind: str, event: _Event, data: bytes, reading: Reading) -> Sequence[Event]:
    """Return what an event states that is none of the response's text: an early image, or a fact of the provider's.

    An event that only reports the progress of an item has no fields besides those that name it. Pieces are repeated by
    the finished item.
    """
    if event.delta is not None or kind in _REPEATED:
        return ()
    payload: dict[str, Any] = _decode_any(data)
    if kind == _PARTIAL_IMAGE:
        item = reading.repeated("image_generation_call", event.output_index, event.item_id)
        return (ServerToolEvent(kind, {"type": kind, **payload}, block=reading.block(item)),)
    facts = {name: value for name, value in payload.items() if name not in _PLACE and value is not None}
    return (Details({kind or "event": facts}),) if facts else ()


# The end


def _whole(data: bytes, reading: Reading) -> Iterator[Event]:
    response: object = _decode_any(data)
    if response and isinstance(response, list):
        msg = "Expected `object`, got `array`"
        raise msgspec.ValidationError(msg)  # core reads the elements
    if not isinstance(response, dict) or _is_error_body(response):
        yield _failure(response, data)
    else:
        yield from closing(response, reading)


def _is_error_body(response: dict[str, Any]) -> bool:
    return response.get("status") is None and bool(response.get("error") or response.get("output") is None)


_ERRORS = ("error", "response.error")


def _is_error(event: _Event, kind: str, chunk: Chunk) -> bool:
    """Return whether an event is an error: by its name, by its type, by its field, or as an object without a type."""
    if chunk.event == "error" or kind in _ERRORS:
        return True
    if event.error or kind.endswith("_error"):
        return kind in _READERS or not is_vendor_event(kind)
    return not kind and stated_failure(chunk) is not None


def _failure(payload: object, data: bytes) -> Failure:
    """Return the failure of an error event: an object with ``error``, or a flat one, whose type may be generic."""
    if isinstance(payload, dict):
        empty: tuple[object, ...] = (None, "", {}, [])
        payload = {name: value for name, value in payload.items() if value not in empty and name != "sequence_number"}
        if payload.get("type") in _ERRORS:
            del payload["type"]
    return failure_from_payload(payload or "", raw=data)


# Usage


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read a usage object. Cached and reasoning tokens are included in the two totals."""
    return Usage(
        input_tokens=json_access.number(payload, "input_tokens"),
        output_tokens=json_access.number(payload, "output_tokens"),
        cache_read_tokens=json_access.number(payload, "input_tokens_details.cached_tokens"),
        cache_write_tokens=json_access.number(payload, "input_tokens_details.cache_write_tokens"),
        reasoning_tokens=json_access.number(payload, "output_tokens_details.reasoning_tokens"),
        raw=payload,
    )
