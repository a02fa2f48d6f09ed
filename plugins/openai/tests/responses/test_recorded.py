"""Requests recorded from other clients of Responses endpoints, read and encoded by this driver.

The recordings are not part of the project: ``POLYGLOT_CORPUS`` names the folder that has them. A recorded body is read
into an `InferenceRequest`, and what `encode_request` makes of that must mean the same. Two bodies mean the same if:

- ``input`` is a text or one message of the user, a message has its type or none, one text part is its text.
- Ids and statuses that a server gave to messages, tool calls and results are ignored.
- A field that is null, an empty list of annotations or logprobs, an empty description, and ``"stream": false`` count
  as absent.
- The order of tools is ignored.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from pathlib import Path

import pytest

from polyglot_core.plugin import (
    Connection,
    Document,
    Image,
    InferenceRequest,
    JSONSchema,
    Message,
    RawPart,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from polyglot_openai.responses import driver

CORPUS = Path(os.environ.get("POLYGLOT_CORPUS", ""))
FILES = sorted(CORPUS.glob("*/openai-responses/*.json")) if os.environ.get("POLYGLOT_CORPUS") else []
OPTIONS = {"max_output_tokens": "max_tokens", "temperature": "temperature", "service_tier": "service_tier"}
CALLS = {"function_call", "custom_tool_call"}
RESULTS = {"function_call_output", "custom_tool_call_output"}
FUNCTION = {"type", "name", "description", "parameters", "strict"}

pytestmark = pytest.mark.skipif(not FILES, reason="POLYGLOT_CORPUS does not name a folder with recorded exchanges")


# Reading a recorded body


def bytes_of(url):
    """Return type and bytes of a data URL, or None if it is truncated or no data URL."""
    head, comma, data = url.partition(";base64,")
    try:
        return (head.removeprefix("data:"), base64.b64decode(data, validate=True)) if comma else None
    except binascii.Error:
        return None


def part_of(part):
    kind, url = part["type"], part.get("image_url") or part.get("file_data") or ""
    if set(part) == {"type", "text"} or (kind == "output_text" and not any(part.get(f) for f in ("annotations",))):
        return Text(part["text"])
    if kind == "input_image":
        found = bytes_of(url)
        given = {"url": url} if found is None else {"mime_type": found[0], "data": found[1]}
        return Image(**given, detail=part.get("detail"))
    if kind == "input_file" and "file_url" in part:
        return Document(url=part["file_url"])
    if kind == "input_file":
        found = bytes_of(url)
        given = {"url": url} if found is None else {"mime_type": found[0], "data": found[1]}
        return Document(**given, name=part["filename"])
    return RawPart(part)


def content_of(content):
    return content if isinstance(content, str) else tuple(part_of(part) for part in content)


def message_of(item):
    kind = item.get("type", "message")
    if kind == "message":
        others = {name: value for name, value in item.items() if name == "phase"}
        return Message(role=item["role"], content=content_of(item["content"]), extra=others)
    if kind == "function_call":
        call = ToolCall(name=item["name"], id=item["call_id"], arguments_raw=item["arguments"], complete=True)
        return Message(role="assistant", content=(call,))
    if kind == "function_call_output":
        return Message(role="tool", content=(ToolResult(id=item["call_id"], content=content_of(item["output"])),))
    if kind == "reasoning" and item.get("id") and not item.get("content"):
        texts = [part["text"] for part in item["summary"]] or [""]
        ciphers = [item.get("encrypted_content"), *[None] * len(texts)]
        said = (Reasoning(text=t, redacted=c, id=item["id"]) for t, c in zip(texts, ciphers, strict=False))
        return Message(role="assistant", content=tuple(said))
    return Message(role="assistant", content=(RawPart(item),))


def is_plain_function(tool):
    return tool.get("type") == "function" and set(tool) <= FUNCTION and "name" in tool


def format_of(text):
    said = text.get("format") or {}
    if said.get("type") != "json_schema":
        return {"json_object": "json"}.get(said.get("type"), said.get("type"))
    return JSONSchema(said["schema"], said["name"], said.get("strict"), said.get("description"))


def request_of(body):
    """Return the recorded body as a request; `extra` holds what a request cannot express."""
    extra = {name: value for name, value in body.items() if value is not None}
    given = extra.pop("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    options = {ours: extra.pop(theirs) for theirs, ours in OPTIONS.items() if theirs in extra}
    thinking = dict(extra.pop("reasoning", {}))
    if "effort" in thinking:
        options["reasoning_effort"] = thinking.pop("effort")
    tools = extra.pop("tools", [])
    choice = extra.pop("tool_choice", None)
    if isinstance(choice, dict):
        choice, extra = (choice["name"], extra) if "name" in choice else (None, {**extra, "tool_choice": choice})
    wanted = format_of(extra.pop("text", {}))
    strange = [tool for tool in tools if not is_plain_function(tool)]
    extra |= {name: value for name, value in {"reasoning": thinking, "tools": strange}.items() if value}
    return InferenceRequest(
        model=extra.pop("model"),
        messages=tuple(message_of(item) for item in items),
        stream=extra.pop("stream", False),
        options=options,
        tools=tuple(
            Tool(tool["name"], tool.get("description", ""), tool["parameters"], tool.get("strict"))
            for tool in tools
            if is_plain_function(tool)
        ),
        tool_choice=choice,
        parallel_tool_calls=extra.pop("parallel_tool_calls", None),
        response_format=wanted,
        extra=extra,
    )


# Comparing


def present(fields, without=()):
    return {name: value for name, value in fields.items() if value is not None and name not in without}


def plain_content(content):
    if isinstance(content, str):
        return content
    parts = [present(part, ["annotations", "logprobs"]) for part in content]
    alone = len(parts) == 1 and set(parts[0]) == {"type", "text"}
    return parts[0]["text"] if alone else parts


def meaning_of_item(item):
    item = present(item)
    kind = item.setdefault("type", "message")
    if kind == "message":
        return {**present(item, ["id", "status"]), "content": plain_content(item["content"])}
    if kind in CALLS | RESULTS:
        return present(item, ["id", "status"])
    return {name: value for name, value in item.items() if (name, value) != ("content", [])}


def meaning_of_tool(tool):
    return {name: value for name, value in present(tool).items() if (name, value) != ("description", "")}


def meaning(body):
    body = present(body)
    given = body.pop("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    body["input"] = [meaning_of_item(item) for item in items]
    body["tools"] = sorted(json.dumps(meaning_of_tool(tool), sort_keys=True) for tool in body.get("tools", []))
    return body | {"stream": body.get("stream", False)}


def said_again(body):
    connection = Connection(name="corpus", driver="openai-responses", api_key="test-key")
    return json.loads(driver.encode_request(connection, request_of(body)).body)


def recorded_bodies():
    for file in FILES:
        body = (json.loads(file.read_text("utf-8"))["request"] or {}).get("body")
        if isinstance(body, dict) and "input" in body:
            yield file, body


INEXPRESSIBLE = {
    "tool-round-trip-2-67b79dd8": "a message of the role 'tool', which the server refused",
}


def test_recorded_requests_are_encoded_alike():
    """Recorded requests, read and encoded again, keep their meaning."""
    compared, different = 0, []
    for file, body in recorded_bodies():
        if file.stem in INEXPRESSIBLE:
            continue
        compared += 1
        if meaning(said_again(body)) != meaning(body):
            different.append(file.stem)
    assert different == []
    assert compared > 150
