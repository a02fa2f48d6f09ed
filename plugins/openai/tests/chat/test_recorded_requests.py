"""Requests recorded from other clients, read into an `InferenceRequest` and encoded, mean the same.

The recorded bodies are not part of the project; without them nothing here runs. Two bodies mean the same although

- a message of one text is a string or one part, a tool call without text has an empty, a null or no content;
- fields are null or missing, ``false`` for ``stream`` and an empty description are missing;
- the limit is in ``max_tokens`` or in ``max_completion_tokens``, effort and budget of thinking in fields of their own
  or in ``reasoning``;
- the developer's messages have the role ``system``, if the endpoint has no developer role;
- a tool call has its index, no type or no arguments at all, a tool's result the tool's name, thinking a format;
- tool calls or results have no ids, or a schema no name, and the driver adds some; an empty list of tools is no list;
- the recorded client did not request usage for a stream, and the driver does.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path

import pytest

import polyglot_openai.chat.azure
import polyglot_openai.chat.driver
from polyglot_core._client.arguments import as_response_format
from polyglot_core.errors import RequestError
from polyglot_core.plugin import Connection, InferenceRequest, Message, RawPart, Reasoning, Text, Tool
from polyglot_core.testing import OPTIONS as OPTION_NAMES
from polyglot_core.testing import bind
from polyglot_openai.chat.presets import PRESETS

CORPUS = Path(os.environ.get("POLYGLOT_CORPUS") or "/nowhere")
NAMED_OTHERWISE = {
    "alibaba": "qwen",
    "azure": "azure-v1",
    "bedrock": "bedrock-openai",
    "google": "gemini-openai",
    "ollama": "ollama-openai",
    "vercel-gateway": "vercel",
}
LIMITS = ("max_tokens", "max_completion_tokens")
THINKING = ("reasoning_content", "reasoning", "reasoning_text", "reasoning_details")
OPTIONS = set(OPTION_NAMES) - {"top_k", "reasoning_budget", "max_tokens"}
ELIDED = "<elided "


def recorded():
    """Yield every recorded request with a JSON body, by its path, with the row of its endpoint."""
    for folder in CORPUS.glob("*/*"):
        if folder.name in {"openai-chat", "azure-openai"}:
            row = "azure-openai" if folder.name == "azure-openai" else NAMED_OTHERWISE.get(folder.parent.name)
            preset = PRESETS.get(row or folder.parent.name, PRESETS["openai"])
            for file in sorted(folder.glob("*.json")):
                request = json.loads(file.read_text("utf-8"))["request"] or {}
                if {"model", "messages"} <= set(request.get("body") or ()):
                    yield file.relative_to(CORPUS).as_posix(), request["body"], preset


# From a body to a request


def read(body):
    """Return the request that a body encodes."""
    fields = {name: value for name, value in body.items() if value is not None}
    asked = {"model": fields.pop("model"), "stream": fields.pop("stream", False)}
    options = {name: fields.pop(name) for name in OPTIONS & set(fields)}
    for limit in LIMITS:
        if limit in fields:
            options["max_tokens"] = fields.pop(limit)
    if fields.get("stream_options") == {"include_usage": True}:
        del fields["stream_options"]
    return InferenceRequest(
        **asked,
        messages=tuple(_message(turn) for turn in fields.pop("messages")),
        options=options,
        tools=tuple(_tool(tool) for tool in fields.pop("tools", ())),
        tool_choice=_choice(fields.pop("tool_choice", None)),
        parallel_tool_calls=fields.pop("parallel_tool_calls", None),
        response_format=as_response_format(fields.pop("response_format", None)),
        extra=fields,
    )


def _message(turn):
    turn = {name: value for name, value in turn.items() if value is not None}
    thoughts = _thoughts({name: turn.pop(name) for name in THINKING if name in turn})
    if isinstance(turn.get("content"), list):
        turn["content"] = [_part(part) for part in turn["content"]]
    message = Message.from_dict(turn)
    return (
        Message(role=message.role, content=(*thoughts, *message.parts), name=message.name, extra=message.extra)
        if thoughts
        else message
    )


def _thoughts(said):
    blocks = said.pop("reasoning_details", None)
    if blocks:
        return tuple(
            Reasoning(
                text=block.get("text") or block.get("summary") or "",
                signature=block.get("signature"),
                redacted=block.get("data"),
                id=block.get("id"),
            )
            for block in blocks
        )
    return tuple(Reasoning(text=text) for text in list(said.values())[:1])


def _part(part):
    if isinstance(part, dict) and (mark := part.get("cache_control")):
        return Text(part["text"], cache=True) if mark == {"type": "ephemeral"} else RawPart(part)
    return {name: value for name, value in part.items() if value is not None} if isinstance(part, dict) else part


def _tool(tool):
    if "function" not in tool:
        raise NotInTheModelError(f"a tool of type {tool.get('type')}")
    function = {name: value for name, value in tool["function"].items() if value is not None}
    known = {name: function.pop(name) for name in ("name", "description", "parameters", "strict") if name in function}
    if function or set(tool) - {"type", "function"}:
        raise NotInTheModelError(f"a tool with {sorted(function) + sorted(set(tool) - {'type', 'function'})}")
    return Tool(**known)


def _choice(choice):
    if isinstance(choice, dict):
        if "function" not in choice:
            raise NotInTheModelError(f"a choice {choice}")
        return choice["function"]["name"]
    return choice


class NotInTheModelError(Exception):
    """The request model cannot express something that was recorded."""


# Equal in meaning


def meaning(body, facts, *, with_ids):
    """Return a body without what makes no difference."""
    body = {name: value for name, value in copy.deepcopy(body).items() if value is not None}
    for limit in LIMITS[1:]:
        if limit in body:
            body.setdefault(LIMITS[0], body.pop(limit))
    if not body.get("stream"):
        body.pop("stream", None)
    if body.get("stream_options") == {"include_usage": True}:
        del body["stream_options"]
    if effort := body.pop("reasoning_effort", None):
        body["reasoning"] = {**body.get("reasoning", {}), "effort": effort}
    for name in facts.get("body", {}):
        body.pop(name, None)
    body["messages"] = [_same_message(turn, facts, with_ids=with_ids) for turn in body["messages"]]
    if tools := body.pop("tools", None):
        body["tools"] = [_same_tool(tool) for tool in tools]
    if isinstance(shape := body.get("response_format", {}).get("json_schema"), dict):
        shape.setdefault("name", "answer")
    if isinstance(choice := body.get("tool_choice"), dict):
        body["tool_choice"] = {"type": "function", **choice}
    return body


def _same_message(turn, facts, *, with_ids):
    turn = {name: value for name, value in turn.items() if value is not None}
    if turn["role"] == "developer":
        turn["role"] = facts.get("developer_role", "developer")
    if turn["role"] == "tool":
        turn.pop("name", None)
        if not with_ids:
            turn.pop("tool_call_id", None)
    content = turn.pop("content", "")
    if mark := turn.pop("cache_control", None):  # that of a message is that of its last part
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        content = [*parts[:-1], {**parts[-1], "cache_control": mark}]
    if isinstance(content, list):
        content = [{name: value for name, value in part.items() if value is not None} for part in content]
        joined = turn["role"] == "tool" and all(part["type"] == "text" for part in content)
        if joined or (len(content) == 1 and set(content[0]) == {"type", "text"}):
            content = "".join(part["text"] for part in content)
    turn["content"] = content or ""
    turn["thinking"] = _same_thinking([turn.pop(name, None) for name in THINKING], facts)
    if "tool_calls" in turn:
        turn["tool_calls"] = [_same_call(call, with_ids=with_ids) for call in turn["tool_calls"]] or None
    return {name: value for name, value in turn.items() if value is not None}


def _same_thinking(said, facts):
    """Return True if the thinking is equal, or if the endpoint does not accept it back."""
    *texts, blocks = said
    if not set(facts.get("reasoning_back", ())) & set(THINKING):
        return None
    if blocks:
        said = [block.get("text") or block.get("summary") or "" for block in blocks]
        sealed = [block.get("signature") or block.get("data") for block in blocks]
        return "".join(said), [seal for seal in sealed if seal]
    text = next((text for text in texts if text), None)
    return None if text in {None, facts.get("reasoning_default")} else (text, [])


def _same_call(call, *, with_ids):
    function = call["function"]
    return call.get("id") if with_ids else None, function["name"], _object(function.get("arguments"))


def _object(arguments):
    return "{}" if arguments in {None, "", "null"} else arguments


def _has_ids(body):
    """Return True if every tool call and every result has an id."""
    calls = [call for turn in body["messages"] for call in turn.get("tool_calls") or ()]
    results = [turn for turn in body["messages"] if turn["role"] == "tool"]
    return all(call.get("id") for call in calls) and all(turn.get("tool_call_id") for turn in results)


def _same_tool(tool):
    function = {name: value for name, value in tool["function"].items() if value not in (None, "")}
    return {"parameters": {"type": "object", "properties": {}}, **function}


# The test


@pytest.fixture(scope="module")
def compared():
    """Return by path None if the bodies mean the same, a reason if they were not compared, or both bodies."""
    if not CORPUS.is_dir():
        pytest.skip("POLYGLOT_CORPUS does not name the folder of the recorded exchanges")
    return {path: _compare(body, preset) for path, body, preset in recorded()}


def _compare(body, preset):
    if ELIDED in json.dumps(body):
        return "the recording leaves bytes out"
    try:
        request = read(body)
    except (NotInTheModelError, RequestError, TypeError) as error:
        return f"the request model does not have it: {error}"
    module = polyglot_openai.chat.azure if preset.driver == "azure-openai" else polyglot_openai.chat.driver
    connection = Connection(
        name="here", driver=preset.driver, base_url=preset.base_url or "https://mine.example/v1", facts=preset.facts
    )
    try:
        sent = json.loads(bind(module, connection).encode(request).body)
    except RequestError as error:
        return f"refused: {error}"
    with_ids = _has_ids(body)
    wanted, found = (meaning(each, preset.facts, with_ids=with_ids) for each in (body, sent))
    return None if wanted == found else (wanted, found)


def test_recorded_requests_are_encoded_alike(compared):
    """Every recorded body that the request model can express is encoded equal in meaning."""
    assert {path: result for path, result in compared.items() if isinstance(result, tuple)} == {}


def test_enough_requests_are_compared(compared):
    """Most bodies are compared, of every endpoint, with every type of turn and part."""
    same = [path for path, result in compared.items() if result is None]
    assert len(same) > 500
    assert len({path.partition("/")[0] for path in same}) > 30


def test_no_row_rejects_a_recorded_success(compared):
    """A row rejects no request that succeeded when it was recorded."""
    refused = [path for path, result in compared.items() if isinstance(result, str) and result.startswith("refused")]
    statuses = {path: json.loads((CORPUS / path).read_text("utf-8"))["response"]["status"] for path in refused}
    assert [path for path, status in statuses.items() if status == 200] == []
