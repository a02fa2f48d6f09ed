"""Chat completions: what is asked as a JSON body, what comes as JSON chunks over server-sent events.

Sources: OpenAI's API reference, pages "Create chat completion" and "The chat completion chunk object"; recorded
exchanges for what the pages leave open.
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
    Logprobs,
    RefusalDelta,
    ResponseStarted,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    WireRequest,
    failure_from_payload,
    hookimpl,
)
from polyglot_openai.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_core.plugin import Chunk, Connection, Event, InferenceRequest, Tool

__all__ = ["decode_chunk", "encode_request", "extract_usage"]

# What is asked

_JSON_HEADERS = {"content-type": "application/json", "accept": "application/json"}
_STREAM_HEADERS = {"content-type": "application/json", "accept": "text/event-stream"}
_TOOL_CHOICES = frozenset({"auto", "required", "none"})


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Say the request as a chat completion; a stream is asked to report usage."""
    base_url = connection.base_url or PRESETS["openai"].base_url
    return WireRequest(
        url=f"{base_url.rstrip('/')}/chat/completions",
        body=msgspec.json.encode(_body(connection, request)),
        headers=_STREAM_HEADERS if request.stream else _JSON_HEADERS,
        framing="sse" if request.stream else "whole",
    )


def _body(connection: Connection, request: InferenceRequest) -> dict[str, Any]:
    body: dict[str, Any] = {"model": request.model, "messages": [turn.to_dict() for turn in request.messages]}
    body.update(_options(connection, request.options))
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.response_format is not None:
        body["response_format"] = request.response_format
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True, **(body.get("stream_options") or {})}
    else:
        body.pop("stream_options", None)
    return {**body, **request.extra}


def _options(connection: Connection, options: Mapping[str, Any]) -> dict[str, Any]:
    limit = connection.facts.get("token_limit", "max_tokens")
    return {limit if name == "max_tokens" else name: value for name, value in options.items()}


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _tool_choice(choice: str) -> str | dict[str, Any]:
    return choice if choice in _TOOL_CHOICES else {"type": "function", "function": {"name": choice}}


# What comes: only the fields that are read


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Custom(Struct, gc=False):
    name: str | None = None
    input: str | None = None


class _ToolCall(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None


class _Delta(Struct, gc=False):
    content: str | list[Any] | dict[str, Any] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None
    annotations: list[dict[str, Any]] | None = None


class _Choice(Struct, gc=False):
    index: int | None = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _Completion(Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class _Names(Struct, gc=False):
    id: str | None = None
    model: str | None = None


_decode = msgspec.json.Decoder(_Completion).decode
_decode_names = msgspec.json.Decoder(_Names).decode
_decode_any = msgspec.json.Decoder().decode
_encode_json = msgspec.json.encode

_DONE = b"[DONE]"
_END = (End(),)

_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
"""The words of the API reference."""

_EMPTY_DELTA = _Delta()


@hookimpl
def decode_chunk(state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    """Say what a chunk or a whole completion means.

    `state` remembers whether id and model have been seen, so that they are looked for only until then.
    """
    try:
        completion = _decode(chunk.data)
    except msgspec.DecodeError:
        if chunk.data.strip() == _DONE:
            return _END
        raise
    choices = completion.choices
    # Nearly every chunk is one piece of text of one choice, and nothing else.
    if choices is not None and len(choices) == 1 and completion.usage is None and "named" in state:
        choice = choices[0]
        delta = choice.delta
        if delta is not None and type(text := delta.content) is str and choice.finish_reason is None:
            others = delta.tool_calls or delta.refusal or choice.logprobs or delta.annotations or delta.function_call
            if not others:
                return (TextDelta(text, choice.index or 0),)
    return list(_events(completion, chunk, state))


def _events(completion: _Completion, chunk: Chunk, state: dict[str, Any]) -> Iterator[Event]:
    if completion.error:
        yield failure_from_payload(_decode_any(chunk.data), raw=chunk.data)
        return
    if "named" not in state:
        yield from _names(chunk.data, state)
    for choice in completion.choices or ():
        # A part may carry a delta and, beside it, the message so far; a whole completion has only the message.
        said = choice.message if chunk.kind == "whole" else choice.delta
        yield from _content(said or _EMPTY_DELTA, choice, whole=chunk.kind == "whole")
        if choice.finish_reason:
            reason = _REASONS.get(choice.finish_reason, FinishReason.OTHER)
            yield Finish(reason, choice.finish_reason, choice.index or 0)
    if completion.usage:
        yield UsageReport(completion.usage)


def _names(data: bytes, state: dict[str, Any]) -> Iterator[Event]:
    """Id and model, until both have been seen; some servers leave them empty on the first chunk."""
    names = _decode_names(data)
    seen = state["id"], state["model"] = names.id or state.get("id"), names.model or state.get("model")
    if all(seen):
        state["named"] = True
    if names.id or names.model:
        yield ResponseStarted(names.id, names.model)


def _content(said: _Delta, choice: _Choice, *, whole: bool) -> Iterator[Event]:
    index = choice.index or 0
    if said.content is not None:
        yield TextDelta(_as_text(said.content), index)
    if said.refusal:
        yield RefusalDelta(said.refusal, index)
    for number, call in enumerate(said.tool_calls or ()):
        if (delta := _tool_call_delta(call, number if whole else call.index, index, whole=whole)) is not None:
            yield delta
    if said.function_call is not None:  # the older form of a single call
        legacy = _ToolCall(function=said.function_call)
        if (delta := _tool_call_delta(legacy, 0, index, whole=whole)) is not None:
            yield delta
    for annotation in said.annotations or ():
        yield Citation(annotation, index)
    if choice.logprobs:
        yield Logprobs(choice.logprobs, index)


def _as_text(content: str | list[Any] | dict[str, Any]) -> str:
    """Text as it is; text parts joined; any other JSON value as JSON."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return _encode_json(content).decode()


def _tool_call_delta(call: _ToolCall, number: int | None, choice: int, *, whole: bool) -> ToolCallDelta | None:
    """A piece of a call; None for a placeholder that names nothing."""
    function = call.function or _Function()
    if call.custom is not None:
        function = _Function(call.custom.name, call.custom.input)
    arguments = function.arguments
    text = _encode_json(arguments).decode() if isinstance(arguments, dict) else arguments or ""
    if not (call.id or function.name or text):
        return None
    return ToolCallDelta(number, call.id or None, function.name or None, text, whole, choice)


# What it cost


class _Details(Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


_NO_DETAILS = _Details()


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read a usage object; cached and reasoning tokens are inside the two totals."""
    usage = msgspec.convert(payload, _Usage)
    prompt = usage.prompt_tokens_details or _NO_DETAILS
    completion = usage.completion_tokens_details or _NO_DETAILS
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=prompt.cached_tokens,
        cache_write_tokens=prompt.cache_write_tokens,
        reasoning_tokens=completion.reasoning_tokens,
        raw=payload,
    )
