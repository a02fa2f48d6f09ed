"""Both drivers pass the exam for drivers."""

from __future__ import annotations

import json

import pytest

from polyglot_core.plugin import Connection, InferenceRequest, Message, Tool
from polyglot_google import gemini, vertex
from polyglot_testkit import CHECKS, check_driver

REFUSED = json.dumps({"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}).encode()


@pytest.mark.parametrize(("driver", "module"), [("gemini", gemini), ("vertex", vertex)])
def test_the_driver_passes_the_exam(driver, module, recorded):
    """Every check is made and passed."""
    recordings = [
        recorded("answer.sse", same_as="answer.json"),
        recorded("answer.json"),
        recorded("calls.sse", same_as="calls.json"),
        recorded("calls.json"),
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
    refused = recordings[0].__class__(name="refused", body=REFUSED, status=429, fails=True, code="RESOURCE_EXHAUSTED")
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
    assert set(report.passed) == set(CHECKS)
