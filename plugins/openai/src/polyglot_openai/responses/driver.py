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
    Citation,
    End,
    Failure,
    Finish,
    FinishReason,
    ResponseStarted,
    TextDelta,
    Usage,
    UsageReport,
    failure_from_payload,
    hookimpl,
    json_access,
    json_request,
    read_facts,
)
from polyglot_openai.responses.facts import Facts
from polyglot_openai.responses.items import (
    ARGUMENTS,
    REFUSAL,
    SUMMARY,
    TEXT,
    THOUGHT,
    Reading,
    item_events,
    new_logprobs,
    remaining_items,
    started_item,
)
from polyglot_openai.responses.presets import PRESETS
from polyglot_openai.responses.request import request_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from polyglot_core.plugin import Chunk, Connection, Event, InferenceRequest, WireRequest

__all__ = ["decode_chunk", "encode_request", "encode_resume", "extract_usage"]


# The request


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode a request that creates a response."""
    facts = read_facts(connection, Facts)
    base_url = connection.base_url or PRESETS["openai-responses"].base_url or ""
    query = f"?{urlencode(facts.query)}" if facts.query else ""
    return json_request(
        f"{base_url.rstrip('/')}/responses{query}",
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


# The response: only the fields that are read


class _Event(Struct, gc=False):
    type: str | None = None
    delta: Any = None
    output_index: int | None = None
    item_id: str | None = None
    content_index: int | None = None
    summary_index: int | None = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    input: Any = None
    logprobs: Any = None
    sequence_number: int | None = None
    annotation: Any = None
    item: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()
    error: Any = None


class _Response(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[msgspec.Raw] | None = None
    usage: dict[str, Any] | None = None
    incomplete_details: dict[str, Any] | None = None
    error: Any = None


class _Names(Struct, gc=False):
    id: str | None = None
    model: str | None = None


_decode = msgspec.json.Decoder(_Event).decode
_decode_response = msgspec.json.Decoder(_Response).decode
_decode_response_or_null = msgspec.json.Decoder(_Response | None).decode
_decode_names = msgspec.json.Decoder(_Names).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode

_TEXT_DELTA = "response.output_text.delta"
_DONE = b"[DONE]"


@hookimpl
def decode_chunk(connection: Connection, state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode an event or a whole response.

    `state` holds the `Reading`, which records what was emitted of the response.
    """
    reading: Reading | None = state.get("reading")
    if reading is None:
        reading = state["reading"] = Reading(read_facts(connection, Facts).own_calls)
    if chunk.kind == "whole":
        return list(_whole(chunk.data, reading))
    try:
        event = _decode(chunk.data)
    except msgspec.DecodeError:
        if chunk.data.strip() == _DONE:  # some gateways append it after the event that ends the stream
            return ()
        raise
    kind = event.type or chunk.event
    reading.sequence_number = event.sequence_number
    # Fast path: nearly every chunk holds one piece of text, and nothing else.
    if kind == _TEXT_DELTA and event.delta and type(event.delta) is str and not event.logprobs:
        position = event.output_index
        if position is None:
            position = reading.position(None, event.item_id)
        reading.emitted.add((TEXT, position, event.content_index or 0))
        return (TextDelta(event.delta, 0, position),)
    if kind == "error" or event.error:
        return (_failure(chunk.data),)
    read = _READERS.get(kind or "")
    return () if read is None else list(read(event, reading))


# Events

_LAST_STATUSES = frozenset({"completed", "incomplete", "failed", "cancelled"})


def _delta_of(kind: str) -> Callable[[_Event, Reading], Iterator[Event]]:
    """Return a reader of the delta events of a kind of text."""

    def read(event: _Event, reading: Reading) -> Iterator[Event]:
        position = reading.position(event.output_index, event.item_id)
        if isinstance(event.delta, str):
            yield from reading.emit(kind, position, _part(event, kind), event.delta)
        yield from new_logprobs(event.logprobs, position)

    return read


def _whole_of(kind: str) -> Callable[[_Event, Reading], Iterator[Event]]:
    """Return a reader of the events that repeat a whole text."""

    def read(event: _Event, reading: Reading) -> Iterator[Event]:
        position = reading.position(event.output_index, event.item_id)
        text = event.text or event.refusal or event.arguments or event.input
        if isinstance(text, str):
            yield from reading.emit_whole(kind, position, _part(event, kind), text)

    return read


def _part(event: _Event, kind: str) -> int:
    return (event.summary_index if kind == SUMMARY else event.content_index) or 0


def _created(event: _Event, reading: Reading) -> Iterator[Event]:
    names = _decode_names(event.response) if event.response else _Names()
    if names.id or names.model:
        reading.response_id = names.id
        yield ResponseStarted(names.id, names.model)


def _item_added(event: _Event, reading: Reading) -> Iterator[Event]:
    return started_item(event.item, event.output_index, reading)


def _item_done(event: _Event, reading: Reading) -> Iterator[Event]:
    return item_events(event.item, event.output_index, reading)


def _annotation(event: _Event, reading: Reading) -> Iterator[Event]:
    position = reading.position(event.output_index, event.item_id)
    if isinstance(event.annotation, dict):
        reading.cited[position] += 1
        yield Citation(event.annotation, block=position)


def _ended(event: _Event, reading: Reading) -> Iterator[Event]:
    response = (_decode_response_or_null(event.response) if event.response else None) or _Response()
    if response.status not in _LAST_STATUSES:  # missing, or not updated
        response.status = (event.type or "").removeprefix("response.")
    return _closing(response, reading)


_READERS: dict[str, Callable[[_Event, Reading], Iterator[Event]]] = {
    "response.created": _created,
    "response.output_item.added": _item_added,
    "response.output_item.done": _item_done,
    _TEXT_DELTA: _delta_of(TEXT),
    "response.output_text.done": _whole_of(TEXT),
    "response.output_text.annotation.added": _annotation,
    "response.refusal.delta": _delta_of(REFUSAL),
    "response.refusal.done": _whole_of(REFUSAL),
    "response.reasoning_summary_text.delta": _delta_of(SUMMARY),
    "response.reasoning_summary_text.done": _whole_of(SUMMARY),
    "response.reasoning_text.delta": _delta_of(THOUGHT),
    "response.reasoning_text.done": _whole_of(THOUGHT),
    "response.function_call_arguments.delta": _delta_of(ARGUMENTS),
    "response.function_call_arguments.done": _whole_of(ARGUMENTS),
    "response.custom_tool_call_input.delta": _delta_of(ARGUMENTS),
    "response.custom_tool_call_input.done": _whole_of(ARGUMENTS),
    "response.completed": _ended,
    "response.incomplete": _ended,
    "response.failed": _ended,
    "response.cancelled": _ended,
}
"""Readers by type of event. The other types report the progress of a provider's tool; its finished item has it all."""


# The end

_REASONS = {
    "completed": FinishReason.STOP,
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "queued": FinishReason.UNKNOWN,
    "in_progress": FinishReason.UNKNOWN,
}
"""By status or, with the status ``incomplete``, by its reason."""


def _whole(data: bytes, reading: Reading) -> Iterator[Event]:
    response = _decode_response(data)
    if response.status is None and (response.error or response.output is None):  # an error body rather than a response
        return iter((_failure(data),))
    return _closing(response, reading)


def _closing(response: _Response, reading: Reading) -> Iterator[Event]:
    """Yield the events of the last or only response object: what was not emitted yet, the usage, and the end."""
    if response.id or response.model:
        yield ResponseStarted(response.id, response.model)
    yield from remaining_items(response.output or (), reading)
    if response.usage:
        yield UsageReport(response.usage)
    if response.status == "failed" or response.error:
        yield failure_from_payload({"error": response.error}) if response.error else Failure("")
        return
    status = response.status or "completed"
    raw = str((response.incomplete_details or {}).get("reason") or status) if status == "incomplete" else status
    yield Finish(_REASONS.get(raw, FinishReason.OTHER), raw)
    yield End()


def _failure(data: bytes) -> Failure:
    """Return the failure of an error event: an object with ``error``, or a flat one. Its type is generic."""
    return failure_from_payload({**_decode_object(data), "type": None}, raw=data)


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
