"""OpenAI Responses: encodes a reply as a response, whole or in events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from polyglot_core.plugin import Usage
from polyglot_simulator.dialect import (
    Access,
    Dialect,
    OpenAIChat,
    Problem,
    Send,
    arguments_json,
    only_reply,
    texts,
    tokens,
    usage_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from polyglot_simulator.dialect import ToolCall, Turn


__all__ = ["ACCESS", "ROUTES", "OpenAIResponses"]

_JSONObject = dict[str, Any]

_CREATED = 1_700_000_000  # the same in every response, so that two runs give equal bytes
_ROLES = ("assistant", "system", "developer", "user")
_CIPHER = "simulated-cipher-"
_ECHOED: _JSONObject = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""Fields of a request that its response repeats, with what they are where they were left out."""


class OpenAIResponses(Dialect):
    """The dialect of ``POST /v1/responses``. Errors and headers are those of the chat completions beside it."""

    stream_headers: tuple[tuple[str, str], ...] = OpenAIChat.stream_headers

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if not isinstance(body, dict):
            return Problem(400, "The body of the request is not a JSON object.")
        fields = cast("_JSONObject", body)
        given: Any = fields.get("input")
        if given is None:
            return Problem(400, "Missing required parameter: 'input'.", "missing_required_parameter", "input")
        if not isinstance(given, (str, list)) or not given:
            return Problem(400, "'input' must be a text or an array of items.", "invalid_type", "input")
        items: list[Any] = given if isinstance(given, list) else []
        return _problem_of_tools(fields.get("tools") or []) or _problem_of_items(items, fields)

    def wants_stream(self, body: Mapping[str, Any]) -> bool:
        """Return True if the body has ``"stream": true``."""
        return body.get("stream") is True

    def stream(self, turn: Turn) -> Iterator[Send]:
        """Yield numbered events: the start of the response, its items in order, and the final response."""
        for number, (event, token) in enumerate(_events(turn)):
            numbered = {"type": event["type"], "sequence_number": number, **event}
            data = msgspec.json.encode(numbered)
            yield Send(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), data), token=token)

    def whole(self, turn: Turn) -> bytes:
        """Return one ``response`` object."""
        return msgspec.json.encode(_response(turn, _items(turn)))

    def error(self, problem: Problem) -> bytes:
        """Return an object with the single field ``error``."""
        return OpenAIChat().error(problem)

    def failure(self, error: Mapping[str, Any], *, streamed: bool) -> bytes:
        """Return an event of type ``error``, or a response with status ``failed``."""
        if streamed:
            return b"event: error\ndata: %b\n\n" % msgspec.json.encode({"type": "error", "error": error})
        failed = {"object": "response", "status": "failed", "error": error, "output": []}
        return msgspec.json.encode(failed)


# What is wrong


def _problem_of_tools(tools: list[Any]) -> Problem | None:
    """Return a problem if a function has no name; its fields are next to its type, not in an object of their own."""
    for number, tool in enumerate(tools):
        if not isinstance(tool, dict) or (tool.get("type") == "function" and not tool.get("name")):
            param = f"tools[{number}].name"
            return Problem(400, f"Missing required parameter: '{param}'.", "missing_required_parameter", param)
    return None


def _problem_of_items(items: list[Any], fields: _JSONObject) -> Problem | None:
    """Return a problem for an unknown role, or for a result without its tool call."""
    called: set[object] = set()
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            return Problem(400, f"'input[{number}]' must be an object.", "invalid_type", f"input[{number}]")
        kind, role, call_id = (item.get(name) for name in ("type", "role", "call_id"))
        if kind in {None, "message"} and role not in _ROLES:
            message = f"Invalid value: {role!r}. Supported values are: {', '.join(map(repr, _ROLES))}."
            return Problem(400, message, "invalid_value", f"input[{number}]")
        if kind in {"function_call", "custom_tool_call"}:
            called.add(call_id)
        lost = kind == "function_call_output" and call_id not in called and not fields.get("previous_response_id")
        if lost:
            return Problem(400, f"No tool call found for function call output with call_id {call_id}.", None, "input")
    return None


# The response


def _response(turn: Turn, output: list[_JSONObject], status: str | None = None) -> _JSONObject:
    """Return the response with `output`, in its final state unless `status` is given."""
    reason = turn.reply.finish_reason or "completed"
    ended = "completed" if reason == "completed" else "incomplete"
    echoed = {name: turn.body.get(name, usual) for name, usual in _ECHOED.items()}
    return {
        "id": f"resp_simulator_{turn.number}",
        "object": "response",
        "created_at": _CREATED,
        "status": status or ended,
        "error": None,
        "incomplete_details": {"reason": reason} if not status and ended == "incomplete" else None,
        "model": turn.body.get("model") or turn.model,
        "output": output,
        "usage": None if status else _usage(turn),
        **echoed,
    }


def _items(turn: Turn) -> list[_JSONObject]:
    """Return the items of the reply: its thinking, a message, and its tool calls.

    Raises:
        ConfigError: The reply has several choices.
    """
    reply = only_reply(turn)
    items: list[_JSONObject] = []
    if reply.reasoning:
        items.append(_thinking(turn, reply.reasoning))
    if reply.text or reply.refusal or not reply.tool_calls:
        items.append(_message(turn))
    return items + [_call(call, index, turn) for index, call in enumerate(reply.tool_calls)]


def _thinking(turn: Turn, text: str) -> _JSONObject:
    item = {"id": f"rs_{turn.number}", "type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}
    wanted = "reasoning.encrypted_content" in (turn.body.get("include") or ())
    return {**item, "encrypted_content": f"{_CIPHER}{turn.number}"} if wanted else item


def _message(turn: Turn) -> _JSONObject:
    reply = turn.reply
    parts: list[_JSONObject] = []
    if reply.text or not reply.refusal:
        parts.append({"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []})
    if reply.refusal:
        parts.append({"type": "refusal", "refusal": reply.refusal})
    item = {"id": f"msg_{turn.number}", "type": "message", "status": "completed", "role": "assistant"}
    return {**item, "content": parts}


def _call(call: ToolCall, index: int, turn: Turn) -> _JSONObject:
    return {
        "id": f"fc_{turn.number}_{index}",
        "type": "function_call",
        "status": "completed",
        "call_id": f"call_{turn.number}_{index}" if call.id is None else call.id,
        "name": call.name,
        "arguments": arguments_json(call),
    }


# Events


def _events(turn: Turn) -> Iterator[tuple[_JSONObject, bool]]:
    """Yield the events, each with whether it carries a token."""
    items = _items(turn)
    begun = _response(turn, [], "in_progress")
    yield {"type": "response.created", "response": begun}, False
    yield {"type": "response.in_progress", "response": begun}, False
    for index, item in enumerate(items):
        place = {"output_index": index}
        yield {"type": "response.output_item.added", **place, "item": _as_begun(item)}, False
        for event, token in _ITEM_EVENTS[item["type"]](item):
            yield {"item_id": item["id"], **place, **event}, token
        yield {"type": "response.output_item.done", **place, "item": item}, False
    response = _response(turn, items)
    yield {"type": f"response.{response['status']}", "response": response}, False


def _as_begun(item: _JSONObject) -> _JSONObject:
    """Return an item in its initial state."""
    empty: _JSONObject = {"content": [], "summary": [], "arguments": "", "status": "in_progress"}
    return {name: empty.get(name, value) for name, value in item.items()}


def _thinking_events(item: _JSONObject) -> Iterator[tuple[_JSONObject, bool]]:
    for number, part in enumerate(item["summary"]):
        place = {"summary_index": number}
        prefix = "response.reasoning_summary"
        yield {"type": f"{prefix}_part.added", **place, "part": {**part, "text": ""}}, False
        yield from _text_events(f"{prefix}_text", place, "text", part["text"])
        yield {"type": f"{prefix}_part.done", **place, "part": part}, False


def _message_events(item: _JSONObject) -> Iterator[tuple[_JSONObject, bool]]:
    for number, part in enumerate(item["content"]):
        place = {"content_index": number}
        name = "refusal" if part["type"] == "refusal" else "text"
        more: _JSONObject = {} if name == "refusal" else {"logprobs": []}
        yield {"type": "response.content_part.added", **place, "part": {**part, name: ""}}, False
        yield from _text_events(f"response.{part['type']}", {**place, **more}, name, part[name])
        yield {"type": "response.content_part.done", **place, "part": part}, False


def _call_events(item: _JSONObject) -> Iterator[tuple[_JSONObject, bool]]:
    return _text_events("response.function_call_arguments", {}, "arguments", item["arguments"])


def _text_events(kind: str, place: _JSONObject, name: str, text: str) -> Iterator[tuple[_JSONObject, bool]]:
    """Yield a text token by token, and then whole."""
    for token in tokens(text):
        yield {"type": f"{kind}.delta", **place, "delta": token}, True
    yield {"type": f"{kind}.done", **place, name: text}, False


_ITEM_EVENTS = {"reasoning": _thinking_events, "message": _message_events, "function_call": _call_events}


# What it cost


def _usage(turn: Turn) -> _JSONObject | None:
    """Return the token counts as this dialect encodes them, or None if none are reported."""
    prompt = [turn.body["input"], turn.body.get("instructions")]
    usage = usage_of(turn, texts(prompt, "text", "content", "output", "arguments"))
    if usage.raw:
        return dict(usage.raw)
    if usage == Usage():
        return None
    read, output = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": read + output,
    }


ROUTES = {r"/v1/responses\?.*": OpenAIResponses()}
ACCESS = {"openai-responses": Access()}
