"""The events of Cohere's chat."""

from __future__ import annotations

import json

import pytest

from polyglot_core.plugin import Usage
from polyglot_simulator import ErrorEvent, Reply, Simulator, Status, ToolCall

CALLS = (ToolCall("weather", {"city": "Oslo"}), ToolCall("time", id="time_x"))


def ask(call, reply, *, settings=None, **fields):
    """One request and its response; a field that is None is left out."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello there"}], **fields}
    data = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
    with Simulator(reply, **(settings or {})) as simulator:
        return call(simulator).send("POST", "/v2/chat", data).response()


def streamed(call, reply, **fields):
    """The events of a stream, without the word after the last one."""
    blocks = ask(call, reply, stream=True, **fields)[1].decode().removesuffix("\n\n").split("\n\n")
    events = [json.loads(block.partition("data: ")[2]) for block in blocks if "[DONE]" not in block]
    names = [block.partition("\n")[0] for block in blocks if "[DONE]" not in block]
    assert names == [f"event: {event['type']}" for event in events]
    return events


def test_contents_and_calls_go_from_start_to_end(call):
    """Each has a number, and the end of the message has the reason and the counts."""
    events = streamed(call, Reply("Hello, you", CALLS, reasoning="Hm"))
    kinds = [event["type"] for event in events]
    assert kinds[:7] == ["message-start", "content-start", "content-delta", "content-end", "content-start",
                         "content-delta", "content-delta"]  # fmt: skip
    assert (kinds.count("tool-call-start"), kinds.count("tool-call-end"), kinds[-1]) == (2, 2, "message-end")
    assert events[-1]["delta"]["finish_reason"] == "TOOL_CALL"
    assert events[-1]["delta"]["usage"]["tokens"]["input_tokens"] == 2


def test_stream_equals_the_plain_response(call):
    """Both are made from one reply."""
    reply = Reply("Hello", CALLS, reasoning="Let me think.", usage=Usage(input_tokens=2, reasoning_tokens=1))
    events, plain = streamed(call, reply), ask(call, reply)[1]
    said = [event["delta"]["message"].get("content") for event in events if event["type"] == "content-delta"]
    assert plain["message"]["content"] == [
        {"type": kind, kind: "".join(piece.get(kind, "") for piece in said)} for kind in ("thinking", "text")
    ]
    calls = [event["delta"]["message"]["tool_calls"] for event in events if event["type"] == "tool-call-start"]
    assert [found["id"] for found in calls] == [found["id"] for found in plain["message"]["tool_calls"]]
    assert [found["function"]["arguments"] for found in plain["message"]["tool_calls"]] == ['{"city":"Oslo"}', "{}"]
    assert events[-1]["delta"] == {name: plain[name] for name in ("finish_reason", "usage")}


def test_usage_can_be_given(call):
    """As the provider's own object, or not at all."""
    assert ask(call, Reply("hi", usage=Usage(raw={"cost": 1})))[1]["usage"] == {"cost": 1}
    assert "usage" not in ask(call, Reply("hi", usage=Usage()))[1]


@pytest.mark.parametrize("fields", [{"model": None}, {"messages": []}, {"messages": "Hello"}])
def test_wrong_requests_get_a_message(call, fields):
    """There is an id beside it."""
    status, body = ask(call, "hi", **fields)
    assert (status, set(body)) == (400, {"id", "message"})


def test_an_error_status_has_a_message(call):
    """The body is the provider's kind of error."""
    status, body = ask(call, "hi", settings={"fault": Status(503)})
    assert (status, type(body["message"])) == (503, str)


def test_an_error_inside_of_a_stream_ends_the_message(call):
    """With the ending that means it."""
    fault = ErrorEvent(after_events=1, error={"message": "No such tool.", "type": "INVALID_TOOL_GENERATION"})
    last = streamed(call, "one two", settings={"fault": fault})[-1]
    assert (last["type"], last["delta"]["finish_reason"]) == ("message-end", "ERROR")
    assert (last["delta"]["error"], last["delta"]["error_type"]) == ("No such tool.", "INVALID_TOOL_GENERATION")


def test_reply_with_choices_is_rejected(call):
    """The error names the script as the cause."""
    status, body = ask(call, Reply(choices=[Reply("a"), Reply("b")]))
    assert (status, "no choices" in body["message"]) == (500, True)


def test_the_connection_leads_to_the_second_version():
    """The driver adds its own path to the address."""
    with Simulator() as simulator:
        assert simulator.connection_for("cohere").base_url == f"http://127.0.0.1:{simulator.port}/v2"
