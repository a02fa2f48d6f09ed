"""The driver passes the exam for drivers."""

from __future__ import annotations

from pathlib import Path

import polyglot_ollama.driver
from polyglot_core.plugin import Connection, Image, InferenceRequest, JSONSchema, Message, Text, Tool, ToolCall
from polyglot_testkit import Recording, exam_tests

REQUEST = InferenceRequest(
    model="garden:1b",
    messages=(
        Message(role="system", content="Be brief."),
        Message(role="user", content=(Text("See:"), Image(data=b"\x89PNG"))),
        Message(role="assistant", content=(ToolCall(name="sum", id="call_1", arguments_raw='{"a": 2}'),)),
        Message.tool_result("call_1", "5"),
    ),
    options={"max_tokens": 5},
    tools=(Tool("sum"),),
    response_format=JSONSchema({"type": "object"}),
)


TURN = {
    "role": "assistant",
    "content": "I look both up.",
    "thinking": "Two places, two questions.",
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": {"city": "Oslo", "days": [1, 2]}},
        },
        {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": {}}},
    ],
}
DETAILS = {"total_duration": 9000000, "load_duration": 1000000}
EXPECT = {
    "content": "I look both up.",
    "reasoning_content": "Two places, two questions.",
    "tool_calls": [("weather", {"city": "Oslo", "days": [1, 2]}), ("time", {})],
}
SENT = {"model": "garden:1b", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
BODIES = Path(__file__).parent / "bodies"


def recorded(name, **fields):
    return Recording(name=name, body=(BODIES / name).read_bytes(), streamed=name.endswith(".ndjson"), **fields)


test_the_driver_passes_the_exam = exam_tests(
    polyglot_ollama.driver,
    [
        recorded("text.ndjson", same_as="text.json", sent=SENT),
        recorded("text.json"),
        recorded("tools.ndjson", same_as="tools.json", turn=TURN, details=DETAILS, expect=EXPECT),
        recorded("tools.json", turn=TURN, details=DETAILS, expect=EXPECT),
        recorded("failed.ndjson", fails=True),
        Recording(name="refused", body=b'{"error": "model \'rose\' not found"}', status=404, fails=True),
    ],
    connection=Connection(name="ollama", driver="ollama", model="garden:1b"),
    requests=[REQUEST],
    not_run={
        "authorize adds credentials alone",
        "resume names the response",
        "hook decode_embeddings",
        "follow up requests receive the response",
        "work is cancelled by what identifies it",
    },
)
