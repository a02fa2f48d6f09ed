"""Encoding of options, tools, formats and endpoints: the whole request except the conversation."""

from __future__ import annotations

import msgspec
import pytest

from polyglot_core.errors import ConfigError, RequestError
from polyglot_core.plugin import JSONSchema, RawTool, Secret, Tool

PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
WEATHER = Tool("weather", "Tells the weather.", PERSON)


def test_minimal_request(body):
    """Model, a limit (the API requires one), and the turn."""
    assert set(body("Hi")) == {"model", "max_tokens", "messages"}
    assert body("Hi")["max_tokens"] == 4096


def test_stream_differs_in_one_field_and_in_the_framing(encode, body):
    """The rest of the body is the same."""
    streamed = body("Hi", stream=True)
    assert streamed.pop("stream") is True
    assert streamed == body("Hi")
    wire, plain = encode("Hi", stream=True), encode("Hi")
    assert (wire.framing, plain.framing) == ("sse", "whole")
    assert (wire.complete_on, wire.flush_at_eof, wire.finish_counts) == ("end", True, "last")


def test_version_header(encode):
    """The header holds the version of the API; no key is added here."""
    assert encode("Hi").headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "anthropic-version": "2023-06-01",
    }


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (None, "https://api.anthropic.com/v1/messages"),
        ("http://127.0.0.1/v1/", "http://127.0.0.1/v1/messages"),
    ],
)
def test_path_follows_the_base_url(encode, base_url, url):
    """A slash at its end is not doubled."""
    assert encode("Hi", connection={"base_url": base_url}).url == url


@pytest.mark.parametrize(
    ("option", "value", "field", "said"),
    [
        ("max_tokens", 7, "max_tokens", 7),
        ("temperature", 0.5, "temperature", 0.5),
        ("top_p", 0.9, "top_p", 0.9),
        ("top_k", 40, "top_k", 40),
        ("stop", "END", "stop_sequences", ["END"]),
        ("stop", ["A", "B"], "stop_sequences", ["A", "B"]),
        ("service_tier", "auto", "service_tier", "auto"),
        ("user", "u1", "metadata", {"user_id": "u1"}),
        ("metadata", {"user_id": "u2"}, "metadata", {"user_id": "u2"}),
        ("reasoning_effort", "high", "output_config", {"effort": "high"}),
        ("reasoning_budget", 2048, "thinking", {"type": "enabled", "budget_tokens": 2048}),
        ("reasoning_budget", 0, "thinking", {"type": "disabled"}),
    ],
)
def test_option_names(body, option, value, field, said):
    """Every option that the dialect has."""
    assert body("Hi", options={option: value})[field] == said


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"seed": 1}, "'seed'"),
        ({"n": 2}, "'n'"),
        ({"presence_penalty": 1}, "'presence_penalty'"),
        ({"frequency_penalty": 1}, "'frequency_penalty'"),
        ({"logprobs": True}, "'logprobs'"),
        ({"top_logprobs": 3}, "'top_logprobs'"),
        ({"reasoning_effort": "minimal"}, "reasoning_effort 'minimal'; use 'low'"),
        ({"metadata": {"team": "a", "user_id": "u"}}, "'metadata' with team; use user_id"),
        ({"metadata": "team a"}, "'metadata' with 'team a'"),
    ],
)
def test_unsupported_options(body, options, named):
    """The error names the option, and `drop` drops it."""
    with pytest.raises(RequestError, match=named):
        body("Hi", options=options)
    left = body("Hi", options=options, unsupported="drop")
    left.pop("metadata", None)
    assert left == body("Hi")


def test_default_limit_includes_thinking(body):
    """Thinking counts towards the limit, so a budget raises the default; a limit of the user's stays."""
    assert body("Hi", options={"reasoning_budget": 10_000})["max_tokens"] == 14_096
    assert body("Hi", options={"reasoning_budget": 2000, "max_tokens": 3000})["max_tokens"] == 3000
    assert body("Hi", connection={"facts": {"max_tokens": 100}})["max_tokens"] == 100


def test_tool_fields(body):
    """Description and strictness are sent only if they are set."""
    said = body("Hi", tools=(WEATHER, Tool("time", strict=True)))["tools"]
    assert said == [
        {"name": "weather", "input_schema": PERSON, "description": "Tells the weather."},
        {"name": "time", "input_schema": {"type": "object", "properties": {}}, "strict": True},
    ]


def test_tools_of_the_api_and_further_fields_of_tools(body):
    """A raw tool is sent as it is, in its place; cache marks and further fields are fields of the tool."""
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    deferred = Tool("time", cache="1h", extra={"defer_loading": True, "allowed_callers": ["direct"]})
    assert body("Hi", tools=(RawTool(search), deferred, Tool("sum", cache=True)), tool_choice="web_search")[
        "tools"
    ] == [
        search,
        {
            "name": "time",
            "input_schema": {"type": "object", "properties": {}},
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
            "defer_loading": True,
            "allowed_callers": ["direct"],
        },
        {"name": "sum", "input_schema": {"type": "object", "properties": {}}, "cache_control": {"type": "ephemeral"}},
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "said"),
    [
        (None, None, None),
        ("auto", None, {"type": "auto"}),
        ("required", None, {"type": "any"}),
        ("none", None, {"type": "none"}),
        ("weather", None, {"type": "tool", "name": "weather"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, True, {"type": "auto", "disable_parallel_tool_use": False}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("weather", False, {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
    ],
)
def test_tool_choice_and_parallel_tool_calls(body, choice, parallel, said):
    """Parallel tool calls are allowed unless switched off; ``none`` has no such switch."""
    found = body("Hi", tools=(WEATHER,), tool_choice=choice, parallel_tool_calls=parallel)
    assert found.get("tool_choice") == said


def test_parallel_tool_calls_without_tools(body):
    """The API rejects a choice without tools."""
    assert "tool_choice" not in body("Hi", parallel_tool_calls=False)


def test_schema_is_the_output_format(body):
    """Together with an effort, if there is one."""
    said = body("Hi", response_format=JSONSchema(PERSON), options={"reasoning_effort": "low"})
    assert said["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": PERSON}}
    assert "output_config" not in body("Hi", response_format="text")


def test_json_without_a_schema_is_unsupported(body):
    """The error names what to use instead."""
    with pytest.raises(RequestError, match="response_format 'json'; use a JSON Schema"):
        body("Hi", response_format="json")


def test_extra_fields_override_the_body(body):
    """They take precedence over everything."""
    said = body("Hi", extra={"thinking": {"type": "adaptive"}, "max_tokens": 5})
    assert (said["thinking"], said["max_tokens"]) == ({"type": "adaptive"}, 5)


def test_model_and_version_of_an_endpoint(encode, body):
    """The model is in the path, escaped, and the version in the body."""
    facts = {"path": "/models/{model}:ask", "stream_path": "/models/{model}:stream", "body_version": "v9"}
    there = {"base_url": "http://127.0.0.1", "facts": facts}
    assert encode("Hi", connection=there, model="claude@1/x").url == "http://127.0.0.1/models/claude@1%2Fx:ask"
    wire = encode("Hi", connection=there, stream=True, model="claude@1")
    assert wire.url == "http://127.0.0.1/models/claude@1:stream"
    assert "anthropic-version" not in wire.headers
    said = body("Hi", connection=there)
    assert said["anthropic_version"] == "v9"
    assert "model" not in said


@pytest.mark.parametrize(
    ("fields", "extra", "name", "expected"),
    [
        (
            {"options": {"reasoning_effort": "low"}, "response_format": JSONSchema(PERSON)},
            {"output_config": {"task_budget": {"type": "tokens", "total": 9}}},
            "output_config",
            {
                "effort": "low",
                "format": {"type": "json_schema", "schema": PERSON},
                "task_budget": {"type": "tokens", "total": 9},
            },
        ),
        (
            {"options": {"reasoning_budget": 2000}},
            {"thinking": {"display": "omitted"}},
            "thinking",
            {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
        ),
        (
            {"tools": (Tool("sum"),), "tool_choice": "auto"},
            {"tool_choice": {"disable_parallel_tool_use": True}},
            "tool_choice",
            {"type": "auto", "disable_parallel_tool_use": True},
        ),
        ({"options": {"user": "u1"}}, {"metadata": {"team": "t"}}, "metadata", {"user_id": "u1", "team": "t"}),
        (
            {"tools": (Tool("sum", parameters={}),)},
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools",
            [{"name": "sum", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}],
        ),
    ],
    ids=["output_config", "thinking", "tool_choice", "metadata", "tools"],
)
def test_extra_fields_of_an_object_keep_the_others(body, fields, extra, name, expected):
    """Objects are merged field by field, and tools are added."""
    assert body("Hi", extra=extra, **fields)[name] == expected


@pytest.mark.parametrize("model", ["", ".", "..", "a\udc80"])
def test_model_that_cannot_be_in_a_path_is_rejected(encode, model):
    """It would select another path."""
    facts = {"path": "/models/{model}/ask", "body_version": "v9"}
    with pytest.raises(RequestError, match="model"):
        encode("Hi", connection={"base_url": "http://127.0.0.1", "facts": facts}, model=model)


@pytest.mark.parametrize("facts", [{"max_tokens": "many"}, {"colour": "red"}])
def test_unknown_facts_are_a_config_error(encode, facts):
    """The error names the connection and lists the facts."""
    with pytest.raises(ConfigError, match=r"facts of connection 'garden'.*facts are max_tokens, path"):
        encode("Hi", connection={"facts": facts})


def test_key_is_not_in_the_encoded_request(encode):
    """Core adds it; body, URL and headers are without."""
    wire = encode("Hi", connection={"api_key": Secret("very-secret-test-key")})
    assert b"very-secret" not in msgspec.json.encode([wire.url, wire.body.decode(), dict(wire.headers)])
