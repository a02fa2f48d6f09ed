"""Ollama's own chat: the request is one JSON body, the response one JSON object per line.

Sources: Ollama's API reference, page "Generate a chat message"; the types of its public SDK; and recorded exchanges for
what these leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from polyglot_core.plugin import (
    End,
    Finish,
    FinishReason,
    Logprobs,
    MediaDelta,
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
from polyglot_ollama.encoding import body_of
from polyglot_ollama.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_core.plugin import Chunk, Connection, Event, InferenceRequest, WireRequest

__all__ = ["decode_chunk", "encode_prefill", "encode_request", "extract_usage"]

_PATH = "/api/chat"


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as a chat."""
    base_url = connection.base_url or str(PRESETS["ollama"].base_url)
    return json_request(
        f"{base_url.rstrip('/')}{_PATH}",
        {**body_of(request, connection.driver), **request.extra},
        stream=request.stream,
        framing="ndjson",
        complete_on="end",
        think_tags=connection.facts.get("think_tags"),
    )


@hookimpl
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:
    """Encode a request that continues the assistant's last turn, which is left open."""
    return encode_request(connection, request.with_prefill(text))


# The response: only the fields that are read


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: Any = None


class _ToolCall(Struct, gc=False):
    id: str | None = None
    function: _Function | None = None


class _Message(Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None
    images: list[bytes] | None = None


class _Line(Struct, gc=False):
    message: _Message | None = None
    done: bool | None = None
    done_reason: str | None = None
    logprobs: list[Any] | None = None
    error: Any = None
    model: str | None = None


_decode = msgspec.json.Decoder(_Line).decode

_REASONS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
_COUNTS = frozenset({"prompt_eval_count", "eval_count"})
_TIMES = frozenset({"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"})
_IMAGE_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


@hookimpl
def decode_chunk(state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode a line or a whole response. `state` records whether the model's name was emitted."""
    line = _decode(chunk.data)
    message = line.message
    # Fast path: nearly every line is one piece of text, and nothing else.
    if message is not None and message.content and not line.done and "named" in state:
        others = message.thinking or message.tool_calls or message.images or line.logprobs or line.error
        if not others:
            return (TextDelta(message.content),)
    return list(_events(line, chunk, state))


def _events(line: _Line, chunk: Chunk, state: dict[str, Any]) -> Iterator[Event]:
    if line.error:
        yield failure_from_payload(msgspec.json.decode(chunk.data), raw=chunk.data)
        return
    if line.model and "named" not in state:
        state["named"] = True
        yield ResponseStarted(model=line.model)
    if line.message is not None:
        yield from _content(line.message)
    if line.logprobs:
        yield Logprobs({"logprobs": line.logprobs})
    if line.done:
        yield from _ending(line, chunk)


def _content(message: _Message) -> Iterator[Event]:
    if message.thinking:
        yield ReasoningDelta(message.thinking)
    if message.content is not None:
        yield TextDelta(message.content)
    for call in message.tool_calls or ():
        if call.function is not None:  # its index is ignored: servers number every tool call 0
            text = json_access.text(call.function.arguments or None)
            yield ToolCallDelta(None, call.id or None, call.function.name, text, complete=True)
    for image in message.images or ():
        kind = next((kind for start, kind in _IMAGE_TYPES.items() if image.startswith(start)), None)
        yield MediaDelta(kind or "application/octet-stream", image)


def _ending(line: _Line, chunk: Chunk) -> Iterator[Event]:
    measures = {name: value for name, value in msgspec.json.decode(chunk.data).items() if name in _COUNTS | _TIMES}
    if not _COUNTS.isdisjoint(measures):
        yield UsageReport(measures)
    if line.done_reason:
        yield Finish(_REASONS.get(line.done_reason, FinishReason.OTHER), line.done_reason)
    yield End()


# Usage


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read the token counts of the last line; its times in nanoseconds stay in `raw`."""
    return Usage(
        input_tokens=json_access.number(payload, "prompt_eval_count"),
        output_tokens=json_access.number(payload, "eval_count"),
        raw=payload,
    )
