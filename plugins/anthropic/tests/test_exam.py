"""The driver passes the exam for drivers."""

from __future__ import annotations

import json
from pathlib import Path

import polyglot_anthropic.driver
from polyglot_core.plugin import (
    Connection,
    Image,
    InferenceRequest,
    JSONSchema,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
)
from polyglot_testkit import Recording, exam_tests

REQUEST = InferenceRequest(
    model="claude-garden-1",
    messages=(
        Message(role="system", content="Be brief."),
        Message(role="user", content=(Text("See:"), Image(data=b"\x89PNG"))),
        Message(role="assistant", content=(Reasoning(text="Hm.", signature="s"), ToolCall(name="sum", id="call_1"))),
        Message.tool_result("call_1", "5"),
    ),
    options={"max_tokens": 5},
    tools=(Tool("sum"),),
    tool_choice="auto",
    response_format=JSONSchema({"type": "object"}),
)


CITATION = {"type": "char_location", "cited_text": "Roses need sun.", "document_index": 0, "start_char_index": 0}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "roses"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result"}]}
TURN = [
    {"type": "thinking", "thinking": "First I look.", "signature": "c2VlZA=="},
    SEARCH,
    FOUND,
    {"type": "text", "text": "Roses "},
    {"type": "text", "text": "need sun.", "citations": [CITATION]},
    {"type": "redacted_thinking", "data": "cm9vdA=="},
    {"type": "tool_use", "id": "toolu_1", "name": "rake", "input": {"bed": 1}},
]
FACTS = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-garden-1"}
DETAILS = {"container": {"id": "container_1", "expires_at": "2026-01-02T03:04:05Z"}}


def deltas(block):
    """Return a block as it begins, and its deltas."""
    match block["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": each} for each in block.get("citations", ())]
            return {**block, "text": ""}, [*cited, {"type": "text_delta", "text": block["text"]}]
        case "thinking":
            thought = {"type": "thinking_delta", "thinking": block["thinking"]}
            signature = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [thought, signature]
        case "tool_use" | "server_tool_use":
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    return block, []


def streamed(blocks, **ending):
    """Return the stream of a message."""
    events = [{"type": "message_start", "message": {**FACTS, "content": [], "usage": {"input_tokens": 3}}}]
    for index, block in enumerate(blocks):
        begun, pieces = deltas(block)
        begun = {name: value for name, value in begun.items() if name != "citations"}
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events += [{"type": "content_block_delta", "index": index, "delta": piece} for piece in pieces]
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 9}})
    events.append({"type": "message_stop"})
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def plain(blocks, **ending):
    """Return a message as a plain response."""
    usage = {"input_tokens": 3, "output_tokens": 9}
    return json.dumps({**FACTS, "content": blocks, "usage": usage, **ending}).encode()


def recorded(name, **fields):
    return Recording(name=name, body=(BODIES / name).read_bytes(), streamed=name.endswith(".sse"), **fields)


BODIES = Path(__file__).parent / "bodies"
PAIRS = ("text", "tools", "server_tools", "compaction")
SENT = {
    "model": "claude-garden-1",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    "max_tokens": 4096,
    "stream": True,
}
EXPECT = {
    "content": "Roses need sun.",
    "reasoning_content": "First I look.",
    "tool_calls": [("rake", {"bed": 1})],
    "finish_reason": "tool_calls",
    "usage": {"input_tokens": 3, "output_tokens": 9},
}
RECORDINGS = [
    *(recorded(f"{name}.sse", same_as=f"{name}.json") for name in PAIRS),
    *(recorded(f"{name}.json") for name in PAIRS),
    Recording(
        name="a turn",
        body=streamed(TURN, stop_reason="tool_use", **DETAILS),
        turn=TURN,
        details=DETAILS,
        same_as="plain",
        sent=SENT,
        expect=EXPECT,
    ),
    Recording(
        name="plain",
        body=plain(TURN, stop_reason="tool_use", **DETAILS),
        streamed=False,
        turn=TURN,
        details=DETAILS,
        expect=EXPECT,
    ),
    recorded("overloaded.sse", fails=True, code="overloaded_error"),
    recorded("not_found.json", status=404, fails=True, code="not_found_error"),
]

test_the_driver_passes_the_exam = exam_tests(
    polyglot_anthropic.driver,
    RECORDINGS,
    connection=Connection(name="anthropic", driver="anthropic", model="claude-garden-1"),
    requests=[REQUEST],
    not_run={
        "authorize adds credentials alone",
        "resume names the response",
        "follow up requests receive the response",
        "work is cancelled by what identifies it",
    },
)
