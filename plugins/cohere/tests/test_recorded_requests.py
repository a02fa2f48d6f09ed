"""Requests recorded from other clients, read into an `InferenceRequest`, are encoded to the same body.

Recordings are not part of the project; ``POLYGLOT_CORPUS`` names the folder that holds them. Two bodies have the same
meaning if they are equal after `in_one_form`: a single text is a list of one part, what is empty is omitted, and the
two names of a schema are one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from polyglot_core.plugin import Image, JSONSchema, Message, RawPart, Reasoning, Text, Tool, ToolCall, ToolResult

CORPUS = os.environ.get("POLYGLOT_CORPUS")
FEWEST = 20
OPTIONS = {"max_tokens": "max_tokens", "temperature": "temperature", "stop_sequences": "stop"}

# From a body to a request


def read_request(body):
    """Return the fields of a request for a recorded body; fields that a request does not have are in `extra`."""
    body = {name: value for name, value in body.items() if value not in (None, [])}
    fields = {"model": body.pop("model"), "stream": body.pop("stream", False)}
    fields["messages"] = [read_message(message) for message in body.pop("messages")]
    fields["tools"] = tuple(
        Tool(function["name"], function.get("description", ""), function["parameters"])
        for function in (tool["function"] for tool in body.pop("tools", ()))
    )
    fields["options"] = {option: body.pop(name) for name, option in OPTIONS.items() if name in body}
    if choice := body.pop("tool_choice", None):
        fields["tool_choice"] = choice.lower()
    if shape := body.pop("response_format", None):
        schema = shape.get("schema") or shape.get("json_schema")
        fields["response_format"] = JSONSchema(schema) if schema else "json"
    return {**fields, "extra": body}


def read_message(message):
    message = {name: value for name, value in message.items() if value not in (None, [])}
    role, content = message.pop("role"), message.pop("content", "")
    parts = [Text(content)] if isinstance(content, str) else [read_part(part) for part in content]
    if role == "tool":
        if any(isinstance(part, RawPart) for part in parts):  # a document with fields of its own
            return Message(role=role, content=tuple(parts), extra=message)
        return Message(role=role, content=(ToolResult(id=message.pop("tool_call_id"), content=tuple(parts)),))
    plan = [Reasoning(text=message.pop("tool_plan"), id="tool_plan")] if "tool_plan" in message else []
    calls = [
        ToolCall(name=call["function"]["name"], id=call["id"], arguments_raw=call["function"]["arguments"])
        for call in message.pop("tool_calls", ())
    ]
    return Message(role=role, content=(*plan, *(part for part in parts if part != Text("")), *calls), extra=message)


def read_part(part):
    match part:
        case {"type": "text", "text": text}:
            return Text(text)
        case {"type": "image_url", "image_url": {"url": url, **more}}:
            return Image(url=url, detail=more.get("detail"))
    return RawPart(part)


# Two bodies in one form


def in_one_form(body):
    plain = {**body, "messages": [message_in_one_form(message) for message in body["messages"]]}
    if shape := body.get("response_format"):
        plain["response_format"] = shape.get("schema") or shape.get("json_schema")
    for tool in plain.get("tools") or ():
        if tool["function"].get("description") == "":
            del tool["function"]["description"]
    return {name: value for name, value in plain.items() if value not in (None, [], False) or name == "temperature"}


def message_in_one_form(message):
    content = message.get("content") or []
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    parts = [part for part in parts if part != {"type": "text", "text": ""}]
    return {name: value for name, value in {**message, "content": parts}.items() if value}


def recorded():
    if not CORPUS:
        return
    for path in sorted(Path(CORPUS).glob("*/cohere-v2-chat/*.json")):
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
