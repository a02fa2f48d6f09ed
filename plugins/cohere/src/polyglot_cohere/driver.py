"""Cohere's chat, version 2: the request is one JSON body, the response a series of typed events.

Sources: Cohere's API reference, pages "Chat" and "Chat with Streaming", its guides to reasoning, tools and citations,
and recorded exchanges for what these leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from polyglot_cohere.body import body_of
from polyglot_cohere.messages import PLAN
from polyglot_cohere.presets import PRESETS
from polyglot_core.plugin import (
    Citation,
    End,
    Failure,
    Finish,
    FinishReason,
    Logprobs,
    ReasoningDelta,
    ResponseStarted,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    failure_from_payload,
    hookimpl,
    json_access,
    json_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from polyglot_core.plugin import Chunk, Connection, Event, InferenceRequest, WireRequest, WireResponse

__all__ = ["decode_chunk", "decode_error", "encode_request", "extract_usage"]

_PATH = "/chat"


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as a chat."""
    base_url = connection.base_url or str(PRESETS["cohere"].base_url)
    body = body_of(request, connection.driver)
    return json_request(f"{base_url.rstrip('/')}{_PATH}", body, stream=request.stream, complete_on="end")


# The response: only the fields that are read


class _Content(Struct, gc=False):
    text: str | None = None
    thinking: str | None = None


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(Struct, gc=False):
    id: str | None = None
    function: _Function | None = None


class _Message(Struct, gc=False):
    # A whole message has lists where an event has a single object.
    content: list[_Content] | _Content | None = None
    tool_plan: str | None = None
    tool_calls: list[_ToolCall] | _ToolCall | None = None
    citations: Any = None


class _Delta(Struct, gc=False):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: Any = None
    error: Any = None
    error_type: Any = None


class _Event(Struct, gc=False):
    type: str | None = None
    index: Any = None
    id: Any = None
    delta: _Delta | None = None
    logprobs: Any = None
    message: Any = None
    error: Any = None


class _Response(Struct, gc=False):
    message: _Message | str | None = None
    id: Any = None
    finish_reason: str | None = None
    usage: Any = None
    logprobs: Any = None
    error: Any = None
    error_type: Any = None


_decode = msgspec.json.Decoder(_Event).decode
_decode_whole = msgspec.json.Decoder(_Response).decode

_DONE = b"[DONE]"
_PLAN_BLOCK = 0
"""Block of the plan; the blocks of the content follow it."""

_REASONS = {
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
    "ERROR": FinishReason.ERROR,
    "ERROR_TOXIC": FinishReason.CONTENT_FILTER,
    "ERROR_LIMIT": FinishReason.ERROR,
    "TIMEOUT": FinishReason.ERROR,
}
_FAILURES = {
    "ERROR": "The model failed.",
    "ERROR_TOXIC": "The response was withheld as toxic.",
    "ERROR_LIMIT": "The request is longer than the model's context.",
    "TIMEOUT": "The model ran out of time.",
}
"""Messages of finish reasons that are failures, if the provider sends no message."""


@hookimpl
def decode_chunk(chunk: Chunk) -> Sequence[Event]:
    """Decode an event or a whole response."""
    if chunk.kind == "whole":
        return list(_whole(_decode_whole(chunk.data), chunk.data))
    try:
        event = _decode(chunk.data)
    except msgspec.DecodeError:
        if chunk.data.strip() == _DONE:  # follows the end of the message, and holds nothing more
            return ()
        raise
    # Fast path: nearly every event is one piece of text, and nothing else.
    if event.type == "content-delta" and event.logprobs is None and event.delta is not None:
        message = event.delta.message
        if message is not None and type(message.content) is _Content:
            text = message.content.text
            if text and type(event.index) is int:
                return (TextDelta(text, block=event.index + 1),)
    return list(_events(event, chunk.data))


def _events(event: _Event, data: bytes) -> Iterator[Event]:
    delta = event.delta or _Delta()
    read = _READERS.get(event.type or "")
    if read is not None:
        yield from read(event, delta.message or _Message())
    elif event.type == "message-end":
        yield from _ending(delta, data)
    elif event.error:  # core recognizes an object that is only a message
        yield _failure(msgspec.json.decode(data), data)
    if isinstance(event.logprobs, dict):
        yield Logprobs(event.logprobs, block=_block(event.index))


def _started(event: _Event, message: _Message) -> Iterator[Event]:
    if event.id and isinstance(event.id, str):
        yield ResponseStarted(id=event.id)
    yield from _plan(event, message)


def _plan(_event: _Event, message: _Message) -> Iterator[Event]:
    if message.tool_plan:
        yield ReasoningDelta(message.tool_plan, id=PLAN, block=_PLAN_BLOCK)


def _content(event: _Event, message: _Message) -> Iterator[Event]:
    for content in _as_list(message.content):
        yield from _piece(content, _block(event.index))


def _piece(content: _Content, block: int) -> Iterator[Event]:
    if content.thinking:
        yield ReasoningDelta(content.thinking, block=block)
    if content.text is not None:
        yield TextDelta(content.text, block=block)


def _call(event: _Event, message: _Message) -> Iterator[Event]:
    for call in _as_list(message.tool_calls):
        yield from _call_events(call, event.index, complete=False)


def _call_events(call: _ToolCall, index: object, *, complete: bool) -> Iterator[Event]:
    function = call.function or _Function()
    number = index if isinstance(index, int) else None
    if call.id or function.name or function.arguments:
        yield ToolCallDelta(number, call.id or None, function.name or None, function.arguments or "", complete)


def _call_ends(event: _Event, _message: _Message) -> Iterator[Event]:
    if isinstance(event.index, int):
        yield ToolCallDelta(event.index, complete=True)


def _citation(event: _Event, message: _Message) -> Iterator[Event]:
    for citation in _as_list(message.citations):
        if isinstance(citation, dict):
            yield Citation(citation, block=_block(event.index))


_READERS: dict[str, Callable[[_Event, _Message], Iterator[Event]]] = {
    "message-start": _started,
    "content-start": _content,
    "content-delta": _content,
    "tool-plan-delta": _plan,
    "tool-call-start": _call,
    "tool-call-delta": _call,
    "tool-call-end": _call_ends,
    "citation-start": _citation,
}


def _whole(response: _Response, data: bytes) -> Iterator[Event]:
    if response.error or isinstance(response.message, str):
        yield _failure(msgspec.json.decode(data), data)
        return
    message = response.message or _Message()
    yield from _started(_Event(id=response.id), message)
    for index, content in enumerate(_as_list(message.content)):
        yield from _piece(content, _block(index))
    for index, call in enumerate(_as_list(message.tool_calls)):
        yield from _call_events(call, index, complete=True)
    for citation in _as_list(message.citations):
        if isinstance(citation, dict):
            yield Citation(citation, block=_block(citation.get("content_index")))
    for logprobs in _as_list(response.logprobs):
        if isinstance(logprobs, dict):
            yield Logprobs(logprobs)
    if response.finish_reason:
        yield from _ending(
            _Delta(finish_reason=response.finish_reason, usage=response.usage, error_type=response.error_type), data
        )


def _ending(delta: _Delta, data: bytes) -> Iterator[Event]:
    """Yield usage and the finish reason, or a failure if the reason is one."""
    if isinstance(delta.usage, dict) and delta.usage:
        yield UsageReport(delta.usage)
    raw = delta.finish_reason
    if raw:
        yield Finish(_REASONS.get(raw, FinishReason.OTHER), raw)
    if delta.error or raw in _FAILURES:
        message = delta.error if isinstance(delta.error, str) else _FAILURES.get(raw or "", "")
        code = delta.error_type if isinstance(delta.error_type, str) and delta.error_type else raw
        yield Failure(message, type=code, raw=data)
    else:
        yield End()


def _block(index: object) -> int:
    return index + 1 if isinstance(index, int) else 1


def _as_list(value: Any) -> list[Any]:  # noqa: ANN401 (one thing, several, or none)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


# Usage and errors


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read the tokens of a usage object. The billed units, which are fewer, stay in `raw`."""
    return Usage(
        input_tokens=json_access.number(payload, "tokens.input_tokens"),
        output_tokens=json_access.number(payload, "tokens.output_tokens"),
        cache_read_tokens=json_access.number(payload, "cached_tokens"),
        reasoning_tokens=json_access.number(payload, "tokens.reasoning_tokens"),
        raw=payload,
    )


@hookimpl
def decode_error(response: WireResponse) -> Failure | None:
    """Read the id of an error next to its message. Return None if the body is no such object."""
    payload = json_access.parse(response.body)
    kind = json_access.get(payload, "error_type")
    return _failure(payload, response.body, response.status) if isinstance(kind, str) else None


def _failure(payload: object, raw: bytes, status: int | None = None) -> Failure:
    kind = json_access.get(payload, "error_type")
    failure = failure_from_payload(payload, status=status, raw=raw)
    return msgspec.structs.replace(failure, type=kind) if isinstance(kind, str) else failure
