"""Reference readers: the turn in a response's bytes, in the shape in which its API takes it back, without the drivers.

Each reader knows one dialect's documentation and nothing of Polyglot. It adds up the events of a stream, and returns
the content of the first choice: a list of blocks, or an object with the fields of a message.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["READERS", "read_turn"]

JSONObject = dict[str, Any]
Reader = Callable[[list[JSONObject], bool], Any]
"""Takes the events of a stream, or the plain response as the only one, and whether it is a stream."""


def read_turn(dialect: str, framing: str, body: bytes) -> Any:
    """Return the turn in a response.

    Args:
        dialect: One of `READERS`.
        framing: How the body is framed, as the corpus states it.
        body: The body.

    Raises:
        ValueError: The body is not what its framing promises.
    """
    return READERS[dialect](list(_EVENTS[framing](body)), framing != "json")


# Framings


def _sse(body: bytes) -> Iterator[JSONObject]:
    for block in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:")]
        text = b"\n".join(lines)
        if text and text != b"[DONE]":
            yield json.loads(text)


def _frames(body: bytes) -> Iterator[JSONObject]:
    while body:
        length, headers = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
        payload = json.loads(body[12 + headers : length - 4] or b"{}")
        names = _headers(body[12 : 12 + headers])
        yield {names.get(":event-type", "exception"): payload}
        body = body[length:]


def _headers(data: bytes) -> dict[str, str]:
    found = {}
    while data:
        name, data = data[1 : 1 + data[0]].decode(), data[1 + data[0] :]
        size = int.from_bytes(data[1:3], "big")  # after the type, which is text in every header that counts
        found[name], data = data[3 : 3 + size].decode(), data[3 + size :]
    return found


_EVENTS: dict[str, Callable[[bytes], Iterator[JSONObject]]] = {
    "sse": _sse,
    "json": lambda body: iter([json.loads(body)]),
    "json-array": lambda body: iter(json.loads(body)),
    "ndjson": lambda body: (json.loads(line) for line in body.split(b"\n") if line.strip()),
    "aws-eventstream": _frames,
}


# Anthropic

_GROWING = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "compaction_delta": "content",
}


def _anthropic(events: list[JSONObject], streamed: bool) -> list[JSONObject]:
    if not streamed:
        return list(events[0].get("content") or [])
    blocks: dict[int, JSONObject] = {}
    inputs: dict[int, str] = {}
    for event in events:
        kind, index = event.get("type"), event.get("index", 0)
        if kind == "content_block_start":
            blocks[index] = dict(event["content_block"])
        elif kind == "content_block_delta":
            _anthropic_delta(blocks[index], event["delta"], inputs, index)
    for index, text in inputs.items():
        blocks[index]["input"] = _parsed(text) if text else blocks[index].get("input")
    return [blocks[index] for index in sorted(blocks)]


def _anthropic_delta(block: JSONObject, delta: JSONObject, inputs: dict[int, str], index: int) -> None:
    kind = delta["type"]
    if kind == "input_json_delta":
        inputs[index] = inputs.get(index, "") + delta["partial_json"]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or []), delta["citation"]]
    elif kind in _GROWING:
        field = _GROWING[kind]
        block[field] = (block.get(field) or "") + (delta[field] or "")


# Bedrock


def _bedrock(events: list[JSONObject], streamed: bool) -> list[JSONObject]:
    if not streamed:
        return list(events[0].get("output", {}).get("message", {}).get("content") or [])
    blocks: dict[int, JSONObject] = {}
    for event in events:
        for kind, payload in event.items():
            index = payload.get("contentBlockIndex", 0)
            if kind == "contentBlockStart":
                blocks[index] = {name: {**value, "input": ""} for name, value in (payload.get("start") or {}).items()}
            elif kind == "contentBlockDelta":
                _bedrock_delta(blocks.setdefault(index, {}), payload["delta"])
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = _parsed(block["toolUse"]["input"] or "{}")
    return [blocks[index] for index in sorted(blocks)]


def _bedrock_delta(block: JSONObject, delta: JSONObject) -> None:
    for name, value in delta.items():
        if name == "text":
            block["text"] = block.get("text", "") + value
        elif name == "toolUse":
            block["toolUse"]["input"] += value["input"]
        elif name == "reasoningContent":
            if "redactedContent" in value:
                block[name] = dict(value)
                continue
            inner = block.setdefault(name, {}).setdefault("reasoningText", {})
            for field, text in value.items():
                inner[field] = inner.get(field, "") + text
        elif name == "citation":
            block.setdefault("citationsContent", {}).setdefault("citations", []).append(value)
        elif name == "toolResult":
            block.setdefault(name, {}).setdefault("content", []).extend(value)
        else:
            block[name] = value


# Google


def _google(events: list[JSONObject], _streamed: bool) -> list[JSONObject]:
    parts: list[JSONObject] = []
    for event in events:
        for candidate in event.get("candidates") or []:
            if candidate.get("index", 0) == 0:
                parts += candidate.get("content", {}).get("parts") or []
    return parts


# OpenAI


def _chat(events: list[JSONObject], streamed: bool) -> JSONObject:
    message: JSONObject = {}
    calls: dict[Any, JSONObject] = {}
    for event in events:
        for choice in event.get("choices") or []:
            if choice.get("index") in (0, None):
                piece = choice.get("delta" if streamed else "message") or choice.get("message") or {}
                _chat_piece(message, calls, piece)
    details = _thoughts(message.pop("reasoning_details", None) or [])
    return {**message, "reasoning_details": details, "tool_calls": list(calls.values())}


def _thoughts(pieces: list[JSONObject]) -> list[JSONObject]:
    """Return the details of reasoning with their pieces added up."""
    details: list[JSONObject] = []
    for piece in pieces:
        before = details[-1] if details else {}
        if (piece.get("type"), piece.get("index")) != (before.get("type"), before.get("index")):
            details.append(dict(piece))
            continue
        for name, value in piece.items():
            grows = name in {"text", "summary", "data"} and isinstance(value, str)
            before[name] = (before.get(name) or "") + value if grows else value or before.get(name)
    return details


def _chat_piece(message: JSONObject, calls: dict[Any, JSONObject], piece: JSONObject) -> None:
    for name, value in piece.items():
        if name == "tool_calls":
            for number, call in enumerate(value or []):
                _chat_call(calls, call, call.get("index", number))
        elif isinstance(value, str) and name != "role":
            message[name] = message.get(name, "") + value
        elif isinstance(value, list):
            message[name] = [*(message.get(name) or []), *value]
        elif value is not None and name != "role":
            message[name] = value


def _chat_call(calls: dict[Any, JSONObject], call: JSONObject, index: object) -> None:
    function = call.get("function") or {}
    key = (
        (index, call["id"])
        if call.get("id")
        else next((key for key in reversed(calls) if key[0] == index), (index, ""))
    )
    known = calls.setdefault(key, {"id": None, "name": "", "arguments": ""})
    known["id"] = known["id"] or call.get("id")
    known["name"] = known["name"] or function.get("name") or ""
    arguments = function.get("arguments")
    known["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments else ""


def _responses(events: list[JSONObject], streamed: bool) -> list[JSONObject]:
    if not streamed:
        return list(events[0].get("output") or [])
    done = {
        event["output_index"]: event["item"] for event in events if event.get("type") == "response.output_item.done"
    }
    last = [event["response"] for event in events if event.get("type") in {"response.completed", "response.incomplete"}]
    whole = last[-1].get("output") if last else None
    if done and (not whole or len(whole) == len(done)):
        return [done[index] for index in sorted(done)]
    by_id = {item.get("id"): item for item in done.values()}
    return [by_id.get(item.get("id"), item) for item in whole or ()]


# Mistral, Cohere, Ollama


def _mistral(events: list[JSONObject], streamed: bool) -> JSONObject:
    message = _chat([_as_parts(event) for event in events], streamed)
    parts: list[JSONObject] = []
    for part in message.pop("content", None) or []:
        before = parts[-1] if parts else {}
        if part["type"] == before.get("type") == "text":
            parts[-1] = {**before, "text": before["text"] + part["text"]}
        elif part["type"] == before.get("type") == "thinking":
            parts[-1] = {**before, **part, "thinking": _joined([*before["thinking"], *part["thinking"]])}
        else:
            parts.append(part)
    return {**message, "content": parts}


def _as_parts(event: JSONObject) -> JSONObject:
    """Return an event with every content as a list of parts."""
    choices = [dict(choice) for choice in event.get("choices") or []]
    for choice in choices:
        for name in {"delta", "message"} & set(choice):
            content = choice[name].get("content")
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            choice[name] = {**choice[name], "content": [part for part in parts or [] if part.get("text") != ""]}
    return {"choices": choices}


def _joined(parts: list[JSONObject]) -> list[JSONObject]:
    """Return parts with the texts that follow one another as one."""
    joined: list[JSONObject] = []
    for part in parts:
        if joined and set(part) == set(joined[-1]) == {"type", "text"}:
            joined[-1] = {**part, "text": joined[-1]["text"] + part["text"]}
        else:
            joined.append(part)
    return joined


def _cohere(events: list[JSONObject], streamed: bool) -> JSONObject:
    if not streamed:
        message = {name: value for name, value in (events[0].get("message") or {}).items() if name != "role"}
        calls = [{"id": call.get("id"), **call["function"]} for call in message.get("tool_calls") or []]
        return {**message, "tool_calls": calls}
    contents: dict[int, JSONObject] = {}
    calls_by_index: dict[int, JSONObject] = {}
    plan = ""
    sources: list[JSONObject] = []
    for event in events:
        message, index = (event.get("delta") or {}).get("message") or {}, event.get("index", 0)
        plan += message.get("tool_plan") or ""
        sources += [message["citations"]] if isinstance(message.get("citations"), dict) else []
        content, call = message.get("content"), message.get("tool_calls")
        if isinstance(content, dict):
            for name, value in content.items():
                known = contents.setdefault(index, {})
                known[name] = value if name == "type" else known.get(name, "") + value
        if isinstance(call, dict):
            known = calls_by_index.setdefault(index, {"id": None, "name": "", "arguments": ""})
            known["id"] = known["id"] or call.get("id")
            for name, value in call["function"].items():
                known[name] += value or ""
    ordered = [contents[index] for index in sorted(contents)]
    ordered_calls = [calls_by_index[index] for index in sorted(calls_by_index)]
    return {"tool_plan": plan, "content": ordered, "citations": sources, "tool_calls": ordered_calls}


def _ollama(events: list[JSONObject], _streamed: bool) -> JSONObject:
    turn: JSONObject = {"content": "", "thinking": "", "tool_calls": [], "images": []}
    for event in events:
        message = event.get("message") or {}
        for name in turn:
            turn[name] += message.get(name) or type(turn[name])()
    turn["tool_calls"] = [{"id": call.get("id"), **call["function"]} for call in turn["tool_calls"]]
    return turn


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"INVALID_JSON": text}


READERS: dict[str, Reader] = {
    "openai-chat": _chat,
    "azure-openai": _chat,
    "openai-responses": _responses,
    "anthropic-messages": _anthropic,
    "bedrock-converse": _bedrock,
    "bedrock-converse-stream": _bedrock,
    "gemini-generate": _google,
    "vertex": _google,
    "mistral-chat": _mistral,
    "cohere-v2-chat": _cohere,
    "ollama-chat": _ollama,
}
