"""Requests recorded from other clients, read into an `InferenceRequest`, are encoded to the same body.

Recordings are not part of the project; ``POLYGLOT_CORPUS`` names the folder that holds them. Two bodies are the same if
they are equal after `comparable`, which removes what makes no difference. What only Google has (safety settings, its
own tools, its older schemas) is in `extra`, as a user would specify it.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path

import pytest

from polyglot_core.plugin import (
    Audio,
    Connection,
    Document,
    Image,
    InferenceRequest,
    JSONSchema,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from polyglot_google import gemini, vertex

CORPUS = os.environ.get("POLYGLOT_CORPUS", "")
DIALECTS = {"gemini-generate": gemini, "vertex": vertex}
FEWEST = 100
FEWEST_WITHOUT_EXTRA = 40

# From a body to a request

SETTINGS = {
    "maxOutputTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "stopSequences": "stop",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "candidateCount": "n",
    "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
}
CHOICES = {"AUTO": "auto", "ANY": "required", "NONE": "none"}
SCHEMAS = ("parameters", "parametersJsonSchema", "responseJsonSchema", "responseSchema")
OPAQUE = (*SCHEMAS, "args", "response", "labels")


def plain(value, *, opaque=False):
    """Return a body without what makes no difference to Google.

    Names in snake case and in camel case are equal, and null counts as missing. What is below a name of the user's
    (arguments, results, schemas) is unchanged. Bytes that the recording omitted are replaced.
    """
    if isinstance(value, dict) and not opaque:
        named = {camel(name): item for name, item in value.items() if item is not None}
        if isinstance(named.get("data"), str):  # base64 of either alphabet
            named["data"] = named["data"].replace("-", "+").replace("_", "/")
        return {name: plain(item, opaque=name in OPAQUE) for name, item in named.items()}
    if isinstance(value, list) and not opaque:
        return [plain(item) for item in value]
    return "AAAA" if isinstance(value, str) and value.startswith("<elided") else value


def comparable(body):
    """Return a plain body in one of several forms with the same meaning.

    Consecutive turns of one role are one; a system instruction has no role; a part has `thought` only if it is true of
    a text; a schema of a tool has one name, and its types are in lower case; all functions are in one tool; a level of
    thinking is in capitals; what is empty is omitted.
    """
    body = dict(body)
    body["contents"] = one_turn_each(body["contents"])
    if instruction := body.pop("systemInstruction", None):
        body["systemInstruction"] = [part["text"] for part in listed(instruction.get("parts"))]
    if tools := body.pop("tools", None):
        functions = [function(one) for tool in tools for one in tool.get("functionDeclarations") or ()]
        others = [{name: tool[name] for name in tool if name != "functionDeclarations"} for tool in tools]
        body["functions"], body["otherTools"] = functions, [tool for tool in others if tool]
    body.pop("model", None)
    if level := body.get("generationConfig", {}).get("thinkingConfig", {}).get("thinkingLevel"):
        thinking = {**body["generationConfig"]["thinkingConfig"], "thinkingLevel": level.upper()}
        body["generationConfig"] = {**body["generationConfig"], "thinkingConfig": thinking}
    return {name: value for name, value in body.items() if value not in ({}, [], None)}


def as_request(body):
    """Return the request that `body`, made plain, encodes."""
    body = dict(body)
    system = [part["text"] for part in listed((body.pop("systemInstruction", None) or {}).get("parts"))]
    turns = [Message(role="system", content=(Text(text),)) for text in system]
    turns += [read_turn(turn) for turn in body.pop("contents")]
    body.pop("model", None)
    options, wanted, settings = read_settings(dict(body.pop("generationConfig", None) or {}))
    tools, others = read_tools(body.pop("tools", None) or [])
    choice, strict, calling = read_calling(dict(body.pop("toolConfig", None) or {}))
    if strict:
        tools = [Tool(tool.name, tool.description, tool.parameters, strict=True) for tool in tools]
    beside = {"generationConfig": settings, "toolConfig": calling, "tools": others, **body}
    return InferenceRequest(
        model="gemini-2.0-flash",
        messages=tuple(turns),
        options=options,
        tools=tuple(tools),
        tool_choice=choice,
        response_format=wanted,
        extra={name: value for name, value in beside.items() if value},
    )


def camel(name):
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)


def listed(parts):
    return parts if isinstance(parts, list) else [parts] if parts else []


def one_turn_each(contents):
    joined = []
    for turn in contents:
        role, parts = turn.get("role", "user"), [without_idle_thought(part) for part in turn["parts"]]
        if joined and joined[-1]["role"] == role:
            joined[-1]["parts"] += parts
        else:
            joined.append({"role": role, "parts": parts})
    return joined


def without_idle_thought(part):
    says_something = part.get("thought") and "text" in part
    return part if says_something else {name: value for name, value in part.items() if name != "thought"}


def function(declared):
    schema = next((declared[name] for name in SCHEMAS if name in declared), None)
    return {"name": declared["name"], "description": declared.get("description", ""), "schema": lower_types(schema)}


def lower_types(schema):
    if isinstance(schema, dict):
        types = {"type": schema["type"].lower()} if isinstance(schema.get("type"), str) else {}
        return {name: lower_types(value) for name, value in schema.items()} | types
    return [lower_types(item) for item in schema] if isinstance(schema, list) else schema


def read_turn(turn):
    parts = [made for part in turn["parts"] for made in read_part(part)]
    only_results = all(isinstance(part, ToolResult) for part in parts)
    role = "assistant" if turn.get("role") == "model" else "tool" if only_results else "user"
    return Message(role=role, content=tuple(parts))


def read_part(part):
    signature = part.get("thoughtSignature")
    if call := part.get("functionCall"):
        text = json.dumps(call.get("args", {}))
        return [ToolCall(name=call["name"], id=call.get("id"), arguments_raw=text, complete=True, signature=signature)]
    if result := part.get("functionResponse"):
        said = json.dumps(result["response"])
        files = tuple(read_file(one) for one in result.get("parts", ()))
        content = (Text(said), *files) if files else said
        return [ToolResult(id=result.get("id"), content=content, name=result["name"])]
    if "text" not in part:
        return [read_file(part)]
    if part.get("thought"):
        return [Reasoning(text=part["text"], signature=signature)]
    return [Text(part["text"]), *([Reasoning(signature=signature)] if signature else [])]


def read_file(part):
    if "fileData" in part:
        inner = part["fileData"]
        if inner["mimeType"].startswith("image/"):
            return Image(url=inner["fileUri"], mime_type=inner["mimeType"])
        return Document(url=inner["fileUri"], mime_type=inner["mimeType"])
    inner = part["inlineData"]
    kinds = {"image": Image, "audio": Audio}
    return kinds.get(inner["mimeType"].partition("/")[0], Document)(
        data=base64.b64decode(inner["data"]), mime_type=inner["mimeType"]
    )


def read_settings(settings):
    """Return options, the response format, and the settings that neither of them expresses."""
    options = {SETTINGS[name]: settings.pop(name) for name in list(settings) if name in SETTINGS}
    thinking = settings.get("thinkingConfig") or {}
    if thinking.get("includeThoughts") and set(thinking) == {"includeThoughts", "thinkingBudget"}:
        options["reasoning_budget"] = settings.pop("thinkingConfig")["thinkingBudget"]
    elif thinking.get("includeThoughts") and set(thinking) == {"includeThoughts", "thinkingLevel"}:
        options["reasoning_effort"] = settings.pop("thinkingConfig")["thinkingLevel"].lower()
    elif thinking == {"thinkingBudget": 0}:
        settings.pop("thinkingConfig")
        options["reasoning_budget"] = 0
    wanted = None
    if settings.get("responseMimeType") == "application/json":
        settings.pop("responseMimeType")
        schema = settings.pop("responseJsonSchema", None)
        wanted = "json" if schema is None else JSONSchema(schema)
    return options, wanted, settings


def read_tools(tools):
    """Return functions, and Google's own tools."""
    declared = [one for tool in tools for one in tool.get("functionDeclarations") or ()]
    functions = [Tool(one["name"], one.get("description", ""), function(one)["schema"]) for one in declared]
    others = [{name: tool[name] for name in tool if name != "functionDeclarations"} for tool in tools]
    return functions, [tool for tool in others if tool]


def read_calling(config):
    """Return the tool choice, whether arguments are checked, and what neither of them expresses."""
    calling = config.pop("functionCallingConfig", None) or {}
    names = calling.get("allowedFunctionNames") or []
    if calling.get("mode") == "ANY" and len(names) == 1:
        return names[0], False, config
    if names:
        return None, False, {**config, "functionCallingConfig": calling}
    mode = calling.get("mode")
    return CHOICES.get(mode), mode == "VALIDATED", config


# The comparison


def recordings():
    """Return every recorded exchange of the two dialects that has a request body."""
    for dialect in DIALECTS:
        for path in sorted(Path(CORPUS).glob(f"*/{dialect}/*.json")) if CORPUS else ():
            request = json.loads(path.read_bytes())["request"] or {}
            if isinstance(request.get("body"), dict):
                yield pytest.param(dialect, request["body"], id=path.stem)


FOUND = list(recordings())
NEEDS_CORPUS = pytest.mark.skipif(not CORPUS, reason="POLYGLOT_CORPUS names no folder of recorded exchanges")


@NEEDS_CORPUS
def test_enough_requests_are_compared():
    """The requests of many clients are compared, and many of them need no `extra`."""
    requests = [as_request(plain(parameter.values[1])) for parameter in FOUND]
    assert len(requests) >= FEWEST
    assert sum(not request.extra for request in requests) >= FEWEST_WITHOUT_EXTRA


@NEEDS_CORPUS
@pytest.mark.parametrize(("dialect", "recorded"), FOUND)
def test_recorded_requests_are_encoded_alike(dialect, recorded):
    """The encoded request equals the recorded body in meaning."""
    sent = plain(recorded)
    connection = Connection(name="recorded", driver=dialect, base_url="https://google.test/v1")
    wire = DIALECTS[dialect].encode_request(connection, as_request(sent))
    assert comparable(plain(json.loads(wire.body))) == comparable(sent)
