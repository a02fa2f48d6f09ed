"""The objects of Mistral's chat completions."""

from __future__ import annotations

import json

import pytest

from polyglot_core.plugin import Usage
from polyglot_simulator import ErrorEvent, Reply, Simulator, Status, ToolCall

CALLS = (ToolCall("weather", {"city": "Oslo"}), ToolCall("time", id="abcdef123"))
PATH = "/mistral/v1/chat/completions"


def ask(call, reply, *, settings=None, headers="", **fields):
    """One request and its response; a field that is None is left out."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello there"}], **fields}
    data = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
    with Simulator(reply, **(settings or {})) as simulator:
        return call(simulator).send("POST", PATH, data, headers).response()


def streamed(call, reply, **fields):
    """The chunks of a stream, without the word after the last one."""
    blocks = ask(call, reply, stream=True, **fields)[1].decode().removesuffix("\n\n").split("\n\n")
    return [json.loads(block.removeprefix("data: ")) for block in blocks if block != "data: [DONE]"]


def deltas(chunks, index=0):
    found = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return [choice["delta"] for choice in found]


def texts(contents):
    """Thinking and text of contents, whether they are texts or lists of parts."""
    listed = [[{"type": "text", "text": content}] if isinstance(content, str) else content for content in contents]
    parts = [part for parts in listed for part in parts]
    thoughts = [inner["text"] for part in parts if part["type"] == "thinking" for inner in part["thinking"]]
    return "".join(thoughts), "".join(part["text"] for part in parts if part["type"] == "text")


def test_a_stream_is_a_role_the_content_and_a_finish_with_the_usage(call):
    """The usage needs no option, and is sent with the finish."""
    first, *middle, last = streamed(call, "Hello, you")
    assert first["choices"] == [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
    assert [delta["content"] for delta in deltas(middle)] == ["Hello", ",", " you"]
    assert last["choices"] == [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]
    assert not any("usage" in chunk for chunk in [first, *middle])
    assert last["usage"] == {
        "prompt_tokens": 2,
        "total_tokens": 5,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def test_stream_ends_with_done(call):
    """The last block is no JSON."""
    assert ask(call, "hi", stream=True)[1].endswith(b"\n\ndata: [DONE]\n\n")


@pytest.mark.parametrize(
    "reply",
    [
        Reply("Hello there"),
        Reply("Hello", CALLS, reasoning="Let me think."),
        Reply("Hello", reasoning="Let me think.", usage=Usage(input_tokens=2, reasoning_tokens=1)),
        Reply(tool_calls=CALLS),
        Reply("cut", finish_reason="length"),
        Reply(refusal="I would rather not."),
        Reply(""),
    ],
)
def test_stream_equals_the_plain_response(call, reply):
    """Both are made from one reply."""
    chunks, plain = streamed(call, reply), ask(call, reply)[1]
    choice, said = plain["choices"][0], deltas(chunks)
    assert texts([delta.get("content", "") for delta in said]) == texts([choice["message"]["content"]])
    assert said[-1].get("tool_calls") == choice["message"]["tool_calls"]
    assert chunks[-1]["choices"][0]["finish_reason"] == choice["finish_reason"]
    assert chunks[-1]["usage"] == plain["usage"]


def test_only_thinking_makes_the_content_a_list(call):
    """Without it the content is a text."""
    assert ask(call, "Four.")[1]["choices"][0]["message"]["content"] == "Four."
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Two and two."}], "closed": True}
    assert ask(call, Reply("Four.", reasoning="Two and two."))[1]["choices"][0]["message"]["content"] == [
        thought,
        {"type": "text", "text": "Four."},
    ]


def test_tool_calls_are_whole_in_the_last_chunk(call):
    """Each with the number of its place, and an id of nine letters and digits unless it has one."""
    last = streamed(call, Reply(tool_calls=CALLS))[-1]["choices"][0]
    assert last["finish_reason"] == "tool_calls"
    assert last["delta"]["tool_calls"] == [
        {
            "id": "call00100",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
            "index": 0,
        },
        {"id": "abcdef123", "type": "function", "function": {"name": "time", "arguments": "{}"}, "index": 1},
    ]


def test_choices_take_turns(call):
    """As many as were asked for, or those of the reply; the usage stands in the last chunk alone."""
    chunks = streamed(call, Reply(choices=[Reply("one"), Reply("four five", finish_reason="length")]))
    assert [texts([delta["content"] for delta in deltas(chunks, index)])[1] for index in (0, 1)] == ["one", "four five"]
    assert ["usage" in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert len(ask(call, "hi", n=3)[1]["choices"]) == 3


def test_usage_can_be_given(call):
    """As counts, as the provider's own object, or not at all."""
    counts = Usage(input_tokens=9, output_tokens=7, cache_read_tokens=8, reasoning_tokens=4)
    usage = ask(call, Reply("hi", usage=counts))[1]["usage"]
    assert (usage["prompt_tokens_details"], usage["completion_tokens_details"]) == (
        {"cached_tokens": 8},
        {"reasoning_tokens": 4},
    )
    assert ask(call, Reply("hi", usage=Usage(raw={"cost": 1})))[1]["usage"] == {"cost": 1}
    assert "usage" not in ask(call, Reply("hi", usage=Usage()))[1]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"n": -1}, "n"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
)
def test_wrong_fields_are_listed(call, fields, place):
    """The status is 422, and each detail names its field."""
    status, body = ask(call, "hi", **fields)
    assert (status, [found["loc"] for found in body["detail"]]) == (422, [["body", place]])


def test_a_body_that_is_no_object_is_refused(call):
    """The detail names the body."""
    with Simulator() as simulator:
        status, body = call(simulator).send("POST", PATH, b"[]").response()
    assert (status, body["detail"][0]["loc"]) == (422, ["body"])


def test_a_wrong_key_is_a_detail(call):
    """The body is not that of other errors."""
    status, body = ask(call, "hi", headers="authorization: Bearer other\r\n", settings={"api_key": "test-key"})
    assert (status, list(body)) == (401, ["detail"])


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(400, "invalid_request_error", None), (429, "rate_limited", "1300"), (503, "server_error", None)],
)
def test_an_error_status_is_an_object_of_type_error(call, status, kind, code):
    """It repeats the status."""
    found, body = ask(call, "hi", settings={"fault": Status(status)})
    assert (found, body["object"], body["type"], body["code"]) == (status, "error", kind, code)
    assert body["raw_status_code"] == status


def test_an_error_inside_of_a_stream_is_such_an_object_too(call):
    """It is an event, and the stream ends with it."""
    fault = ErrorEvent(after_events=2, error={"message": "Busy.", "type": "rate_limited", "raw_status_code": 429})
    chunks = streamed(call, "one two", settings={"fault": fault})
    assert chunks[2:] == [{"object": "error", "raw_status_code": 429, "message": "Busy.", "type": "rate_limited"}]


def test_connection_has_its_own_path():
    """The path behind it is the one of OpenAI's dialect."""
    with Simulator() as simulator:
        assert simulator.connection_for("mistral").base_url == f"http://127.0.0.1:{simulator.port}/mistral/v1"
