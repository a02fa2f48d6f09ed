"""Requests recorded from other clients, read into an `InferenceRequest`, are encoded to the same body.

Recordings are not part of the project; ``POLYGLOT_CORPUS`` names the folder that holds them. Two bodies have the same
meaning if they are equal after `in_one_form`: a single text is a list of one block, consecutive turns of one role are
one turn, and fields that equal their default are omitted.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from pathlib import Path

import msgspec
import pytest

from polyglot_core.plugin import (
    Document,
    Image,
    JSONSchema,
    Message,
    RawPart,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

CORPUS = os.environ.get("POLYGLOT_CORPUS")
VERTEX = {"base_url": "https://example.com", "facts": {"body_version": "vertex-2023-10-16"}}
FEWEST = 20
EPHEMERAL = {"type": "ephemeral"}

# From a body to a request


def read_request(body):
    """Return the fields of a request for a recorded body; fields that a request does not have are in `extra`."""
    body = dict(body)
    body.pop("anthropic_version", None)
    fields = {"stream": bool(body.pop("stream", None)), "model": body.pop("model", "claude-garden-1")}
    fields["messages"] = [*read_system(body.pop("system", [])), *read_turns(body.pop("messages"))]
    fields["options"] = read_options(body)
    fields |= read_tools(body)
    shape = body.get("output_config", {}).get("format")
    if shape and set(body["output_config"]) <= {"format", "effort"}:
        fields["response_format"] = JSONSchema(shape["schema"])
        fields["options"] |= {"reasoning_effort": effort} if (effort := body["output_config"].get("effort")) else {}
        del body["output_config"]
    return {**fields, "extra": body}


def read_options(body):
    names = {"max_tokens": "max_tokens", "temperature": "temperature", "stop_sequences": "stop"}
    options = {option: body.pop(name) for name, option in names.items() if name in body}
    if set(body.get("metadata", ())) == {"user_id"}:
        options["user"] = body.pop("metadata")["user_id"]
    if set(body.get("output_config", ())) == {"effort"}:
        options["reasoning_effort"] = body.pop("output_config")["effort"]
    thinking = body.get("thinking", {})
    if set(thinking) == {"type", "budget_tokens"} or thinking == {"type": "disabled"}:
        options["reasoning_budget"] = body.pop("thinking").get("budget_tokens", 0)
    return options


def read_tools(body):
    fields = {}
    known = {"name", "description", "input_schema", "strict"}
    if all(set(tool) <= known for tool in body.get("tools", ())):
        fields["tools"] = tuple(
            Tool(tool["name"], tool.get("description", ""), tool["input_schema"], tool.get("strict"))
            for tool in body.pop("tools", ())
        )
    if choice := body.pop("tool_choice", None):
        words = {"auto": "auto", "any": "required", "none": "none"}
        fields["tool_choice"] = words.get(choice["type"]) or choice["name"]
        switch = choice.get("disable_parallel_tool_use")
        fields["parallel_tool_calls"] = None if switch is None else not switch
    return fields


def read_system(system):
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
    return [Message(role="system", content=tuple(map(read_block, blocks)))] if blocks else []


def read_turns(turns):
    return [
        Message(
            role=turn["role"],
            content=content if isinstance(content := turn["content"], str) else tuple(map(read_block, content)),
        )
        for turn in turns
    ]


def read_block(block):
    """Return the block as a part; a `RawPart` if it holds more than a part can."""
    fields = {name: value for name, value in block.items() if name != "type"}
    cached = fields.get("cache_control") == EPHEMERAL
    match block["type"], fields:
        case "text", {"text": text} if set(fields) == {"text"} or (len(fields) == 2 and cached):
            part = Text(text, cache=cached)
        case "thinking", {"thinking": text, "signature": signature}:
            part = Reasoning(text=text, signature=signature)
        case "tool_use", {"id": id_, "name": name, "input": given, **more} if not more:
            part = ToolCall(name=name, id=id_, arguments_raw=json.dumps(given))
        case "image" | "document", {"source": source} if set(fields) <= {"source", "title"}:
            part = read_source(block["type"], source, fields.get("title"))
        case "tool_result", _ if can_be_read(block):
            part = read_result(block, cached=cached)
        case _:
            part = RawPart(block)
    return part


def read_source(kind, source, title):
    if kind == "image":
        return Image(data=base64.b64decode(source["data"]), mime_type=source["media_type"])
    if source["type"] == "file":
        return Document(file_id=source["file_id"], name=title)
    return Document(data=source["data"].encode(), mime_type=source["media_type"], name=title)


def can_be_read(block):
    """Return True if a `ToolResult` can express the whole result."""
    inner = block["content"] if isinstance(block["content"], list) else []
    whole = all(isinstance(read_block(part), (Text, Image)) for part in inner)
    return whole and block.get("cache_control", EPHEMERAL) == EPHEMERAL


def read_result(block, *, cached):
    content = block["content"]
    parts = (Text(content),) if isinstance(content, str) else tuple(map(read_block, content))
    if cached:
        parts = (*parts[:-1], msgspec.structs.replace(parts[-1], cache=True))
    elif isinstance(content, str):
        parts = content
    return ToolResult(id=block["tool_use_id"], content=parts, error=block.get("is_error", False))


# Two bodies in one form


def in_one_form(body):
    plain = {**body, "messages": []}
    for turn in body["messages"]:
        blocks = [block_in_one_form(block) for block in as_blocks(turn["content"])]
        if plain["messages"] and plain["messages"][-1]["role"] == turn["role"]:
            plain["messages"][-1]["content"] += blocks
        else:
            plain["messages"].append({"role": turn["role"], "content": blocks})
    if "system" in plain:
        plain["system"] = as_blocks(plain["system"])
    return {name: value for name, value in plain.items() if value or name not in {"stream", "tools"}}


def as_blocks(content):
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def block_in_one_form(block):
    if block["type"] != "tool_result":
        return block
    block = {**block, "content": as_blocks(block["content"])}
    if not block.get("is_error"):
        block.pop("is_error", None)
    return block


def with_readable_images(value):
    """Return the body with bytes instead of those that the recording omitted."""
    if isinstance(value, list):
        return [with_readable_images(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "base64" and not is_base64(value["data"]):
        return {**value, "data": "bGVmdCBvdXQ="}
    return {name: with_readable_images(item) for name, item in value.items()}


def is_base64(text):
    try:
        return bool(base64.b64decode(text, validate=True))
    except binascii.Error:
        return False


def recorded():
    if not CORPUS:
        return
    for path in sorted(Path(CORPUS).glob("*/anthropic-messages/*.json")):
        body = (json.loads(path.read_text("utf-8")).get("request") or {}).get("body")
        if isinstance(body, dict):
            yield pytest.param(with_readable_images(body), id=path.stem)


needs_corpus = pytest.mark.skipif(not CORPUS, reason="POLYGLOT_CORPUS does not name a folder of recordings")


@needs_corpus
@pytest.mark.parametrize("body", list(recorded()))
def test_recorded_requests_are_encoded_alike(encode, body):
    """The encoded request equals the body that the other client sent."""
    connection = VERTEX if "anthropic_version" in body else {}
    said = msgspec.json.decode(encode(connection=connection, **read_request(body)).body)
    assert in_one_form(said) == in_one_form(body)


@needs_corpus
def test_few_recorded_requests_need_extra():
    """The comparison would prove little if `extra` carried the requests."""
    bodies = [parameters.values[0] for parameters in recorded()]
    assert sum(not read_request(body)["extra"] for body in bodies) >= max(FEWEST, len(bodies) // 2)
