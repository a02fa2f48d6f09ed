"""The driver passes the exam for drivers."""

from __future__ import annotations

import json

from polyglot_bedrock import driver
from polyglot_core.plugin import Connection, InferenceRequest, Message, Tool
from polyglot_testkit import CHECKS, check_driver

SENT = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}


def test_the_driver_passes_the_exam(kit):
    """Every check is made and passed."""
    turn = [
        {"reasoningContent": {"reasoningText": {"text": "Leaves.", "signature": "c2VlZA=="}}},
        {"reasoningContent": {"redactedContent": "cm9vdA=="}},
        {"text": "I rake."},
        {"toolUse": {"toolUseId": "c", "name": "rake", "input": {"bed": 1}}},
    ]
    details = {"metrics": {"latencyMs": 7}, "trace": {"guardrail": {"modelOutput": ["I rake."]}}}
    usage = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
    text = kit.stream(
        ("messageStart", {"role": "assistant"}),
        kit.delta(0, text="Oak "),
        kit.delta(0, text="leaves."),
        kit.stop(0),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage}),
    )
    call = kit.stream(
        ("messageStart", {"role": "assistant"}),
        kit.start(0, toolUse={"toolUseId": "c", "name": "rake"}),
        kit.delta(0, toolUse={"input": '{"bed":'}),
        kit.delta(0, toolUse={"input": "1}"}),
        kit.stop(0),
        ("messageStop", {"stopReason": "tool_use"}),
        ("metadata", {"usage": usage}),
    )
    blocks = kit.stream(
        ("messageStart", {"role": "assistant"}),
        kit.delta(0, reasoningContent={"text": "Leaves."}),
        kit.delta(0, reasoningContent={"signature": "c2VlZA=="}),
        kit.stop(0),
        kit.delta(1, reasoningContent={"redactedContent": "cm9vdA=="}),
        kit.stop(1),
        kit.delta(2, text="I rake."),
        kit.stop(2),
        kit.start(3, toolUse={"toolUseId": "c", "name": "rake"}),
        kit.delta(3, toolUse={"input": '{"bed":1}'}),
        kit.stop(3),
        ("messageStop", {"stopReason": "tool_use"}),
        ("metadata", {"usage": usage, **details}),
    )
    message = {"output": {"message": {"role": "assistant", "content": turn}}, "stopReason": "tool_use", "usage": usage}
    called = {"toolUse": {"toolUseId": "c", "name": "rake", "input": {"bed": 1}}}
    thrown = kit.stream(kit.delta(0, text="a")) + kit.thrown("throttlingException", {"message": "Slow down."})
    refused = {"status": 429, "headers": {"x-amzn-errortype": "ThrottlingException:"}, "code": "ThrottlingException"}
    recordings = [
        kit.recording("text", text, same_as="plain text", sent=SENT, expect={"content": "Oak leaves."}),
        kit.recording("plain text", kit.plain({"text": "Oak leaves."}, **usage), streamed=False),
        kit.recording("call", call, same_as="plain call"),
        kit.recording("plain call", kit.plain(called, reason="tool_use", **usage), streamed=False),
        kit.recording("turn", blocks, turn=turn, details=details, same_as="plain turn"),
        kit.recording(
            "plain turn", json.dumps({**message, **details}).encode(), streamed=False, turn=turn, details=details
        ),
        kit.recording("thrown", thrown, fails=True, code="throttlingException"),
        kit.recording("refused", json.dumps({"message": "Slow down."}).encode(), streamed=False, fails=True, **refused),
    ]
    asked = InferenceRequest(
        model="garden.leaf-v1:0",
        messages=(Message(role="system", content="Be brief."), Message(role="user", content="Hello")),
        tools=(Tool("rake"),),
        options={"max_tokens": 5},
    )
    connection = Connection(name="exam", driver="bedrock", model="garden.leaf-v1:0")
    report = check_driver(driver, recordings, connection=connection, requests=[asked])
    assert set(report.passed) == set(CHECKS) - {
        "resume names the response",
        "id and model are those of the wire",
        "follow up requests receive the response",
        "work is cancelled by what identifies it",
    }
