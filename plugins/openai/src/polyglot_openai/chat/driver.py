"""Chat completions: the request is a JSON body, the response a series of JSON chunks over server-sent events.

Sources: OpenAI's API reference, pages "Create chat completion" and "The chat completion chunk object"; the references
of the providers whose endpoints speak the same dialect; recorded exchanges for what the pages leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    Logprobs,
    ResponseStarted,
    TextDelta,
    UsageReport,
    failure_from_payload,
    hookimpl,
    json_access,
    read_facts,
)
from polyglot_openai.chat.body import wire_request
from polyglot_openai.chat.deltas import content_events, is_text_only
from polyglot_openai.chat.facts import Facts
from polyglot_openai.chat.presets import PRESETS
from polyglot_openai.chat.usage import read_usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_core.plugin import Chunk, Connection, Event, InferenceRequest, Usage, WireRequest, WireResponse

__all__ = ["decode_chunk", "decode_error", "encode_prefill", "encode_request", "extract_usage"]

_BASE_URL = PRESETS["openai"].base_url or ""
"""Base URL of a connection that names the driver only."""


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as a chat completion. A streamed request asks for a usage report."""
    facts = read_facts(connection, Facts)
    return wire_request(connection, request, facts, connection.base_url or _BASE_URL)


@hookimpl
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:
    """Encode a request that continues the partial response as the assistant's last message.

    Raises:
        RequestError: The endpoint does not support it, or the preset does not state how it is requested.
    """
    marks = read_facts(connection, Facts).prefill
    if marks is None:
        raise RequestError(
            f"Connection {connection.name!r} has no fact 'prefill', which states how a request makes the model "
            "continue a partial response. Add it to the facts if the endpoint supports it, or use resume='restart' or "
            "None."
        )
    prefilled = request.with_prefill(text, **marks.get("message", {}))
    return encode_request(connection, replace(prefilled, extra={**marks.get("body", {}), **prefilled.extra}))


# The response: only the fields that are read


class _Choice(Struct, gc=False):
    # Deltas and messages stay dicts: their fields differ between endpoints, and len() detects a delta with text only.
    index: int | None = 0
    delta: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    error: Any = None


class _Completion(Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


class _Names(Struct, gc=False):
    id: Any = None
    model: Any = None


_decode = msgspec.json.Decoder(_Completion).decode
_decode_names = msgspec.json.Decoder(_Names).decode
_decode_any = msgspec.json.Decoder().decode

_DONE = b"[DONE]"
_END = (End(),)

_WORDS = {
    FinishReason.STOP: ("stop", "eos", "end_turn", "stop_sequence", "complete", "completed"),
    FinishReason.LENGTH: ("length", "max_tokens", "max_output_tokens", "model_length"),
    FinishReason.TOOL_CALLS: ("tool_calls", "tool_call", "tool_use", "function_call"),
    FinishReason.CONTENT_FILTER: ("content_filter", "safety", "recitation", "sensitive"),
    FinishReason.REFUSAL: ("refusal",),
    FinishReason.ERROR: ("error", "network_error", "insufficient_system_resource", "malformed_function_call"),
}
_REASONS = {word: reason for reason, words in _WORDS.items() for word in words}
"""By the value of ``finish_reason``: those of the API reference, and those that other endpoints use instead."""


@hookimpl
def decode_chunk(connection: Connection, state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode a chunk or a whole completion.

    `state` holds the facts of the connection, whether id and model have been received (they are searched for only until
    then), and the number of sources next to the choices that were emitted.
    """
    try:
        completion = _decode(chunk.data)
    except msgspec.DecodeError:
        if chunk.data.strip() == _DONE:
            return _END
        raise
    choices = completion.choices
    # Fast path: nearly every chunk holds one piece of text of one choice, and nothing else.
    if choices is not None and len(choices) == 1 and completion.usage is None and "named" in state:
        choice = choices[0]
        delta = choice.delta
        if delta is not None and choice.finish_reason is None and not (choice.logprobs or completion.error):
            text = delta.get("content")
            if type(text) is str and (len(delta) == 1 or is_text_only(delta)):
                return (TextDelta(text, choice.index or 0),)
    if "facts" not in state:
        state["facts"] = read_facts(connection, Facts)
    return list(_events(completion, chunk, state, state["facts"]))


def _events(completion: _Completion, chunk: Chunk, state: dict[str, Any], facts: Facts) -> Iterator[Event]:
    if completion.error:
        yield failure_from_payload(_decode_any(chunk.data), raw=chunk.data)
        return
    if "named" not in state:
        yield from _names(chunk.data, state)
    for choice in completion.choices or ():
        yield from _choice_events(choice, chunk, facts)
    usage = completion.usage
    if facts.citations_at or facts.error_at or facts.usage_at:
        payload = _decode_any(chunk.data)
        yield from _outside_choices(payload, chunk, state, facts)
        usage = usage or next((found for path in facts.usage_at if (found := json_access.get(payload, path))), None)
    if usage and isinstance(usage, dict):
        yield UsageReport(usage)


def _names(data: bytes, state: dict[str, Any]) -> Iterator[Event]:
    """Yield id and model until both have been received; some servers leave them empty in the first chunk."""
    names = _decode_names(data)
    response_id, model = (value if isinstance(value, str) else None for value in (names.id, names.model))
    seen = state["id"], state["model"] = response_id or state.get("id"), model or state.get("model")
    if all(seen):
        state["named"] = True
    if response_id or model:
        yield ResponseStarted(response_id, model)


def _choice_events(choice: _Choice, chunk: Chunk, facts: Facts) -> Iterator[Event]:
    index, whole = choice.index or 0, chunk.kind == "whole"
    # A chunk may hold a delta and also the message so far; a whole completion has only the message.
    message = choice.message if whole else choice.delta
    if message is not None:
        yield from content_events(message, index, facts, whole=whole)
    if isinstance(choice.logprobs, dict):
        yield Logprobs(choice.logprobs, index)
    if choice.error:
        yield failure_from_payload({"error": choice.error}, raw=chunk.data)
    elif (status := facts.failed_on.get(choice.finish_reason or "")) is not None:
        yield Failure(
            f"The model stopped: {choice.finish_reason}.", choice.finish_reason, status=status, raw=chunk.data
        )
    elif choice.finish_reason:
        reason = _REASONS.get(choice.finish_reason.lower(), FinishReason.OTHER)
        yield Finish(reason, choice.finish_reason, index)


def _outside_choices(payload: object, chunk: Chunk, state: dict[str, Any], facts: Facts) -> Iterator[Event]:
    """Yield what an endpoint sends next to the choices: an error in an envelope of its own, and sources.

    The list of sources grows from chunk to chunk; only the new ones are emitted.
    """
    if (failure := _failure_at(payload, facts, chunk.data)) is not None:
        yield failure
        return
    found = next((value for path in facts.citations_at if (value := json_access.get(payload, path))), None)
    sources: list[Any] = found if isinstance(found, list) else []
    for source in sources[state.get("sources", 0) :]:
        yield Citation(source if isinstance(source, dict) else {"url": source})
    state["sources"] = max(len(sources), state.get("sources", 0))


# Usage and errors


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read a usage object."""
    return read_usage(payload)


@hookimpl
def decode_error(connection: Connection, response: WireResponse) -> Failure | None:
    """Read an error in the endpoint's own envelope. Return None for the usual shapes, which core reads."""
    facts = read_facts(connection, Facts)
    if facts.error_at is None:
        return None
    return _failure_at(json_access.parse(response.body), facts, response.body)


def _failure_at(payload: object, facts: Facts, raw: bytes) -> Failure | None:
    """Return the failure in an envelope of code and message, or None if the code is 0, which means success."""
    envelope = json_access.get(payload, facts.error_at) if facts.error_at else None
    if not isinstance(envelope, dict) or not envelope.get("status_code"):
        return None
    code = str(envelope["status_code"])
    return Failure(str(envelope.get("status_msg") or ""), code, status=facts.error_statuses.get(code), raw=raw)
