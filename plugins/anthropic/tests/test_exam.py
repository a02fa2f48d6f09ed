"""The driver passes the exam for drivers."""

from __future__ import annotations

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
from polyglot_testkit import CHECKS, Recording, check_driver

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


def test_the_driver_passes_the_exam(bodies):
    """Every check is made and passed."""

    def recorded(name, **fields):
        return Recording(name=name, body=(bodies / name).read_bytes(), streamed=name.endswith(".sse"), **fields)

    pairs = ("text", "tools", "server_tools", "compaction")
    recordings = [
        *(recorded(f"{name}.sse", same_as=f"{name}.json") for name in pairs),
        *(recorded(f"{name}.json") for name in pairs),
        recorded("overloaded.sse", fails=True, code="overloaded_error"),
        recorded("not_found.json", status=404, fails=True, code="not_found_error"),
    ]
    connection = Connection(name="anthropic", driver="anthropic", model="claude-garden-1")
    report = check_driver(polyglot_anthropic.driver, recordings, connection=connection, requests=[REQUEST])
    assert set(report.passed) == set(CHECKS)
