"""Amazon Bedrock's Converse and ConverseStream: the message that a reply becomes, whole or in binary frames.

Source: the service description that AWS's own clients are made from.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, cast

import msgspec

from polyglot_bedrock.simulated_embeddings import Embeddings
from polyglot_core.plugin import Usage
from polyglot_simulator.dialect import (
    Access,
    Dialect,
    Problem,
    Send,
    arguments_json,
    arguments_value,
    only_reply,
    texts,
    tokens,
    usage_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_simulator.dialect import Reply, ToolCall, Turn


__all__ = ["ACCESS", "MODELS", "ROUTES", "BedrockConverse", "BedrockInvoke"]

_JSONObject = dict[str, Any]

_TEXT_HEADER = 7
_PADDING = "abcdefghijkl"  # the provider varies its length, so that frame sizes reveal nothing
_SIGNATURE = "c2ltdWxhdGVkLXNpZ25hdHVyZQ=="
_METRICS = {"latencyMs": 1}  # the same in every response, so that two runs give equal bytes
_EXCEPTIONS = {
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


def _frame(payload: object, **headers: str) -> bytes:
    """Return one frame: lengths and their checksum, text headers, the payload, and the checksum of all before it."""
    block = b"".join(_header(name, text) for name, text in headers.items())
    data = msgspec.json.encode(payload)
    lengths = struct.pack(">II", 16 + len(block) + len(data), len(block))
    unchecked = lengths + struct.pack(">I", zlib.crc32(lengths)) + block + data
    return unchecked + struct.pack(">I", zlib.crc32(unchecked))


def _header(name: str, text: str) -> bytes:
    label = f":{name.replace('_', '-')}".encode()
    return bytes([len(label)]) + label + struct.pack(">BH", _TEXT_HEADER, len(text.encode())) + text.encode()


def _event(kind: str, payload: _JSONObject) -> bytes:
    said = {**payload, "p": _PADDING}
    return _frame(said, event_type=kind, content_type="application/json", message_type="event")


class BedrockConverse(Dialect):
    """The dialect of ``POST /model/{model}/converse`` and ``/converse-stream``."""

    stream_headers: tuple[tuple[str, str], ...] = (("content-type", "application/vnd.amazon.eventstream"),)
    comment: bytes = _event("heartbeat", {})
    """An event of a kind that no client knows, and that all of them skip."""

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if not isinstance(body, dict):
            return Problem(400, "The request body is not a JSON object.", "SerializationException")
        turns = cast("_JSONObject", body).get("messages")
        if not isinstance(turns, list):
            return Problem(400, "The value at messages has to be a list.", "SerializationException")
        if not turns or not isinstance(turns[0], dict) or turns[0].get("role") != "user":
            return Problem(400, "A conversation must start with a user message.")
        for number, turn in enumerate(turns):
            if problem := _problem_of_turn(turn, number):
                return problem
        return None

    def wants_stream(self, body: Mapping[str, Any]) -> bool:
        """Return True if the path requests a stream."""
        return bool(body.get("streaming"))

    def stream(self, turn: Turn) -> Iterator[Send]:
        """Yield the start, each block, the stop with the reason, and the counts. Only tool calls have a block start."""
        yield Send(_event("messageStart", {"role": "assistant"}))
        blocks, inputs = _blocks(turn), [arguments_json(call) for call in turn.reply.tool_calls]
        inputs = [""] * (len(blocks) - len(inputs)) + inputs  # the calls are the last blocks
        for index, (block, arguments) in enumerate(zip(blocks, inputs, strict=True)):
            yield from _block_frames(block, index, arguments)
        yield Send(_event("messageStop", {"stopReason": _reason(turn.reply)}))
        yield Send(_event("metadata", {**_usage(turn), "metrics": _METRICS}))

    def whole(self, turn: Turn) -> bytes:
        """Return one object with the message in it."""
        message = {"role": "assistant", "content": _blocks(turn)}
        ending = {"stopReason": _reason(turn.reply), **_usage(turn), "metrics": _METRICS}
        return msgspec.json.encode({"output": {"message": message}, **ending})

    def error(self, problem: Problem) -> bytes:
        """Return an object with the single field ``message``; the kind of error is in a header."""
        return msgspec.json.encode({"message": problem.message})

    def error_headers(self, problem: Problem) -> tuple[tuple[str, str], ...]:
        """Return the name of the exception, with the suffix that AWS appends."""
        usual = _EXCEPTIONS.get(problem.status, _exception(problem.status))
        name = problem.code if (problem.code or "").endswith("Exception") else usual
        return (("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"),)

    def failure(self, error: Mapping[str, Any], *, streamed: bool) -> bytes:
        """Return an exception as a frame, or as an object with its name."""
        given = str(error.get("type") or error.get("code") or "")
        name = given if given.endswith("Exception") else _exception(500)
        said = {field: value for field, value in error.items() if field not in {"type", "code"} and value is not None}
        if not streamed:
            return msgspec.json.encode({"__type": name, **said})
        kind = name[:1].lower() + name[1:]
        return _frame(said, exception_type=kind, content_type="application/json", message_type="exception")


def _exception(status: int) -> str:
    return "InternalServerException" if status >= 500 else "ValidationException"


def _problem_of_turn(turn: object, number: int) -> Problem | None:
    fields = cast("_JSONObject", turn) if isinstance(turn, dict) else {}
    content = fields.get("content")
    if fields.get("role") not in {"user", "assistant"}:
        return Problem(400, f"The role at messages.{number} is neither user nor assistant.")
    if not isinstance(content, list):
        return Problem(400, f"The value at messages.{number}.content has to be a list.", "SerializationException")
    if not content:
        return Problem(400, f"The content field in the Message object at messages.{number} is empty.")
    return None


# The message


def _blocks(turn: Turn) -> list[_JSONObject]:
    """Return the blocks of the reply: thinking, text, and tool calls; a refusal is encoded as text.

    Raises:
        ConfigError: The reply has several choices.
    """
    reply = only_reply(turn)
    blocks: list[_JSONObject] = []
    if reply.reasoning:
        thought = {"text": reply.reasoning, "signature": _SIGNATURE}
        blocks.append({"reasoningContent": {"reasoningText": thought}})
    if said := reply.text + (reply.refusal or ""):
        blocks.append({"text": said})
    for index, call in enumerate(reply.tool_calls):
        blocks.append({"toolUse": {**_call(call, index, turn), "input": arguments_value(call)}})
    return blocks


def _call(call: ToolCall, index: int, turn: Turn) -> _JSONObject:
    call_id = f"tooluse_simulator_{turn.number}_{index}" if call.id is None else call.id
    return {"toolUseId": call_id, "name": call.name}


def _block_frames(block: _JSONObject, index: int, arguments: str) -> Iterator[Send]:
    place = {"contentBlockIndex": index}
    if "toolUse" in block:
        yield Send(_event("contentBlockStart", {"start": {"toolUse": _opening(block["toolUse"])}, **place}))
    for delta, is_token in _deltas(block, arguments):
        yield Send(_event("contentBlockDelta", {"delta": delta, **place}), token=is_token)
    yield Send(_event("contentBlockStop", place))


def _opening(call: _JSONObject) -> _JSONObject:
    return {name: value for name, value in call.items() if name != "input"}


def _deltas(block: _JSONObject, arguments: str) -> Iterator[tuple[_JSONObject, bool]]:
    """Yield the content of a block piece by piece, and whether a piece is a token."""
    if "text" in block:
        yield from (({"text": token}, True) for token in tokens(block["text"]))
    elif "reasoningContent" in block:
        thought = block["reasoningContent"]["reasoningText"]
        yield from (({"reasoningContent": {"text": token}}, True) for token in tokens(thought["text"]))
        yield {"reasoningContent": {"signature": thought["signature"]}}, False
    else:
        yield from (({"toolUse": {"input": token}}, True) for token in tokens(arguments))


def _reason(reply: Reply) -> str:
    """Return the stop reason; this dialect reports a refusal as a guardrail."""
    usual = "guardrail_intervened" if reply.refusal else "tool_use" if reply.tool_calls else "end_turn"
    return reply.finish_reason or usual


# What it cost


def _usage(turn: Turn) -> _JSONObject:
    """Return the token counts in this dialect's field, or an empty object if none are reported."""
    prompt = [turn.body.get("system"), turn.body["messages"]]
    usage = usage_of(turn, texts(prompt, "content", "text", "toolResult"), reasoning=False)
    if usage.raw:
        return {"usage": dict(usage.raw)}
    if usage == Usage():
        return {}
    read, written, output = usage.cache_read_tokens, usage.cache_write_tokens, usage.output_tokens or 0
    counts = {
        "inputTokens": max((usage.input_tokens or 0) - (read or 0) - (written or 0), 0),
        "outputTokens": output,
        "totalTokens": (usage.input_tokens or 0) + output,
    }
    cached = {"cacheReadInputTokens": read, "cacheWriteInputTokens": written}
    return {"usage": counts | {name: count for name, count in cached.items() if count is not None}}


def _models(names: Sequence[str], after: str | None) -> _JSONObject:  # noqa: ARG001 (the list has one page)
    """Return ``GET /foundation-models``."""
    status = {"status": "ACTIVE"}
    rows = [{"modelId": name, "modelName": name.title(), "modelLifecycle": status} for name in names]
    return {"modelSummaries": rows}


class BedrockInvoke(Embeddings, BedrockConverse):
    """The dialect of ``POST /model/{model}/invoke``."""


MODELS = {r"/foundation-models\?.*": _models}
ROUTES: dict[str, Dialect] = {
    r"/model/(?P<model>[^/?]+)/converse(?P<streaming>-stream)?\?.*": BedrockConverse(),
    r"/model/(?P<model>[^/?]+)/invoke\?.*": BedrockInvoke(),
}
"""The path contains the model, and whether to stream."""
ACCESS = {"bedrock": Access("")}
