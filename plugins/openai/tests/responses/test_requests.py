"""Encoding of requests to OpenAI Responses."""

from __future__ import annotations

import json
import tomllib
import warnings
from pathlib import Path

import pytest

from polyglot_core.errors import ConfigError, RequestError
from polyglot_core.plugin import (
    Audio,
    Connection,
    Document,
    Image,
    InferenceRequest,
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
from polyglot_openai.responses import driver
from polyglot_openai.responses.presets import PRESETS

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
WEATHER = Tool("weather", "Looks out of the window.", {"type": "object", "properties": {"city": {"type": "string"}}})
CALL = ToolCall(name="weather", id="call_1", arguments_raw='{"city":"Oslo"}', complete=True)


def wire(*messages, facts=None, base_url="https://api.test/v1", **fields):
    connection = Connection(
        name="test", driver="openai-responses", base_url=base_url, api_key="test-key", facts=facts or {}
    )
    turns = messages or (Message(role="user", content="Hello"),)
    return driver.encode_request(connection, InferenceRequest(model="m", messages=turns, **fields))


def body(*messages, **fields):
    return json.loads(wire(*messages, **fields).body)


def items(*parts, role="assistant", **fields):
    """Return the items that the parts of one message become."""
    return body(Message(role=role, content=parts), **fields)["input"]


# The whole request


def test_prompt_is_one_user_message():
    """Only model, input and how the response is sent."""
    message = {"type": "message", "role": "user", "content": "Hello"}
    assert body() == {"model": "m", "input": [message], "stream": False}


def test_streamed_request():
    """The body asks for a stream, and the response is framed as events, of which only the last one completes it."""
    streamed, plain = wire(stream=True), wire()
    assert json.loads(streamed.body)["stream"] is True
    assert (streamed.framing, streamed.headers["accept"]) == ("sse", "text/event-stream")
    assert (plain.framing, plain.headers["accept"]) == ("whole", "application/json")
    assert {(answer.complete_on, answer.flush_at_eof) for answer in (streamed, plain)} == {("end", True)}


@pytest.mark.parametrize(
    ("base_url", "query", "url"),
    [
        ("https://api.test/v1", {}, "https://api.test/v1/responses"),
        ("https://api.test/v1/", {}, "https://api.test/v1/responses"),
        ("https://api.test/openai", {"api-version": "1"}, "https://api.test/openai/responses?api-version=1"),
        (None, {}, "https://api.openai.com/v1/responses"),
    ],
)
def test_path_and_query_are_added_to_the_base_url(base_url, query, url):
    """The default base URL is OpenAI's."""
    assert wire(base_url=base_url, facts={"query": query}).url == url


def test_key_is_not_in_the_encoded_request():
    """Core adds it as the connection states."""
    said = wire(stream=True)
    assert "test-key" not in said.url + said.body.decode() + repr(said.headers)


def test_unknown_fact_is_rejected():
    """The error names the known facts."""
    with pytest.raises(ConfigError, match=r"own_call.*facts are own_calls, query, thinking"):
        wire(facts={"own_call": ["x"]})


def test_rows_equal_entry_points_and_can_be_read():
    """The two lists are equal, and the facts of every row are known."""
    entries = PROJECT["entry-points"]["polyglot.presets"]
    named = {name for name, module in entries.items() if module == "polyglot_openai.responses.presets"}
    assert named == set(PRESETS)
    for preset in PRESETS.values():
        assert preset.driver == "openai-responses"
        assert wire(facts=preset.facts).body
    assert PROJECT["entry-points"]["polyglot.drivers"]["openai-responses"] == "polyglot_openai.responses.driver"


def test_readme_lists_every_row():
    """With the base URL, or its pattern, and the variable of its key."""
    lines = (Path(__file__).parents[2] / "README.md").read_text("utf-8").splitlines()
    for name, preset in PRESETS.items():
        *_, line = (line for line in lines if line.startswith(f"| `{name}` |"))
        assert (preset.base_url or "yours: `https://") in line
        assert (preset.api_key_env or "http://localhost") in line


# Options


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("max_tokens", 50, {"max_output_tokens": 50}),
        ("temperature", 0, {"temperature": 0}),
        ("top_p", 0.5, {"top_p": 0.5}),
        ("logprobs", True, {"include": ["message.output_text.logprobs"]}),
        ("logprobs", False, {}),
        ("top_logprobs", 3, {"top_logprobs": 3}),
        ("reasoning_effort", "low", {"reasoning": {"effort": "low"}}),
        ("service_tier", "flex", {"service_tier": "flex"}),
        ("user", "u1", {"user": "u1"}),
        ("metadata", {"a": "b"}, {"metadata": {"a": "b"}}),
        ("max_tokens", None, {}),
    ],
)
def test_option_fields(option, value, expected):
    """Each option becomes the dialect's own field; None counts as missing."""
    said = body(options={option: value})
    assert {name: field for name, field in said.items() if name not in {"model", "input", "stream"}} == expected


@pytest.mark.parametrize(
    "option", ["top_k", "stop", "seed", "presence_penalty", "frequency_penalty", "n", "reasoning_budget"]
)
def test_unsupported_option(option):
    """Nothing unsupported is sent; with `drop` it is dropped."""
    with pytest.raises(RequestError, match=option):
        body(options={option: 2})
    assert body(options={option: 2}, unsupported="drop") == body()


def test_reasoning_budget_is_unsupported():
    """The message names the option to use instead."""
    with pytest.raises(RequestError, match="use reasoning_effort"):
        body(options={"reasoning_budget": 100})


# Tools and format


def test_tool_is_a_flat_object():
    """Name and parameters are next to the type; missing ones are omitted."""
    strict = Tool("clock", strict=True)
    weather = {"type": "function", "name": "weather", "description": WEATHER.description}
    assert body(tools=(WEATHER, strict))["tools"] == [
        {**weather, "parameters": WEATHER.parameters},
        {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}, "strict": True},
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("required", "required"),
        ("none", "none"),
        ("weather", {"type": "function", "name": "weather"}),
    ],
)
def test_tool_choice_is_a_word_or_a_flat_object(choice, expected):
    """The name is next to its type, unlike in chat completions."""
    assert body(tools=(WEATHER,), tool_choice=choice)["tool_choice"] == expected


def test_parallel_tool_calls_can_be_switched():
    """The field is sent only if it is set."""
    assert body(parallel_tool_calls=False)["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in body()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("text", {"type": "text"}),
        ("json", {"type": "json_object"}),
        (JSONSchema({"type": "object"}), {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}),
        (
            JSONSchema({"type": "object"}, "city", strict=True, description="A city."),
            {
                "type": "json_schema",
                "name": "city",
                "schema": {"type": "object"},
                "strict": True,
                "description": "A city.",
            },
        ),
    ],
)
def test_format_is_in_the_text_settings(wanted, expected):
    """A schema is flat as well."""
    assert body(response_format=wanted)["text"] == {"format": expected}


# Extra


def test_extra_fields_are_sent():
    """They name an earlier response, or switch off storing."""
    extra = {"previous_response_id": "resp_1", "store": False, "include": ["reasoning.encrypted_content"]}
    assert body(extra=extra) == body() | extra
    assert body(extra={"input": [{"type": "item_reference", "id": "a"}]})["input"] == [
        {"type": "item_reference", "id": "a"}
    ]


def test_extra_objects_are_merged_with_options():
    """A summary of thinking can be requested with an effort, and a verbosity with a format."""
    extra = {"reasoning": {"summary": "auto"}, "text": {"verbosity": "low"}, "model": "other"}
    said = body(options={"reasoning_effort": "high"}, response_format="json", extra=extra)
    assert said["reasoning"] == {"effort": "high", "summary": "auto"}
    assert said["text"] == {"format": {"type": "json_object"}, "verbosity": "low"}
    assert said["model"] == "other"


def test_extra_tools_and_includes_are_appended():
    """The provider's own tools are used together with the user's."""
    extra = {"tools": [{"type": "web_search"}], "include": ["reasoning.encrypted_content"]}
    said = body(tools=(WEATHER,), options={"logprobs": True}, extra=extra)
    assert [tool["type"] for tool in said["tools"]] == ["function", "web_search"]
    assert said["include"] == ["message.output_text.logprobs", "reasoning.encrypted_content"]


# Messages


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_message_keeps_its_role_and_order(role):
    """One text is sent as a string."""
    turns = (Message(role="user", content="one"), Message(role=role, content="two"))
    assert body(*turns)["input"][1] == {"type": "message", "role": role, "content": "two"}
    assert items(Text("two"), role=role) == body(turns[1])["input"]


def test_empty_message_is_sent():
    """It is not dropped."""
    assert items(role="user") == [{"type": "message", "role": "user", "content": ""}]


def test_user_parts():
    """Texts, images by URL or as bytes, files by id, by URL or as bytes."""
    parts = (
        Text("Look:"),
        Image(url="https://a.test/cat.png", detail="low"),
        Image(data=b"abc", mime_type="image/gif"),
        Document(file_id="file_1"),
        Document(url="https://a.test/a.pdf"),
        Document(data=b"abc", mime_type="application/pdf", name="a.pdf"),
        Document(data=b"abc", mime_type="text/csv"),
    )
    assert items(*parts, role="user")[0]["content"] == [
        {"type": "input_text", "text": "Look:"},
        {"type": "input_image", "image_url": "https://a.test/cat.png", "detail": "low"},
        {"type": "input_image", "image_url": "data:image/gif;base64,YWJj"},
        {"type": "input_file", "file_id": "file_1"},
        {"type": "input_file", "file_url": "https://a.test/a.pdf"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,YWJj"},
        {"type": "input_file", "filename": "document.csv", "file_data": "data:text/csv;base64,YWJj"},
    ]


def test_assistant_texts_are_output_parts():
    """They have a type of their own."""
    texts = [{"type": "output_text", "text": text} for text in ("one", "two")]
    assert items(Text("one"), Text("two")) == [{"type": "message", "role": "assistant", "content": texts}]


@pytest.mark.parametrize(
    ("role", "part", "what"),
    [
        ("user", Audio(data=b"abc"), "a part of type Audio"),
        ("assistant", Image(data=b"abc"), "an image in a message of the role 'assistant'"),
        ("assistant", Document(data=b"abc"), "a document in a message of the role 'assistant'"),
    ],
)
def test_unsupported_part_of_a_message(role, part, what):
    """It is dropped only if the request allows it."""
    with pytest.raises(RequestError, match=what):
        items(Text("hm"), part, role=role)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert items(Text("hm"), part, role=role, unsupported="warn")[0]["content"] == "hm"
    assert what in str(caught[0].message)


CACHED = {
    "a text": (Text("Hi", cache=True), {"type": "message", "role": "user", "content": "Hi"}),
    "a text, for an hour": (Text("Hi", cache="1h"), {"type": "message", "role": "user", "content": "Hi"}),
    "a document": (
        Document(file_id="f", cache=True),
        {"type": "message", "role": "user", "content": [{"type": "input_file", "file_id": "f"}]},
    ),
    "an image": (
        Image(url="https://a.test/", cache=True),
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "https://a.test/"}]},
    ),
}


@pytest.mark.parametrize(("part", "item"), CACHED.values(), ids=CACHED)
def test_cache_marks_are_unsupported(part, item):
    """The dialect caches prompts without them; the message names the field for that."""
    with pytest.raises(RequestError, match="the cache mark of .*; use .*prompt_cache_key"):
        items(part, role="user")
    assert items(part, role="user", unsupported="drop") == [item]


def test_cache_mark_of_a_tool_is_unsupported():
    """As of a part."""
    with pytest.raises(RequestError, match="the cache mark of a tool"):
        body(tools=(Tool("clock", cache=True),))


@pytest.mark.parametrize("detail", ["bogus", "medium", "HIGH"])
def test_unknown_detail_is_unsupported(detail):
    """Those of the API that have no common name are further fields."""
    with pytest.raises(RequestError, match=f"the detail '{detail}' of an image; use low, high or auto"):
        items(Image(data=b"abc", detail=detail), role="user")
    said = items(Image(url="https://a.test/", extra={"detail": "original"}), role="user")
    assert said[0]["content"] == [{"type": "input_image", "image_url": "https://a.test/", "detail": "original"}]


def test_further_fields_of_parts_are_sent():
    """They belong to the part; those of a text of the assistant to its message."""
    parts = (Text("Hi", extra={"mood": "glad"}), Document(file_id="f", extra={"detail": "high"}))
    assert items(*parts, role="user")[0]["content"] == [
        {"type": "input_text", "text": "Hi", "mood": "glad"},
        {"type": "input_file", "file_id": "f", "detail": "high"},
    ]
    text = {"type": "output_text", "text": "Hi"}
    assert items(Text("Hi", extra={"phase": "commentary"})) == [
        {"type": "message", "role": "assistant", "content": [text], "phase": "commentary"}
    ]


def test_refusal_is_a_part_of_the_assistants_message():
    """Elsewhere it is text."""
    refusal = Refusal("I cannot.")
    assert items(refusal)[0]["content"] == [{"type": "refusal", "refusal": "I cannot."}]
    assert items(refusal, role="user")[0]["content"] == "I cannot."


def test_speaker_name_is_unsupported():
    """Messages of this dialect have no names."""
    named = Message(role="user", content="Hello", name="Ann")
    with pytest.raises(RequestError, match="the name of a speaker"):
        body(named)
    assert body(named, unsupported="drop") == body()


def test_message_fields_are_sent():
    """Such as the phase of an assistant's message."""
    said = body(Message(role="assistant", content="hm", extra={"phase": "commentary"}))["input"]
    assert said == [{"type": "message", "role": "assistant", "content": "hm", "phase": "commentary"}]


def test_empty_message_fields_are_omitted():
    """Dumps of other clients have them, and the dialect rejects unknown fields."""
    dumped = {"role": "assistant", "content": "hm", "refusal": None, "annotations": [], "audio": None}
    assert body(Message.from_dict(dumped)) == body(Message(role="assistant", content="hm"))


def test_fields_of_a_message_without_content():
    """No item could hold them; empty ones are ignored."""
    with pytest.raises(RequestError, match="further fields of a message without content"):
        body(Message(role="assistant", content=(CALL,), extra={"phase": "commentary"}))
    assert body(Message(role="assistant", content=(CALL,), extra={"refusal": None}))["input"] == items(CALL)


@pytest.mark.parametrize(
    ("turn", "what"),
    [
        (Message(role="critic", content="no"), "the role 'critic'"),
        (Message(role="tool", content="42"), "may contain tool results only"),
        (Message(role="tool"), "may contain tool results only"),
    ],
)
def test_invalid_turn(turn, what):
    """The error states what is wrong with it."""
    with pytest.raises(RequestError, match=what):
        body(turn)


def test_raw_parts_are_passed_through():
    """Parts of a message stay in it; other types are items of their own, between the messages."""
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    file = {"type": "input_file", "file_id": "f", "detail": "high"}
    assert items(Text("a"), RawPart(file), RawPart(search), Text("b"), role="user") == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, file]},
        search,
        {"type": "message", "role": "user", "content": "b"},
    ]


# Tool calls and results


def test_assistant_turn_becomes_items_in_order():
    """Thinking, text and tool calls are separate items, not one message."""
    said = items(Reasoning(text="hm", id="rs_1"), Text("Let me see."), CALL)
    assert said == [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": "Let me see."},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'},
    ]


def test_tool_call_without_arguments_has_an_empty_object():
    """An empty text is not JSON."""
    assert items(ToolCall(name="clock", id="call_1"))[0]["arguments"] == "{}"


def test_result_is_text_or_input_parts():
    """A tool may return images and files."""
    parts = (Text("Here:"), Image(data=b"abc", mime_type="image/png"))
    said = items(ToolResult(id="call_1", content="rain"), ToolResult(id="call_2", content=parts), role="tool")
    image = {"type": "input_image", "image_url": "data:image/png;base64,YWJj"}
    assert said == [
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "Here:"}, image],
        },
    ]


def test_failed_tool_result():
    """The dialect has no field for it, so the text states it."""
    results = (ToolResult(id="1", content="boom", error=True), ToolResult(id="2", content=(Text("boom"),), error=True))
    said = [{"type": "input_text", "text": "Error: boom"}]
    assert [item["output"] for item in items(*results, role="tool")] == ["Error: boom", said]


def test_missing_ids_are_joined_by_name_and_order():
    """Conversations from providers without ids can continue here."""
    calls = tuple(ToolCall(name=name) for name in ("weather", "clock", "clock"))
    results = tuple(ToolResult(id=None, content=name, name=name) for name in ("clock", "weather", "clock"))
    said = body(Message(role="assistant", content=calls), Message(role="tool", content=results))["input"]
    assert [item["call_id"] for item in said] == ["call_1", "call_2", "call_3", "call_2", "call_1", "call_3"]


def test_custom_tool_calls_are_found_by_the_request_tools():
    """A tool of the type `custom` is in `extra`; its tool calls and results have their own types."""
    call = ToolCall(name="shell", id="call_1", arguments_raw="ls -l", complete=True)
    turns = (Message(role="assistant", content=(call, CALL)), Message.tool_result(call, "a.txt"))
    said = body(*turns, extra={"tools": [{"type": "custom", "name": "shell"}]})["input"]
    assert said[0] == {"type": "custom_tool_call", "call_id": "call_1", "name": "shell", "input": "ls -l"}
    assert said[2] == {"type": "custom_tool_call_output", "call_id": "call_1", "output": "a.txt"}
    assert said[1]["type"] == "function_call"


# Thinking


def test_thinking_is_sent_back_with_id_and_cipher():
    """Stretches with one id become one item; a cipher begins a new one, whatever its id."""
    stretches = (
        Reasoning(text="one", redacted="cipher", id="rs_1"),
        Reasoning(text="two", id="rs_1"),
        Reasoning(redacted="other", id="rs_1"),
        Reasoning(id="rs_2"),
    )
    one, two = ({"type": "summary_text", "text": text} for text in ("one", "two"))
    assert items(*stretches) == [
        {"type": "reasoning", "id": "rs_1", "summary": [one, two], "encrypted_content": "cipher"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "other"},
        {"type": "reasoning", "id": "rs_2", "summary": []},
    ]


def test_shown_thinking_is_sent_back_as_shown():
    """A fact states that an endpoint shows its thinking rather than a summary."""
    part = {"type": "reasoning_text", "text": "hm"}
    said = items(Reasoning(text="hm", id="rs_1"), facts={"thinking": "reasoning_text"}, extra={"store": False})
    assert said == [{"type": "reasoning", "id": "rs_1", "summary": [], "content": [part]}]
    assert items(Reasoning(id="rs_1"), CALL, facts={"thinking": "reasoning_text"}) == items(CALL)


def test_unknown_thinking_is_dropped():
    """It is from another provider, or it was neither stored nor received."""
    foreign = Reasoning(text="hm", signature="sig")
    assert items(foreign, Text("hi")) == items(Text("hi"))
    unstored = {"store": False}
    assert items(Reasoning(text="hm", id="rs_1"), Text("hi"), extra=unstored) == items(Text("hi"))
    assert len(items(Reasoning(id="rs_1", redacted="cipher"), Text("hi"), extra=unstored)) == 2
