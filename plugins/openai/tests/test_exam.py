"""The drivers of chat completions pass the exam for drivers."""

from __future__ import annotations

import json

import pytest

import polyglot_openai.chat.azure
import polyglot_openai.chat.driver
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
from polyglot_openai.chat.presets import PRESETS
from polyglot_testkit import CHECKS, Recording, check_driver

NAMES = {"id": "chat-1", "model": "m-1"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 3}}
THOUGHT = {"type": "reasoning.text", "text": "2 and 3.", "signature": "s", "index": 0}
CALL = {"id": "c1", "type": "function", "function": {"name": "sum", "arguments": '{"a": 2}'}}
SOURCE = {"type": "url_citation", "url_citation": {"url": "https://a.test/"}}


def stream(*chunks):
    events = [chunk if isinstance(chunk, str) else json.dumps({**NAMES, **chunk}) for chunk in chunks]
    return "".join(f"data: {event}\n\n" for event in events).encode()


def delta_chunk(finish=None, index=0, **delta):
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def whole(*messages):
    choices = [
        {"index": index, "message": message, "finish_reason": finish}
        for index, (finish, message) in enumerate(messages)
    ]
    return json.dumps({**NAMES, "choices": choices, "usage": USAGE}).encode()


STREAM = stream(
    delta_chunk(role="assistant", content=""),
    delta_chunk(reasoning_details=[{**THOUGHT, "text": "2 and ", "signature": None}]),
    delta_chunk(reasoning_details=[{**THOUGHT, "text": "3."}]),
    delta_chunk(content="Fünf"),
    delta_chunk(content=" 🚀", annotations=[SOURCE]),
    delta_chunk(index=1, tool_calls=[{"index": 0, **CALL, "function": {"name": "sum", "arguments": ""}}]),
    delta_chunk(index=1, tool_calls=[{"index": 0, "function": {"arguments": '{"a": '}}]),
    delta_chunk(index=1, tool_calls=[{"index": 0, "function": {"arguments": "2}"}}]),
    delta_chunk("stop"),
    delta_chunk("tool_calls", index=1),
    {"choices": [], "usage": USAGE},
    "[DONE]",
)
PLAIN = whole(
    ("stop", {"content": "Fünf 🚀", "reasoning_details": [THOUGHT], "annotations": [SOURCE]}),
    ("tool_calls", {"content": None, "tool_calls": [CALL]}),
)
CALL_TURN = {"role": "assistant", "content": "I add.", "tool_calls": [CALL]}
DETAILS = {"system_fingerprint": "fp_1", "service_tier": "flex"}
RECORDINGS = [
    Recording(
        name="details",
        body=stream(
            {**delta_chunk(role="assistant", content="I "), **DETAILS},
            {**delta_chunk(content="add."), **DETAILS},
            {**delta_chunk(tool_calls=[{"index": 0, **CALL}]), **DETAILS},
            {**delta_chunk("tool_calls"), **DETAILS},
            "[DONE]",
        ),
        same_as="plain details",
        turn=CALL_TURN,
        details=DETAILS,
        expect={"content": "I add.", "tool_calls": [("sum", {"a": 2})], "finish_reason": "tool_calls"},
    ),
    Recording(
        name="plain text with details",
        body=json.dumps({**json.loads(whole(("stop", {"content": "Fünf"}))), **DETAILS}).encode(),
        streamed=False,
        turn={"role": "assistant", "content": "Fünf"},
        details=DETAILS,
    ),
    Recording(
        name="plain details",
        body=json.dumps({**json.loads(whole(("tool_calls", CALL_TURN))), **DETAILS}).encode(),
        streamed=False,
        turn=CALL_TURN,
        details=DETAILS,
    ),
    Recording(name="a stream", body=STREAM, same_as="a plain answer"),
    Recording(name="a plain answer", body=PLAIN, streamed=False),
    Recording(
        name="an error in a stream",
        body=stream(
            delta_chunk(content="a"), {"error": {"message": "Busy.", "code": "overloaded", "type": "server_error"}}
        ),
        fails=True,
        code="overloaded",
    ),
    Recording(
        name="an error with a status",
        body=b'{"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}',
        status=429,
        fails=True,
        code="rate_limit_exceeded",
    ),
]
REQUESTS = [
    InferenceRequest(
        model="m-1",
        messages=(
            Message(role="system", content="Be brief."),
            Message(role="user", content=(Text("See:"), Image(data=b"\x89PNG"))),
            Message(role="assistant", content=(Reasoning(text="Hm."), ToolCall(name="sum", id="c1"))),
            Message.tool_result("c1", "5"),
        ),
        options={"max_tokens": 5},
        tools=(Tool("sum"),),
        tool_choice="auto",
        response_format=JSONSchema({"type": "object"}),
    )
]
NO_THINKING = {"Reasoning with signature": "the place has no field for the thinking of earlier turns"}


FOLLOW = {"follow up requests receive the response", "work is cancelled by what identifies it"}
AUTHORIZE, PREFILL, RESUME, SENT = (
    "authorize adds credentials alone",
    "prefill continues the text",
    "resume names the response",
    "recorded requests are encoded",
)


def examine(module, name):
    preset = PRESETS[name]
    connection = Connection(
        name=name, driver=preset.driver, base_url="https://mine.example/v1", model="m-1", facts=preset.facts
    )
    unsupported = set(preset.facts.get("unsupported", ()))
    requests = REQUESTS if not unsupported & {"image", "tools", "json_schema"} else ()
    left_out = {} if preset.facts.get("reasoning_back") else NO_THINKING
    recordings = [each for each in RECORDINGS if each.turn is not CALL_TURN or "tools" not in unsupported]
    return check_driver(module, recordings, connection=connection, requests=requests, left_out=left_out)


@pytest.mark.parametrize("name", ["openai", "openrouter", "groq", "minimax", "perplexity", "gemini-openai"])
def test_chat_completions_pass_the_exam(name):
    """The driver passes every check, also with the facts of the endpoints that differ most."""
    report = examine(polyglot_openai.chat.driver, name)
    without_tools = "tools" in PRESETS[name].facts.get("unsupported", ())
    without_calls = (
        "broken tool calls go back as objects",
        "recordings decode to what they state",
        "tool calls are whole",
    )
    nothing = set(without_calls) if without_tools else set()
    assert set(report.skipped) - nothing == {AUTHORIZE, PREFILL, RESUME, SENT, *FOLLOW}


def test_azure_chat_completions_pass_the_exam():
    """The driver for deployments passes every check."""
    passed = set(examine(polyglot_openai.chat.azure, "azure-openai").passed)
    assert passed == set(CHECKS) - {PREFILL, RESUME, SENT, *FOLLOW}
