"""What is asked, as a chat completion."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core import ConfigError, PolyglotError
from polyglot_core.plugin import Connection, Message, Tool
from polyglot_openai.presets import PRESETS

TOOL = Tool("sum", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {}),
        ({"options": {"temperature": 0.5}}, {"temperature": 0.5}),
        ({"options": {"temperature": 0}}, {"temperature": 0}),
        ({"options": {"stop": ["a", "b"]}}, {"stop": ["a", "b"]}),
        ({"options": {"seed": None}}, {"seed": None}),
        ({"options": {"odd": {"deep": [1]}}}, {"odd": {"deep": [1]}}),
        ({"options": {"max_tokens": 5}}, {"max_tokens": 5}),
        ({"tool_choice": "auto"}, {"tool_choice": "auto"}),
        ({"tool_choice": "none"}, {"tool_choice": "none"}),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        ({"tool_choice": "sum"}, {"tool_choice": {"type": "function", "function": {"name": "sum"}}}),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        ({"extra": {"user": "u"}}, {"user": "u"}),
        ({"options": {"seed": 1}, "extra": {"seed": 2, "model": "other"}}, {"seed": 2, "model": "other"}),
        (
            {"tools": (TOOL, Tool("now"))},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "sum",
                            "description": "Adds.",
                            "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
                        },
                    },
                    {
                        "type": "function",
                        "function": {
                            "name": "now",
                            "description": "",
                            "parameters": {"type": "object", "properties": {}},
                        },
                    },
                ]
            },
        ),
    ],
)
def test_the_body_says_what_was_asked(openai, asked, expected):
    """Each thing that can be asked stands in the body, and nothing else does."""
    assert openai.body(**asked) == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **expected}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ("Hi", [{"role": "user", "content": "Hi"}]),
        (
            ["a", Message(role="system", content="b")],
            [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}],
        ),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}]}], None),
        ([{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}], None),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], None),
        ([{"role": "tool", "tool_call_id": "1", "content": "3"}], None),
        ([{"role": "user", "name": "Ann", "content": "a", "odd": {"kept": True}}], None),
        ([{"role": "user", "content": "grüße 🚀"}], None),
    ],
)
def test_messages_are_sent_as_they_are(openai, messages, expected):
    """Turns go out in OpenAI's shape with the fields that were given, and no others."""
    assert openai.body(messages=messages)["messages"] == (messages if expected is None else expected)


@pytest.mark.parametrize(
    ("options", "stream_options"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": False}),
        ({"stream_options": {"odd": 1}}, {"include_usage": True, "odd": 1}),
    ],
)
def test_a_stream_is_asked_to_report_usage(openai, options, stream_options):
    """A stream is asked for its usage, unless the user says otherwise; a plain answer reports it anyway."""
    assert openai.body(stream=True, options=options)["stream_options"] == stream_options
    assert "stream_options" not in openai.body(stream=False, options=options)


@pytest.mark.parametrize(
    "asked",
    [{}, {"options": {"temperature": 1, "max_tokens": 3}, "tools": (TOOL,), "tool_choice": "sum", "extra": {"a": 1}}],
)
def test_stream_and_plain_differ_only_in_the_switch(openai, asked):
    """What is asked is the same, streamed or not, but for the switch and the usage that a stream has to be asked for."""
    streamed, plain = openai.body(stream=True, **asked), openai.body(stream=False, **asked)
    assert {name: value for name, value in streamed.items() if name not in USAGE} == plain
    assert {name: streamed[name] for name in USAGE} == USAGE


@pytest.mark.parametrize(
    ("stream", "accept", "framing"), [(True, "text/event-stream", "sse"), (False, "application/json", "whole")]
)
def test_what_is_accepted(openai, stream, accept, framing):
    """Headers and framing say what kind of answer is asked for."""
    wire = openai.encoded(stream=stream)
    assert (wire.method, wire.headers["accept"], wire.framing) == ("POST", accept, framing)
    assert wire.headers["content-type"] == "application/json"
    assert (wire.complete_on, wire.flush_at_eof) == ("finish", False)


def test_max_tokens_becomes_the_field_of_the_place(openai):
    """Where a place has another field for the limit, the option ``max_tokens`` becomes that."""
    fields = {"facts": {"token_limit": "max_completion_tokens"}}
    body = openai.body(fields, options={"max_tokens": 5, "seed": 1})
    assert (body["max_completion_tokens"], body["seed"]) == (5, 1)
    assert "max_tokens" not in body


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (None, "https://api.openai.com/v1/chat/completions"),
        ("http://localhost:1/v1", "http://localhost:1/v1/chat/completions"),
        ("http://localhost:1/v1/", "http://localhost:1/v1/chat/completions"),
        ("http://localhost:1", "http://localhost:1/chat/completions"),
        ("http://localhost:1//", "http://localhost:1/chat/completions"),
        ("http://[::1]:1/a%20b", "http://[::1]:1/a%20b/chat/completions"),
    ],
)
def test_where_it_goes(openai, base_url, url):
    """The path is joined to the base URL with one slash."""
    assert openai.encoded({"base_url": base_url}).url == url


def test_a_query_in_the_base_url():
    """A base URL with a query would put the path behind it, so it is refused."""
    with pytest.raises(ConfigError, match="query"):
        Connection(name="here", driver="openai", base_url="http://localhost/v1?api-version=1")


def test_no_key_in_what_is_encoded(openai):
    """The key is added later: it stands neither in the URL nor in the body nor in the driver's headers."""
    wire = openai.encoded({"api_key": "test-key", "headers": {"x-a": "b"}}, stream=True)
    assert "test-key" not in wire.url + wire.body.decode() + repr(wire.headers)
    assert "authorization" not in wire.headers


def test_nothing_that_was_asked_is_changed(openai):
    """Encoding leaves what the user gave as it was."""
    options = {"max_tokens": 5, "stream_options": {"odd": 1}}
    extra = {"a": 1}
    openai.encoded(stream=True, options=options, extra=extra)
    assert (options, extra) == ({"max_tokens": 5, "stream_options": {"odd": 1}}, {"a": 1})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(
    options=st.dictionaries(st.sampled_from(["temperature", "stop", "max_tokens", "odd"]), json_values),
    stream=st.booleans(),
)
def test_the_same_question_gives_the_same_bytes(openai, options, stream):
    """Encoding depends on the question alone, and JSON values arrive as they were."""
    first, second = (openai.encoded(options=options, stream=stream) for _ in range(2))
    assert first == second
    sent = json.loads(first.body)
    assert {name: sent[name] for name in options} == options


@pytest.mark.parametrize("value", [object(), {1, 2, object()}, 1j])
def test_an_option_that_is_no_json_value(openai, value):
    """What cannot be said in JSON is an error of our own."""
    with pytest.raises(PolyglotError):
        openai.encoded(options={"odd": value})


def test_presets_are_plain_data():
    """Each preset speaks this driver's dialect, at an address over TLS, with a key from a variable."""
    for name, preset in PRESETS.items():
        assert preset.driver == "openai"
        assert preset.base_url.startswith("https://")
        assert preset.api_key_env == f"{name.upper()}_API_KEY"
        assert set(preset.facts) <= {"token_limit"}
        assert preset.model
