"""OpenAI chat completions: encodes a reply as chunks of a stream or as one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from polyglot_core.plugin import Usage
from polyglot_simulator.contents import arguments_json, interleaved, texts, tokens, usage_of
from polyglot_simulator.contract import Dialect, Problem
from polyglot_simulator.steps import Send

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_simulator.contract import Turn
    from polyglot_simulator.reply import Reply, ToolCall

__all__ = ["OpenAIChat", "openai_models"]

_JSONObject = dict[str, Any]

_CREATED = 1_700_000_000  # the same in every response, so that two runs give equal bytes
_MOST_CHOICES = 128
_KINDS = {401: ("authentication_error", "invalid_api_key"), 429: ("rate_limit_error", "rate_limit_exceeded")}


class OpenAIChat(Dialect):
    """The dialect of ``POST /v1/chat/completions``."""

    stream_headers: tuple[tuple[str, str], ...] = (
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache"),
    )

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if not isinstance(body, dict):
            return Problem(400, "The body of the request is not a JSON object.")
        fields = cast("_JSONObject", body)
        messages, count = fields.get("messages"), fields.get("n") or 1
        if messages is None:
            return Problem(400, "Missing required parameter: 'messages'.", "missing_required_parameter", "messages")
        if not isinstance(messages, list) or not messages:
            return Problem(400, "'messages' must be an array with at least one message.", "invalid_type", "messages")
        if not isinstance(count, int) or not 0 < count <= _MOST_CHOICES:
            return Problem(400, f"'n' must be an integer from 1 to {_MOST_CHOICES}.", "invalid_value", "n")
        return None

    def wants_stream(self, body: Mapping[str, Any]) -> bool:
        """Return True if the body has ``"stream": true``."""
        return body.get("stream") is True

    def stream(self, turn: Turn) -> Iterator[Send]:
        """Yield a role chunk, the content and the finish of each choice; the usage if requested; then ``[DONE]``."""
        chunk: _JSONObject = {**_heading(turn, "chat.completion.chunk"), "choices": []}
        options: Mapping[str, Any] = turn.body.get("stream_options") or {}
        reports_usage = options.get("include_usage") is True
        if reports_usage:
            chunk["usage"] = None
        for index, step in interleaved(_deltas(reply, turn) for reply in _choices(turn)):
            choice = {"index": index, "delta": step.delta, "logprobs": None, "finish_reason": step.finish}
            yield Send(_event({**chunk, "choices": [choice]}), token=step.token)
        usage = _usage(turn)
        if reports_usage and usage is not None:
            yield Send(_event({**chunk, "usage": usage}))
        yield Send(b"data: [DONE]\n\n")

    def whole(self, turn: Turn) -> bytes:
        """Return one ``chat.completion`` object."""
        choices = [
            {"index": index, "message": _message(reply, turn), "logprobs": None, "finish_reason": _finish(reply)}
            for index, reply in enumerate(_choices(turn))
        ]
        body = {**_heading(turn, "chat.completion"), "choices": choices}
        usage = _usage(turn)
        return msgspec.json.encode(body if usage is None else {**body, "usage": usage})

    def error(self, problem: Problem) -> bytes:
        """Return an object with the single field ``error``."""
        usual_kind = "server_error" if problem.status >= 500 else "invalid_request_error"
        kind, code = _KINDS.get(problem.status, (usual_kind, None))
        error = {"message": problem.message, "type": kind, "param": problem.param, "code": problem.code or code}
        return msgspec.json.encode({"error": error})

    def failure(self, error: Mapping[str, Any], *, streamed: bool) -> bytes:
        """Return the same object, as an event if the response is streamed."""
        return _event({"error": error}) if streamed else msgspec.json.encode({"error": error})


def openai_models(names: Sequence[str], after: str | None) -> _JSONObject:  # noqa: ARG001 (the list has one page)
    """Return the list of models."""
    rows = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "simulator"} for name in names]
    return {"object": "list", "data": rows}


class _Delta(NamedTuple):
    delta: _JSONObject
    token: bool = True
    finish: str | None = None


def _event(payload: object) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(payload)


def _heading(turn: Turn, kind: str) -> _JSONObject:
    return {
        "id": f"chatcmpl-simulator-{turn.number}",
        "object": kind,
        "created": _CREATED,
        "model": turn.body.get("model") or turn.model,
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _choices(turn: Turn) -> Sequence[Reply]:
    """Return the choices of the reply, or the reply repeated as often as the request asks."""
    return turn.reply.choices or [turn.reply] * (turn.body.get("n") or 1)


def _deltas(reply: Reply, turn: Turn) -> Iterator[_Delta]:
    yield _Delta({"role": "assistant", "content": None if _is_silent(reply) else "", "refusal": None}, token=False)
    yield from (_Delta({"reasoning_content": token}) for token in tokens(reply.reasoning or ""))
    yield from (_Delta({"content": token}) for token in tokens(reply.text))
    yield from (_Delta({"refusal": token}) for token in tokens(reply.refusal or ""))
    for index, call in enumerate(reply.tool_calls):
        head = {"index": index, **_call(call, index, turn, arguments="")}
        yield _Delta({"tool_calls": [head]}, token=False)
        for token in tokens(arguments_json(call)):
            yield _Delta({"tool_calls": [{"index": index, "function": {"arguments": token}}]})
    yield _Delta({}, token=False, finish=_finish(reply))


def _message(reply: Reply, turn: Turn) -> _JSONObject:
    message: _JSONObject = {"role": "assistant", "content": None if _is_silent(reply) else reply.text}
    message |= {"refusal": reply.refusal, "annotations": []}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        calls = enumerate(reply.tool_calls)
        message["tool_calls"] = [_call(call, index, turn, arguments=arguments_json(call)) for index, call in calls]
    return message


def _call(call: ToolCall, index: int, turn: Turn, *, arguments: str) -> _JSONObject:
    call_id = f"call_{turn.number}_{index}" if call.id is None else call.id
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _is_silent(reply: Reply) -> bool:
    """Return True if the reply has tool calls or a refusal instead of text, so that ``content`` is null."""
    return not reply.text and bool(reply.tool_calls or reply.refusal)


def _finish(reply: Reply) -> str:
    return reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")


def _usage(turn: Turn) -> _JSONObject | None:
    """Return the token counts as this dialect encodes them, or None if none are reported."""
    usage = usage_of(turn, texts(turn.body["messages"], "content", "text"), _choices(turn))
    if usage.raw:
        return dict(usage.raw)
    if usage == Usage():
        return None
    prompt, completion = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens or 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens or 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
