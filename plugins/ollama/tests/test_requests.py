"""Encoding of options, tools, formats and endpoints: the whole request except the conversation."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from polyglot_core.errors import RequestError
from polyglot_core.plugin import Image, JSONSchema, Message, Tool
from polyglot_ollama.presets import PRESETS

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
WEATHER = Tool("weather", "Tells the weather.", PERSON)


def test_minimal_request(body):
    """The field `stream` is always sent, since a missing one means a stream."""
    assert body("Hi") == {"model": "garden:1b", "messages": [{"role": "user", "content": "Hi"}], "stream": False}


def test_stream_differs_in_one_field_and_in_the_framing(encode, body):
    """The rest of the body is the same."""
    assert body("Hi", stream=True) == {**body("Hi"), "stream": True}
    assert (encode("Hi", stream=True).framing, encode("Hi").framing) == ("ndjson", "whole")
    assert encode("Hi", stream=True).complete_on == "end"


@pytest.mark.parametrize(
    ("base_url", "url"),
    [(None, "http://localhost:11434/api/chat"), ("http://127.0.0.1:1/o/", "http://127.0.0.1:1/o/api/chat")],
)
def test_path_follows_the_base_url(encode, base_url, url):
    """A slash at its end is not doubled."""
    assert encode("Hi", connection={"base_url": base_url}).url == url


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("max_tokens", 7, {"options": {"num_predict": 7}}),
        ("temperature", 0, {"options": {"temperature": 0}}),
        ("top_p", 0.9, {"options": {"top_p": 0.9}}),
        ("top_k", 40, {"options": {"top_k": 40}}),
        ("stop", "END", {"options": {"stop": ["END"]}}),
        ("stop", ["A", "B"], {"options": {"stop": ["A", "B"]}}),
        ("seed", 1, {"options": {"seed": 1}}),
        ("presence_penalty", 0.5, {"options": {"presence_penalty": 0.5}}),
        ("frequency_penalty", 0.5, {"options": {"frequency_penalty": 0.5}}),
        ("logprobs", True, {"logprobs": True}),
        ("top_logprobs", 3, {"top_logprobs": 3}),
        ("reasoning_effort", "high", {"think": "high"}),
        ("reasoning_budget", 0, {"think": False}),
    ],
)
def test_option_names(body, option, value, said):
    """Those of the sampler are in `options`."""
    assert body("Hi", options={option: value}) == {**body("Hi"), **said}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"n": 2}, "'n'"),
        ({"service_tier": "fast"}, "'service_tier'"),
        ({"user": "u"}, "'user'"),
        ({"metadata": {"a": "b"}}, "'metadata'"),
        ({"reasoning_budget": 100}, "reasoning_budget above 0; use reasoning_effort"),
        ({"reasoning_effort": "minimal"}, "reasoning_effort 'minimal'; use 'low'"),
    ],
)
def test_unsupported_options(body, options, named):
    """The error names the option, and `drop` drops it."""
    with pytest.raises(RequestError, match=named):
        body("Hi", options=options)
    assert body("Hi", options=options, unsupported="drop") == body("Hi")


def test_tool_is_a_function(body):
    """With a description if it has one."""
    assert body("Hi", tools=(WEATHER, Tool("time")))["tools"] == [
        {
            "type": "function",
            "function": {"name": "weather", "description": "Tells the weather.", "parameters": PERSON},
        },
        {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}}}},
    ]


def test_tool_choice_none_sends_no_tools(body):
    """There is no other way to forbid tool calls; ``auto`` is the default."""
    assert "tools" not in body("Hi", tools=(WEATHER,), tool_choice="none")
    assert body("Hi", tools=(WEATHER,), tool_choice="auto") == body("Hi", tools=(WEATHER,))


@pytest.mark.parametrize("choice", ["required", "weather"])
def test_required_tool_is_unsupported(body, choice):
    """The error names the possible choices; `drop` leaves the choice to the model."""
    with pytest.raises(RequestError, match=f"tool_choice '{choice}'; use 'auto' or 'none'"):
        body("Hi", tools=(WEATHER,), tool_choice=choice)
    dropped = body("Hi", tools=(WEATHER,), tool_choice=choice, unsupported="drop")
    assert dropped == body("Hi", tools=(WEATHER,))


def test_parallel_tool_calls_cannot_be_forbidden(body):
    """They are allowed, which needs no field."""
    assert body("Hi", parallel_tool_calls=True) == body("Hi")
    with pytest.raises(RequestError, match="parallel_tool_calls False"):
        body("Hi", parallel_tool_calls=False)


@pytest.mark.parametrize(
    ("shape", "said"), [(JSONSchema(PERSON), PERSON), ("json", "json"), ("text", None), (None, None)]
)
def test_format_is_a_word_or_a_schema(body, shape, said):
    """A schema is sent unchanged."""
    assert body("Hi", response_format=shape).get("format") == said


def test_extra_fields_override_the_body(body):
    """They take precedence field by field: a further option keeps the others."""
    said = body("Hi", options={"temperature": 1}, extra={"keep_alive": "5m", "options": {"num_ctx": 8192}})
    assert (said["keep_alive"], said["options"]) == ("5m", {"temperature": 1, "num_ctx": 8192})


def test_key_is_not_in_the_encoded_request(encode):
    """A local server needs none; if there is one, core adds it."""
    wire = encode("Hi", connection={"api_key": "very-secret-test-key"})
    assert "very-secret" not in f"{wire.url} {wire.body} {wire.headers}"


def test_rows_equal_entry_points():
    """A row without one cannot be found; an entry point without a row fails when used."""
    assert set(PROJECT["entry-points"]["polyglot.presets"]) == set(PRESETS)
    assert {row.driver for row in PRESETS.values()} == set(PROJECT["entry-points"]["polyglot.drivers"])


@pytest.mark.parametrize(
    "asked",
    [
        {"tools": (Tool("look", strict=True),)},
        {"messages": (Message(role="user", content=[Image(data=b"png", mime_type="image/png", detail="high")]),)},
    ],
    ids=["strict of a tool", "detail of an image"],
)
def test_unsupported_features(encode, asked):
    """A feature that the API does not have is an error before anything is sent, or is dropped on request."""
    with pytest.raises(RequestError, match="strict|detail"):
        encode(**asked)
    encode(**asked, unsupported="drop")
