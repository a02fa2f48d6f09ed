"""Mistral's chat completions: akin to OpenAI's, with thinking and sources as parts of the content.

Sources: Mistral's API reference, pages "Chat Completion" and "Agents Completion", its guides to reasoning, documents
and citations, and recorded exchanges for what these leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from polyglot_core.plugin import (
    Citation,
    End,
    Finish,
    FinishReason,
    ReasoningDelta,
    ResponseStarted,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    failure_from_payload,
    hookimpl,
    json_access,
    json_request,
)
from polyglot_mistral.body import body_of
from polyglot_mistral.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_core.plugin import Chunk, Connection, Event, InferenceRequest, WireRequest

__all__ = ["decode_chunk", "encode_prefill", "encode_request", "extract_usage"]

_PATH = "/chat/completions"
_AGENT_PATH = "/agents/completions"


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as a chat completion, or as an agent's if `extra` has an ``agent_id``."""
    return _wire(connection, request, body_of(request, connection.driver))


@hookimpl
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:
    """Encode a request that continues the assistant's last turn, which is marked as a prefix.

    Source: Mistral's API reference, the field ``prefix`` of an assistant's message.
    """
    body = body_of(request, connection.driver)
    begun = {"role": "assistant", "content": text, "prefix": True}
    return _wire(connection, request, {**body, "messages": [*body["messages"], begun]})


def _wire(connection: Connection, request: InferenceRequest, body: dict[str, Any]) -> WireRequest:
    base_url = connection.base_url or str(PRESETS["mistral"].base_url)
    path = _AGENT_PATH if "agent_id" in request.extra else _PATH
    # recorded responses end with a block without its blank line
    return json_request(f"{base_url.rstrip('/')}{path}", body, stream=request.stream, flush_at_eof=True)


# The response: only the fields that are read


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: Any = None


class _ToolCall(Struct, gc=False):
    id: Any = None
    index: Any = None
    function: _Function | None = None


class _Message(Struct, gc=False):
    content: str | list[Any] | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct, gc=False):
    index: int | None = 0
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None


class _Completion(Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Any = None
    id: Any = None
    model: Any = None
    object: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Completion).decode

_DONE = b"[DONE]"
_END = (End(),)

_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "error": FinishReason.ERROR,
}
_NO_ID = frozenset({"", "null"})
"""Values that mean no id: some models write the word."""


@hookimpl
def decode_chunk(state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode a chunk or a whole completion. `state` records whether id and model were emitted."""
    try:
        completion = _decode(chunk.data)
    except msgspec.DecodeError:
        if chunk.data.strip() == _DONE:
            return _END
        raise
    choices = completion.choices
    # Fast path: nearly every chunk is one piece of text of one choice, and nothing else.
    if choices is not None and len(choices) == 1 and completion.usage is None and "named" in state:
        choice = choices[0]
        message = choice.delta
        if message is not None and not choice.finish_reason and not message.tool_calls and not completion.error:
            text = message.content
            if type(text) is str:
                return (TextDelta(text, choice.index or 0),)
    return list(_events(completion, chunk, state))


def _events(completion: _Completion, chunk: Chunk, state: dict[str, Any]) -> Iterator[Event]:
    if completion.error or completion.object == "error":
        payload = msgspec.json.decode(chunk.data)
        yield failure_from_payload(payload, status=json_access.number(payload, "raw_status_code"), raw=chunk.data)
        return
    if "named" not in state:
        names = [name if isinstance(name, str) and name else None for name in (completion.id, completion.model)]
        if any(names):
            state["named"] = True
            yield ResponseStarted(id=names[0], model=names[1])
    for choice in completion.choices or ():
        yield from _choice_events(choice, whole=chunk.kind == "whole")
    if completion.usage and isinstance(completion.usage, dict):
        yield UsageReport(completion.usage)


def _choice_events(choice: _Choice, *, whole: bool) -> Iterator[Event]:
    index = choice.index or 0
    message = choice.message if whole else choice.delta
    if message is not None:
        yield from _content(message.content, index)
        for number, call in enumerate(message.tool_calls or ()):
            yield from _tool_call(call, number if whole else call.index, index, whole=whole)
    if choice.finish_reason:
        reason = _REASONS.get(choice.finish_reason, FinishReason.OTHER)
        yield Finish(reason, choice.finish_reason, index)


# Content


def _content(content: str | list[Any] | None, choice: int) -> Iterator[Event]:
    if isinstance(content, str):
        yield TextDelta(content, choice)
    elif content is not None:
        for part in json_access.objects(content):
            yield from _part(part, choice)


def _part(part: dict[str, Any], choice: int) -> Iterator[Event]:
    """Yield the events of a part: text, thinking with parts of its own, sources, or the output of a provider's tool."""
    kind = _string(part.get("type"))
    if kind == "text":
        yield TextDelta(_string(part.get("text")), choice)
    elif kind == "thinking":
        for inner in json_access.objects(part.get("thinking")):
            if _string(inner.get("type")) in {"", "text"}:
                yield ReasoningDelta(_string(inner.get("text")), choice=choice)
            else:
                yield from _part(inner, choice)
    elif kind in {"reference", "tool_reference"}:
        yield Citation(part, choice)
    elif kind in {"image_url", "document_url", "file", "tool_file"}:
        yield ServerToolEvent(kind, part, choice)


def _tool_call(call: _ToolCall, index: object, choice: int, *, whole: bool) -> Iterator[ToolCallDelta]:
    """Yield a tool call, which the provider's own models send in one piece; nothing for a placeholder."""
    function = call.function or _Function()
    arguments = json_access.text(function.arguments)
    call_id = call.id if isinstance(call.id, str) and call.id not in _NO_ID else None
    if call_id or function.name or arguments:
        number = index if isinstance(index, int) else None
        yield ToolCallDelta(number, call_id, function.name or None, arguments, whole, choice)


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


# Usage


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read a usage object. A value that is not a number counts as unknown.

    Audio tokens are added to the prompt's if the total proves that they are counted apart.
    """
    prompt, completion, total = (
        json_access.number(payload, f"{name}_tokens") for name in ("prompt", "completion", "total")
    )
    sound = _prompt_detail(payload, "audio_tokens")
    if sound and prompt is not None and total == prompt + sound + (completion or 0):
        prompt += sound
    cached = _prompt_detail(payload, "cached_tokens")
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=json_access.number(payload, "num_cached_tokens") if cached is None else cached,
        reasoning_tokens=json_access.number(payload, "completion_tokens_details.reasoning_tokens"),
        raw=payload,
    )


def _prompt_detail(payload: Mapping[str, Any], name: str) -> int | None:
    return json_access.number(payload, f"prompt_tokens_details.{name}", f"prompt_token_details.{name}")
