"""Both drivers pass the exam for drivers."""

from __future__ import annotations

import json

import pytest

from polyglot_core.plugin import Connection, InferenceRequest, Message, Tool
from polyglot_google import gemini, vertex
from polyglot_testkit import CHECKS, Recording, check_driver

REFUSED = json.dumps({"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}).encode()


TURN = {
    "role": "model",
    "parts": [
        {"text": "I look it up."},
        {
            "functionCall": {"name": "soil", "args": {"bed": 3, "deep": True}, "id": "w1"},
            "thoughtSignature": "cm9vdA==",
        },
        {"functionCall": {"name": "soil", "args": {"bed": 4}, "id": "w2"}},
        {"functionCall": {"name": "clock"}},
    ],
}
CODE = [
    {"text": "2 and 3.", "thought": True},
    {"executableCode": {"language": "PYTHON", "code": "2 + 3"}, "thoughtSignature": "c2VlZA=="},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "5"}},
    {"text": "Five."},
]
DETAILS = {"createTime": "2026-01-02T03:04:05Z", "modelStatus": {"stage": "STABLE"}}


def coded(*parts, **fields):
    return {"candidates": [{"index": 0, "content": {"role": "model", "parts": list(parts)}, **fields}]}


CODED = [*(coded(part) for part in CODE), {**coded(finishReason="STOP"), **DETAILS}]
STREAM = "".join(f"data: {json.dumps(each)}\r\n\r\n" for each in CODED).encode()
PLAIN = json.dumps({**coded(*CODE, finishReason="STOP"), **DETAILS}).encode()


@pytest.mark.parametrize(("driver", "module"), [("gemini", gemini), ("vertex", vertex)])
def test_the_driver_passes_the_exam(driver, module, recorded):
    """Every check is made and passed."""
    recordings = [
        Recording(
            name="code",
            body=STREAM,
            turn={"role": "model", "parts": CODE},
            details=DETAILS,
            same_as="plain code",
            sent={"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
            expect={"content": "Five.", "reasoning_content": "2 and 3."},
        ),
        Recording(
            name="plain code", body=PLAIN, streamed=False, turn={"role": "model", "parts": CODE}, details=DETAILS
        ),
        recorded("answer.sse", same_as="answer.json"),
        recorded("answer.json"),
        recorded("calls.sse", same_as="calls.json", turn=TURN),
        recorded("calls.json", turn=TURN),
        recorded("streamed_arguments.sse"),
        recorded("code.sse"),
        recorded("grounded.sse"),
        recorded("media.sse"),
        recorded("candidates.sse"),
        recorded("blocked.sse"),
        recorded("error_event.sse", fails=True, code="UNAVAILABLE"),
        recorded("bare_error.sse", fails=True, code="CANCELLED"),
        recorded("blocked.json"),
    ]
    refused = Recording(name="refused", body=REFUSED, status=429, fails=True, code="RESOURCE_EXHAUSTED")
    asked = InferenceRequest(
        model="gemini-garden-1",
        messages=(Message(role="system", content="Be brief."), Message(role="user", content="Hello")),
        tools=(Tool("clock"),),
        options={"max_tokens": 5},
    )
    connection = Connection(
        name="exam", driver=driver, model="m", auth_header="x-goog-api-key", auth_scheme="", facts={"project": "p"}
    )
    report = check_driver(module, [*recordings, refused], connection=connection, requests=[asked])
    nothing_to_check = {"prefill continues the text", "resume names the response"}
    nothing_to_check |= {"follow up requests receive the response", "work is cancelled by what identifies it"}
    nothing_to_check |= {"authorize adds credentials alone"} if driver == "gemini" else set()
    assert set(report.passed) == set(CHECKS) - nothing_to_check
