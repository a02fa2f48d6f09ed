"""The objects of Anthropic's Messages."""

from __future__ import annotations

import json

import pytest

from polyglot_core.plugin import Usage
from polyglot_simulator import ErrorEvent, Reply, Simulator, Status, ToolCall

CALLS = (ToolCall("weather", {"city": "Oslo", "days": 3}), ToolCall("time", id="toolu_x"))
HELLO = {"role": "user", "content": "Hello there"}


def ask(call, reply, *, path="/v1/messages", headers="", settings=None, **fields):
    """One request and its response; a field that is None is left out."""
    body = {"model": "m", "max_tokens": 9, "messages": [HELLO], **fields}
    data = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
    with Simulator(reply, **(settings or {})) as simulator:
        return call(simulator).send("POST", path, data, headers).response()


def streamed(call, reply, **fields):
    """The events of a stream; each has its name before it."""
    blocks = ask(call, reply, stream=True, **fields)[1].decode().split("\n\n")
    assert blocks.pop() == ""
    pairs = [block.split("\n") for block in blocks]
    events = [json.loads(data.removeprefix("data: ")) for _, data in pairs]
    assert [name for name, _ in pairs] == [f"event: {event['type']}" for event in events]
    return events


def built(events):
    """The blocks that a stream builds."""
    blocks = {}
    for event in events:
        if event["type"] == "content_block_start":
            blocks[event["index"]] = {**event["content_block"], "json": ""}
        elif event["type"] == "content_block_delta":
            kind, (name, piece) = event["delta"].pop("type"), next(iter(event["delta"].items()))
            name = "json" if kind == "input_json_delta" else name
            blocks[event["index"]][name] += piece
    for block in blocks.values():
        text = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(text)
    return list(blocks.values())


def test_a_stream_opens_and_closes_the_message_and_its_block(call):
    """Start, ping, the block, the change with the reason, and the stop."""
    events = streamed(call, "Hello, big world!")
    kinds = list(dict.fromkeys(event["type"] for event in events))
    assert kinds == [
        *("message_start", "ping", "content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    assert events[0]["message"]["content"] == []
    assert [e["delta"]["text"] for e in events if "text" in e.get("delta", ())] == ["Hello", ",", " big", " world", "!"]
    assert events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}


def test_plain_response_is_a_complete_object(call):
    """Clients that check for each documented field find it."""
    assert ask(call, "hi") == (
        200,
        {
            "id": "msg_simulator_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "text", "text": "hi"}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 2,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 1,
                "service_tier": "standard",
                "output_tokens_details": {"thinking_tokens": 0},
            },
        },
    )


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("Hello there"), "end_turn"),
        (Reply("Hello", CALLS, reasoning="Let me think."), "tool_use"),
        (Reply(refusal="That would do harm."), "refusal"),
        (Reply("cut", finish_reason="max_tokens"), "max_tokens"),
        (Reply(""), "end_turn"),
    ],
)
def test_stream_builds_the_plain_response(call, reply, reason):
    """Both are made from one reply."""
    events, plain = streamed(call, reply), ask(call, reply)[1]
    assert built(events) == plain["content"]
    change = events[-2]["delta"]
    assert change["stop_reason"] == plain["stop_reason"] == reason
    assert change.get("stop_details") == plain.get("stop_details")
    assert events[-2]["usage"] == plain["usage"]


def test_thinking_is_sent_first_with_a_signature(call):
    """Thinking, text, calls: in this order."""
    blocks = ask(call, Reply("Hello", CALLS, reasoning="Let me think."))[1]["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use", "tool_use"]
    assert blocks[0]["signature"]
    assert blocks[2:] == [
        {"type": "tool_use", "id": "toolu_simulator_1_0", "name": "weather", "input": {"city": "Oslo", "days": 3}},
        {"type": "tool_use", "id": "toolu_x", "name": "time", "input": {}},
    ]


def test_arguments_given_as_text_are_streamed_as_they_are(call):
    """Broken arguments can be scripted."""
    events = streamed(call, Reply(tool_calls=[ToolCall("weather", '{"city": ')]))
    fragments = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
    assert (fragments[0], "".join(fragments)) == ("", '{"city": ')


def test_usage_can_be_given(call):
    """What was read from a cache and written to it is counted beside the rest; or there is no usage at all."""
    counts = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=7, cache_write_tokens=1)
    usage = ask(call, Reply("hi", usage=counts))[1]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (2, 7, 1)
    start = streamed(call, Reply("hi", usage=counts))[0]["message"]
    assert (start["usage"]["input_tokens"], start["usage"]["output_tokens"]) == (2, 1)
    assert ask(call, Reply("hi", usage=Usage(raw={"cost": 1})))[1]["usage"] == {"cost": 1}
    assert "usage" not in ask(call, Reply("hi", usage=Usage()))[1]
    assert not any("usage" in event for event in streamed(call, Reply("hi", usage=Usage())))


def test_the_prompt_is_counted_in_texts_and_blocks(call):
    """System prompt, texts and results of tools."""
    used = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "a", "input": {}}]}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "three four"}]}
    turns = [HELLO, used, {"role": "user", "content": [result]}]
    usage = ask(call, "hi", messages=turns, system=[{"type": "text", "text": "Be brief"}])[1]["usage"]
    assert usage["input_tokens"] == 6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": None}, "messages: Field required"),
        ({"max_tokens": 0}, "greater than or equal to 1"),
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "must be non-empty"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]}, "`tool_result`"),
        (
            {"messages": [HELLO, {"role": "assistant", "content": [{"type": "tool_use", "id": "t"}]}, HELLO]},
            "messages.2: each `tool_use` needs a `tool_result`",
        ),
    ],
)
def test_wrong_requests_get_the_errors_of_the_api(call, fields, message):
    """Type, message, and the error in an object of type error."""
    status, body = ask(call, "hi", **fields)
    assert (status, body["type"], body["error"]["type"]) == (400, "error", "invalid_request_error")
    assert message in body["error"]["message"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, "not_found_error"), (429, "rate_limit_error"), (500, "api_error"), (529, "overloaded_error")],
)
def test_an_error_status_has_its_type(call, status, kind):
    """As the API names it."""
    assert ask(call, "hi", settings={"fault": Status(status)})[1]["error"]["type"] == kind


def test_an_error_inside_of_a_stream_is_an_event(call):
    """It is named ``error``."""
    error = {"type": "overloaded_error", "message": "Overloaded"}
    events = streamed(call, "one two", settings={"fault": ErrorEvent(after_events=4, error=error)})
    assert events[-1] == {"type": "error", "error": error}
    assert len(events) == 5


@pytest.mark.parametrize(("header", "status"), [("x-api-key: test-key", 200), ("x-api-key: other", 401), ("a: b", 401)])
def test_key_is_sent_in_its_own_header(call, header, status):
    """The key is read from ``x-api-key``."""
    found, body = ask(call, "hi", headers=f"{header}\r\n", settings={"api_key": "test-key"})
    assert found == status
    assert status == 200 or body["error"]["type"] == "authentication_error"


def test_reply_with_choices_is_rejected(call):
    """The error names the script as the cause."""
    status, body = ask(call, Reply(choices=[Reply("a"), Reply("b")]))
    assert (status, "no choices" in body["error"]["message"]) == (500, True)


def test_the_connection_leads_here():
    """The driver adds its own path to the address."""
    with Simulator() as simulator:
        connection = simulator.connection_for("anthropic")
        assert connection.base_url == f"http://127.0.0.1:{simulator.port}/v1"
        assert (connection.auth_header, connection.auth_scheme) == ("x-api-key", "")
