"""Decoding of streamed chunks and whole responses."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_core.errors import Malformed, ProviderError, RateLimited, Truncated
from polyglot_core.plugin import Citation, ServerToolEvent

DONE = b"data: [DONE]\n\n"
SOURCE = {"type": "reference", "reference_ids": [1]}
FILE = {"type": "tool_file", "file_id": "f"}


def thought(*texts):
    return {"type": "thinking", "thinking": [{"type": "text", "text": text} for text in texts], "closed": True}


def chunk(finish=None, index=0, usage=None, **delta):
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    body = {"id": "chat-1", "model": "garden-1", "choices": [choice], "p": "abc"}
    return f"data: {json.dumps({**body, 'usage': usage} if usage else body)}\n\n".encode()


def call(id_, name, arguments, **fields):
    return {"id": id_, "function": {"name": name, "arguments": arguments}, **fields}


BODY = (
    chunk(role="assistant", content="")
    + chunk(content=[thought("Hm", ".")])
    + chunk(content="Größe 🍎")
    + chunk(content=[{"type": "text", "text": "!"}, SOURCE, FILE, {"type": "new"}, 3])
    + chunk("tool_calls", tool_calls=[call("abcdef123", "sum", '{"a": 2}', index=0)], usage={"prompt_tokens": 3})
)


@pytest.mark.parametrize("kind", [[], {}, None, 1])
def test_part_without_a_type(decode, kind):
    """It has no content unless it has a text; within thinking it is text."""
    inner = {"type": "thinking", "thinking": [{"type": kind, "text": "Hm"}]}
    decoded = decode(chunk(content=[{"type": kind}, inner, {"type": "text", "text": "a"}]) + chunk("stop") + DONE)
    assert (decoded.error, decoded.response.content, decoded.response.reasoning_content) == (None, "a", "Hm")


def test_thinking_text_sources_and_tool_calls(decode):
    """Each has its own field."""
    decoded = decode(BODY + DONE)
    response = decoded.response
    assert (response.id, response.model) == ("chat-1", "garden-1")
    assert (response.reasoning_content, response.content) == ("Hm.", "Größe 🍎!3")
    assert Citation(SOURCE, block=1) in decoded.events
    assert ServerToolEvent("tool_file", FILE, block=3, replay=True) in decoded.events
    assert [(each.id, each.name, each.arguments) for each in response.tool_calls] == [("abcdef123", "sum", {"a": 2})]
    assert (response.finish_reason, response.usage.input_tokens) == ("tool_calls", 3)


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


def test_last_block_without_its_blank_line_counts(decode):
    """Recorded streams end like this."""
    decoded = decode((chunk(content="Hi") + chunk("stop", content="!")).rstrip(b"\n"))
    assert (decoded.error, decoded.response.content, decoded.response.finish_reason) == (None, "Hi!", "stop")


def test_stream_without_a_finish_is_truncated(decode):
    """The end of the body alone does not complete the response."""
    assert isinstance(decode(chunk(content="Hi")).error, Truncated)


def test_content_after_a_finish_counts_and_the_first_finish_wins(decode):
    """The provider continues after the reason of one of several choices, and may repeat it."""
    body = chunk("stop", 0, content="c") + chunk(None, 1, content="a") + chunk(None, 0, content="obalt")
    decoded = decode(body + chunk("length", 1, content="z") + chunk("length", 0) + DONE)
    assert [(choice.content, choice.finish_reason) for choice in decoded.response.choices] == [
        ("cobalt", "stop"),
        ("az", "length"),
    ]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [("stop", "stop"), ("length", "length"), ("model_length", "length"), ("tool_calls", "tool_calls"),
     ("Eos_Token", "stop"), ("invented", "other")],
)  # fmt: skip
def test_finish_reasons(decode, raw, reason):
    """The provider's raw value is kept."""
    response = decode(chunk(raw, content="Hi") + DONE).response
    assert (response.finish_reason, response.finish_reason_raw) == (reason, raw)


@pytest.mark.parametrize("raw", ["error", "network_error", "abort"])
def test_finish_reasons_that_are_failures(decode, raw):
    """They are errors, with the content received before."""
    error = decode(chunk(content="Hi") + chunk(raw) + DONE).error
    assert isinstance(error, ProviderError)
    assert (error.code, error.partial.content) == (raw, "Hi")


def test_tool_calls_in_pieces_and_without_ids(decode):
    """Other developers' models stream arguments; ``null`` as a string is no id; a placeholder is no tool call."""
    body = chunk(tool_calls=[call("c1", "sum", "", index=0)]) + chunk(tool_calls=[call(None, "", '{"a"', index=0)])
    body += chunk(tool_calls=[call(None, "", ":1}", index=0), call("", "", "", index=1)])
    body += chunk("tool_calls", tool_calls=[call("null", "now", {"b": 2}, index=1)]) + DONE
    assert [(each.id, each.name, each.arguments) for each in decode(body).response.tool_calls] == [
        ("c1", "sum", {"a": 1}),
        (None, "now", {"b": 2}),
    ]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 0}, (9, 0, None, None)),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 0}, "num_cached_tokens": 4},
            (9, None, 0, None),
        ),
        ({"prompt_tokens": 9, "num_cached_tokens": 4}, (9, None, 4, None)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "total_tokens": 41,
                "prompt_tokens_details": {"audio_tokens": 30},
            },
            (39, 2, None, None),
        ),
        (
            {
                "prompt_tokens": 39,
                "completion_tokens": 2,
                "total_tokens": 41,
                "prompt_tokens_details": {"audio_tokens": 30},
            },
            (39, 2, None, None),
        ),
        ({"completion_tokens": "?", "completion_tokens_details": {"reasoning_tokens": 3}}, (None, None, None, 3)),
    ],
)
def test_usage(decode, usage, expected):
    """Audio tokens are added to the prompt only if the total proves that it does not include them."""
    counts = decode(chunk("stop", content="Hi", usage=usage) + DONE).response.usage
    told = (counts.input_tokens, counts.output_tokens, counts.cache_read_tokens, counts.reasoning_tokens)
    assert told == expected


def test_errors(decode):
    """By status, inside a stream with the content received before, and by malformed data."""
    error = decode(b'{"object":"error","message":"Slow.","code":"1300"}', status=429, stream=False).error
    assert (type(error), error.code) == (RateLimited, "1300")
    body = chunk(content="Hi") + b'data: {"object":"error","message":"Busy.","raw_status_code":503}\n\n'
    error = decode(body).error
    assert isinstance(error, ProviderError)
    assert (error.status, error.partial.content) == (503, "Hi")
    assert type(decode(chunk(content="Hi") + b"data: {oops\n\n" + DONE).error) is Malformed
