"""Encoding of requests as chat completions."""

from __future__ import annotations

import json
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core import ConfigError, PolyglotError, RequestError
from polyglot_core.plugin import (
    Audio,
    Connection,
    Document,
    Image,
    JSONSchema,
    Message,
    RawPart,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

INTEGER = {"type": "object", "properties": {"a": {"type": "integer"}}}
TOOL = Tool("sum", "Adds.", INTEGER)
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
PLAIN = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": False}
PIXEL = Image(data=b"\x89PNG")
PAGE = Document(data=b"%PDF", name="a.pdf")


def function(name, **fields):
    return {"type": "function", "function": {"name": name, **fields}}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {}),
        ({"tool_choice": "auto"}, {"tool_choice": "auto"}),
        ({"tool_choice": "none"}, {"tool_choice": "none"}),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        ({"tool_choice": "sum"}, {"tool_choice": function("sum")}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"parallel_tool_calls": True}, {"parallel_tool_calls": True}),
        ({"response_format": "text"}, {"response_format": {"type": "text"}}),
        ({"response_format": "json"}, {"response_format": {"type": "json_object"}}),
        (
            {"response_format": JSONSchema(INTEGER)},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": INTEGER}}},
        ),
        (
            {"response_format": JSONSchema(INTEGER, "sum", True, "A sum.")},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "sum", "schema": INTEGER, "strict": True, "description": "A sum."},
                }
            },
        ),
        ({"extra": {"user": "u"}}, {"user": "u"}),
        ({"options": {"seed": 1}, "extra": {"seed": 2, "model": "other"}}, {"seed": 2, "model": "other"}),
        (
            {"tools": (TOOL, Tool("now"), Tool("exact", strict=True))},
            {
                "tools": [
                    function("sum", description="Adds.", parameters=INTEGER),
                    function("now", parameters={"type": "object", "properties": {}}),
                    function("exact", parameters={"type": "object", "properties": {}}, strict=True),
                ]
            },
        ),
    ],
)
def test_body(openai, asked, expected):
    """Each field of the request is in the body, and nothing else."""
    assert openai.body(**asked) == {**PLAIN, **expected}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": 0.5, "top_p": 1}, {"temperature": 0.5, "top_p": 1}),
        ({"stop": "a"}, {"stop": "a"}),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"seed": 7, "n": 2}, {"seed": 7, "n": 2}),
        ({"seed": None}, {}),
        ({"presence_penalty": 0.1, "frequency_penalty": -0.1}, {"presence_penalty": 0.1, "frequency_penalty": -0.1}),
        ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ({"service_tier": "flex", "user": "u"}, {"service_tier": "flex", "user": "u"}),
        ({"metadata": {"a": "b"}}, {"metadata": {"a": "b"}}),
    ],
)
def test_options_are_encoded(openai, options, expected):
    """Every option that the dialect has becomes its field, with the value given."""
    body = openai.body(options=options)
    assert {name: value for name, value in body.items() if name not in PLAIN} == expected


@pytest.mark.parametrize("option", ["top_k", "reasoning_budget"])
def test_unsupported_options(openai, option):
    """They raise an error that names the driver, or are dropped if the user chose that."""
    with pytest.raises(RequestError, match=rf"'openai' cannot express option '{option}'"):
        openai.encoded(options={option: 1})
    assert option not in openai.body(options={option: 1}, unsupported="drop")
    with pytest.warns(UserWarning, match=option):
        openai.encoded(options={option: 1}, unsupported="warn")


def test_reasoning_budget_is_unsupported(openai):
    """The error names the option that the dialect has instead."""
    with pytest.raises(RequestError, match="use reasoning_effort"):
        openai.encoded(options={"reasoning_budget": 100})


def test_unknown_option(openai):
    """A misspelt option is an error that names the nearest one, however unsupported options are treated."""
    with pytest.raises(RequestError, match="did you mean 'temperature'"):
        openai.encoded(options={"temprature": 1}, unsupported="drop")


# Messages


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ("Hi", [{"role": "user", "content": "Hi"}]),
        ("grüße 🚀", [{"role": "user", "content": "grüße 🚀"}]),
        (
            ["a", Message(role="system", content="b"), Message(role="developer", content="c")],
            [
                {"role": "user", "content": "a"},
                {"role": "system", "content": "b"},
                {"role": "developer", "content": "c"},
            ],
        ),
        ([Message(role="user", content=(Text("a"),))], [{"role": "user", "content": "a"}]),
        (
            [Message(role="user", content=(Text("a"), Text("b")))],
            [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        ),
        ([Message(role="user", content="")], [{"role": "user", "content": ""}]),
        (
            [{"role": "user", "name": "Ann", "content": "a", "odd": {"kept": True}}],
            [{"role": "user", "name": "Ann", "content": "a", "odd": {"kept": True}}],
        ),
        ([Message(role="assistant", content=(Text("a"),))], [{"role": "assistant", "content": "a"}]),
    ],
)
def test_text_messages(openai, messages, expected):
    """A message of one text stays a string; several texts are parts; the user's own fields are kept."""
    assert openai.body(messages=messages)["messages"] == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Image(url="https://a/b.png"), {"type": "image_url", "image_url": {"url": "https://a/b.png"}}),
        (
            Image(url="https://a/b.png", detail="low"),
            {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
        ),
        (PIXEL, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}),
        (Audio(data=b"fLaC"), {"type": "input_audio", "input_audio": {"data": "ZkxhQw==", "format": "flac"}}),
        (
            Audio(data=b"ID3", mime_type="audio/mpeg"),
            {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        ),
        (
            Audio(data=b"x", mime_type="audio/ogg; codecs=opus"),
            {"type": "input_audio", "input_audio": {"data": "eA==", "format": "ogg"}},
        ),
        (
            PAGE,
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
        ),
        (
            Document(data=b"%PDF"),
            {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
        ),
        (Document(file_id="file-1"), {"type": "file", "file": {"file_id": "file-1"}}),
        (RawPart({"type": "odd", "odd": 1}), {"type": "odd", "odd": 1}),
    ],
)
def test_parts(openai, part, expected):
    """Each type of part is encoded, after text and alone."""
    alone = openai.body(messages=[Message(role="user", content=(part,))])
    beside = openai.body(messages=[Message(role="user", content=(Text("See:"), part))])
    assert alone["messages"] == [{"role": "user", "content": [expected]}]
    assert beside["messages"][0]["content"] == [{"type": "text", "text": "See:"}, expected]


def test_document_by_url(openai):
    """The dialect takes bytes and ids; a URL is sent only if the endpoint accepts it."""
    messages = [Message(role="user", content=(Text("Read:"), Document(url="https://a/b.pdf")))]
    with pytest.raises(RequestError, match="a document by its URL; use its bytes"):
        openai.encoded(messages=messages)
    assert openai.body(messages=messages, unsupported="drop")["messages"][0]["content"] == "Read:"
    sent = openai.body({"facts": {"document_urls": True}}, messages=messages)["messages"][0]["content"][1]
    assert sent == {"type": "file", "file": {"filename": "document.pdf", "file_data": "https://a/b.pdf"}}


def test_cache_markers(openai):
    """A marked text has a marker if the endpoint accepts markers; elsewhere it is dropped."""
    messages = [Message(role="system", content=(Text("a", cache=True),)), Message(role="user", content="b")]
    marked, plain = openai.body({"facts": {"cache_marks": True}}, messages=messages)["messages"]
    assert marked["content"] == [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]
    assert plain == {"role": "user", "content": "b"}


# Tools


CALL = ToolCall(name="sum", id="c1", arguments_raw='{"a": 1}', complete=True)
SAID = {"id": "c1", "type": "function", "function": {"name": "sum", "arguments": '{"a": 1}'}}


def test_tool_calls_and_results(openai):
    """Tool calls are sent next to the assistant's text; each result is a message of its own, in order."""
    turns = [
        Message(role="assistant", content=(Text("Adding."), CALL, ToolCall(name="now", id="c2"))),
        Message(role="tool", content=(ToolResult(id="c1", content="1"), ToolResult(id="c2", content="noon"))),
        Message.tool_result("c1", (Text("1"), Text("!"))),
    ]
    now = {"id": "c2", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    assert openai.body(messages=turns)["messages"] == [
        {"role": "assistant", "content": "Adding.", "tool_calls": [SAID, now]},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": "noon"},
        {"role": "tool", "tool_call_id": "c1", "content": "1!"},
    ]


def test_tool_calls_without_text_have_no_content(openai):
    """An assistant's message with tool calls only is sent without an empty text."""
    assert openai.body(messages=[Message(role="assistant", content=(CALL,))])["messages"] == [
        {"role": "assistant", "tool_calls": [SAID]}
    ]


def test_results_precede_the_users_text(openai):
    """Results are sent before the rest of their message, because they belong to the message before."""
    turn = Message(role="user", content=(Text("And now?"), ToolResult(id="c1", content="1")))
    assert openai.body(messages=[turn])["messages"] == [
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "user", "content": "And now?"},
    ]


def test_failed_tool_result(openai):
    """The dialect has no marker for a failed tool, so the text states it."""
    turns = [Message.tool_result(CALL, "no network", error=True)]
    assert openai.body(messages=turns)["messages"][0]["content"] == "Error: no network"


def test_image_as_a_result(openai):
    """A result is text, unless the endpoint accepts parts."""
    turns = [Message.tool_result("c1", (Text("See:"), PIXEL))]
    with pytest.raises(RequestError, match="as the result of a tool; use a user's message"):
        openai.encoded(messages=turns)
    assert openai.body(messages=turns, unsupported="drop")["messages"][0]["content"] == "See:"
    sent = openai.body({"facts": {"result_parts": True}}, messages=turns)["messages"][0]["content"]
    assert [part["type"] for part in sent] == ["text", "image_url"]


def test_fields_of_the_text_of_a_result_are_sent(openai):
    """Also where a result is text only: the result is then a list of texts."""
    result = ToolResult(id="c1", content=(Text("1"), Text("2", extra={"x": 1}), PIXEL), error=True)
    (sent,) = openai.body(messages=[Message(role="tool", content=[result])], unsupported="drop")["messages"]
    assert sent["content"] == [{"type": "text", "text": "Error: 1"}, {"type": "text", "text": "2", "x": 1}]


def test_fields_of_a_refusal_are_sent(openai):
    """In a part of the content, because the field of the message holds the text only."""
    turn = Message(role="assistant", content=[Refusal("No.", extra={"x": 1})])
    assert openai.body(messages=[turn])["messages"][0]["content"] == [{"type": "refusal", "refusal": "No.", "x": 1}]


def test_missing_ids_are_added(openai):
    """Tool calls without ids get them, and results without id belong to the oldest tool call of their name."""
    turns = [
        Message(role="assistant", content=(ToolCall(name="a"), ToolCall(name="b"), ToolCall(name="a"))),
        Message(role="tool", content=(ToolResult(id=None, content="B", name="b"),)),
        Message(role="tool", content=(ToolResult(id=None, content="A"), ToolResult(id=None, content="AA", name="a"))),
    ]
    asked, *results = openai.body(messages=turns)["messages"]
    assert [call["id"] for call in asked["tool_calls"]] == ["call_1", "call_2", "call_3"]
    assert [(result["tool_call_id"], result["content"]) for result in results] == [
        ("call_2", "B"),
        ("call_1", "A"),
        ("call_3", "AA"),
    ]


def test_signature_is_sent_back(openai):
    """If an endpoint signs tool calls, the signature is sent back at its path; elsewhere it is dropped."""
    turn = Message(role="assistant", content=(ToolCall(name="sum", id="c1", signature="s"),))
    facts = {"call_signature": "extra.sealed"}
    assert openai.body({"facts": facts}, messages=[turn])["messages"][0]["tool_calls"][0]["extra"] == {"sealed": "s"}
    assert "extra" not in openai.body(messages=[turn])["messages"][0]["tool_calls"][0]


# Thinking


THOUGHT = Message(
    role="assistant",
    content=(
        Reasoning(text="Hm. ", signature="s1", id="r1"),
        Reasoning(text="Ah!"),
        Reasoning(redacted="xyz", id="r2"),
        Text("5"),
    ),
)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, {}),
        ({"reasoning_back": ["reasoning_content"]}, {"reasoning_content": "Hm. Ah!"}),
        ({"reasoning_back": ["reasoning", "other"]}, {"reasoning": "Hm. Ah!", "other": "Hm. Ah!"}),
        (
            {"reasoning_back": ["thoughts", "seal"], "reasoning_signature": "seal"},
            {"thoughts": "Hm. Ah!", "seal": "s1"},
        ),
        ({"reasoning_back": ["a.b"], "reasoning_encrypted": "a.b"}, {"a": {"b": "xyz"}}),
        (
            {"reasoning_back": ["reasoning_details"]},
            {
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "Hm. ", "signature": "s1", "index": 0, "id": "r1"},
                    {"type": "reasoning.text", "text": "Ah!", "index": 1},
                    {"type": "reasoning.encrypted", "data": "xyz", "index": 2, "id": "r2"},
                ]
            },
        ),
    ],
)
def test_thinking_is_sent_back_in_the_fields_of_the_endpoint(openai, facts, expected):
    """The assistant's thinking is in the fields that a fact names, and never in the text."""
    sent = openai.body({"facts": facts}, messages=[THOUGHT])["messages"]
    assert sent == [{"role": "assistant", "content": "5", **expected}]


# Unsupported features


@pytest.mark.parametrize(
    ("feature", "asked", "what"),
    [
        ("seed", {"options": {"seed": 1}}, "option 'seed'"),
        ("max_tokens", {"options": {"max_tokens": 1}}, "option 'max_tokens'"),
        ("tools", {"tools": (TOOL,)}, "tools"),
        ("tool_choice", {"tool_choice": "auto"}, "tool_choice"),
        ("parallel_tool_calls", {"parallel_tool_calls": True}, "parallel_tool_calls"),
        ("json", {"response_format": "json"}, "response_format 'json'"),
        ("json_schema", {"response_format": JSONSchema(INTEGER)}, "response_format 'json_schema'"),
        ("image", {"messages": [Message(role="user", content=(Text("Hi"), PIXEL))]}, "an image"),
        ("audio", {"messages": [Message(role="user", content=(Text("Hi"), Audio(data=b"")))]}, "a sound"),
        ("document", {"messages": [Message(role="user", content=(Text("Hi"), PAGE))]}, "a document"),
        ("name", {"messages": [Message(role="user", content="Hi", name="Ann")]}, "the name of a speaker"),
    ],
)
def test_unsupported_features(openai, feature, asked, what):
    """They raise an error before anything is sent, or are dropped, with or without a warning, as the user chose."""
    fields = {"facts": {"unsupported": [feature]}}
    with pytest.raises(RequestError, match=f"cannot express {what}"):
        openai.encoded(fields, **asked)
    assert openai.body(fields, **asked, unsupported="drop") == PLAIN
    with pytest.warns(UserWarning, match=what):
        openai.encoded(fields, **asked, unsupported="warn")
    assert openai.encoded(**asked)


def test_json_and_json_schema_are_two_features(openai):
    """An endpoint without schemas still supports a request for any JSON object."""
    fields = {"facts": {"unsupported": ["json_schema"]}}
    assert openai.body(fields, response_format="json")["response_format"] == {"type": "json_object"}


# Differences between endpoints


def test_option_names_of_an_endpoint(openai):
    """A fact renames options, moves them into objects, and adds those that only this endpoint has."""
    facts = {"options": {"top_k": "top_k", "reasoning_effort": "reasoning.effort", "reasoning_budget": "reasoning.max"}}
    options = {"top_k": 3, "reasoning_effort": "low", "reasoning_budget": 9, "seed": 1}
    body = openai.body({"facts": facts}, options=options)
    assert (body["top_k"], body["reasoning"], body["seed"]) == (3, {"effort": "low", "max": 9}, 1)
    assert "reasoning_effort" not in body


def test_token_limit_field(openai):
    """If an endpoint has another field for the limit, ``max_tokens`` becomes that."""
    fields = {"facts": {"token_limit": "max_completion_tokens"}}
    body = openai.body(fields, options={"max_tokens": 5, "seed": 1})
    assert (body["max_completion_tokens"], body["seed"]) == (5, 1)
    assert "max_tokens" not in body


def test_developer_role_of_an_endpoint(openai):
    """If an endpoint has no developer role, those messages are sent as system messages."""
    messages = [Message(role="developer", content="a"), Message(role="user", content="b")]
    sent = openai.body({"facts": {"developer_role": "system"}}, messages=messages)["messages"]
    assert [message["role"] for message in sent] == ["system", "user"]


def test_fields_of_every_request(openai):
    """Fixed fields of an endpoint are in every body; the request overrides them."""
    body = openai.body({"facts": {"body": {"split": True, "seed": 1}}}, options={"seed": 2})
    assert (body["split"], body["seed"]) == (True, 2)


@pytest.mark.parametrize(
    ("schema_at", "expected"),
    [
        (["json_object", "value"], {"type": "json_object", "value": INTEGER}),
        (["json_object", "schema"], {"type": "json_object", "schema": INTEGER}),
    ],
)
def test_schema_location(openai, schema_at, expected):
    """A schema without the usual envelope is sent in the field that a fact names."""
    body = openai.body({"facts": {"schema_at": schema_at}}, response_format=JSONSchema(INTEGER))
    assert body["response_format"] == expected


def test_a_stream_is_asked_to_report_usage(openai):
    """A streamed request asks for usage, unless the endpoint rejects that or the user overrides it."""
    assert openai.body(stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in openai.body({"facts": {"stream_usage": False}}, stream=True)
    assert "stream_options" not in openai.body(stream=False)
    wanted = {"include_usage": False, "odd": 1}
    assert openai.body(stream=True, extra={"stream_options": wanted})["stream_options"] == wanted


@pytest.mark.parametrize(
    "asked",
    [{}, {"options": {"temperature": 1, "max_tokens": 3}, "tools": (TOOL,), "tool_choice": "sum", "extra": {"a": 1}}],
)
def test_stream_and_plain_differ_only_in_the_switch(openai, asked):
    """Streamed and plain requests are equal but for the switch and the request for usage."""
    streamed, plain = openai.body(stream=True, **asked), openai.body(stream=False, **asked)
    assert {name: value for name, value in streamed.items() if name not in USAGE} | {"stream": False} == plain
    assert {name: streamed[name] for name in USAGE} == USAGE


@pytest.mark.parametrize(
    ("stream", "accept", "framing"), [(True, "text/event-stream", "sse"), (False, "application/json", "whole")]
)
def test_accept_header_and_framing(openai, stream, accept, framing):
    """Headers and framing match the kind of response requested."""
    wire = openai.encoded(stream=stream)
    assert (wire.method, wire.headers["accept"], wire.framing) == ("POST", accept, framing)
    assert wire.headers["content-type"] == "application/json"


def test_decoding_facts_are_in_the_wire_request(openai):
    """Rules of completion and thinking tags are passed to core as the row has them."""
    wire = openai.encoded()
    assert (wire.complete_on, wire.finish_counts, wire.flush_at_eof, wire.think_tags) == (
        "finish",
        "first",
        False,
        None,
    )
    facts = {"complete_on": "end", "finish_counts": "last", "flush_at_eof": True, "think_tags": ["<a>", "</a>"]}
    wire = openai.encoded({"facts": facts})
    assert (wire.complete_on, wire.finish_counts, wire.flush_at_eof) == ("end", "last", True)
    assert wire.think_tags == ("<a>", "</a>")


def test_headers_of_an_endpoint(openai):
    """Headers that an endpoint requires are sent with every request."""
    assert openai.encoded({"facts": {"headers": {"x-version": "1"}}}).headers["x-version"] == "1"


@pytest.mark.parametrize(
    ("base_url", "facts", "url"),
    [
        (None, {}, "https://api.openai.com/v1/chat/completions"),
        ("http://localhost:1/v1", {}, "http://localhost:1/v1/chat/completions"),
        ("http://localhost:1/v1/", {}, "http://localhost:1/v1/chat/completions"),
        ("http://localhost:1", {}, "http://localhost:1/chat/completions"),
        ("http://localhost:1//", {}, "http://localhost:1/chat/completions"),
        ("http://[::1]:1/a%20b", {}, "http://[::1]:1/a%20b/chat/completions"),
        ("http://localhost:1/v1", {"path": "/chat"}, "http://localhost:1/v1/chat"),
        ("http://localhost:1/v1", {"query": {"v": "1 2"}}, "http://localhost:1/v1/chat/completions?v=1+2"),
    ],
)
def test_url(openai, base_url, facts, url):
    """Base URL and path are joined with one slash; the endpoint's query follows."""
    assert openai.encoded({"base_url": base_url, "facts": facts}).url == url


def test_query_in_the_base_url():
    """A base URL with a query is rejected: the path would end up inside the query."""
    with pytest.raises(ConfigError, match="query"):
        Connection(name="here", driver="openai", base_url="http://localhost/v1?api-version=1")


@pytest.mark.parametrize(
    ("facts", "what"), [({"odd": 1}, "odd"), ({"path": 5}, r"\$\.path"), ({"finish_counts": "never"}, "never")]
)
def test_invalid_facts(openai, facts, what):
    """An unknown fact, or a value of a wrong type, is an error that names the connection and the facts."""
    with pytest.raises(ConfigError, match=what) as caught:
        openai.encoded({"facts": facts})
    assert "'here'" in str(caught.value)
    assert "token_limit" in str(caught.value)


# All requests


EVERYTHING = {
    "messages": [THOUGHT, Message(role="assistant", content=(CALL,)), Message.tool_result(CALL, "1"), "Hi"],
    "options": {"max_tokens": 5, "metadata": {"a": "b"}},
    "tools": (TOOL,),
    "extra": {"a": 1},
}


def test_no_key_in_the_encoded_request(openai):
    """The key is added later: it is not in the URL, the body or the driver's headers."""
    wire = openai.encoded({"api_key": "test-key", "headers": {"x-a": "b"}}, stream=True, **EVERYTHING)
    assert "test-key" not in wire.url + wire.body.decode() + repr(wire.headers)
    assert "authorization" not in wire.headers


def test_request_is_not_modified(openai):
    """Encoding does not modify what the user passed."""
    before = repr(EVERYTHING)
    openai.encoded(stream=True, **EVERYTHING)
    assert repr(EVERYTHING) == before


def test_supported_features_do_not_warn(openai):
    """A feature that the dialect has causes no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        openai.encoded(unsupported="warn", **EVERYTHING)


json_values = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(
    options=st.dictionaries(st.sampled_from(["temperature", "stop", "max_tokens"]), json_values), stream=st.booleans()
)
def test_encoding_is_deterministic(openai, options, stream):
    """Equal requests have equal bytes, and JSON values are unchanged."""
    first, second = (openai.encoded(options=options, stream=stream) for _ in range(2))
    assert first == second
    sent = json.loads(first.body)
    assert {name: sent[name] for name in options} == options


@pytest.mark.parametrize("value", [object(), {1, 2, object()}, 1j])
def test_value_outside_json(openai, value):
    """A value that JSON cannot express raises an error of Polyglot's own."""
    with pytest.raises(PolyglotError):
        openai.encoded(options={"stop": value})
