"""Requests recorded from other clients, read into an `InferenceRequest`, are encoded to the same body.

Recordings are not part of the project; ``POLYGLOT_CORPUS`` names the folder that holds them. Two bodies have the same
meaning if they are equal after `in_one_form`, which omits what is empty, ids of tool calls, the repeated name of a
function, and the default of `stream`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from polyglot_core.plugin import JSONSchema, Message, Reasoning, Text, Tool, ToolCall, ToolResult

CORPUS = os.environ.get("POLYGLOT_CORPUS")
FEWEST = 20

# From a body to a request


def read_request(body):
    """Return the fields of a request for a recorded body; fields that a request does not have are in `extra`."""
    body = dict(body)
    fields = {"model": body.pop("model"), "stream": body.pop("stream", True), "options": {}}
    fields["messages"] = [read_message(message) for message in body.pop("messages")]
    fields["tools"] = tuple(
        Tool(function["name"], function.get("description", ""), function["parameters"])
        for function in (tool["function"] for tool in body.pop("tools", ()))
    )
    names = {"num_predict": "max_tokens", "temperature": "temperature"}
    if set(body.get("options", ())) <= set(names):
        fields["options"] = {names[name]: value for name, value in body.pop("options", {}).items()}
    if body.get("think") is False:
        fields["options"]["reasoning_budget"] = 0
        del body["think"]
    if shape := body.pop("format", None):
        fields["response_format"] = shape if isinstance(shape, str) else JSONSchema(shape)
    return {**fields, "extra": {name: value for name, value in body.items() if value is not None}}


def read_message(message):
    known = {"role", "content", "thinking", "tool_calls", "tool_name", "tool_call_id"}
    assert set(message) <= known
    if message["role"] == "tool":
        result = ToolResult(id=message.get("tool_call_id"), content=message["content"], name=message.get("tool_name"))
        return Message(role="tool", content=(result,))
    parts = [Reasoning(text=message["thinking"])] if message.get("thinking") else []
    parts += [Text(message["content"])] if message.get("content") else []
    for call in message.get("tool_calls", ()):
        function = call["function"]
        arguments = json.dumps(function["arguments"])
        parts.append(ToolCall(name=function["name"], id=call.get("id"), arguments_raw=arguments))
    return Message(role=message["role"], content=tuple(parts))


# Two bodies in one form


def in_one_form(body):
    plain = {"stream": True, **body, "messages": [message_in_one_form(message) for message in body["messages"]]}
    plain["tools"] = [tool["function"] for tool in body.get("tools", ())]
    return {name: value for name, value in plain.items() if value not in ({}, [], "", None)}


def message_in_one_form(message):
    message = {name: value for name, value in message.items() if name != "tool_calls"} | {
        "calls": [call["function"] for call in message.get("tool_calls", ())]
    }
    return {name: value for name, value in message.items() if value}


def recorded():
    if not CORPUS:
        return
    for path in sorted(Path(CORPUS).glob("*/ollama-chat/*.json")):
        body = (json.loads(path.read_text("utf-8")).get("request") or {}).get("body")
        if isinstance(body, dict):
            yield pytest.param(body, id=path.stem)


needs_corpus = pytest.mark.skipif(not CORPUS, reason="POLYGLOT_CORPUS does not name a folder of recordings")


@needs_corpus
@pytest.mark.parametrize("body", list(recorded()))
def test_recorded_requests_are_encoded_alike(encode, body):
    """The encoded request equals the body that the other client sent."""
    said = msgspec.json.decode(encode(**read_request(body)).body)
    assert in_one_form(said) == in_one_form(body)


@needs_corpus
def test_few_recorded_requests_need_extra():
    """The comparison would prove little if `extra` carried the requests."""
    bodies = [parameters.values[0] for parameters in recorded()]
    assert sum(not read_request(body)["extra"] for body in bodies) >= FEWEST
