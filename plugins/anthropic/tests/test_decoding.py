"""Decoding of streamed events and whole messages."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_core.errors import (
    ContextLengthExceeded,
    Malformed,
    NotFound,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    Truncated,
)
from polyglot_core.plugin import (
    Citation,
    End,
    Finish,
    Ping,
    ReasoningDelta,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)

PAIRS = ("text", "tools", "server_tools", "compaction")


def event(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def opened(index=0, **block):
    return event("content_block_start", index=index, content_block=block)


def more(index=0, **delta):
    return event("content_block_delta", index=index, delta=delta)


def closed(index=0):
    return event("content_block_stop", index=index)


def changed(reason=None, **usage):
    return event("message_delta", delta={"stop_reason": reason}, usage=usage)


START = event("message_start", message={"id": "msg_1", "model": "claude-garden-1", "usage": {"input_tokens": 3}})
STOP = event("message_stop")


def content_of(response):
    """Return everything in a response except its timings."""
    return {name: value for name, value in response.to_dict().items() if name != "timing"}


@pytest.mark.parametrize("name", PAIRS)
def test_streamed_and_plain_response_are_equal(decode, name):
    """Content, thinking, tool calls, server tools, citations and finish are equal."""
    streamed, plain = decode(f"{name}.sse"), decode(f"{name}.json")
    assert streamed.error is plain.error is None
    first, second = content_of(streamed.response), content_of(plain.response)
    counts = [{key: value for key, value in side.pop("usage").items() if key != "raw"} for side in (first, second)]
    assert first == second
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", [*(f"{pair}.sse" for pair in PAIRS), "overloaded.sse"])
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


@pytest.mark.parametrize("name", [f"{pair}.sse" for pair in PAIRS])
def test_every_prefix_is_truncated_until_message_stop(decode, bodies, name):
    """A stop reason alone does not complete a response; the last event does, with or without its blank line."""
    data = (bodies / name).read_bytes()
    for length in range(0, len(data), 7):
        assert isinstance(decode(name, pieces=[data[:length]]).error, Truncated), length
    assert decode(name, pieces=[data.rstrip(b"\n")]).error is None


def test_text_names_and_usage(decode):
    """Text of all blocks in order, names, finish, and usage merged into that of the start."""
    decoded = decode("text.sse")
    response = decoded.response
    assert (response.id, response.model) == ("msg_garden_1", "claude-garden-1")
    assert [partial.content_delta for partial in decoded.partials] == ["Größe", ": drei Äpfel 🍎", ".", ""]
    assert (response.finish_reason, response.finish_reason_raw) == ("stop", "end_turn")
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens) == (331, 9)
    assert (usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (300, 20, None)
    assert usage.raw["service_tier"] == "standard"
    assert Ping() in decoded.events


def test_thinking_is_separate_from_text(decode):
    """Signature and encrypted data are kept, each with its block."""
    response = decode("tools.sse").response
    first, second = response.choices[0].reasoning
    assert (first.text, first.signature) == ("Two places, two questions.", "c2lnbmF0dXJl")
    assert second.redacted == "ZW5jcnlwdGVk"
    assert response.content == "I look both up."
    assert response.usage.reasoning_tokens == 7


def test_tool_call_is_complete_when_its_block_closes(decode):
    """A tool call may run before the stream has ended; without arguments it has an empty object."""
    decoded = decode("tools.sse")
    assert [(call.id, call.name, call.arguments) for call in decoded.response.tool_calls] == [
        ("toolu_1", "weather", {"city": "Oslo", "days": [1, 2]}),
        ("toolu_2", "time", {}),
    ]
    ready = [[call.ready for call in partial.tool_calls] for partial in decoded.partials]
    assert ready.index([True]) < ready.index([True, False]) < ready.index([True, True]) < len(ready) - 1
    assert decoded.response.finish_reason == "tool_calls"


def test_tool_calls_may_be_interleaved(decode):
    """Fragments belong to the block with their index."""
    calls = [opened(i, type="tool_use", id=f"t{i}", name=n, input={}) for i, n in enumerate("ab")]
    pieces = [more(i, type="input_json_delta", partial_json=text) for i, text in [(0, '{"x"'), (1, '{"y"'), (0, ":1}")]]
    end = [more(1, type="input_json_delta", partial_json=":2}"), closed(0), closed(1), changed("tool_use"), STOP]
    response = decode(b"".join([START, *calls, *pieces, *end])).response
    assert [call.arguments for call in response.tool_calls] == [{"x": 1}, {"y": 2}]


def test_whole_tool_call_in_its_start(decode):
    """Some servers send the input at once; fragments, if sent, replace it."""
    early = opened(0, type="tool_use", id="t0", name="a", input={"x": 1}) + closed(0)
    both = opened(1, type="tool_use", id="t1", name="b", input={"x": 1})
    both += more(1, type="input_json_delta", partial_json='{"y":2}') + closed(1)
    decoded = decode(START + early + both + changed("tool_use") + STOP)
    assert [call.arguments for call in decoded.response.tool_calls] == [{"x": 1}, {"y": 2}]
    assert [event.arguments for event in decoded.events if isinstance(event, ToolCallDelta)] == [
        *("", '{"x":1}'),
        *("", '{"y":2}', ""),
    ]


def test_truncated_tool_call_is_not_ready(decode):
    """Arguments that do not parse are kept as received."""
    call = opened(0, type="tool_use", id="t", name="a", input={}) + more(0, type="input_json_delta", partial_json='{"x')
    response = decode(START + call + closed(0) + changed("max_tokens") + STOP).response
    assert [(c.ready, c.arguments_raw) for c in response.tool_calls] == [(False, '{"x')]
    assert response.finish_reason == "length"


def test_server_tools_are_not_tool_calls(decode):
    """They are reported when they begin, and whole, with their joined input; citations are separate."""
    decoded = decode("server_tools.sse")
    assert decoded.response.tool_calls == ()
    events = [event for event in decoded.events if isinstance(event, ServerToolEvent)]
    assert [(event.type, event.payload) for event in events[::2]] == [
        ("server_tool_use", {}),
        ("web_search_tool_result", {}),
    ]
    used, result = events[1::2]
    assert (used.type, used.payload["name"], used.payload["input"]) == (
        "server_tool_use",
        "web_search",
        {"query": "tides"},
    )
    assert (result.type, result.payload["content"][0]["title"]) == ("web_search_tool_result", "Tides")
    assert decoded.response.choices[0].citations[0]["url"] == "https://example.com/tides"
    assert decoded.response.usage.input_tokens == 4321


def test_invalid_server_tool_input_stays_text(decode):
    """Nothing of what was received is lost."""
    tool = opened(0, type="server_tool_use", id="s", name="web_search", input={})
    decoded = decode(
        START + tool + more(0, type="input_json_delta", partial_json="{oops") + closed(0) + changed() + STOP
    )
    assert decoded.response.choices[0].server_tools[0]["input"] == "{oops"


def test_unknown_blocks_are_passed_on(decode):
    """A block of an unknown type is reported unchanged; an unknown event is ignored."""
    block = opened(0, type="hologram", size=3) + more(0, type="hologram_delta", colour="red") + closed(0)
    decoded = decode(START + event("added_tomorrow", x=1) + block + changed("end_turn") + STOP)
    assert decoded.response.choices[0].server_tools == ({"type": "hologram", "size": 3, "colour": "red"},)


def test_null_and_missing_fields_are_ignored(decode):
    """A stream with few fields is still valid."""
    stream = [
        event("message_start", message={"id": None, "content": None, "usage": None}),
        event("content_block_start", index=None, content_block={"type": "text", "text": None}),
        event("content_block_delta", index=None, delta={"type": "text_delta", "text": "Hi"}),
        event("content_block_delta", delta=None),
        event("content_block_stop"),
        event("message_delta", delta=None, usage=None),
    ]
    decoded = decode(b"".join(stream) + changed("end_turn") + STOP)
    assert (decoded.error, decoded.response.content, decoded.response.usage) == (None, "Hi", None)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "refusal"),
        ("pause_turn", "other"),
        ("invented", "other"),
    ],
)
def test_stop_reasons(decode, raw, reason):
    """Streamed and plain; the raw value is kept."""
    streamed = decode(START + opened(type="text", text="Hi") + closed() + changed(raw) + STOP).response
    plain = decode(json.dumps({"type": "message", "content": [], "stop_reason": raw}).encode(), stream=False).response
    for response in (streamed, plain):
        assert (response.finish_reason, response.finish_reason_raw) == (reason, raw)


def test_last_stop_reason_counts(decode):
    """Changes of the message may be sent several times, and each replaces the one before."""
    assert decode(START + changed("pause_turn") + changed("end_turn") + STOP).response.finish_reason == "stop"


def test_null_counts_do_not_replace_known_ones(decode):
    """The counts of the end are merged into those of the start, field by field."""
    usage = decode(START + changed("end_turn", input_tokens=None, output_tokens=5) + STOP).response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (3, 5, None)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, None),
        ({"output_tokens": 2}, (None, 2, None, None, None)),
        ({"input_tokens": 0, "output_tokens": 0}, (0, 0, None, None, None)),
        ({"input_tokens": 1, "cache_read_input_tokens": 10}, (11, None, 10, None, None)),
        ({"input_tokens": 1, "cache_creation_input_tokens": 5}, (6, None, None, 5, None)),
        ({"input_tokens": 1, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}, (1, None, 0, 0, None)),
        ({"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}, (None, 9, None, None, 4)),
    ],
)
def test_usage(decode, counts, expected):
    """The whole prompt includes tokens read from a cache and written to it; a count that is not reported is unknown."""
    usage = decode(
        json.dumps({"type": "message", "content": [], "usage": counts}).encode(), stream=False
    ).response.usage
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    assert (usage and tuple(getattr(usage, name) for name in names)) == expected


def test_error_event_equals_the_error_of_a_status(decode):
    """The content received before is in its partial."""
    error = decode("overloaded.sse").error
    assert type(error) is Overloaded
    assert (error.code, error.message, error.partial.content) == ("overloaded_error", "Overloaded", "Half a sen")


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (404, "not_found_error", "model: claude-nobody", NotFound),
        (429, "rate_limit_error", "Too many.", RateLimited),
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", ContextLengthExceeded),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 9 + 9 > 8",
            ContextLengthExceeded,
        ),
        (400, "invalid_request_error", "Your credit balance is too low to access the API.", QuotaExceeded),
        (200, "overloaded_error", "Overloaded", Overloaded),
    ],
)
def test_errors_by_status_and_in_a_200(decode, status, kind, message, expected):
    """By the API's type or, if that is only an invalid request, by the text."""
    payload = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    error = decode(json.dumps(payload).encode(), status=status, stream=False).error
    assert type(error) is expected
    assert message in str(error)


@pytest.mark.parametrize("page", [b"<html>busy</html>", b"", b"\xff\xfe"])
def test_error_response_that_is_not_json(decode, page):
    """It is left to core, which shows the body received."""
    assert type(decode(page, status=529).error) is Overloaded


def test_undecodable_event_is_malformed(decode):
    """A broken event in the middle is neither skipped nor taken for an end."""
    error = decode(START + opened(type="text", text="Hi") + b"data: {oops\n\n" + STOP).error
    assert type(error) is Malformed
    assert error.partial.content == "Hi"


def test_done_marker_of_gateways(decode):
    """A ``[DONE]`` after the last event, or instead of it, ends the stream."""
    said = START + opened(type="text", text="Hi") + closed() + changed("end_turn")
    for ending in (STOP + b"event: data\ndata: [DONE]\n\n", b"data: [DONE]\n\n"):
        decoded = decode(said + ending)
        assert (decoded.error, decoded.response.content, decoded.response.outcome) == (None, "Hi", "finished")


def test_content_in_the_start(decode):
    """A continued message begins with the content it has."""
    start = {"id": "msg_1", "content": [{"type": "tool_use", "id": "t", "name": "a", "input": {"x": 1}}]}
    response = decode(event("message_start", message=start) + changed("tool_use") + STOP).response
    assert [(call.id, call.arguments, call.ready) for call in response.tool_calls] == [("t", {"x": 1}, True)]


def test_events_carry_their_block(decode):
    """Thinking, text and tool calls can be put back into their order."""
    blocks = [
        (type(event).__name__, event.block)
        for event in decode("tools.sse").events
        if isinstance(event, (ReasoningDelta, TextDelta, ToolCallDelta, Citation))
    ]
    assert list(dict.fromkeys(blocks)) == [
        ("ReasoningDelta", 0),
        ("ReasoningDelta", 1),
        ("TextDelta", 2),
        ("ToolCallDelta", 3),
        ("ToolCallDelta", 4),
    ]


def test_end_follows_finish_and_usage(decode):
    """The stream is over at once, even if the socket stays open."""
    assert [type(event) for event in decode("text.sse").events][-3:] == [UsageReport, Finish, End]
