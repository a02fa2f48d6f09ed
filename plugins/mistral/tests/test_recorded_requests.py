"""Requests recorded from other clients, read into an `InferenceRequest`, are encoded to the same body.

Recordings are not part of the project; ``POLYGLOT_CORPUS`` names the folder that holds them. Two bodies have the same
meaning if they are equal after `in_one_form`: a single text is a list of one part, and defaults are omitted.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path

import msgspec
import pytest

from polyglot_core.plugin import Audio, Document, Image, Message, RawPart, Text, Tool, ToolCall, ToolResult

CORPUS = os.environ.get("POLYGLOT_CORPUS")
FEWEST = 20
NAMES = {"random_seed": "seed"}
OPTIONS = frozenset(
    {"max_tokens", "temperature", "top_p", "stop", "n", "presence_penalty", "frequency_penalty", "reasoning_effort"}
)

# From a body to a request


def read_request(body):
    """Return the fields of a request for a recorded body; fields that a request does not have are in `extra`."""
    body = dict(body)
    fields = {"model": body.pop("model", "garden-1"), "stream": body.pop("stream", False)}
    fields["messages"] = [read_message(message) for message in body.pop("messages")]
    fields["tools"] = tuple(read_tool(tool["function"]) for tool in body.pop("tools", None) or ())
    fields["options"] = {NAMES.get(name, name): body.pop(name) for name in (*OPTIONS, *NAMES) if name in body}
    fields["parallel_tool_calls"] = body.pop("parallel_tool_calls", None)
    if (choice := body.pop("tool_choice", None)) is not None:
        named = choice["function"]["name"] if isinstance(choice, dict) else choice
        fields["tool_choice"] = "required" if named == "any" else named
    if shape := body.pop("response_format", None):
        fields["response_format"] = shape["type"].removesuffix("_object")
    return {**fields, "extra": body}


def read_tool(function):
    return Tool(function["name"], function.get("description", ""), function["parameters"], function.get("strict"))


def read_message(message):
    message = {name: value for name, value in message.items() if value is not None}
    role, content = message.pop("role"), message.pop("content", "")
    parts = [Text(content)] if isinstance(content, str) else [read_part(part) for part in content]
    if role == "tool":
        result = ToolResult(id=message.pop("tool_call_id"), content=tuple(parts), name=message.pop("name", None))
        return Message(role=role, content=(result,), extra=message)
    calls = [
        ToolCall(name=call["function"]["name"], id=call["id"], arguments_raw=call["function"]["arguments"])
        for call in message.pop("tool_calls", ())
    ]
    return Message(role=role, content=(*(part for part in parts if part != Text("")), *calls), extra=message)


def read_part(part):
    match part:
        case {"type": "text", "text": text}:
            return Text(text)
        case {"type": "image_url", "image_url": {"url": url, **more}}:
            return Image(url=url, detail=more.get("detail"))
        case {"type": "document_url", "document_url": url, **more}:
            return Document(url=url, name=more.get("document_name"))
        case {"type": "input_audio", "input_audio": {"data": data, "format": name}}:
            return Audio(data=base64.b64decode(data), mime_type=f"audio/{name}")
    return RawPart(part)


# Two bodies in one form


def in_one_form(body):
    plain = {**body, "messages": [message_in_one_form(message) for message in body["messages"]]}
    if plain.get("tool_choice") == "required":
        plain["tool_choice"] = "any"
    return {name: value for name, value in plain.items() if value not in (None, [], False) or name == "temperature"}


def message_in_one_form(message):
    content = message.get("content") or []
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {name: value for name, value in {**message, "content": parts}.items() if value}


def with_readable_sounds(value):
    """Return the body with bytes instead of those that the recording omitted."""
    if isinstance(value, list):
        return [with_readable_sounds(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "data" in value and "format" in value:
        return {**value, "data": "bGVmdCBvdXQ="}
    return {name: with_readable_sounds(item) for name, item in value.items()}


def recorded():
    if not CORPUS:
        return
    for path in sorted(Path(CORPUS).glob("*/mistral-chat/*.json")):
        # ids were removed from the recordings; these are of the same length
        text = re.sub(r"call_REDACTED_(\d)\b", r"REDACTED\1", path.read_text("utf-8"))
        body = (json.loads(text).get("request") or {}).get("body")
        if isinstance(body, dict):
            yield pytest.param(with_readable_sounds(body), id=path.stem)


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
