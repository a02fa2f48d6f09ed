"""Mistral's chat completions: akin to OpenAI's, with thinking as parts of the content and errors of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from polyglot_core.plugin import Usage
from polyglot_mistral.simulated_embeddings import Embeddings
from polyglot_simulator.dialect import (
    Access,
    Dialect,
    Problem,
    Send,
    arguments_json,
    interleaved,
    texts,
    tokens,
    usage_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_simulator.dialect import Reply, Turn


__all__ = ["ACCESS", "MODELS", "ROUTES", "MistralChat", "MistralEmbeddings"]

_JSONObject = dict[str, Any]

_CREATED = 1_700_000_000  # the same in every response, so that two runs give equal bytes
_PADDING = "abcdefghijkl"  # the provider varies its length, so that packet sizes reveal nothing
_RATE_LIMITED = ("rate_limited", "1300")


class MistralChat(Dialect):
    """The dialect of ``POST /v1/chat/completions`` at Mistral."""

    stream_headers: tuple[tuple[str, str], ...] = (("content-type", "text/event-stream; charset=utf-8"),)

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None; an invalid field is status 422 here."""
        if not isinstance(body, dict):
            return Problem(422, "Input should be a valid dictionary", "model_attributes_type")
        fields = cast("_JSONObject", body)
        for name in ("model", "messages"):
            if fields.get(name) is None:
                return Problem(422, "Field required", "missing", name)
        messages, count = fields["messages"], fields.get("n") or 1
        if not isinstance(messages, list) or not messages:
            return Problem(422, "List should have at least 1 item after validation", "too_short", "messages")
        if not isinstance(count, int) or count < 1:
            return Problem(422, "Input should be greater than or equal to 1", "greater_than_equal", "n")
        if "stream_options" in fields:
            return Problem(422, "Extra inputs are not permitted", "extra_forbidden", "stream_options")
        return None

    def wants_stream(self, body: Mapping[str, Any]) -> bool:
        """Return True if the body has ``"stream": true``."""
        return body.get("stream") is True

    def stream(self, turn: Turn) -> Iterator[Send]:
        """Yield chunks with the role, the content and the finish; the last one has the usage; then ``[DONE]``."""
        steps = list(interleaved(_deltas(reply, turn) for reply in _choices(turn)))
        for number, (index, step) in enumerate(steps, start=1):
            choice = {"index": index, "delta": step.delta, "finish_reason": step.finish}
            usage = _usage(turn) if number == len(steps) else {}
            chunk = {**_heading(turn, "chat.completion.chunk"), "choices": [choice], **usage, "p": _PADDING}
            yield Send(_event(chunk), token=step.token)
        yield Send(b"data: [DONE]\n\n")

    def whole(self, turn: Turn) -> bytes:
        """Return one ``chat.completion`` object."""
        choices = [
            {"index": index, "finish_reason": _finish(reply), "message": _message(reply, turn)}
            for index, reply in enumerate(_choices(turn))
        ]
        return msgspec.json.encode({**_heading(turn, "chat.completion"), **_usage(turn), "choices": choices})

    def error(self, problem: Problem) -> bytes:
        """Return an object of type ``error``, with one detail for a wrong key and a list of them for invalid fields."""
        if problem.status == 401:
            return msgspec.json.encode({"detail": problem.message})
        if problem.status == 422:
            place = ["body"] if problem.param is None else ["body", problem.param]
            detail = {"type": problem.code or "value_error", "loc": place, "msg": problem.message}
            return msgspec.json.encode({"detail": [detail]})
        usual = "server_error" if problem.status >= 500 else "invalid_request_error"
        kind, code = _RATE_LIMITED if problem.status == 429 else (usual, None)
        error = {"message": problem.message, "type": kind, "param": problem.param, "code": problem.code or code}
        return msgspec.json.encode({"object": "error", **error, "raw_status_code": problem.status})

    def failure(self, error: Mapping[str, Any], *, streamed: bool) -> bytes:
        """Return the same object of type ``error``, as an event if the response is streamed."""
        said = {"object": "error", "raw_status_code": 500, **error}
        return _event(said) if streamed else msgspec.json.encode(said)


class _Delta(NamedTuple):
    delta: _JSONObject
    token: bool = True
    finish: str | None = None


def _event(payload: object) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(payload)


def _heading(turn: Turn, kind: str) -> _JSONObject:
    return {"id": f"{turn.number:032x}", "object": kind, "created": _CREATED, "model": turn.body["model"]}


def _choices(turn: Turn) -> Sequence[Reply]:
    """Return the choices of the reply, or the reply repeated as often as the request asks."""
    return turn.reply.choices or [turn.reply] * (turn.body.get("n") or 1)


def _deltas(reply: Reply, turn: Turn) -> Iterator[_Delta]:
    yield _Delta({"role": "assistant", "content": ""}, token=False)
    yield from (_Delta({"content": [_thought(token)]}) for token in tokens(reply.reasoning or ""))
    yield from (_Delta({"content": token}) for token in tokens(_text(reply)))
    last = (
        {"tool_calls": _calls(reply, turn)} if reply.tool_calls else {"content": ""}
    )  # tool calls are sent in one piece
    yield _Delta(last, token=bool(reply.tool_calls), finish=_finish(reply))


def _message(reply: Reply, turn: Turn) -> _JSONObject:
    content: object = _text(reply)
    if reply.reasoning:
        said = [{"type": "text", "text": content}] if content else []
        content = [_thought(reply.reasoning), *said]
    return {"role": "assistant", "tool_calls": _calls(reply, turn) or None, "content": content}


def _thought(text: str) -> _JSONObject:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}], "closed": True}


def _text(reply: Reply) -> str:
    """Return the text; this dialect encodes a refusal as text."""
    return reply.text + (reply.refusal or "")


def _calls(reply: Reply, turn: Turn) -> list[_JSONObject]:
    return [
        {
            "id": f"call{turn.number:03}{index:02}" if call.id is None else call.id,  # nine letters and digits
            "type": "function",
            "function": {"name": call.name, "arguments": arguments_json(call)},
            "index": index,
        }
        for index, call in enumerate(reply.tool_calls)
    ]


def _finish(reply: Reply) -> str:
    return reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")


def _usage(turn: Turn) -> _JSONObject:
    """Return the token counts in this dialect's field, or an empty object if none are reported."""
    usage = usage_of(turn, texts(turn.body["messages"], "content", "text"), _choices(turn), reasoning=False)
    if usage.raw:
        return {"usage": dict(usage.raw)}
    if usage == Usage():
        return {}
    prompt, completion = usage.input_tokens or 0, usage.output_tokens or 0
    counts: _JSONObject = {
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens or 0},
    }
    if usage.reasoning_tokens is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return {"usage": counts}


def _models(names: Sequence[str], after: str | None) -> _JSONObject:  # noqa: ARG001 (the list has one page)
    """Return ``GET /v1/models``."""
    facts = {"object": "model", "created": _CREATED, "owned_by": "mistralai", "max_context_length": 131_072}
    return {"object": "list", "data": [{"id": name, "name": name.title(), **facts} for name in names]}


class MistralEmbeddings(Embeddings, MistralChat):
    """The dialect of ``POST /v1/embeddings``."""


MODELS = {r"/mistral/v1/models\?.*": _models}
ROUTES: dict[str, Dialect] = {
    r"/mistral/v1/chat/completions\?.*": MistralChat(),
    r"/mistral/v1/embeddings\?.*": MistralEmbeddings(),
}
"""Mistral's path is OpenAI's too, so it has a prefix here."""
ACCESS = {"mistral": Access("/mistral/v1")}
