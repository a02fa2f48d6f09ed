"""Decoding of streamed lines and whole responses."""

from __future__ import annotations

import base64
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_core.errors import Malformed, NotFound, ProviderError, ServerError, Truncated
from polyglot_core.plugin import End, Finish, Logprobs, MediaDelta, UsageReport

PAIRS = ("text", "tools")
COUNTS = {"prompt_eval_count": 26, "eval_count": 12}


def line(said=None, **fields):
    message = {} if said is None else {"message": {"role": "assistant", **said}}
    return json.dumps({"model": "garden:1b", **message, "done": False, **fields}).encode() + b"\n"


def last(reason="stop", **fields):
    return line({"content": ""}, done=True, done_reason=reason, **fields)


def content_of(response):
    """Return everything in a response except its timings."""
    return {name: value for name, value in response.to_dict().items() if name != "timing"}


@pytest.mark.parametrize("name", PAIRS)
def test_streamed_and_plain_response_are_equal(decode, name):
    """Content, thinking, tool calls, usage and finish are equal."""
    streamed, plain = decode(f"{name}.ndjson"), decode(f"{name}.json")
    assert streamed.error is plain.error is None
    assert content_of(streamed.response) == content_of(plain.response)


@pytest.mark.parametrize("name", ["text.ndjson", "tools.ndjson", "failed.ndjson"])
def test_any_split_gives_the_same_events(decode, bodies, name):
    """The events do not depend on how the network splits the body."""
    whole = decode(name)
    data = (bodies / name).read_bytes()

    @settings(max_examples=25, deadline=None, database=None)
    @given(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    def check(places):
        pieces = [data[a:b] for a, b in itertools.pairwise([0, *places, len(data)])]
        assert decode(name, pieces=pieces).events == whole.events

    check()
    assert decode(name, pieces=[data[i : i + 1] for i in range(len(data))]).events == whole.events


@pytest.mark.parametrize("name", [f"{pair}.ndjson" for pair in PAIRS])
def test_every_prefix_is_truncated_until_done(decode, bodies, name):
    """The last line completes a response, with or without its line end."""
    data = (bodies / name).read_bytes().rstrip(b"\n")
    for length in range(0, len(data), 5):
        assert isinstance(decode(name, pieces=[data[:length]]).error, Truncated), length
    assert decode(name, pieces=[data]).error is None


def test_text_model_and_usage(decode):
    """Text, model, finish, and the counts of the last line with its times."""
    decoded = decode("text.ndjson")
    response = decoded.response
    assert [partial.content_delta for partial in decoded.partials] == ["Größe", ": drei Äpfel 🍎", ".", ""]
    assert (response.model, response.id) == ("garden:1b", None)
    assert (response.finish_reason, response.finish_reason_raw) == ("stop", "stop")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (26, 12)
    assert response.usage.cache_read_tokens is response.usage.reasoning_tokens is None
    assert response.usage.raw["eval_duration"] == 5_000_000
    assert [type(event) for event in decoded.events][-3:] == [UsageReport, Finish, End]


def test_thinking_is_never_in_the_text(decode):
    """It has a field of its own."""
    response = decode("tools.ndjson").response
    assert (response.reasoning_content, response.content) == ("Two places, two questions.", "I look both up.")


def test_tool_call_indexes_are_ignored(decode):
    """Servers number every tool call 0; two tool calls stay two, each ready at once."""
    decoded = decode("tools.ndjson")
    assert [(call.id, call.name, call.arguments) for call in decoded.response.tool_calls] == [
        ("call_1", "weather", {"city": "Oslo", "days": [1, 2]}),
        ("call_2", "time", {}),
    ]
    assert [call.ready for call in decoded.partials[-3].tool_calls] == [True]
    assert decoded.response.finish_reason == "tool_calls"
    assert decoded.response.finish_reason_raw == "stop"


def test_tool_calls_without_ids(decode):
    """Older servers send none, and the same tool may be called twice."""
    calls = [{"function": {"name": "a", "arguments": {"x": n}}} for n in (1, 2)]
    response = decode(line({"content": "", "tool_calls": calls}) + last()).response
    assert [(call.id, call.name, call.arguments) for call in response.tool_calls] == [
        (None, "a", {"x": 1}),
        (None, "a", {"x": 2}),
    ]


@pytest.mark.parametrize(
    ("raw", "reason"), [("stop", "stop"), ("length", "length"), ("load", "other"), ("invented", "other")]
)
def test_done_reasons(decode, raw, reason):
    """The server's raw value is kept."""
    response = decode(line({"content": "Hi"}) + last(raw)).response
    assert (response.finish_reason, response.finish_reason_raw) == (reason, raw)


def test_done_without_a_reason(decode):
    """Older servers send no reason."""
    decoded = decode(line({"content": "Hi"}) + line({"content": ""}, done=True))
    assert (decoded.error, decoded.response.outcome, decoded.response.finish_reason) == (None, "finished", "unknown")


@pytest.mark.parametrize(
    ("counts", "expected"),
    [({}, None), (COUNTS, (26, 12)), ({"eval_count": 0}, (None, 0)), ({"total_duration": 5}, None)],
)
def test_usage(decode, counts, expected):
    """A count that is not sent is unknown; servers omit that of a cached prompt."""
    usage = decode(line({"content": "Hi"}) + last(**counts)).response.usage
    assert (usage and (usage.input_tokens, usage.output_tokens)) == expected


def test_log_probabilities_and_images(decode):
    """They are events of their own; the media type of an image follows from its first bytes."""
    probabilities = [{"token": "Hi", "logprob": -0.1}]
    images = [base64.b64encode(data).decode() for data in (b"\x89PNG..", b"\xff\xd8\xff..", b"?")]
    decoded = decode(line({"content": "Hi", "images": images}, logprobs=probabilities) + last())
    assert Logprobs({"logprobs": probabilities}) in decoded.events
    kinds = [event.mime_type for event in decoded.events if isinstance(event, MediaDelta)]
    assert kinds == ["image/png", "image/jpeg", "application/octet-stream"]


def test_nulls_unknown_fields_and_blank_lines_are_ignored(decode):
    """A stream with few fields is still valid."""
    sparse = line({"content": None, "thinking": None, "tool_calls": None}, added_tomorrow=[1])
    broken_call = line({"tool_calls": [{"function": None}]})
    decoded = decode(b"\n" + sparse + b"\r\n" + line() + broken_call + line({"content": "Hi"}) + last())
    assert (decoded.error, decoded.response.content, decoded.response.tool_calls) == (None, "Hi", ())


def test_error_line(decode):
    """The content received before is in its partial."""
    error = decode("failed.ndjson").error
    assert isinstance(error, ProviderError)
    assert "out of memory" in error.message
    assert error.partial.content == "Half a sen"


@pytest.mark.parametrize(("status", "expected"), [(404, NotFound), (500, ServerError), (200, NotFound)])
def test_errors_by_status_and_in_a_200(decode, status, expected):
    """The server's text is the message."""
    error = decode(b'{"error":"model \'nobody\' not found"}', status=status, stream=False).error
    assert type(error) is expected
    assert "model 'nobody' not found" in str(error)


def test_undecodable_line_is_malformed(decode):
    """A broken line in the middle is neither skipped nor taken for an end."""
    error = decode(line({"content": "Hi"}) + b"{oops\n" + last()).error
    assert type(error) is Malformed
    assert error.partial.content == "Hi"


def test_think_tags_of_an_endpoint_are_passed_to_core(decode, encode):
    """Core removes the thinking; the driver passes the tags on."""
    tags = ("<think>", "</think>")
    assert encode("Hi", connection={"facts": {"think_tags": tags}}).think_tags == tags
    assert encode("Hi").think_tags is None
