"""Cohere's chat, version 2: the typed events or the object that a reply becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from polyglot_cohere.simulated_embeddings import Embeddings
from polyglot_core.plugin import Usage
from polyglot_simulator.dialect import (
    Access,
    Dialect,
    Problem,
    Send,
    arguments_json,
    only_reply,
    page_of,
    texts,
    tokens,
    usage_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_simulator.dialect import Reply, ToolCall, Turn


__all__ = ["ACCESS", "MODELS", "ROUTES", "CohereChat", "CohereEmbeddings"]

_JSONObject = dict[str, Any]


class CohereChat(Dialect):
    """The dialect of ``POST /v2/chat``."""

    stream_headers: tuple[tuple[str, str], ...] = (("content-type", "text/event-stream"),)

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if not isinstance(body, dict):
            return Problem(400, "invalid json syntax")
        fields = cast("_JSONObject", body)
        if not fields.get("model"):
            return Problem(400, "model is required")
        messages = fields.get("messages")
        if not isinstance(messages, list) or not messages:
            return Problem(400, "messages must have at least one message")
        return None

    def wants_stream(self, body: Mapping[str, Any]) -> bool:
        """Return True if the body has ``"stream": true``."""
        return body.get("stream") is True

    def stream(self, turn: Turn) -> Iterator[Send]:
        """Yield the start of the message, each content and tool call from start to end, and the end."""
        said = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        yield _event({"type": "message-start", "id": _id(turn), "delta": {"message": said}})
        for index, (kind, text) in enumerate(_contents(only_reply(turn))):
            yield _piece("content-start", index, content={"type": kind, kind: ""})
            for token in tokens(text):
                yield _piece("content-delta", index, token=True, content={kind: token})
            yield _event({"type": "content-end", "index": index})
        for index, call in enumerate(turn.reply.tool_calls):
            yield _piece("tool-call-start", index, tool_calls=_call(call, index, turn, arguments=""))
            for token in tokens(arguments_json(call)):
                yield _piece("tool-call-delta", index, token=True, tool_calls={"function": {"arguments": token}})
            yield _event({"type": "tool-call-end", "index": index})
        yield _event({"type": "message-end", "delta": _ending(turn)})
        yield Send(b"data: [DONE]\n\n")

    def whole(self, turn: Turn) -> bytes:
        """Return one object with the whole response."""
        reply = only_reply(turn)
        message: _JSONObject = {"role": "assistant"}
        if contents := _contents(reply):
            message["content"] = [{"type": kind, kind: text} for kind, text in contents]
        if reply.tool_calls:
            calls = enumerate(reply.tool_calls)
            message["tool_calls"] = [_call(call, index, turn, arguments=arguments_json(call)) for index, call in calls]
        return msgspec.json.encode({"id": _id(turn), "message": message, **_ending(turn)})

    def error(self, problem: Problem) -> bytes:
        """Return an object with a message and an id."""
        kind = {} if problem.code is None else {"error_type": problem.code}
        return msgspec.json.encode({"id": "simulator-error", "message": problem.message, **kind})

    def failure(self, error: Mapping[str, Any], *, streamed: bool) -> bytes:
        """Return an end of the message with the error in it, or the object of an error."""
        message, kind = error.get("message", ""), error.get("type") or error.get("code")
        if streamed:
            delta = {"finish_reason": "ERROR", "usage": {}, "error": message, "error_type": kind}
            return _event({"type": "message-end", "delta": delta}).data
        return msgspec.json.encode({"message": message, "error_type": kind})


def _event(payload: _JSONObject, *, token: bool = False) -> Send:
    kind = payload["type"].encode()
    return Send(b"event: %b\ndata: %b\n\n" % (kind, msgspec.json.encode(payload)), token=token)


def _piece(kind: str, index: int, *, token: bool = False, **message: object) -> Send:
    return _event({"type": kind, "index": index, "delta": {"message": message}}, token=token)


def _id(turn: Turn) -> str:
    return f"simulator-{turn.number}"


def _contents(reply: Reply) -> list[tuple[str, str]]:
    """Return the thinking and the text; this dialect encodes a refusal as text."""
    said = [("thinking", reply.reasoning or ""), ("text", reply.text + (reply.refusal or ""))]
    return [(kind, text) for kind, text in said if text]


def _call(call: ToolCall, index: int, turn: Turn, *, arguments: str) -> _JSONObject:
    call_id = f"{call.name}_{turn.number}_{index}" if call.id is None else call.id
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _ending(turn: Turn) -> _JSONObject:
    """Return the finish reason, and the token counts if they are reported."""
    reply = turn.reply
    ending: _JSONObject = {"finish_reason": reply.finish_reason or ("TOOL_CALL" if reply.tool_calls else "COMPLETE")}
    usage = usage_of(turn, texts(turn.body["messages"], "content", "text"), reasoning=False)
    if usage.raw:
        return {**ending, "usage": dict(usage.raw)}
    if usage == Usage():
        return ending
    counts: _JSONObject = {"input_tokens": usage.input_tokens or 0, "output_tokens": usage.output_tokens or 0}
    if usage.reasoning_tokens is not None:
        counts = {**counts, "reasoning_tokens": usage.reasoning_tokens}
    billed = {name: counts[name] for name in ("input_tokens", "output_tokens")}
    return {
        **ending,
        "usage": {"billed_units": billed, "tokens": counts, "cached_tokens": usage.cache_read_tokens or 0},
    }


def _models(names: Sequence[str], after: str | None) -> _JSONObject:
    """Return a page of ``GET /v1/models``."""
    page, more = page_of(names, after)
    rows = [{"name": name, "endpoints": ["chat"], "finetuned": False, "context_length": 128000} for name in page]
    return {"models": rows, "next_page_token": page[-1]} if more else {"models": rows}


class CohereEmbeddings(Embeddings, CohereChat):
    """The dialect of ``POST /v2/embed``."""


MODELS = {r"/v1/models\?page_size=\d+(?:&page_token=(?P<after>[^&]+))?": _models}
"""Only version 1 has the list; the path is OpenAI's too."""
ROUTES: dict[str, Dialect] = {
    r"/v2/chat\?.*": CohereChat(),
    r"/v2/embed\?.*": CohereEmbeddings(),
}
ACCESS = {"cohere": Access("/v2")}
