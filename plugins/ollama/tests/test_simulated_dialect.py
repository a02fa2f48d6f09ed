"""The lines of Ollama's own chat."""

from __future__ import annotations

import json

import pytest

from polyglot_core.plugin import Usage
from polyglot_simulator import ErrorEvent, Reply, Simulator, Status, ToolCall

CALLS = (ToolCall("weather", {"city": "Oslo", "days": 3}), ToolCall("time", id="call_x"))


def ask(call, reply, *, settings=None, **fields):
    """One request and its response; a field that is None is left out."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello there"}], "stream": False, **fields}
    data = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
    with Simulator(reply, **(settings or {})) as simulator:
        return call(simulator).send("POST", "/api/chat", data).response()


def streamed(call, reply, **fields):
    """The lines of a stream."""
    *lines, rest = ask(call, reply, stream=True, **fields)[1].split(b"\n")
    assert rest == b""
    return [json.loads(line) for line in lines]


def said(lines, field):
    return "".join(line["message"].get(field, "") for line in lines)


def test_every_token_is_a_line_and_the_last_one_is_done(call):
    """The last line has the reason and the counts."""
    lines = streamed(call, "Hello, big world!")
    assert [line["message"]["content"] for line in lines] == ["Hello", ",", " big", " world", "!", ""]
    assert [line["done"] for line in lines] == [False] * 5 + [True]
    assert {name for line in lines[:-1] for name in line} == {"model", "created_at", "message", "done"}
    assert (lines[-1]["done_reason"], lines[-1]["prompt_eval_count"], lines[-1]["eval_count"]) == ("stop", 2, 5)


def test_response_is_streamed_by_default(call):
    """Only ``"stream": false`` asks for one object."""
    assert ask(call, "hi", stream=None)[1].count(b"\n") == 2


def test_plain_response_is_a_complete_object(call):
    """Clients that check for each documented field find it."""
    body = ask(call, Reply("hi", usage=Usage(input_tokens=2, output_tokens=1)))[1]
    assert body.pop("created_at").endswith("Z")
    assert body == {
        "model": "m",
        "message": {"role": "assistant", "content": "hi"},
        "done": True,
        "done_reason": "stop",
        "total_duration": 3_000_000,
        "load_duration": 0,
        "prompt_eval_duration": 2_000_000,
        "eval_duration": 1_000_000,
        "prompt_eval_count": 2,
        "eval_count": 1,
    }


@pytest.mark.parametrize(
    "reply",
    [
        Reply("Hello there"),
        Reply("Hello", CALLS, reasoning="Let me think."),
        Reply(refusal="I cannot help with that."),
        Reply("cut", finish_reason="length"),
        Reply(""),
    ],
)
def test_stream_equals_the_plain_response(call, reply):
    """Both are made from one reply."""
    lines, plain = streamed(call, reply), ask(call, reply)[1]
    message = plain["message"]
    assert (said(lines, "content"), said(lines, "thinking")) == (message["content"], message.get("thinking", ""))
    calls = [call for line in lines for call in line["message"].get("tool_calls", ())]
    assert calls == message.get("tool_calls", [])
    counts = ("done_reason", "prompt_eval_count", "eval_count")
    assert [lines[-1][name] for name in counts] == [plain[name] for name in counts]


def test_calls_are_whole_and_have_objects_as_arguments(call):
    """Each in a line of its own."""
    lines = streamed(call, Reply(tool_calls=CALLS))
    assert [line["message"].get("tool_calls") for line in lines] == [
        [{"id": "call_1_0", "function": {"index": 0, "name": "weather", "arguments": {"city": "Oslo", "days": 3}}}],
        [{"id": "call_x", "function": {"index": 1, "name": "time", "arguments": {}}}],
        None,
    ]


def test_arguments_given_as_text_are_an_object_if_they_can_be(call):
    """A text that is no JSON is sent as it is."""
    calls = [ToolCall("a", '{"x": 1}'), ToolCall("a", '{"x')]
    found = ask(call, Reply(tool_calls=calls))[1]["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in found] == [{"x": 1}, '{"x']


def test_usage_can_be_given(call):
    """In the words of Polyglot, or as the server's own fields, or not at all."""
    assert ask(call, Reply("hi", usage=Usage(output_tokens=5)))[1]["eval_count"] == 5
    assert ask(call, Reply("hi", usage=Usage(raw={"cost": 1})))[1]["cost"] == 1
    assert "eval_count" not in ask(call, Reply("hi", usage=Usage()))[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": None}, "model is required"),
        ({"messages": "Hello"}, "messages must be a list of objects"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "content of a message must be a string"),
    ],
)
def test_wrong_requests_get_an_error_of_one_text(call, fields, message):
    """There is a status and a text, and nothing else."""
    assert ask(call, "hi", **fields) == (400, {"error": ask(call, "hi", **fields)[1]["error"]})
    assert message in ask(call, "hi", **fields)[1]["error"]


def test_an_error_status_has_a_text(call):
    """The body is the server's kind of error."""
    status, body = ask(call, "hi", settings={"fault": Status(503)})
    assert (status, set(body), type(body["error"])) == (503, {"error"}, str)


def test_an_error_inside_of_a_stream_is_a_line(call):
    """With its text alone."""
    fault = ErrorEvent(after_events=1, error={"message": "out of memory"})
    assert streamed(call, "one two", settings={"fault": fault})[1:] == [{"error": "out of memory"}]


def test_reply_with_choices_is_rejected(call):
    """The error names the script as the cause."""
    status, body = ask(call, Reply(choices=[Reply("a"), Reply("b")]))
    assert (status, "no choices" in body["error"]) == (500, True)


def test_the_connection_leads_to_the_root():
    """The driver adds its own path to the address."""
    with Simulator() as simulator:
        assert simulator.connection_for("ollama").base_url == f"http://127.0.0.1:{simulator.port}"
