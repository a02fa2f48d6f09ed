"""The frames of Bedrock's ConverseStream and the objects of Converse."""

from __future__ import annotations

import json

import pytest

from polyglot_bedrock.eventstream import EventStreamFramer
from polyglot_core.plugin import Usage
from polyglot_simulator import Comments, ErrorEvent, Reply, Simulator, Status, ToolCall

CALLS = (ToolCall("weather", {"city": "Oslo"}), ToolCall("time", id="tooluse_x"))
HELLO = {"role": "user", "content": [{"text": "Hello there"}]}


def ask(call, reply, *, stream=False, model="garden.leaf-v1%3A0", headers="", settings=None, **fields):
    """One request and its response; a field that is None is left out."""
    data = json.dumps({name: value for name, value in {"messages": [HELLO], **fields}.items() if value is not None})
    path = f"/model/{model}/converse{'-stream' * stream}"
    with Simulator(reply, **(settings or {})) as simulator:
        return call(simulator).send("POST", path, data.encode(), headers).response()


def frames(call, reply, **fields):
    """The frames of a stream, read by the driver's framer, which checks lengths and checksums."""
    return EventStreamFramer().feed(ask(call, reply, stream=True, **fields)[1])


def streamed(call, reply, **fields):
    """Kind and payload of each event, without the padding that all have."""
    found = [(frame.event, json.loads(frame.data)) for frame in frames(call, reply, **fields)]
    assert all(payload.pop("p") for _, payload in found)
    return found


def built(events):
    """The blocks that a stream builds."""
    blocks = {}
    for kind, payload in events:
        index = payload.get("contentBlockIndex")
        if kind == "contentBlockStart":
            blocks[index] = {"toolUse": {**payload["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            fill(blocks.setdefault(index, {}), payload["delta"])
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return list(blocks.values())


def fill(block, delta):
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        ((name, text),) = delta["reasoningContent"].items()
        thought = block.setdefault("reasoningContent", {"reasoningText": {}})["reasoningText"]
        thought[name] = thought.get(name, "") + text


def test_every_frame_says_what_it_is(call):
    """Three headers of text, in the order in which AWS sends them."""
    for frame in frames(call, "hi"):
        assert list(frame.headers) == [":event-type", ":content-type", ":message-type"]
        assert (frame.headers[":content-type"], frame.headers[":message-type"]) == ("application/json", "event")


def test_a_stream_is_the_message_its_blocks_and_the_counts(call):
    """A text has no start; the counts come after the stop."""
    events = streamed(call, "Hello, big world!")
    assert list(dict.fromkeys(kind for kind, _ in events)) == [
        *("messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")
    ]
    assert [p["delta"]["text"] for k, p in events if k == "contentBlockDelta"] == ["Hello", ",", " big", " world", "!"]
    assert events[-2:] == [
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": {"inputTokens": 2, "outputTokens": 5, "totalTokens": 7}, "metrics": {"latencyMs": 1}}),
    ]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("Hello there"), "end_turn"),
        (Reply("Hello", CALLS, reasoning="Let me think."), "tool_use"),
        (Reply(tool_calls=CALLS), "tool_use"),
        (Reply(refusal="That is not allowed here."), "guardrail_intervened"),
        (Reply("cut", finish_reason="max_tokens"), "max_tokens"),
        (Reply("Grüße 🌍"), "end_turn"),
    ],
)
def test_stream_builds_the_plain_response(call, reply, reason):
    """Both are made from one reply."""
    events, plain = streamed(call, reply), ask(call, reply)[1]
    assert built(events) == plain["output"]["message"]["content"]
    assert dict(events)["messageStop"]["stopReason"] == plain["stopReason"] == reason
    assert dict(events)["metadata"] == {name: plain[name] for name in ("usage", "metrics")}


def test_thinking_is_sent_first_with_a_signature(call):
    """Thinking, text, calls: in this order."""
    blocks = ask(call, Reply("Hello", CALLS, reasoning="Let me think."))[1]["output"]["message"]["content"]
    assert [next(iter(block)) for block in blocks] == ["reasoningContent", "text", "toolUse", "toolUse"]
    assert blocks[0]["reasoningContent"]["reasoningText"]["signature"]
    assert [block["toolUse"] for block in blocks[2:]] == [
        {"toolUseId": "tooluse_simulator_1_0", "name": "weather", "input": {"city": "Oslo"}},
        {"toolUseId": "tooluse_x", "name": "time", "input": {}},
    ]


def test_arguments_given_as_text_are_streamed_as_they_are(call):
    """Broken arguments can be scripted."""
    reply = Reply(tool_calls=[ToolCall("weather", '{"city": ')])
    pieces = [p["delta"]["toolUse"]["input"] for k, p in streamed(call, reply) if k == "contentBlockDelta"]
    assert "".join(pieces) == '{"city": '
    assert ask(call, reply)[1]["output"]["message"]["content"][0]["toolUse"]["input"] == '{"city": '


def test_usage_can_be_given(call):
    """What was read from a cache and written to it is counted beside the rest; or there is no usage at all."""
    counts = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=7, cache_write_tokens=1)
    assert ask(call, Reply("hi", usage=counts))[1]["usage"] == {
        "inputTokens": 2,
        "outputTokens": 5,
        "totalTokens": 15,
        "cacheReadInputTokens": 7,
        "cacheWriteInputTokens": 1,
    }
    assert ask(call, Reply("hi", usage=Usage(raw={"cost": 1})))[1]["usage"] == {"cost": 1}
    assert "usage" not in ask(call, Reply("hi", usage=Usage()))[1]
    assert dict(streamed(call, Reply("hi", usage=Usage())))["metadata"] == {"metrics": {"latencyMs": 1}}


def test_the_prompt_is_counted_in_texts_and_results(call):
    """System prompt, texts, and results of tools."""
    used = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "a", "input": {}}}]}
    result = {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "three four"}]}}]}
    body = ask(call, "hi", messages=[HELLO, used, result], system=[{"text": "Be brief"}])[1]
    assert body["usage"]["inputTokens"] == 6


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": None},
        {"messages": "Hello"},
        {"messages": []},
        {"messages": [{"role": "assistant", "content": [{"text": "Hello"}]}]},
        {"messages": [HELLO, {"role": "system", "content": [{"text": "Hello"}]}]},
        {"messages": [{"role": "user", "content": "Hello"}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [HELLO, "Hello"]},
    ],
)
def test_wrong_requests_get_a_message(call, fields):
    """It is all that the body holds."""
    status, body = ask(call, "hi", **fields)
    assert (status, list(body)) == (400, ["message"])


def test_a_body_that_is_no_object_is_refused(call):
    """The header reports that it could not be read."""
    with Simulator() as simulator:
        heard = call(simulator).send("POST", "/model/m/converse", b"[]", "Connection: close\r\n").hear()
    assert "x-amzn-errortype: SerializationException:" in heard.head


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "ValidationException"),
        (403, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (429, "ThrottlingException"),
        (500, "InternalServerException"),
        (503, "ServiceUnavailableException"),
    ],
)
@pytest.mark.parametrize("path", ["converse", "converse-stream"])
def test_an_error_status_has_its_name_in_a_header(call, path, status, name):
    """With the address of a schema behind it."""
    data = json.dumps({"messages": [HELLO]}).encode()
    with Simulator(fault=Status(status)) as simulator:
        heard = call(simulator).send("POST", f"/model/m/{path}", data, "Connection: close\r\n").hear()
    assert f"HTTP/1.1 {status} " in heard.head
    assert f"x-amzn-errortype: {name}:http://internal.amazon.com/" in heard.head
    assert list(json.loads(heard.body)) == ["message"]


def test_an_error_body_of_ones_own_has_headers_of_ones_own(call):
    """The simulator does not name what it did not send."""
    data = json.dumps({"messages": [HELLO]}).encode()
    with Simulator(fault=Status(429, body={"message": "Slow down."})) as simulator:
        heard = call(simulator).send("POST", "/model/m/converse", data, "Connection: close\r\n").hear()
    assert "x-amzn-errortype" not in heard.head


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ({"message": "Slow.", "type": "throttlingException"}, "throttlingException"),
        ({"message": "Broken.", "code": "ModelStreamErrorException"}, "modelStreamErrorException"),
        ({"message": "Broken.", "type": "server_error"}, "internalServerException"),
    ],
)
def test_an_error_inside_of_a_stream_is_an_exception_frame(call, error, name):
    """It is named in its headers, and the stream ends with it."""
    *_, last = frames(call, "one two", settings={"fault": ErrorEvent(after_events=2, error=error)})
    assert (last.headers[":message-type"], last.headers[":exception-type"]) == ("exception", name)
    assert json.loads(last.data) == {"message": error["message"]}


def test_an_exception_keeps_what_else_it_says(call):
    """A model's own status, for one."""
    error = {"message": "Broken.", "type": "modelStreamErrorException", "originalStatusCode": 503}
    *_, last = frames(call, "one", settings={"fault": ErrorEvent(error=error)})
    assert json.loads(last.data) == {"message": "Broken.", "originalStatusCode": 503}


def test_an_error_inside_of_a_plain_response_has_its_name_in_the_body(call):
    """There is no other place for it in a 200."""
    status, body = ask(call, "hi", settings={"fault": ErrorEvent()})
    assert (status, body) == (200, {"__type": "InternalServerException", "message": "The server had an error."})


def test_comments_are_frames_of_a_kind_that_nobody_knows(call):
    """They are whole frames, at their place."""
    events = streamed(call, "hi", settings={"fault": Comments(0.001, 2, after_events=1)})
    assert [kind for kind, _ in events[:4]] == ["messageStart", "heartbeat", "heartbeat", "contentBlockDelta"]


def test_model_is_read_from_the_path(call):
    """Also an address with slashes in it."""
    assert ask(call, "hi", model="arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Fleaf")[0] == 200
    assert ask(call, "hi", model="two/parts")[0] == 404


@pytest.mark.parametrize(
    ("given", "status"),
    [("Bearer test-key", 200), ("Bearer other", 401), ("AWS4-HMAC-SHA256 Credential=test, Signature=00", 401)],
)
def test_the_key_is_a_bearer(call, given, status):
    """Another key is not let in, nor a signature; without a key of the simulator's everyone is."""
    headers = f"authorization: {given}\r\n"
    assert ask(call, "hi", headers=headers)[0] == 200
    assert ask(call, "hi", headers=headers, settings={"api_key": "test-key"})[0] == status


def test_reply_with_choices_is_rejected(call):
    """The error names the script as the cause."""
    status, body = ask(call, Reply(choices=[Reply("a"), Reply("b")]))
    assert (status, "no choices" in body["message"]) == (500, True)


def test_the_connection_leads_to_the_root():
    """The driver adds the model and what it asks for."""
    with Simulator() as simulator:
        assert simulator.connection_for("bedrock").base_url == f"http://127.0.0.1:{simulator.port}"
