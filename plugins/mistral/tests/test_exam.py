"""The driver passes the exam for drivers."""

from __future__ import annotations

import json

import polyglot_mistral.driver
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

NAMES = {"id": "chat-1", "model": "garden-1"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}
CALL = {"id": "abcdef123", "function": {"name": "sum", "arguments": '{"a": 2}'}, "index": 0}
SOURCE = {"type": "reference", "reference_ids": [1]}


def thought(text):
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def chunk(finish=None, usage=None, **delta):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {**NAMES, "choices": [choice], **({"usage": usage} if usage else {})}
    return f"data: {json.dumps(body)}\n\n"


def plain(finish, **message):
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({**NAMES, "choices": [choice], "usage": USAGE}).encode()


STREAM = "".join(
    [
        chunk(role="assistant", content=""),
        chunk(content=[thought("2 and ")]),
        chunk(content=[thought("3.")]),
        chunk(content="Fünf"),
        chunk(content=[SOURCE]),
        chunk(content=" 🚀"),
        chunk("stop", USAGE, content=""),
        "data: [DONE]\n\n",
    ]
).encode()
TEXT = [thought("2 and 3."), {"type": "text", "text": "Fünf"}, SOURCE, {"type": "text", "text": " 🚀"}]
TURN = {"role": "assistant", "content": TEXT}
CALL_TURN = {"role": "assistant", "content": "", "tool_calls": [CALL]}
FURTHER = chunk(content="Fünf") + chunk("stop", USAGE, content="").replace('"id"', '"tier": "gold", "id"')
RECORDINGS = [
    Recording(
        name="details",
        body=FURTHER.encode(),
        details={"tier": "gold"},
        sent={"model": "garden-1", "messages": [{"role": "user", "content": "Hello"}], "stream": True},
        expect={"content": "Fünf", "finish_reason": "stop", "usage": {"input_tokens": 9, "output_tokens": 7}},
    ),
    Recording(
        name="plain details",
        body=plain("stop", content="Fünf").replace(b'"id"', b'"tier": "gold", "id"'),
        streamed=False,
        turn={"role": "assistant", "content": "Fünf"},
        details={"tier": "gold"},
    ),
    Recording(name="a stream", body=STREAM, same_as="a plain answer", turn=TURN),
    Recording(name="a plain answer", body=plain("stop", content=TEXT), streamed=False, turn=TURN),
    Recording(
        name="a streamed call",
        body=(chunk(role="assistant", content="") + chunk("tool_calls", USAGE, tool_calls=[CALL])).encode(),
        same_as="a plain call",
    ),
    Recording(name="a plain call", body=plain("tool_calls", content="", tool_calls=[CALL]), streamed=False),
    Recording(
        name="an error in a stream",
        body=chunk(content="a").encode() + b'data: {"object": "error", "message": "Busy.", "code": "3505"}\n\n',
        fails=True,
        code="3505",
    ),
    Recording(
        name="an error with a status",
        body=b'{"object": "error", "message": "Slow down.", "type": "rate_limited", "code": "1300"}',
        status=429,
        fails=True,
        code="1300",
    ),
]
REQUEST = InferenceRequest(
    model="garden-1",
    messages=(
        Message(role="system", content="Be brief."),
        Message(role="user", content=(Text("See:"), Image(data=b"\x89PNG"))),
        Message(role="assistant", content=(Reasoning(text="Hm."), ToolCall(name="sum", id="abcdef123"))),
        Message.tool_result("abcdef123", "5"),
    ),
    options={"max_tokens": 5},
    tools=(Tool("sum"),),
    tool_choice="auto",
    response_format=JSONSchema({"type": "object"}),
)


test_the_driver_passes_the_exam = exam_tests(
    polyglot_mistral.driver,
    RECORDINGS,
    connection=Connection(name="mistral", driver="mistral", base_url="https://mine.example/v1", model="garden-1"),
    requests=[REQUEST],
    not_run={
        "authorize adds credentials alone",
        "resume names the response",
        "hook decode_embeddings",
        "follow up requests receive the response",
        "work is cancelled by what identifies it",
    },
)
