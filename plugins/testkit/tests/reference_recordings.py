"""Recordings of the reference driver's dialect: all kinds, and the single one that a new driver begins with."""

from __future__ import annotations

import json

from polyglot_core.plugin import InferenceRequest, Message
from polyglot_testkit import Recording

HEAD = {"id": "r-1", "model": "m-1"}
USAGE = {"input": 31, "output": 12, "cached": 8, "reasoning": 5}
CALLS = [
    {"id": "c-1", "name": "weather", "arguments": '{"city": "Oslo"}'},
    {"id": "c-2", "name": "clock", "arguments": "{}"},
]
TOOLS = [
    {"id": each["id"], "type": "function", "function": {k: each[k] for k in ("name", "arguments")}} for each in CALLS
]


def stream(*pieces, end="[DONE]"):
    """Return a stream of pieces."""
    events = [json.dumps(each) for each in pieces] + ([end] if end else [])
    return "".join(f"data: {each}\n\n" for each in events).encode()


def call(index, **fields):
    return {"call": {"index": index, **fields}}


TEXT = stream({**HEAD, "text": "Hello, "}, {"text": "garden."}, {"finish_reason": "stop", "usage": USAGE})
PLAIN = json.dumps({**HEAD, "text": "Hello, garden.", "finish_reason": "stop", "usage": USAGE}).encode()
SENT = {"model": "m-1", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
SINGLE = [Recording(name="a text", body=TEXT, sent=SENT)]

THOUGHT = stream(
    {**HEAD, "reasoning": "Two places, "},
    {"reasoning": "two questions."},
    {"text": "I look both up."},
    call(0, id="c-1", name="weather", arguments=""),
    call(0, arguments='{"city": '),
    call(0, arguments='"Oslo"}'),
    call(1, id="c-2", name="clock", arguments="{}"),
    {"finish_reason": "tool_calls"},
    {"usage": USAGE},
)
PLAIN_THOUGHT = json.dumps(
    {
        **HEAD,
        "reasoning": "Two places, two questions.",
        "text": "I look both up.",
        "calls": CALLS,
        "finish_reason": "tool_calls",
        "usage": USAGE,
    }
).encode()
EXPECT = {
    "content": "I look both up.",
    "reasoning_content": "Two places, two questions.",
    "tool_calls": [("weather", {"city": "Oslo"}), ("clock", {})],
    "finish_reason": "tool_calls",
    "usage": {"input_tokens": 31, "output_tokens": 12, "cache_read_tokens": 8, "reasoning_tokens": 5},
    "model": "m-1",
    "id": "r-1",
}
TURN = {
    "role": "assistant",
    "content": [
        {"type": "reasoning", "text": "Two places, two questions."},
        {"type": "text", "text": "I look both up."},
    ],
    "tool_calls": TOOLS,
}
LIMITED = {"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}
BUSY = {"error": {"message": "Busy.", "code": "overloaded"}}
RECORDINGS = [
    Recording(name="a text", body=TEXT, sent=SENT, same_as="a plain text"),
    Recording(name="a plain text", body=PLAIN, streamed=False),
    Recording(name="a call", body=THOUGHT, same_as="a plain call", turn=TURN, expect=EXPECT),
    Recording(name="a plain call", body=PLAIN_THOUGHT, streamed=False, turn=TURN, expect=EXPECT),
    Recording(
        name="a limit",
        body=json.dumps(LIMITED).encode(),
        status=429,
        headers={"retry-after": "3"},
        fails=True,
        code="rate_limit_exceeded",
        expect={"error": "RateLimited", "message": "Slow down.", "retry_after": 3},
    ),
    Recording(
        name="an error in a stream",
        body=stream({**HEAD, "text": "Hel"}, BUSY, end=None),
        fails=True,
        code="overloaded",
        expect={"error": "Overloaded"},
    ),
]
PAGES = [b'{"models": [{"name": "m-1"}], "next": "m-1"}', b'{"models": [{"name": "m-2"}]}']
REQUEST = InferenceRequest(
    model="m-1",
    messages=(Message(role="system", content="Be brief."), Message(role="user", content="Hello")),
    options={"max_tokens": 5, "temperature": 0},
)
