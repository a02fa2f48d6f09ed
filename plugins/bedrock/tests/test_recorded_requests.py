"""Requests recorded from other clients, read into an `InferenceRequest`, are encoded to the same body.

Recordings are not part of the project; ``POLYGLOT_CORPUS`` names the folder that holds them. Two bodies are the same if
they are equal after `comparable`, which removes what makes no difference. What Polyglot has no part or option for
(guarded texts, search results, results in JSON, system tools) is in `RawPart` and `extra`, as a user would specify it.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from polyglot_bedrock import driver
from polyglot_core.plugin import (
    Connection,
    Document,
    InferenceRequest,
    JSONSchema,
    Message,
    RawPart,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

CORPUS = os.environ.get("POLYGLOT_CORPUS", "")
FEWEST = 55
FEWEST_WITHOUT_EXTRA = 40
POINT = {"cachePoint": {"type": "default"}}
SETTINGS = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop"}


def comparable(body):
    """Return a body in one of several forms with the same meaning.

    Consecutive turns of one role are one, a result without a status succeeded, the model is in the path, the schema of
    the output is parsed, and what is empty is omitted.
    """
    body = json.loads(re.sub(r'"<elided[^"]*"', '"AAAA"', json.dumps(body)))
    turns = []
    for turn in body["messages"]:
        content = [without_success(block) for block in turn["content"]]
        if turns and turns[-1]["role"] == turn["role"]:
            turns[-1]["content"] += content
        else:
            turns.append({"role": turn["role"], "content": content})
    body["messages"] = turns
    if definition := dig(body, "outputConfig", "textFormat", "structure", "jsonSchema"):
        definition["schema"] = json.loads(definition["schema"])
    return {name: value for name, value in body.items() if value not in ({}, []) and name != "modelId"}


def dig(value, *path):
    for name in path:
        value = value.get(name, {})
    return value


def without_success(block):
    result = block.get("toolResult")
    if result and result.get("status") == "success":
        return {"toolResult": {name: value for name, value in result.items() if name != "status"}}
    return block


def as_request(body, model):
    """Return the request that `body` encodes."""
    body = {name: value for name, value in body.items() if name != "modelId"}
    turns = [Message(role="system", content=read_blocks(body.pop("system", [])))] if body.get("system") else []
    turns += [Message(role=turn["role"], content=read_blocks(turn["content"])) for turn in body.pop("messages")]
    options = {SETTINGS[name]: value for name, value in body.pop("inferenceConfig", {}).items()}
    tools, choice = read_tools(body)
    wanted = None
    if definition := dig(body, "outputConfig", "textFormat", "structure", "jsonSchema"):
        del body["outputConfig"]
        wanted = JSONSchema(
            json.loads(definition["schema"]), definition["name"], description=definition.get("description")
        )
    fields = body.get("additionalModelRequestFields", {})
    if set(fields) == {"thinking"} and set(fields["thinking"]) == {"type", "budget_tokens"}:
        options["reasoning_budget"] = body.pop("additionalModelRequestFields")["thinking"]["budget_tokens"]
    elif set(fields) == {"inferenceConfig"} and set(fields["inferenceConfig"]) == {"topK"}:
        options["top_k"] = body.pop("additionalModelRequestFields")["inferenceConfig"]["topK"]
    return InferenceRequest(
        model=model,
        messages=tuple(turns),
        options=options,
        tools=tools,
        tool_choice=choice,
        response_format=wanted,
        extra={name: value for name, value in body.items() if value},
    )


def read_tools(body):
    """Return functions and the choice; a configuration with other tools in it stays in the body."""
    config = body.get("toolConfig")
    if not config or not all("toolSpec" in tool for tool in config["tools"]):
        return (), None
    del body["toolConfig"]
    specs = [tool["toolSpec"] for tool in config["tools"]]
    tools = [
        Tool(one["name"], one.get("description", ""), one["inputSchema"]["json"], one.get("strict")) for one in specs
    ]
    ((kind, inner),) = config.get("toolChoice", {None: None}).items()
    return tuple(tools), inner["name"] if kind == "tool" else {"any": "required"}.get(kind, kind)


def read_blocks(blocks):
    parts = []
    for block in blocks:
        if block == POINT and parts and isinstance(parts[-1], Text):
            parts[-1] = Text(parts[-1].text, cache=True)
        else:
            parts.append(read_block(block))
    return tuple(parts)


def read_block(block):
    ((kind, inner),) = block.items()
    if kind == "text":
        return Text(inner)
    if kind == "toolUse":
        return ToolCall(
            name=inner["name"], id=inner["toolUseId"], arguments_raw=json.dumps(inner["input"]), complete=True
        )
    if kind == "toolResult" and all("text" in one for one in inner["content"]):
        content = tuple(Text(one["text"]) for one in inner["content"])
        return ToolResult(id=inner["toolUseId"], content=content, error=inner.get("status") == "error")
    if kind == "document" and set(inner) == {"format", "name", "source"} and inner["format"] == "pdf":
        data = inner["source"]["bytes"]
        return Document(data=base64.b64decode("AAAA" if data.startswith("<") else data), name=inner["name"])
    return RawPart(block)


def recordings():
    """Return every recorded exchange that has a request body."""
    for path in sorted(Path(CORPUS).glob("*/bedrock-converse*/*.json")) if CORPUS else ():
        request = json.loads(path.read_bytes())["request"] or {}
        if isinstance(request.get("body"), dict):
            model = unquote(re.search(r"/model/([^/]+)/", request["url"])[1])
            yield pytest.param(request["body"], model, id=path.stem)


FOUND = list(recordings())
NEEDS_CORPUS = pytest.mark.skipif(not CORPUS, reason="POLYGLOT_CORPUS names no folder of recorded exchanges")


@NEEDS_CORPUS
def test_enough_requests_are_compared():
    """The requests of many clients are compared, and most of them need no `extra`."""
    requests = [as_request(*parameter.values) for parameter in FOUND]
    assert len(requests) >= FEWEST
    assert sum(not request.extra for request in requests) >= FEWEST_WITHOUT_EXTRA


@NEEDS_CORPUS
@pytest.mark.parametrize(("recorded", "model"), FOUND)
def test_recorded_requests_are_encoded_alike(recorded, model):
    """The encoded request equals the recorded body in meaning."""
    wire = driver.encode_request(Connection(name="recorded", driver="bedrock"), as_request(recorded, model))
    assert comparable(json.loads(wire.body)) == comparable(recorded)
