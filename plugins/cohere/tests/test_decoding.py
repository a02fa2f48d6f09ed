"""Decoding of streamed events and whole responses."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_core.errors import AuthenticationError, Malformed, ProviderError, Truncated
from polyglot_core.plugin import Citation, Logprobs

DONE = b"data: [DONE]\n\n"
SOURCE = {"start": 0, "end": 5, "text": "Größe", "sources": []}


def event(kind, index=0, **message):
    return line({"type": kind, "index": index, "delta": {"message": message}})


def line(body):
    return f"event: {body.get('type')}\ndata: {json.dumps(body)}\n\n".encode()


def end(finish="COMPLETE", usage=None, **fields):
    return line({"type": "message-end", "delta": {"finish_reason": finish, "usage": usage or {}, **fields}})


def call(kind, index, arguments, **fields):
    named = {"name": fields.pop("name")} if "name" in fields else {}
    return event(kind, index, tool_calls={**fields, "function": {**named, "arguments": arguments}})


START = line({"type": "message-start", "id": "chat-1", "delta": {"message": {"role": "assistant", "tool_plan": ""}}})
TEXT = event("content-delta", content={"text": "Hi"})
BODY = (
    START
    + event("tool-plan-delta", tool_plan="I add. ")
    + event("content-start", content={"type": "thinking", "thinking": ""})
    + event("content-delta", content={"thinking": "Hm."})
    + event("content-start", 1, content={"type": "text", "text": ""})
    + event("content-delta", 1, content={"text": "Größe 🍎"})
    + event("citation-start", 1, citations=SOURCE)
    + call("tool-call-start", 0, "", id="sum_1", name="sum")
    + call("tool-call-delta", 0, '{"a": 2}')
    + line({"type": "tool-call-end", "index": 0})
    + end("TOOL_CALL", {"tokens": {"input_tokens": 9.0, "output_tokens": 4}, "cached_tokens": 0})
)


def test_plan_thinking_text_sources_and_tool_calls(decode):
    """Each has its own field; the plan keeps its id for sending it back."""
    decoded = decode(BODY + DONE)
    response = decoded.response
    assert (response.id, response.model, decoded.error) == ("chat-1", None, None)
    assert (response.reasoning_content, response.content) == ("I add. Hm.", "Größe 🍎")
    assert [(part.text, part.id) for part in response.choices[0].reasoning] == [("I add. ", "tool_plan"), ("Hm.", None)]
    assert Citation(SOURCE, block=2, start=0, end=5) in decoded.events
    assert [(each.id, each.name, each.arguments) for each in response.tool_calls] == [("sum_1", "sum", {"a": 2})]
    assert response.finish_reason == "tool_calls"


def test_tool_call_is_ready_when_the_provider_ends_it(decode):
    """The tool calls of an unfinished stream may be run already."""
    error = decode(BODY[: BODY.index(b"event: message-end")]).error
    assert isinstance(error, Truncated)
    assert [each.ready for each in error.partial.tool_calls] == [True]


def test_any_split_gives_the_same_events(decode):
    """The events do not depend on how the network splits the body."""
    body = BODY + DONE
    whole = decode(body)

    @settings(max_examples=25, deadline=None, database=None)
    @given(st.lists(st.integers(0, len(body)), max_size=8).map(sorted))
    def check(places):
        pieces = [body[a:b] for a, b in itertools.pairwise([0, *places, len(body)])]
        assert decode(body, pieces=pieces).events == whole.events

    check()


def test_only_message_end_completes_a_stream(decode):
    """The end of the body alone does not, nor does another dialect's end marker."""
    assert isinstance(decode(START + TEXT).error, Truncated)
    assert isinstance(decode(START + TEXT + DONE).error, Truncated)
    assert decode(START + TEXT + end()).error is None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [("COMPLETE", "stop"), ("STOP_SEQUENCE", "stop"), ("MAX_TOKENS", "length"), ("TOOL_CALL", "tool_calls"),
     ("INVENTED", "other")],
)  # fmt: skip
def test_finish_reasons(decode, raw, reason):
    """The provider's raw value is kept."""
    response = decode(TEXT + end(raw)).response
    assert (response.finish_reason, response.finish_reason_raw) == (reason, raw)


@pytest.mark.parametrize("raw", ["ERROR", "ERROR_TOXIC", "ERROR_LIMIT", "TIMEOUT"])
@pytest.mark.parametrize("stream", [True, False])
def test_finish_reasons_that_are_failures(decode, raw, stream):
    """They are errors, streamed and plain, with the content received before."""
    message = {"content": [{"type": "text", "text": "Hi"}]}
    plain = json.dumps({"message": message, "finish_reason": raw}).encode()
    error = decode(TEXT + end(raw) if stream else plain, stream=stream).error
    assert isinstance(error, ProviderError)
    assert (error.code, error.partial.content) == (raw, "Hi")


def test_error_inside_the_end_of_a_message(decode):
    """Its id is the code, its text the message."""
    error = decode(START + end("ERROR", error="No such tool.", error_type="INVALID_TOOL_GENERATION") + DONE).error
    assert error.code == "INVALID_TOOL_GENERATION"
    assert "No such tool." in str(error)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"tokens": {"input_tokens": 9.0, "output_tokens": 0}, "cached_tokens": 0}, (9, 0, 0, None)),
        ({"tokens": {"input_tokens": 9, "output_tokens": 5, "reasoning_tokens": 3}}, (9, 5, None, 3)),
        ({"billed_units": {"input_tokens": 4}}, (None, None, None, None)),
    ],
)
def test_usage(decode, usage, expected):
    """Tokens, not billed units, which stay in `raw`."""
    counts = decode(TEXT + end(usage=usage)).response.usage
    told = (counts.input_tokens, counts.output_tokens, counts.cache_read_tokens, counts.reasoning_tokens)
    assert (told, counts.raw) == (expected, usage)


def test_log_probabilities_are_passed_on(decode):
    """They are next to a piece of text, or to a whole message."""
    given_ = {"text": "Hi", "token_ids": [1], "logprobs": [-0.1]}
    delta = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}, "logprobs": given_}
    assert Logprobs(given_, block=1) in decode(line(delta) + end()).events
    plain = {"message": {"content": []}, "finish_reason": "COMPLETE", "logprobs": [given_]}
    assert Logprobs(given_) in decode(json.dumps(plain).encode(), stream=False).events


def test_errors(decode):
    """By status with and without an id, inside a stream, inside a 200, and by malformed data."""
    error = decode(b'{"message":"too long","error_type":"TOO_MANY_TOKENS"}', status=400, stream=False).error
    assert error.code == "TOO_MANY_TOKENS"
    assert type(decode(b'{"message":"Wrong key."}', status=401, stream=False).error) is AuthenticationError
    for body, stream in ((TEXT + b'data: {"message":"Busy."}\n\n', True), (b'{"message":"Busy."}', False)):
        error = decode(body, stream=stream).error
        assert isinstance(error, ProviderError)
        assert "Busy." in str(error)
    assert type(decode(TEXT + b"data: {oops\n\n" + end()).error) is Malformed
