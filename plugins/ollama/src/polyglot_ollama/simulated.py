"""Ollama's own chat: one JSON object a line, or one for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from polyglot_core.plugin import Usage
from polyglot_ollama.simulated_embeddings import Embeddings
from polyglot_simulator.dialect import (
    Access,
    Dialect,
    Problem,
    Send,
    arguments_value,
    only_reply,
    texts,
    tokens,
    usage_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_simulator.dialect import Reply, ToolCall, Turn


__all__ = ["ACCESS", "MODELS", "ROUTES", "OllamaChat", "OllamaEmbeddings"]

_JSONObject = dict[str, Any]

_CREATED = "2026-01-02T03:04:05.678901Z"  # the same in every response, so that two runs give equal bytes
_NANOSECONDS = 1_000_000


class OllamaChat(Dialect):
    """The dialect of ``POST /api/chat``."""

    stream_headers: tuple[tuple[str, str], ...] = (("content-type", "application/x-ndjson"),)
    comment: bytes = b"\n"

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if not isinstance(body, dict):
            return Problem(400, "The body of the request is not a JSON object.")
        fields = cast("_JSONObject", body)
        if not fields.get("model"):
            return Problem(400, "model is required")
        messages = fields.get("messages", [])
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            return Problem(400, "messages must be a list of objects")
        if any(not isinstance(message.get("content", ""), str) for message in messages):
            return Problem(400, "the content of a message must be a string")
        return None

    def wants_stream(self, body: Mapping[str, Any]) -> bool:
        """Return True unless the body has ``"stream": false``."""
        return body.get("stream") is not False

    def stream(self, turn: Turn) -> Iterator[Send]:
        """Yield a line for each token, for each tool call, and for the end."""
        reply = only_reply(turn)
        for thought in tokens(reply.reasoning or ""):
            yield _line(turn, {"content": "", "thinking": thought}, token=True)
        for token in tokens(_text(reply)):
            yield _line(turn, {"content": token}, token=True)
        for index, call in enumerate(reply.tool_calls):
            yield _line(turn, {"content": "", "tool_calls": [_call(call, index, turn)]}, token=True)
        yield _line(turn, {"content": ""}, **_ending(turn))

    def whole(self, turn: Turn) -> bytes:
        """Return one object with the whole response."""
        reply = only_reply(turn)
        said: _JSONObject = {"content": _text(reply)}
        if reply.reasoning:
            said["thinking"] = reply.reasoning
        if reply.tool_calls:
            said["tool_calls"] = [_call(call, index, turn) for index, call in enumerate(reply.tool_calls)]
        return _line(turn, said, **_ending(turn)).data

    def error(self, problem: Problem) -> bytes:
        """Return an object with a text under ``error``."""
        return msgspec.json.encode({"error": problem.message})

    def failure(self, error: Mapping[str, Any], *, streamed: bool) -> bytes:
        """Return the same object, as a line if the response is streamed."""
        data = msgspec.json.encode({"error": error.get("message", error)})
        return data + b"\n" if streamed else data


def _line(turn: Turn, said: _JSONObject, *, token: bool = False, **fields: object) -> Send:
    line = {
        "model": turn.body.get("model") or turn.model,
        "created_at": _CREATED,
        "message": {"role": "assistant", **said},
        "done": False,
        **fields,
    }
    return Send(msgspec.json.encode(line) + b"\n", token=token)


def _text(reply: Reply) -> str:
    """Return the text; this dialect encodes a refusal as text."""
    return reply.text + (reply.refusal or "")


def _call(call: ToolCall, index: int, turn: Turn) -> _JSONObject:
    call_id = f"call_{turn.number}_{index}" if call.id is None else call.id
    return {"id": call_id, "function": {"index": index, "name": call.name, "arguments": arguments_value(call)}}


def _ending(turn: Turn) -> _JSONObject:
    """Return the additional fields of the last line: the finish reason, and the token counts if reported."""
    ending: _JSONObject = {"done": True, "done_reason": turn.reply.finish_reason or "stop"}
    usage = usage_of(turn, texts(turn.body.get("messages"), "content"), reasoning=False)
    if usage.raw:
        return ending | dict(usage.raw)
    if usage == Usage():
        return ending
    prompt, output = usage.input_tokens or 0, usage.output_tokens or 0
    times = {
        "total_duration": (prompt + output) * _NANOSECONDS,
        "load_duration": 0,
        "prompt_eval_duration": prompt * _NANOSECONDS,
        "eval_duration": output * _NANOSECONDS,
    }
    return {**ending, **times, "prompt_eval_count": prompt, "eval_count": output}


def _models(names: Sequence[str], after: str | None) -> _JSONObject:  # noqa: ARG001 (the list has one page)
    """Return ``GET /api/tags``."""
    return {"models": [{"name": name, "model": name, "modified_at": _CREATED, "size": 1} for name in names]}


class OllamaEmbeddings(Embeddings, OllamaChat):
    """The dialect of ``POST /api/embed``."""


MODELS = {r"/api/tags\?.*": _models}
ROUTES: dict[str, Dialect] = {
    r"/api/chat\?.*": OllamaChat(),
    r"/api/embed\?.*": OllamaEmbeddings(),
}
ACCESS = {"ollama": Access("")}
