"""The driver passes the exam for drivers."""

from __future__ import annotations

import polyglot_ollama.driver
from polyglot_core.plugin import Connection, Image, InferenceRequest, JSONSchema, Message, Text, Tool, ToolCall
from polyglot_testkit import CHECKS, Recording, check_driver

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


def test_the_driver_passes_the_exam(bodies):
    """Every check is made and passed."""

    def recorded(name, **fields):
        return Recording(name=name, body=(bodies / name).read_bytes(), streamed=name.endswith(".ndjson"), **fields)

    recordings = [
        recorded("text.ndjson", same_as="text.json"),
        recorded("text.json"),
        recorded("tools.ndjson", same_as="tools.json", turn=TURN, details=DETAILS),
        recorded("tools.json", turn=TURN, details=DETAILS),
        recorded("failed.ndjson", fails=True),
        Recording(name="refused", body=b'{"error": "model \'rose\' not found"}', status=404, fails=True),
    ]
    connection = Connection(name="ollama", driver="ollama", model="garden:1b")
    report = check_driver(polyglot_ollama.driver, recordings, connection=connection, requests=[REQUEST])
    assert set(report.passed) == set(CHECKS)
