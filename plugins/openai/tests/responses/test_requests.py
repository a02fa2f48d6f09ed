"""What the driver of OpenAI Responses sends."""

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
    """The items that the parts of one message become."""
    return body(Message(role=role, content=parts), **fields)["input"]


# The request as a whole


def test_a_question_is_one_message_of_the_user():
    """Model and input are all that is sent."""
    message = {"type": "message", "role": "user", "content": "Hello"}
    assert body() == {"model": "m", "input": [message]}


def test_a_stream_is_asked_for_and_framed_as_events():
    """The body says so, and the answer is read as server-sent events, of which only the last word counts."""
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
    """Without an address it is OpenAI's."""
    assert wire(base_url=base_url, facts={"query": query}).url == url


def test_the_key_is_in_no_part_of_the_request():
    """Core puts it where the connection says."""
    said = wire(stream=True)
    assert "test-key" not in said.url + said.body.decode() + repr(said.headers)


def test_a_connection_with_an_unknown_column_is_refused():
    """The error names the columns that there are."""
    with pytest.raises(ConfigError, match=r"own_call.*facts are own_calls, query, thinking"):
        wire(facts={"own_call": ["x"]})


def test_every_row_has_its_entry_point_and_can_be_read():
    """The two lists are equal, and every row's facts are ones that the driver knows."""
    entries = PROJECT["entry-points"]["polyglot.presets"]
    named = {name for name, module in entries.items() if module == "polyglot_openai.responses.presets"}
    assert named == set(PRESETS)
    for preset in PRESETS.values():
        assert preset.driver == "openai-responses"
        assert wire(facts=preset.facts).body
    assert PROJECT["entry-points"]["polyglot.drivers"]["openai-responses"] == "polyglot_openai.responses.driver"


def test_the_readme_lists_every_row():
    """With the address, or its pattern, and the variable of its key."""
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
def test_an_option_has_its_place_in_the_body(option, value, expected):
    """Each option becomes the dialect's own field; None is as good as nothing."""
    said = body(options={option: value})
    assert {name: field for name, field in said.items() if name not in {"model", "input"}} == expected


@pytest.mark.parametrize(
    "option", ["top_k", "stop", "seed", "presence_penalty", "frequency_penalty", "n", "reasoning_budget"]
)
def test_an_option_without_words_is_refused(option):
    """Nothing is sent that was not asked for; with `drop` it is left out."""
    with pytest.raises(RequestError, match=option):
        body(options={option: 2})
    assert body(options={option: 2}, unsupported="drop") == body()


def test_a_budget_for_thinking_names_what_there_is_instead():
    """The message says what to use."""
    with pytest.raises(RequestError, match="use reasoning_effort"):
        body(options={"reasoning_budget": 100})


# Tools and format


def test_a_tool_is_a_flat_object():
    """Name and parameters stand beside the type; what is not said is left out."""
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
def test_a_choice_of_tool_is_a_word_or_a_flat_object(choice, expected):
    """A name stands beside its type, unlike in chat completions."""
    assert body(tools=(WEATHER,), tool_choice=choice)["tool_choice"] == expected


def test_parallel_calls_can_be_switched():
    """Only if somebody asks."""
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
def test_a_format_stands_in_the_text_settings(wanted, expected):
    """A schema is flat as well."""
    assert body(response_format=wanted)["text"] == {"format": expected}


# Extra


def test_extra_fields_are_sent_as_they_are():
    """That is how an earlier response is named, and how storing is switched off."""
    extra = {"previous_response_id": "resp_1", "store": False, "include": ["reasoning.encrypted_content"]}
    assert body(extra=extra) == body() | extra
    assert body(extra={"input": [{"type": "item_reference", "id": "a"}]})["input"] == [
        {"type": "item_reference", "id": "a"}
    ]


def test_extra_objects_are_laid_over_those_of_the_options():
    """A summary of the thinking can be asked for beside the effort, and the length of the text beside its format."""
    extra = {"reasoning": {"summary": "auto"}, "text": {"verbosity": "low"}, "model": "other"}
    said = body(options={"reasoning_effort": "high"}, response_format="json", extra=extra)
    assert said["reasoning"] == {"effort": "high", "summary": "auto"}
    assert said["text"] == {"format": {"type": "json_object"}, "verbosity": "low"}
    assert said["model"] == "other"


def test_extra_tools_and_includes_stand_beside_the_others():
    """The provider's own tools are used together with the user's."""
    extra = {"tools": [{"type": "web_search"}], "include": ["reasoning.encrypted_content"]}
    said = body(tools=(WEATHER,), options={"logprobs": True}, extra=extra)
    assert [tool["type"] for tool in said["tools"]] == ["function", "web_search"]
    assert said["include"] == ["message.output_text.logprobs", "reasoning.encrypted_content"]


# Messages


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_a_message_keeps_its_role_and_its_place(role):
    """One text is sent as a text."""
    turns = (Message(role="user", content="one"), Message(role=role, content="two"))
    assert body(*turns)["input"][1] == {"type": "message", "role": role, "content": "two"}
    assert items(Text("two"), role=role) == body(turns[1])["input"]


def test_a_message_without_content_is_sent_empty():
    """It is not dropped."""
    assert items(role="user") == [{"type": "message", "role": "user", "content": ""}]


def test_parts_of_the_user_are_input_parts():
    """Texts, images by URL or as bytes, files by id, by URL or as bytes."""
    parts = (
        Text("Look:"),
        Image(url="https://a.test/cat.png", detail="low"),
        Image(data=b"abc", mime_type="image/gif"),
        Document(file_id="file_1"),
        Document(url="https://a.test/a.pdf"),
        Document(data=b"abc", name="a.pdf"),
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


def test_several_texts_of_the_assistant_are_output_parts():
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
def test_a_part_that_a_message_cannot_have_is_refused(role, part, what):
    """It is left out only where the request says so."""
    with pytest.raises(RequestError, match=what):
        items(Text("hm"), part, role=role)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert items(Text("hm"), part, role=role, unsupported="warn")[0]["content"] == "hm"
    assert what in str(caught[0].message)


def test_the_name_of_a_speaker_is_refused():
    """Messages of this dialect have no names."""
    named = Message(role="user", content="Hello", name="Ann")
    with pytest.raises(RequestError, match="the name of a speaker"):
        body(named)
    assert body(named, unsupported="drop") == body()


def test_fields_of_a_message_are_sent_as_they_are():
    """Such as the phase that an assistant's message was in."""
    said = body(Message(role="assistant", content="hm", extra={"phase": "commentary"}))["input"]
    assert said == [{"type": "message", "role": "assistant", "content": "hm", "phase": "commentary"}]


def test_fields_that_say_nothing_are_left_out():
    """A message dumped by another client has them, and the dialect refuses fields that it does not know."""
    dumped = {"role": "assistant", "content": "hm", "refusal": None, "annotations": [], "audio": None}
    assert body(Message.from_dict(dumped)) == body(Message(role="assistant", content="hm"))


def test_fields_of_a_message_without_content_are_refused():
    """There is no item that could carry them; those that say nothing are no harm."""
    with pytest.raises(RequestError, match="further fields of a message without content"):
        body(Message(role="assistant", content=(CALL,), extra={"phase": "commentary"}))
    assert body(Message(role="assistant", content=(CALL,), extra={"refusal": None}))["input"] == items(CALL)


@pytest.mark.parametrize(
    ("turn", "what"),
    [
        (Message(role="critic", content="no"), "the role 'critic'"),
        (Message(role="tool", content="42"), "something else than results"),
        (Message(role="tool"), "something else than results"),
    ],
)
def test_a_turn_that_there_cannot_be_is_refused(turn, what):
    """The error says what is wrong with it."""
    with pytest.raises(RequestError, match=what):
        body(turn)


def test_parts_in_the_dialects_own_shape_are_passed_through():
    """Parts of a message stay in it; every other type is an item of its own, between the messages around it."""
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    file = {"type": "input_file", "file_id": "f", "detail": "high"}
    assert items(Text("a"), RawPart(file), RawPart(search), Text("b"), role="user") == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, file]},
        search,
        {"type": "message", "role": "user", "content": "b"},
    ]


# Calls and results


def test_a_turn_of_the_assistant_becomes_items_in_order():
    """Thinking, text and calls stand beside each other, not in one message."""
    said = items(Reasoning(text="hm", id="rs_1"), Text("Let me see."), CALL)
    assert said == [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": "Let me see."},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'},
    ]


def test_a_call_without_arguments_has_an_empty_object():
    """An empty text is no JSON."""
    assert items(ToolCall(name="clock", id="call_1"))[0]["arguments"] == "{}"


def test_a_result_is_text_or_input_parts():
    """Images and files may come back from a tool."""
    parts = (Text("Here:"), Image(data=b"abc"))
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


def test_a_failed_result_says_so_in_its_text():
    """The dialect has no field for it."""
    results = (ToolResult(id="1", content="boom", error=True), ToolResult(id="2", content=(Text("boom"),), error=True))
    said = [{"type": "input_text", "text": "Error: boom"}]
    assert [item["output"] for item in items(*results, role="tool")] == ["Error: boom", said]


def test_calls_and_results_without_ids_are_joined_by_name_and_order():
    """Conversations from providers without ids can go on here."""
    calls = tuple(ToolCall(name=name) for name in ("weather", "clock", "clock"))
    results = tuple(ToolResult(id=None, content=name, name=name) for name in ("clock", "weather", "clock"))
    said = body(Message(role="assistant", content=calls), Message(role="tool", content=results))["input"]
    assert [item["call_id"] for item in said] == ["call_1", "call_2", "call_3", "call_2", "call_1", "call_3"]


def test_calls_of_tools_that_take_text_are_told_apart_by_the_tools_given():
    """A tool of the type `custom` is given in `extra`; its calls and results have types of their own."""
    call = ToolCall(name="shell", id="call_1", arguments_raw="ls -l", complete=True)
    turns = (Message(role="assistant", content=(call, CALL)), Message.tool_result(call, "a.txt"))
    said = body(*turns, extra={"tools": [{"type": "custom", "name": "shell"}]})["input"]
    assert said[0] == {"type": "custom_tool_call", "call_id": "call_1", "name": "shell", "input": "ls -l"}
    assert said[2] == {"type": "custom_tool_call_output", "call_id": "call_1", "output": "a.txt"}
    assert said[1]["type"] == "function_call"


# Thinking


def test_thinking_is_given_back_with_its_id_and_cipher():
    """Several stretches with one id are one item again; a cipher begins a new one, whatever its id."""
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


def test_thinking_is_given_back_as_it_was_shown():
    """A column says that a place shows its thinking rather than a summary."""
    part = {"type": "reasoning_text", "text": "hm"}
    said = items(Reasoning(text="hm", id="rs_1"), facts={"thinking": "reasoning_text"}, extra={"store": False})
    assert said == [{"type": "reasoning", "id": "rs_1", "summary": [], "content": [part]}]
    assert items(Reasoning(id="rs_1"), CALL, facts={"thinking": "reasoning_text"}) == items(CALL)


def test_thinking_that_the_place_cannot_know_is_left_out():
    """It came from elsewhere, or it was neither stored nor given out."""
    foreign = Reasoning(text="hm", signature="sig")
    assert items(foreign, Text("hi")) == items(Text("hi"))
    unstored = {"store": False}
    assert items(Reasoning(text="hm", id="rs_1"), Text("hi"), extra=unstored) == items(Text("hi"))
    assert len(items(Reasoning(id="rs_1", redacted="cipher"), Text("hi"), extra=unstored)) == 2
