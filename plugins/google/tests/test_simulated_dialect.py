"""The objects of Google's generateContent."""

from __future__ import annotations

import http.client
import json

import pytest

from polyglot_core.plugin import Usage
from polyglot_simulator import ErrorEvent, Reply, Simulator, Status, ToolCall

CALLS = (ToolCall("weather", {"city": "Oslo", "days": 3}), ToolCall("time", id="call_x"))
GEMINI = "/v1beta/models/tiny"
VERTEX = "/v1/projects/p/locations/eu/publishers/google/models/tiny"


def ask(simulator, method="generateContent", *, model=GEMINI, **fields):
    """Status, content type and body of the response."""
    body = {"contents": [{"role": "user", "parts": [{"text": "Hello there"}]}]} | fields
    client = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
    try:
        client.request("POST", f"{model}:{method}", json.dumps(body), {"content-type": "application/json"})
        response = client.getresponse()
        return response.status, response.headers.get_content_type(), response.read()
    finally:
        client.close()


def streamed(reply, **fields):
    with Simulator(reply) as simulator:
        _, kind, body = ask(simulator, "streamGenerateContent?alt=sse", **fields)
    assert kind == "text/event-stream"
    blocks = body.decode().split("\r\n\r\n")
    assert blocks.pop() == ""
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def plain(reply, **fields):
    with Simulator(reply) as simulator:
        return json.loads(ask(simulator, **fields)[2])


def parts(chunks, index=0):
    candidates = [one for chunk in chunks for one in chunk["candidates"] if one["index"] == index]
    return [part for candidate in candidates for part in candidate["content"]["parts"]]


def joined(found, *, thought=False):
    return "".join(part.get("text", "") for part in found if part.get("thought", False) is thought)


@pytest.mark.parametrize(
    "model",
    [GEMINI, "/v1/models/tiny", VERTEX, "/v1/publishers/google/models/tiny", "/v1beta/tunedModels/tiny"],
)
def test_requests_use_googles_paths(model):
    """The model stands in the path, on both of Google's places."""
    assert plain("hi", model=model)["modelVersion"] == "tiny"
    assert streamed("hi", model=model)[0]["modelVersion"] == "tiny"


def test_a_stream_is_events_without_an_end_sign():
    """The reason and the counts stand on the last chunk, and then the body ends."""
    *others, last = streamed("Hello, big world!")
    assert joined(parts(others)) == "Hello, big world!"
    assert not any("finishReason" in chunk["candidates"][0] or "usageMetadata" in chunk for chunk in others)
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert last["usageMetadata"] == {"promptTokenCount": 2, "candidatesTokenCount": 5, "totalTokenCount": 7}


def test_without_alt_sse_a_stream_is_one_array():
    """Google's format without ``alt=sse``."""
    with Simulator("one two") as simulator:
        _, kind, body = ask(simulator, "streamGenerateContent")
    assert kind == "application/json"
    assert joined(parts(json.loads(body))) == "one two"


@pytest.mark.parametrize(
    "reply",
    [
        Reply("Hello there"),
        Reply("Hello", CALLS, reasoning="Let me think."),
        Reply("Hello", reasoning="Let me think."),
        Reply("cut", finish_reason="MAX_TOKENS"),
        Reply(""),
    ],
)
def test_plain_response_equals_the_stream(reply):
    """Both are made from one reply."""
    chunks, whole = streamed(reply), [plain(reply)]
    for thought in (False, True):
        assert joined(parts(chunks), thought=thought) == joined(parts(whole), thought=thought)
    calls, signatures = (
        [[part[name] for part in parts(answer) if name in part] for answer in (chunks, whole)]
        for name in ("functionCall", "thoughtSignature")
    )
    assert calls[0] == calls[1]
    assert signatures[0] == signatures[1]
    assert chunks[-1]["candidates"][0]["finishReason"] == whole[0]["candidates"][0]["finishReason"]
    assert chunks[-1].get("usageMetadata") == whole[0].get("usageMetadata")


def test_calls_are_whole_parts():
    """With an id, and the thinking before them signed on the first."""
    found = [part for part in parts([plain(Reply(tool_calls=CALLS, reasoning="hm"))]) if "functionCall" in part]
    assert [part["functionCall"] for part in found] == [
        {"id": "call_1_0", "name": "weather", "args": {"city": "Oslo", "days": 3}},
        {"id": "call_x", "name": "time", "args": {}},
    ]
    assert ["thoughtSignature" in part for part in found] == [True, False]


def test_thinking_is_counted_apart_from_the_text():
    """As Google counts."""
    usage = Usage(input_tokens=9, output_tokens=7, reasoning_tokens=4, cache_read_tokens=8)
    assert plain(Reply("hi", usage=usage))["usageMetadata"] == {
        "promptTokenCount": 9,
        "candidatesTokenCount": 3,
        "totalTokenCount": 16,
        "thoughtsTokenCount": 4,
        "cachedContentTokenCount": 8,
    }
    assert "usageMetadata" not in plain(Reply("hi", usage=Usage()))
    assert plain(Reply("hi", usage=Usage(raw={"cost": 1})))["usageMetadata"] == {"cost": 1}


def test_candidates_take_turns():
    """As many as were asked for, or those of the reply."""
    chunks = streamed(Reply(choices=[Reply("one"), Reply("four five", finish_reason="MAX_TOKENS")]))
    assert (joined(parts(chunks, 0)), joined(parts(chunks, 1))) == ("one", "four five")
    assert len(plain("hi", generationConfig={"candidateCount": 3})["candidates"]) == 3


def test_a_refusal_is_the_work_of_a_filter():
    """There is no text for it in this dialect."""
    candidate = plain(Reply(refusal="No."))["candidates"][0]
    assert (candidate["finishReason"], candidate["finishMessage"]) == ("SAFETY", "No.")


@pytest.mark.parametrize(
    "fields",
    [
        {"contents": None},
        {"contents": []},
        {"contents": [{"role": "user"}]},
        {"generationConfig": {"candidateCount": 99}},
    ],
)
def test_requests_that_make_no_sense_are_refused(fields):
    """In Google's shape of errors."""
    with Simulator() as simulator:
        status, _, body = ask(simulator, **fields)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(("code", "word"), [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE"), (500, "INTERNAL")])
def test_error_statuses_have_their_words(code, word):
    """The code and the status name agree."""
    with Simulator(fault=Status(code)) as simulator:
        status, _, body = ask(simulator)
    assert (status, json.loads(body)["error"]["status"]) == (code, word)


@pytest.mark.parametrize("method", ["streamGenerateContent?alt=sse", "streamGenerateContent", "generateContent"])
def test_an_error_inside_a_200_has_number_and_word(method):
    """As an event, as an element of the array, and as the whole response."""
    with Simulator("one two", fault=ErrorEvent(after_events=1)) as simulator:
        status, _, body = ask(simulator, method)
    assert status == 200
    assert b'{"error":{"code":500,"status":"INTERNAL"' in body.splitlines()[-2 if method.endswith("sse") else -1]


def test_another_method_of_google_is_unknown():
    """What is not spoken is not found."""
    with Simulator() as simulator:
        assert ask(simulator, "countTokens")[0] == 404
