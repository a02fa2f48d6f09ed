"""Anthropic's Messages: encodes a reply as a message, whole or streamed block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from polyglot_core.plugin import Usage
from polyglot_simulator.dialect import (
    Access,
    Dialect,
    Problem,
    Send,
    arguments_json,
    arguments_value,
    only_reply,
    page_of,
    texts,
    tokens,
    usage_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_simulator.dialect import Reply, ToolCall, Turn


__all__ = ["ACCESS", "MODELS", "ROUTES", "AnthropicMessages"]

_JSONObject = dict[str, Any]

_SIGNATURE = "c2ltdWxhdGVkLXNpZ25hdHVyZQ=="
_KINDS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicMessages(Dialect):
    """The dialect of ``POST /v1/messages``."""

    stream_headers: tuple[tuple[str, str], ...] = (
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache"),
    )

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if not isinstance(body, dict):
            return Problem(400, "The body of the request is not a JSON object.")
        fields = cast("_JSONObject", body)
        limit, messages = fields.get("max_tokens"), fields.get("messages")
        if limit is None or messages is None:
            return Problem(400, f"{'max_tokens' if limit is None else 'messages'}: Field required")
        if not isinstance(limit, int) or limit < 1:
            return Problem(400, "max_tokens: Input should be greater than or equal to 1")
        if not isinstance(messages, list) or not messages:
            return Problem(400, "messages: at least one message is required")
        return _problem_of_turns(messages)

    def wants_stream(self, body: Mapping[str, Any]) -> bool:
        """Return True if the body has ``"stream": true``."""
        return body.get("stream") is True

    def stream(self, turn: Turn) -> Iterator[Send]:
        """Yield the start, a ping, each block from its start to its stop, and the delta that ends the message."""
        usage = _usage(turn)
        yield _event("message_start", message=_message(turn, [], usage and {**usage, "output_tokens": 1}))
        yield _event("ping")
        for index, block in enumerate(_blocks(turn)):
            yield from _block_events(block, index, turn)
        change: _JSONObject = {"delta": {**_ending(turn.reply), "stop_sequence": None}}
        if usage is not None:
            change["usage"] = usage
        yield _event("message_delta", **change)
        yield _event("message_stop")

    def whole(self, turn: Turn) -> bytes:
        """Return one ``message`` object."""
        return msgspec.json.encode({**_message(turn, _blocks(turn), _usage(turn)), **_ending(turn.reply)})

    def error(self, problem: Problem) -> bytes:
        """Return an object of type ``error``, with the error in it."""
        usual = "api_error" if problem.status >= 500 else "invalid_request_error"
        error = {"type": _KINDS.get(problem.status, usual), "message": problem.message}
        return msgspec.json.encode({"type": "error", "error": error, "request_id": None})

    def failure(self, error: Mapping[str, Any], *, streamed: bool) -> bytes:
        """Return the same object, as an event if the response is streamed."""
        return _event("error", error=error).data if streamed else msgspec.json.encode({"type": "error", "error": error})


def _event(kind: str, *, token: bool = False, **fields: object) -> Send:
    data = msgspec.json.encode({"type": kind, **fields})
    return Send(b"event: %b\ndata: %b\n\n" % (kind.encode(), data), token=token)


# What is wrong


def _problem_of_turns(turns: list[Any]) -> Problem | None:
    """Return a problem for an unknown role, an empty text, or tool calls and results that do not match."""
    called: set[object] = set()
    for number, turn in enumerate(turns):
        where = f"messages.{number}"
        if not isinstance(turn, dict) or turn.get("role") not in {"user", "assistant"}:
            return Problem(400, f"{where}.role: Input should be 'user' or 'assistant'")
        blocks = _values(turn.get("content"))
        if any(block.get("type") == "text" and not block.get("text") for block in blocks):
            return Problem(400, f"{where}: text content blocks must be non-empty")
        answered = {block.get("tool_use_id") for block in blocks if block.get("type") == "tool_result"}
        if answered != called:
            return Problem(
                400, f"{where}: each `tool_use` needs a `tool_result` in the next message, and no other has one"
            )
        called = {block.get("id") for block in blocks if block.get("type") == "tool_use"}
    return None


def _values(items: object) -> list[_JSONObject]:
    """Return the objects of a list."""
    found: list[Any] = items if isinstance(items, list) else []
    return [item for item in found if isinstance(item, dict)]


# The message


def _message(turn: Turn, blocks: list[_JSONObject], usage: _JSONObject | None) -> _JSONObject:
    message: _JSONObject = {
        "id": f"msg_simulator_{turn.number}",
        "type": "message",
        "role": "assistant",
        "model": turn.body.get("model") or turn.model,
        "content": blocks,
        "stop_reason": None,
        "stop_sequence": None,
    }
    return message if usage is None else {**message, "usage": usage}


def _blocks(turn: Turn) -> list[_JSONObject]:
    """Return the blocks of the reply: its thinking, its text, and its tool calls.

    Raises:
        ConfigError: The reply has several choices.
    """
    reply = only_reply(turn)
    blocks: list[_JSONObject] = []
    if reply.reasoning:
        blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": _SIGNATURE})
    if reply.text or not (reply.tool_calls or reply.refusal):
        blocks.append({"type": "text", "text": reply.text})
    return blocks + [_call(call, index, turn) for index, call in enumerate(reply.tool_calls)]


def _call(call: ToolCall, index: int, turn: Turn) -> _JSONObject:
    call_id = f"toolu_simulator_{turn.number}_{index}" if call.id is None else call.id
    return {"type": "tool_use", "id": call_id, "name": call.name, "input": arguments_value(call)}


def _block_events(block: _JSONObject, index: int, turn: Turn) -> Iterator[Send]:
    empty, pieces, signature = _told(block, turn)
    yield _event("content_block_start", index=index, content_block={**block, **empty})
    for kind, name, piece in pieces:
        yield _event("content_block_delta", token=True, index=index, delta={"type": kind, name: piece})
    if signature:
        yield _event("content_block_delta", index=index, delta={"type": "signature_delta", "signature": signature})
    yield _event("content_block_stop", index=index)


def _told(block: _JSONObject, turn: Turn) -> tuple[_JSONObject, list[tuple[str, str, str]], str | None]:
    """Return the empty fields of a block at its start, the deltas that fill it, and its signature."""
    if block["type"] == "thinking":
        pieces = [("thinking_delta", "thinking", token) for token in tokens(block["thinking"])]
        return {"thinking": "", "signature": ""}, pieces, block["signature"]
    if block["type"] == "text":
        return {"text": ""}, [("text_delta", "text", token) for token in tokens(block["text"])], None
    calls = {_call(call, index, turn)["id"]: call for index, call in enumerate(turn.reply.tool_calls)}
    fragments = ["", *tokens(arguments_json(calls[block["id"]]))]
    return {"input": {}}, [("input_json_delta", "partial_json", fragment) for fragment in fragments], None


def _ending(reply: Reply) -> _JSONObject:
    usual = "refusal" if reply.refusal else "tool_use" if reply.tool_calls else "end_turn"
    ending: _JSONObject = {"stop_reason": reply.finish_reason or usual}
    if reply.refusal:
        ending["stop_details"] = {"type": "refusal", "category": None, "explanation": reply.refusal}
    return ending


# What it cost


def _usage(turn: Turn) -> _JSONObject | None:
    """Return the token counts as this dialect encodes them, or None if none are reported."""
    usage = usage_of(turn, texts([turn.body.get("system"), turn.body["messages"]], "text", "content"))
    if usage.raw:
        return dict(usage.raw)
    if usage == Usage():
        return None
    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    counts: _JSONObject = {
        "input_tokens": max((usage.input_tokens or 0) - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.output_tokens or 0,
        "service_tier": "standard",
    }
    if usage.reasoning_tokens is not None:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counts


def _models(names: Sequence[str], after: str | None) -> _JSONObject:
    """Return a page of ``GET /v1/models``."""
    page, more = page_of(names, after)
    rows = [
        {"type": "model", "id": name, "display_name": name.title(), "created_at": "2026-01-02T03:04:05Z"}
        for name in page
    ]
    return {"data": rows, "has_more": more, "first_id": next(iter(page), None), "last_id": next(reversed(page), None)}


MODELS = {r"/v1/models\?limit=\d+(?:&after_id=(?P<after>[^&]+))?": _models}
"""The path is OpenAI's too, whose list has no limit."""
ROUTES = {r"/v1/messages\?.*": AnthropicMessages()}
ACCESS = {"anthropic": Access("/v1", "x-api-key", "")}
