"""Decoding of chat completions, in every shape in which they are sent."""

from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from polyglot_core.plugin import (
    Chunk,
    Citation,
    Connection,
    End,
    Failure,
    Finish,
    Logprobs,
    RefusalDelta,
    ResponseStarted,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from polyglot_core.testing import bind
from polyglot_openai.chat import driver


def piece(delta=None, finish=None, index=0, **fields):
    """Return a chunk of one choice."""
    return {"choices": [{"index": index, "delta": {} if delta is None else delta, "finish_reason": finish}], **fields}


def calls(*pieces):
    return piece({"tool_calls": list(pieces)})


def call_delta(*fields):
    """Return a piece of a tool call, whose block is not one of the content."""
    return replace(ToolCallDelta(*fields), block=-1)


def refusal_delta(*fields):
    """Return a piece of a refusal in the field beside the content."""
    return replace(RefusalDelta(*fields), block=-2)


def function(name=None, arguments=None):
    return {name: value for name, value in (("name", name), ("arguments", arguments)) if value is not None}


# a chunk → its events
CHUNKS = {
    "a part of a kind that is no word": (piece({"content": [{"type": [], "text": "a"}]}), [TextDelta("a")]),
    "a sound that is no base64": (
        piece({"audio": {"data": "é"}}),
        [ServerToolEvent("audio", {"data": "é"}, block=-5)],
    ),
    "a piece of text": (piece({"content": "a"}), [TextDelta("a")]),
    "an empty text": (piece({"role": "assistant", "content": ""}), [TextDelta("")]),
    "a role alone": (piece({"role": "assistant"}), []),
    "a text that is null": (piece({"content": None}), []),
    "an empty delta": (piece({}), []),
    "a delta that is null": ({"choices": [{"index": 0, "delta": None}]}, []),
    "no delta": ({"choices": [{"index": 0}]}, []),
    "no index": ({"choices": [{"delta": {"content": "a"}}]}, [TextDelta("a")]),
    "an index that is null": ({"choices": [{"index": None, "delta": {"content": "a"}}]}, [TextDelta("a")]),
    "another choice": (piece({"content": "a"}, index=3), [TextDelta("a", 3)]),
    "two choices": (
        {"choices": [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]},
        [TextDelta("b", 1), TextDelta("a", 0)],
    ),
    "no choices": ({}, []),
    "empty choices": ({"choices": []}, []),
    "choices that are null": ({"choices": None}, []),
    "a finish": (piece({}, "stop"), [Finish("stop", "stop")]),
    "text and finish": (piece({"content": "a"}, "length"), [TextDelta("a"), Finish("length", "length")]),
    "a finish of another choice": (piece({}, "stop", index=2), [Finish("stop", "stop", 2)]),
    "an empty finish": (piece({"content": "a"}, ""), [TextDelta("a")]),
    "a finish for calls": (piece({}, "tool_calls"), [Finish("tool_calls", "tool_calls")]),
    "the older finish for calls": (piece({}, "function_call"), [Finish("tool_calls", "function_call")]),
    "a filter": (piece({}, "content_filter"), [Finish("content_filter", "content_filter")]),
    "an unknown finish": (piece({}, "odd"), [Finish("other", "odd")]),
    "usage alone": ({"choices": [], "usage": {"prompt_tokens": 1}}, [UsageReport({"prompt_tokens": 1})]),
    "usage without choices": ({"usage": {"prompt_tokens": 1}}, [UsageReport({"prompt_tokens": 1})]),
    "usage that is null": (piece({"content": "a"}, usage=None), [TextDelta("a")]),
    "usage that is empty": (piece({"content": "a"}, usage={}), [TextDelta("a")]),
    "usage beside text": (
        piece({"content": "a"}, usage={"prompt_tokens": 0}),
        [TextDelta("a"), UsageReport({"prompt_tokens": 0})],
    ),
    "usage beside a finish": (
        piece({}, "stop", usage={"odd": {"x": 1}}),
        [Finish("stop", "stop"), UsageReport({"odd": {"x": 1}})],
    ),
    "a refusal": (piece({"refusal": "No."}), [refusal_delta("No.")]),
    "a refusal that is null": (piece({"content": "a", "refusal": None}), [TextDelta("a")]),
    "log probabilities": (
        {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [1]}}]},
        [TextDelta("a"), Logprobs({"content": [1]})],
    ),
    "log probabilities that are null": (
        {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": None}]},
        [TextDelta("a")],
    ),
    "annotations": (
        piece({"annotations": [{"url": "a"}, {"url": "b"}]}),
        [Citation({"url": "a"}), Citation({"url": "b"})],
    ),
    "annotations beside text": (
        piece({"content": "a", "annotations": [{"u": 1}]}),
        [TextDelta("a"), Citation({"u": 1})],
    ),
    "a call begins": (
        calls({"index": 0, "id": "1", "type": "function", "function": function("sum", "")}),
        [call_delta(0, "1", "sum", "")],
    ),
    "a call goes on": (
        calls({"index": 0, "function": function(arguments='{"a"')}),
        [call_delta(0, None, None, '{"a"')],
    ),
    "an empty id and name": (
        calls({"index": 0, "id": "", "function": function("", "x")}),
        [call_delta(0, None, None, "x")],
    ),
    "nulls in a call": (
        calls({"index": 0, "id": None, "function": {"name": None, "arguments": "x"}}),
        [call_delta(0, None, None, "x")],
    ),
    "a call without index": (
        calls({"id": "1", "function": function("sum", "{}")}),
        [call_delta(None, "1", "sum", "{}")],
    ),
    "a placeholder": (calls({"index": 0, "function": {}}), []),
    "a placeholder without function": (calls({"index": 0, "type": "function"}), []),
    "a function that is null": (calls({"index": 0, "id": "1", "function": None}), [call_delta(0, "1", None, "")]),
    "arguments as an object": (
        calls({"index": 0, "id": "1", "function": {"name": "sum", "arguments": {"a": 1}}}),
        [call_delta(0, "1", "sum", '{"a":1}')],
    ),
    "two calls in one chunk": (
        calls({"index": 0, "id": "1", "function": function("a")}, {"index": 1, "id": "2", "function": function("b")}),
        [call_delta(0, "1", "a", ""), call_delta(1, "2", "b", "")],
    ),
    "calls that are null": (piece({"content": "a", "tool_calls": None}), [TextDelta("a")]),
    "calls that are none": (piece({"content": "a", "tool_calls": []}), [TextDelta("a")]),
    "the older call": (piece({"function_call": function("sum", "{")}), [call_delta(0, None, "sum", "{")]),
    "the older call goes on": (piece({"function_call": function(arguments="}")}), [call_delta(0, None, None, "}")]),
    "the older call, null": (piece({"content": "a", "function_call": None}), [TextDelta("a")]),
    "a custom tool": (
        calls({"index": 0, "id": "1", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}}),
        [replace(call_delta(0, "1", "sql", "SELECT"), extra={"type": "custom"})],
    ),
    "content in parts": (
        piece({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": None}, "x", {"text": "b"}]}),
        [TextDelta("a"), TextDelta("x"), TextDelta("b")],
    ),
    "content as an object": (piece({"content": {"a": 1}}), [TextDelta('{"a":1}')]),
    "an obfuscation": (piece({"content": "a"}, obfuscation="xyz"), [TextDelta("a")]),
    "unknown fields": (
        piece({"content": "a", "odd": [1]}, odd={"x": 1}, object="chat.completion.chunk", created=1, service_tier=None),
        [TextDelta("a")],
    ),
    "names": (piece({"content": "a"}, id="1", model="m"), [ResponseStarted("1", "m"), TextDelta("a")]),
    "a name alone": (piece({"content": "a"}, model="m"), [ResponseStarted(None, "m"), TextDelta("a")]),
    "names that are null": (piece({"content": "a"}, id=None, model=None), [TextDelta("a")]),
    "names that are empty": (piece({"content": "a"}, id="", model=""), [TextDelta("a")]),
    "the end": (b"[DONE]", [End()]),
    "the end with spaces": (b" [DONE] ", [End()]),
    "everything at once": (
        {
            "id": "1",
            "choices": [
                {
                    "index": 1,
                    "delta": {"content": "a", "refusal": "r", "tool_calls": [{"index": 0, "function": function("f")}]},
                    "finish_reason": "stop",
                    "logprobs": {"content": []},
                }
            ],
            "usage": {"prompt_tokens": 1},
        },
        [
            ResponseStarted("1", None),
            TextDelta("a", 1),
            refusal_delta("r", 1),
            call_delta(0, None, "f", "", False, 1),
            Logprobs({"content": []}, 1),
            Finish("stop", "stop", 1),
            UsageReport({"prompt_tokens": 1}),
        ],
    ),
}


@pytest.mark.parametrize("name", CHUNKS)
def test_events_of_a_chunk(openai, name):
    """A chunk of each shape has these events."""
    chunk, expected = CHUNKS[name]
    assert openai.decoded(chunk) == [expected]


@pytest.mark.parametrize("name", CHUNKS)
def test_events_of_a_later_chunk(openai, name):
    """Id and model are not reported twice; all other events are the same."""
    chunk, expected = CHUNKS[name]
    _, found = openai.decoded(piece({}, id="0", model="m0"), chunk)
    assert found == [event for event in expected if not isinstance(event, ResponseStarted)]


def test_names_are_read_until_both_are_known(openai):
    """Servers may leave id or model empty in the first chunks."""
    found = openai.decoded(
        piece({}, id="", model=""), piece({}, id="1"), piece({}, id="1", model="m"), piece({}, id="2", model="n")
    )
    assert found == [[], [ResponseStarted("1", None)], [ResponseStarted("1", "m")], []]


def test_attempts_are_independent(openai):
    """Each attempt reports the names anew."""
    chunk = piece({}, id="1", model="m")
    assert openai.decoded(chunk) == openai.decoded(chunk) == [[ResponseStarted("1", "m")]]


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        ({"error": {"message": "No.", "code": "c", "type": "t"}}, ("No.", "c", "t", None)),
        ({"error": {"message": "No.", "code": 429}}, ("No.", "429", None, 429)),
        ({"error": "No."}, ("No.", None, None, None)),
        (
            {"error": {"message": "No."}, "choices": [{"index": 0, "delta": {"content": "a"}}]},
            ("No.", None, None, None),
        ),
        ({"id": "1", "choices": [], "error": {"message": "No."}}, ("No.", None, None, None)),
    ],
)
@pytest.mark.parametrize("kind", ["part", "whole"])
def test_error_object(openai, chunk, expected, kind):
    """An error in a chunk or in a whole body is a failure, whatever other fields there are."""
    ((failure,),) = openai.decoded(chunk, kind=kind)
    assert isinstance(failure, Failure)
    assert (failure.message, failure.code, failure.type, failure.status) == expected
    assert failure.raw == openai.data(chunk)


@pytest.mark.parametrize("error", [None, "", {}, []])
def test_empty_error(openai, error):
    """An error field without an error has no events."""
    assert openai.decoded(piece({"content": "a"}, error=error)) == [[TextDelta("a")]]


@pytest.mark.parametrize(
    "data", [b"{", b"[DONE", b"DONE", b'"text"', b"[]", b"5", b"null", b'{"choices": 5}', b"\xff", b""]
)
def test_undecodable_chunk(openai, data):
    """Data that is no chunk raises msgspec's error, which core converts."""
    with pytest.raises((msgspec.DecodeError, UnicodeError)):
        openai.decoded(data)


# Whole responses


WHOLES = {
    "a text": ({"content": "a"}, [TextDelta("a")]),
    "a refusal": ({"content": None, "refusal": "No."}, [refusal_delta("No.")]),
    "two calls without index": (
        {"tool_calls": [{"id": "1", "function": function("a", "{}")}, {"id": "2", "function": function("b", "{}")}]},
        [call_delta(0, "1", "a", "{}", True), call_delta(1, "2", "b", "{}", True)],
    ),
    "the older call": ({"function_call": function("a", "{}")}, [call_delta(0, None, "a", "{}", True)]),
    "annotations": ({"content": "a", "annotations": [{"url": "u"}]}, [TextDelta("a"), Citation({"url": "u"})]),
    "content in parts": ({"content": [{"type": "text", "text": "a"}]}, [TextDelta("a")]),
}


@pytest.mark.parametrize("name", WHOLES)
def test_events_of_a_whole_response(openai, name):
    """The message of a whole completion has the events of a stream's deltas, with complete tool calls."""
    message, expected = WHOLES[name]
    whole = {"id": "1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    ((started, *events),) = openai.decoded(whole, kind="whole")
    assert started == ResponseStarted("1", "m")
    assert events == [*expected, Finish("stop", "stop")]


def test_message_in_a_part_is_ignored(openai):
    """Of a chunk with a delta and the message so far, the delta counts."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "b"}, "message": {"content": "ab"}}]}
    assert openai.decoded(chunk) == [[TextDelta("b")]]


def test_delta_in_a_whole_is_ignored(openai):
    """Of a whole response the message counts."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "x"}, "message": {"content": "ab"}}]}
    assert openai.decoded(chunk, kind="whole") == [[TextDelta("ab")]]


# Usage


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, (None, None, None, None, None)),
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, (3, 4, None, None, None)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0, None, None, None)),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}, (3, None, 2, None, None)),
        ({"prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0}}, (None, None, 0, None, None)),
        ({"prompt_tokens_details": {"cache_write_tokens": 5}}, (None, None, None, 5, None)),
        ({"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 8}}, (None, 9, None, None, 8)),
        (
            {"prompt_tokens": 1, "prompt_tokens_details": None, "completion_tokens_details": None},
            (1, None, None, None, None),
        ),
        ({"prompt_tokens": None, "odd": {"x": [1]}}, (None, None, None, None, None)),
    ],
)
def test_usage_is_read(openai, payload, expected):
    """Counts are read where they are present, missing ones are None, and the provider's object is kept whole."""
    usage = openai.bound().extract_usage(payload)
    assert (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    ) == expected
    assert usage.raw == payload


# Streams and wholes


TEXT, ARGUMENTS = "Grüße! 2 and 3 make 5. 🚀", '{"a": 2, "b": 3}'
USAGE = {"prompt_tokens": 5, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 1}}


def cut(text, size):
    return [text[start : start + size] for start in range(0, len(text), size)]


def streamed(size=3, *, usage_with_finish=False):
    """Return the chunks of a response with two choices: text, and two tool calls."""
    names = {"id": "1", "model": "m"}
    yield piece({"role": "assistant", "content": ""}, **names)
    yield piece({"role": "assistant", "content": None}, index=1, **names)
    yield from (piece({"content": text}, **names) for text in cut(TEXT, size))
    for number, name in enumerate(("sum", "mul")):
        head = {"index": number, "id": f"c{number}", "type": "function", "function": function(name, "")}
        yield piece({"tool_calls": [head]}, index=1, **names)
        for arguments in cut(ARGUMENTS, size):
            yield piece(
                {"tool_calls": [{"index": number, "function": function(arguments=arguments)}]}, index=1, **names
            )
    yield piece({}, "stop", **names)
    usage = {"usage": USAGE} if usage_with_finish else {}
    yield piece({}, "tool_calls", index=1, **names, **usage)
    if not usage_with_finish:
        yield {"choices": [], "usage": USAGE, **names}
    yield b"[DONE]"


def whole():
    """Return the same response whole."""
    made = [
        {"id": f"c{number}", "type": "function", "function": function(name, ARGUMENTS)}
        for number, name in enumerate(("sum", "mul"))
    ]
    return {
        "id": "1",
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"},
            {
                "index": 1,
                "message": {"role": "assistant", "content": None, "tool_calls": made},
                "finish_reason": "tool_calls",
            },
        ],
        "usage": USAGE,
    }


def shown(response):
    fields = response.to_dict()
    del fields["timing"]
    return fields


@pytest.mark.parametrize("usage_with_finish", [False, True])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_stream_equals_the_whole(openai, size, usage_with_finish):
    """A response is the same, streamed in pieces of any size or whole."""
    partials, response = openai.read(openai.stream(*streamed(size, usage_with_finish=usage_with_finish)))
    _, expected = openai.read(json.dumps(whole()).encode(), stream=False)
    assert shown(response) == shown(expected)
    assert response.content == TEXT
    assert [call.arguments for call in response.choices[1].tool_calls] == [{"a": 2, "b": 3}] * 2
    assert [partial.finish_reason for partial in partials if partial.finish_reason] == ["stop", "tool_calls"]
    assert (response.usage.input_tokens, response.usage.cache_read_tokens) == (5, 1)


@given(places=st.lists(st.integers(0, 4000), max_size=20), data=st.data())
def test_any_split_is_equal(openai, places, data):
    """The response does not depend on where the bytes of a stream are split."""
    stream = openai.stream(*streamed(data.draw(st.integers(1, 9))))
    places = sorted({place % len(stream) for place in places})
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    assert shown(openai.read(*pieces)[1]) == shown(openai.read(stream)[1])


@pytest.mark.parametrize("noise", [b": ping\n\n", b"event: keep-alive\n\n", b"retry: 5\n\n", b"data:\n\n", b"\n\n"])
def test_noise_between_chunks_is_ignored(openai, noise):
    """Comments, blank lines and empty events between the chunks change nothing."""
    stream = openai.stream(*streamed())
    assert shown(openai.read(noise + stream.replace(b"\n\n", b"\n\n" + noise))[1]) == shown(openai.read(stream)[1])


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_raise(openai, data):
    """For any bytes the decoder returns events or raises its error for undecodable data, nothing else."""
    decode = openai.bound().decoder({})
    for kind in ("part", "whole"):
        with contextlib.suppress(msgspec.DecodeError, UnicodeError):
            decode(Chunk(data, data, kind))


fields = st.sampled_from(
    [
        "choices",
        "index",
        "delta",
        "message",
        "content",
        "refusal",
        "tool_calls",
        "function",
        "name",
        "usage",
        "error",
        "id",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(fields, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_any_json_decodes_or_raises(openai, value):
    """For any JSON value the decoder returns events or raises its error for undecodable data."""
    data = json.dumps(value).encode()
    decode = openai.bound().decoder({})
    for kind in ("part", "whole"):
        with contextlib.suppress(msgspec.DecodeError):
            decode(Chunk(data, data, kind))


DELTAS = [
    {"content": "a"},
    {"content": ""},
    {"content": None},
    {"content": "b", "role": "assistant"},
    {"content": "c", "reasoning_content": None, "tool_calls": None},
    {"content": "d", "annotations": []},
    {"content": "e", "unknown": "x"},
    {"content": [{"type": "text", "text": "f"}]},
    {"reasoning_content": "g"},
    {"reasoning_content": "h", "content": None},
    {"reasoning_content": "i", "content": ""},
    {"reasoning_content": "j", "content": "k"},
    {"reasoning": "l", "reasoning_content": "l"},
    {"reasoning_content": ["m"]},
    {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": "n"}}]},
    {"tool_calls": [{"index": 0, "id": "", "type": "function", "function": {"arguments": "o"}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": "p"}}, {"index": 1, "function": {"arguments": "q"}}]},
    {"tool_calls": [{"index": "1", "function": {"arguments": "r"}}]},
    {"tool_calls": [{"index": 1, "id": 2, "function": {"arguments": {"s": 1}}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": "t", "more": 1}}]},
    {"refusal": "u"},
    {"audio": {"data": ""}},
    {"error": "v"},
]
REST = [{}, {"logprobs": {"content": []}}, {"finish_reason": "stop"}, {"text": "w"}, {"message": {"content": "x"}}]


@given(
    chunks=st.lists(
        st.tuples(st.sampled_from(DELTAS), st.sampled_from([*[{}] * 6, *REST]), st.sampled_from([0, 0, 0, 1])),
        max_size=12,
    ),
    named=st.booleans(),
)
def test_usual_pieces_are_decoded_as_all_others(chunks, named):
    """The short ways for pieces of text, thinking and tool calls give the events of the long way."""
    names = {"id": "i", "model": "m"} if named else {}
    bodies = [
        {**names, "choices": [{"index": index, "delta": delta, "finish_reason": None, **rest}]}
        for delta, rest, index in chunks
    ]
    short = _events_of(bodies)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_only_text", lambda *_: None)
        patch.setattr(driver, "_only_piece", lambda *_: None)
        patch.setattr(driver, "decode_text", lambda _: driver.decode(b"x"))
        assert short == _events_of(bodies)


def _events_of(bodies):
    """Return the events of chunks but for empty texts, which say nothing."""
    decode = bind(driver, Connection(name="here", driver="openai")).decoder({})
    events = []
    for body in bodies:
        data = json.dumps(body).encode()
        events += decode(Chunk(data, data))
    return [event for event in events if type(event) is not TextDelta or event.text or event.extra]
