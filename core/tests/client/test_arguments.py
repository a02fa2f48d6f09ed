"""What a user may write as messages, response format and options, and what drivers see of it."""

from __future__ import annotations

import json

import pytest

from polyglot_core._authoring.options import translate_options
from polyglot_core._client.arguments import as_messages, as_response_format, as_tools, check_word
from polyglot_core._engine.call_options import UNSUPPORTED
from polyglot_core._values.options import NAMES
from polyglot_core._values.parts import Audio, Document, Image, RawPart, Reasoning, Text, ToolCall, ToolResult
from polyglot_core._values.request import InferenceRequest, JSONSchema, Message, Tool
from polyglot_core.errors import RequestError

CALL = {"id": "1", "type": "function", "function": {"name": "sum", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("Hi", (Text("Hi"),)),
        ({"role": "user", "content": "Hi"}, (Text("Hi"),)),
        ({"role": "user", "content": [{"type": "text", "text": "Hi"}, "Ho"]}, (Text("Hi"), Text("Ho"))),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]},
            (Image(url="https://a.example/b.png"),),
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "data:image/gif;base64,R0lG"}]},
            (Image(data=b"GIF", mime_type="image/gif"),),
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "YWI=", "format": "wav"}}]},
            (Audio(data=b"ab", mime_type="audio/wav"),),
        ),
        (
            {"role": "user", "content": [{"type": "file", "file": {"file_id": "f1", "filename": "a.pdf"}}]},
            (Document(file_id="f1", name="a.pdf"),),
        ),
        ({"role": "user", "content": [{"type": "odd", "x": 1}]}, (RawPart({"type": "odd", "x": 1}),)),
        (
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            (ToolCall(name="sum", id="1", arguments_raw='{"a": 1}', complete=True),),
        ),
        ({"role": "tool", "tool_call_id": "1", "content": "3"}, (ToolResult(id="1", content="3"),)),
    ],
)
def test_what_a_message_is_made_of(given, parts):
    """Texts and dicts in OpenAI's shape become parts, and nothing of them is lost."""
    (message,) = as_messages(given)
    assert message.parts == parts


@pytest.mark.parametrize(
    "given",
    [
        [],
        [5],
        {"content": "no role"},
        {"role": "user", "content": 5},
        {"role": "user", "content": [5]},
        {"role": "user", "content": [{"type": "image_url"}]},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "!", "format": "wav"}}]},
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        Message(role="user", content=[5]),
    ],
)
def test_what_is_no_message(given):
    """What cannot be understood is a `RequestError` before anything is sent."""
    with pytest.raises(RequestError):
        as_messages(given)


def test_tool_result_names_its_tool_call():
    """`tool_result` contains the id of the tool call."""
    turn = Message.tool_result(ToolCall(name="sum", id="7"), "3", error=True)
    assert turn == Message(role="tool", content=(ToolResult(id="7", content="3", error=True, name="sum"),))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("text", "text"),
        ("json", "json"),
        ({"type": "json_object"}, "json"),
        ({"type": "object", "properties": {}}, JSONSchema({"type": "object", "properties": {}})),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}},
            JSONSchema({"type": "object"}, "a", strict=True),
        ),
        ({"type": "json_schema", "name": "a", "schema": {}, "description": "b"}, JSONSchema({}, "a", None, "b")),
        ({"type": "json_object", "schema": {"type": "object"}}, JSONSchema({"type": "object"})),
        ({"type": "text", "schema": None}, "text"),
        ({"title": "no type"}, JSONSchema({"title": "no type"})),
    ],
)
def test_response_formats_are_read(given, expected):
    """A word, a schema, or OpenAI's shape of either."""
    assert as_response_format(given) == expected


@pytest.mark.parametrize("given", ["yaml", 5, {"type": "json_schema"}])
def test_what_is_no_response_format(given):
    """Anything else is a `RequestError`."""
    with pytest.raises(RequestError, match="response_format"):
        as_response_format(given)


def request(options, unsupported="raise"):
    """A request with these options."""
    turn = Message(role="user", content="Hi")
    return InferenceRequest(model="m", messages=(turn,), options=options, unsupported=unsupported)


def test_options_go_under_the_dialects_names():
    """A dotted name stands for nested objects; None is left out."""
    names = {"max_tokens": "config.limit", "temperature": "temperature"}
    body = translate_options(request({"max_tokens": 5, "temperature": 0, "seed": None}), names, driver="toy")
    assert body == {"config": {"limit": 5}, "temperature": 0}


def test_an_option_that_there_is_not():
    """A misspelt option is an error that suggests the nearest, and names `extra` for fields of the provider."""
    with pytest.raises(RequestError, match=r"'temprature'; did you mean 'temperature'\?.*extra"):
        translate_options(request({"temprature": 1}), dict.fromkeys(NAMES, "x"), driver="toy")


def test_an_option_that_the_dialect_has_no_words_for():
    """It raises, warns or is left out, as the request wishes; the error names option, driver and what to use."""
    with pytest.raises(RequestError, match=r"'toy' cannot express option 'seed'; use nothing"):
        translate_options(request({"seed": 1}), {}, driver="toy", instead={"seed": "nothing"})
    with pytest.warns(UserWarning, match="seed"):
        assert translate_options(request({"seed": 1}, "warn"), {}, driver="toy") == {}
    assert translate_options(request({"seed": 1}, "drop"), {}, driver="toy") == {}


def test_option_that_requests_the_default():
    """A neutral value needs no words in the dialect."""
    assert translate_options(request({"n": 1, "logprobs": False}), {}, driver="toy") == {}


# What the parts tell drivers


@pytest.mark.parametrize(
    ("part", "inline"),
    [
        (Image(data=b"GIF", mime_type="image/gif"), ("image/gif", "R0lG")),
        (Image(url="data:image/gif;base64,R0lG"), ("image/gif", "R0lG")),
        (Document(url="data:;base64,R0lG"), ("application/pdf", "R0lG")),
        (Image(url="data:text/plain,GIF"), None),
        (Image(url="https://a.example/b.png"), None),
        (Document(file_id="f1"), None),
    ],
)
def test_bytes_are_inline_however_they_were_given(part, inline):
    """As bytes or as a ``data:`` URL in base64; what stands elsewhere is not."""
    assert part.inline == inline


@pytest.mark.parametrize(
    ("mime_type", "short"),
    [("audio/wav", "wav"), ("audio/mpeg", "mp3"), ("audio/X-WAV; rate=1", "wav"), ("audio/odd", "odd")],
)
def test_a_sound_has_a_short_name_for_its_type(mime_type, short):
    """The usual one, or the subtype itself."""
    assert Audio(data=b"RIFF", mime_type=mime_type).format == short
    assert Audio(data=b"RIFF").base64 == "UklGRg=="


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no", (Text("Error: no"),)),
        ((Text("a", cache=True), Text("b")), (Text("Error: a", cache=True), Text("b"))),
        ((Image(data=b"x"), Text("a")), (Image(data=b"x"), Text("Error: a"))),
        ((Image(data=b"x"),), (Text("Error:"), Image(data=b"x"))),
        ((), (Text("Error:"),)),
    ],
)
def test_failed_tool_result_is_marked_in_its_text(content, said):
    """In its first text, or in one before everything else; a result that is none is as it was."""
    assert ToolResult(id="1", content=content, error=True).said == said
    assert ToolResult(id="1", content=content).said == ToolResult(id="1", content=content).parts


def test_tools_and_shapes_give_their_fields():
    """Under the dialect's name for the schema, without what was not given."""
    schema = {"type": "object"}
    assert Tool("sum", parameters=schema).fields() == {"name": "sum", "parameters": schema}
    assert Tool("sum", "Adds.", schema, strict=False).fields("input") == {
        "name": "sum",
        "description": "Adds.",
        "input": schema,
        "strict": False,
    }
    assert "strict" not in Tool("sum", strict=True).fields(strict=False)
    assert JSONSchema(schema).fields() == {"name": "answer", "schema": schema}
    assert JSONSchema(schema, "a", True, "b").fields() == {
        "name": "a",
        "schema": schema,
        "strict": True,
        "description": "b",
    }


@pytest.mark.parametrize("stop", ["end", ["end"]])
def test_an_option_may_be_a_list_in_the_dialect(stop):
    """A text alone becomes a list of one."""
    request = InferenceRequest(model="m", messages=as_messages("Hi"), options={"stop": stop})
    assert translate_options(request, {"stop": "a.stops[]"}, driver="d") == {"a": {"stops": ["end"]}}


# Kept as JSON

EVERYTHING = (
    Reasoning(text="Hm.", signature="s", extra={"a": 1}),
    Text("Hi", cache=True),
    ToolCall(name="f", id="1", arguments_raw='{"a": 1}', complete=True),
    Image(data=b"\x89PNG", detail="low"),
    Audio(data=b"RIFF"),
    Document(url="https://example.com/a.pdf", name="a"),
    RawPart({"type": "own"}),
)


@pytest.mark.parametrize(
    "message",
    [
        Message(role="user", content="Hi", name="Ann", extra={"weight": 1}),
        Message(role="assistant", content=EVERYTHING),
        Message.tool_result("1", [Text("a"), Image(url="https://example.com/a.png")], error=True),
    ],
    ids=["text", "parts", "result"],
)
def test_a_message_is_kept_as_json(message):
    """What `to_dict` makes goes through JSON and is read again as the same message."""
    assert Message.from_dict(json.loads(json.dumps(message.to_dict()))) == message


def test_changed_stored_message_is_rejected():
    """The error names the path of the problem."""
    kept = Message(role="user", content=[Text("a")]).to_dict()
    kept["content"][0]["text"] = 5
    with pytest.raises(RequestError, match=r"is invalid: .*content"):
        Message.from_dict(kept)


# What a caller gets wrong


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        ({"type": "function", "function": {"name": "f", "parameters": {}}}, Tool("f", parameters={})),
        ({"name": "f", "description": "d", "strict": None}, Tool("f", "d")),
        ({"type": "function", "name": "f", "strict": True}, Tool("f", strict=True)),
    ],
)
def test_a_tool_may_be_a_dict(tool, expected):
    """In OpenAI's shape, with the function inside or on its own."""
    assert as_tools([tool, expected]) == (expected, expected)


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        (7, "not int"),
        ({"type": "function"}, "a function that has a name"),
        ({}, "a function that has a name"),
        ({"nme": "f", "parameters": {}}, "a function that has a name"),
        ({"function": {"name": "f", "paramters": {}}}, "and not paramters"),
        ({"function": 5}, "a function that has a name"),
    ],
)
def test_invalid_tool_is_rejected(tool, says):
    """Before anything is sent, and not as the driver's fault."""
    with pytest.raises(RequestError, match=says):
        as_tools([tool])


@pytest.mark.parametrize("messages", [None, 7])
def test_invalid_messages_are_rejected(messages):
    """With what it should be."""
    with pytest.raises(RequestError, match="messages must be a string or a list of messages, not"):
        as_messages(messages)


def test_misspelt_word_is_rejected():
    """It must not do nothing."""
    check_word("unsupported", "drop", UNSUPPORTED)
    with pytest.raises(RequestError, match="unsupported must be 'raise', 'warn' or 'drop', not 'Drop'"):
        check_word("unsupported", "Drop", UNSUPPORTED)
