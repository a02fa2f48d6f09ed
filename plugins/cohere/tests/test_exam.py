"""The driver passes the exam for drivers."""

from __future__ import annotations

import json

import polyglot_cohere.driver
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

USAGE = {"billed_units": {"input_tokens": 4}, "tokens": {"input_tokens": 9, "output_tokens": 7}, "cached_tokens": 2}
SOURCE = {"start": 0, "end": 4, "text": "Fünf", "sources": []}


def stream(*events):
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def event(kind, index=0, **message):
    return {"type": kind, "index": index, "delta": {"message": message}}


def call(kind, index=0, id_=None, name=None, arguments=""):
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return event(kind, index, tool_calls={"id": id_, "function": function} if id_ else {"function": function})


def end(finish="COMPLETE", **fields):
    return {"type": "message-end", "delta": {"finish_reason": finish, "usage": USAGE, **fields}}


START = {"type": "message-start", "id": "chat-1", "delta": {"message": {"role": "assistant", "content": []}}}
STREAM = stream(
    START,
    event("content-start", content={"type": "thinking", "thinking": ""}),
    event("content-delta", content={"thinking": "2 and "}),
    event("content-delta", content={"thinking": "3."}),
    {"type": "content-end", "index": 0},
    event("content-start", 1, content={"type": "text", "text": ""}),
    event("content-delta", 1, content={"text": "Fünf"}),
    event("content-delta", 1, content={"text": " 🚀"}),
    event("citation-start", 0, citations=SOURCE),
    {"type": "citation-end", "index": 0},
    {"type": "content-end", "index": 1},
    end(),
)
CALLS = stream(
    START,
    event("tool-plan-delta", tool_plan="I will "),
    event("tool-plan-delta", tool_plan="add."),
    call("tool-call-start", id_="sum_1", name="sum"),
    call("tool-call-delta", arguments='{"a": '),
    call("tool-call-delta", arguments="2}"),
    {"type": "tool-call-end", "index": 0},
    call("tool-call-start", 1, id_="now_1", name="now"),
    {"type": "tool-call-end", "index": 1},
    end("TOOL_CALL"),
)


def plain(finish, **message):
    return json.dumps({"id": "chat-1", "message": message, "finish_reason": finish, "usage": USAGE}).encode()


TEXT = [{"type": "thinking", "thinking": "2 and 3."}, {"type": "text", "text": "Fünf 🚀"}]
PLAIN_CALLS = [
    {"id": "sum_1", "function": {"name": "sum", "arguments": '{"a": 2}'}},
    {"id": "now_1", "function": {"name": "now", "arguments": "{}"}},
]
TURN = {"role": "assistant", "content": TEXT}
CALLS_TURN = {
    "role": "assistant",
    "tool_plan": "I will add.",
    "tool_calls": [{"type": "function", **each} for each in PLAIN_CALLS],
}
DETAILS = {"generation_id": "g-1"}
RECORDINGS = [
    Recording(
        name="a stream with details",
        body=stream(START, event("content-delta", content={"text": "Fünf"}), end(**DETAILS)),
        details=DETAILS,
        sent={"model": "garden-1", "messages": [{"role": "user", "content": "Hello"}], "stream": True},
        expect={"content": "Fünf", "finish_reason": "stop", "usage": {"input_tokens": 9, "output_tokens": 7}},
    ),
    Recording(
        name="a plain answer with details",
        body=json.dumps({**json.loads(plain("COMPLETE", content=TEXT)), **DETAILS}).encode(),
        streamed=False,
        turn=TURN,
        details=DETAILS,
    ),
    Recording(name="a stream", body=STREAM, same_as="a plain answer"),
    Recording(name="a plain answer", body=plain("COMPLETE", content=TEXT, citations=[SOURCE]), streamed=False),
    Recording(name="streamed calls", body=CALLS, same_as="plain calls", turn=CALLS_TURN),
    Recording(
        name="plain calls",
        body=plain("TOOL_CALL", tool_plan="I will add.", tool_calls=PLAIN_CALLS),
        streamed=False,
        turn=CALLS_TURN,
    ),
    Recording(
        name="an error at the end of a stream",
        body=stream(START, end("ERROR", error="No such tool.", error_type="INVALID_TOOL_GENERATION")),
        fails=True,
        code="INVALID_TOOL_GENERATION",
    ),
    Recording(
        name="an error with a status",
        body=b'{"id": "e-1", "message": "too many tokens", "error_type": "TOO_MANY_TOKENS"}',
        status=400,
        fails=True,
        code="TOO_MANY_TOKENS",
    ),
]
REQUEST = InferenceRequest(
    model="garden-1",
    messages=(
        Message(role="system", content="Be brief."),
        Message(role="user", content=(Text("See:"), Image(data=b"\x89PNG"))),
        Message(role="assistant", content=(Reasoning(text="Hm."), ToolCall(name="sum", id="sum_1"))),
        Message.tool_result("sum_1", "5"),
    ),
    options={"max_tokens": 5},
    tools=(Tool("sum"),),
    tool_choice="required",
    response_format=JSONSchema({"type": "object"}),
)


test_the_driver_passes_the_exam = exam_tests(
    polyglot_cohere.driver,
    RECORDINGS,
    connection=Connection(name="cohere", driver="cohere", base_url="https://mine.example/v2", model="garden-1"),
    requests=[REQUEST],
    not_run={
        "authorize adds credentials alone",
        "prefill continues the text",
        "resume names the response",
        "hook decode_embeddings",
        "follow up requests receive the response",
        "work is cancelled by what identifies it",
    },
)
