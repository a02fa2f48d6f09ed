"""The objects of OpenAI chat completions."""

from __future__ import annotations

import json

import pytest

from polyglot_core.errors import ConfigError
from polyglot_core.plugin import Usage
from polyglot_simulator import Reply, Simulator, ToolCall

CALLS = (ToolCall("weather", {"city": "Oslo", "days": 3}), ToolCall("time", id="call_x"))


def streamed(call, reply, **fields):
    with Simulator(reply) as simulator:
        body = call(simulator).ask(**fields).response()[1]
    blocks = body.decode().split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-2]]


def plain(call, reply, **fields):
    with Simulator(reply) as simulator:
        return call(simulator).ask(stream=False, **fields).response()[1]


def joined(chunks, field, index=0):
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get(field) or "" for choice in choices)


def test_stream_begins_with_the_role_and_ends_with_the_reason(call):
    """Role first, then the text in pieces, then an empty delta with the finish reason."""
    chunks = streamed(call, "Hello, big world!")
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert deltas[1:-1] == [{"content": text} for text in ("Hello", ",", " big", " world", "!")]
    assert deltas[-1] == {}
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["stop"]


def test_every_chunk_is_a_complete_object(call):
    """Clients that check for each documented field find it."""
    for chunk in streamed(call, "hi"):
        assert chunk | {"choices": []} == {
            "id": "chatcmpl-simulator-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": "m",
            "service_tier": "default",
            "system_fingerprint": None,
            "choices": [],
        }
        assert set(chunk["choices"][0]) == {"index", "delta", "logprobs", "finish_reason"}


def test_same_request_gets_the_same_bytes(call):
    """Two runs can be compared byte by byte."""
    assert streamed(call, Reply("hi", CALLS)) == streamed(call, Reply("hi", CALLS))


def test_usage_is_sent_only_if_requested(call):
    """With include_usage: null on every chunk, and a last chunk without choices that has it."""
    options = {"include_usage": True}
    *others, last = streamed(call, Reply("Hello there", reasoning="hm"), stream_options=options)
    assert {chunk["usage"] for chunk in others} == {None}
    assert last["choices"] == []
    assert last["usage"]["prompt_tokens"] == 2
    assert last["usage"]["completion_tokens"] == 3
    assert last["usage"]["total_tokens"] == 5
    assert last["usage"]["completion_tokens_details"]["reasoning_tokens"] == 1
    assert not any("usage" in chunk for chunk in streamed(call, "Hello there"))


def test_prompt_is_counted_in_texts_and_in_parts(call):
    """Messages may hold a text or a list of parts, and nothing at all."""
    parts = [{"type": "text", "text": "one two"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": None}, {"content": "three"}]
    assert plain(call, "hi", messages=messages)["usage"]["prompt_tokens"] == 3


def test_usage_can_be_given(call):
    """In the words of Polyglot, or as the provider's own object, or not at all."""
    counts = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=8)
    usage = plain(call, Reply("hi", usage=counts))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (10, 5, 15)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 8
    assert plain(call, Reply("hi", usage=Usage(raw={"cost": 1})))["usage"] == {"cost": 1}
    assert "usage" not in plain(call, Reply("hi", usage=Usage()))
    assert streamed(call, Reply("hi", usage=Usage()), stream_options={"include_usage": True})[-1]["choices"]


def test_usage_of_the_simulator_holds_for_replies_without_their_own(call):
    """One setting for all replies."""
    with Simulator(["hi", Reply("hi", usage=Usage(input_tokens=1))], usage=Usage(input_tokens=9)) as simulator:
        caller = call(simulator)
        counts = [caller.ask(stream=False).response()[1]["usage"]["prompt_tokens"] for _ in range(2)]
    assert counts == [9, 1]


def test_tool_calls_stream_in_fragments(call):
    """A head with id and name, then the arguments in pieces that join to their JSON."""
    chunks = streamed(call, Reply(tool_calls=CALLS))
    assert chunks[0]["choices"][0]["delta"]["content"] is None
    pieces = [piece for chunk in chunks for piece in chunk["choices"][0]["delta"].get("tool_calls", [])]
    heads = [piece for piece in pieces if "id" in piece]
    assert heads == [
        {"index": 0, "id": "call_1_0", "type": "function", "function": {"name": "weather", "arguments": ""}},
        {"index": 1, "id": "call_x", "type": "function", "function": {"name": "time", "arguments": ""}},
    ]
    arguments = ["".join(p["function"]["arguments"] for p in pieces if p["index"] == index) for index in (0, 1)]
    assert [json.loads(text) for text in arguments] == [{"city": "Oslo", "days": 3}, {}]
    assert len(pieces) > len(CALLS) * 2
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_arguments_given_as_text_are_sent_as_they_are(call):
    """Broken arguments can be scripted."""
    message = plain(call, Reply(tool_calls=[ToolCall("weather", '{"city": ')]))["choices"][0]["message"]
    assert message["tool_calls"][0]["function"]["arguments"] == '{"city": '


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
def test_plain_response_equals_the_stream(call, reply):
    """Both are made from one reply."""
    chunks, body = streamed(call, reply), plain(call, reply)
    choice = body["choices"][0]
    assert (choice["message"]["content"] or "") == joined(chunks, "content") == reply.text
    assert (choice["message"]["refusal"] or "") == joined(chunks, "refusal") == (reply.refusal or "")
    assert choice["message"].get("reasoning_content", "") == joined(chunks, "reasoning_content")
    assert choice["finish_reason"] == chunks[-1]["choices"][0]["finish_reason"]
    assert len(choice["message"].get("tool_calls", [])) == len(reply.tool_calls)


def test_plain_response_is_a_complete_object(call):
    """Clients that check for each documented field find it."""
    body = plain(call, "hi")
    assert body["object"] == "chat.completion"
    assert set(body) == {
        *("id", "object", "created", "model", "service_tier", "system_fingerprint", "choices", "usage"),
    }
    message = {"role": "assistant", "content": "hi", "refusal": None, "annotations": []}
    assert body["choices"] == [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]


def test_choices_are_interleaved(call):
    """Several choices take turns, and each has its own finish."""
    chunks = streamed(call, Reply(choices=[Reply("one"), Reply("four five six", finish_reason="length")]))
    order = [chunk["choices"][0]["index"] for chunk in chunks]
    assert order == [0, 1, 0, 1, 0, 1, 1, 1]
    assert (joined(chunks, "content", 0), joined(chunks, "content", 1)) == ("one", "four five six")
    finishes = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert finishes == ["stop", "length"]


def test_n_repeats_a_reply_that_has_no_choices(call):
    """A client that asks for three gets three."""
    assert [choice["index"] for choice in plain(call, "hi", n=3)["choices"]] == [0, 1, 2]


def test_response_has_the_model_of_the_request(call):
    """Without one in the request it is the simulator's."""
    with Simulator(model="tiny") as simulator:
        caller = call(simulator)
        models = [caller.ask(stream=False, model=model).response()[1]["model"] for model in ("big", None)]
    assert models == ["big", "tiny"]


def test_reply_with_choices_has_no_content_of_its_own():
    """What would be ignored is refused."""
    with pytest.raises(ConfigError, match="either choices or content"):
        Reply("hi", choices=[Reply("ho")])
    with pytest.raises(ConfigError, match="cannot have choices itself"):
        Reply(choices=[Reply(choices=[Reply("ho")])])
