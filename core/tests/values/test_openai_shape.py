"""Dicts in OpenAI's format: no field of them is lost, and what cannot be read is an error with its place."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math

import msgspec
import pytest

from polyglot_core import (
    Audio,
    Document,
    Image,
    Message,
    RawPart,
    RawTool,
    Refusal,
    RequestError,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from polyglot_core._client.arguments import as_messages, as_tool_choice, as_tools

URL = "https://a.example/b.png"
EPHEMERAL = {"type": "ephemeral"}
HOUR = {**EPHEMERAL, "ttl": "1h"}


def parts(*content, role="user", **fields):
    (message,) = as_messages([{"role": role, "content": list(content), **fields}])
    return message.parts


# Fields of parts

PARTS = {
    "text": ({"type": "text", "text": "a"}, Text("a")),
    "refusal": ({"type": "refusal", "refusal": "a"}, Refusal("a")),
    "image": ({"type": "image_url", "image_url": {"url": URL, "detail": "low"}}, Image(url=URL, detail="low")),
    "image as a text": ({"type": "image_url", "image_url": URL}, Image(url=URL)),
    "sound": (
        {"type": "input_audio", "input_audio": {"data": "YWI=", "format": "mp3"}},
        Audio(data=b"ab", mime_type="audio/mp3"),
    ),
    "file": (
        {"type": "file", "file": {"file_data": "data:text/plain;base64,YWI=", "filename": "a"}},
        Document(data=b"ab", mime_type="text/plain", name="a"),
    ),
    "stored file": ({"type": "file", "file": {"file_id": "f", "filename": None}}, Document(file_id="f")),
}


@pytest.mark.parametrize("kind", PARTS)
def test_unknown_fields_of_a_part_are_kept(kind):
    """In `extra`: beside the known ones, and in the inner object. None is not set."""
    given, expected = PARTS[kind]
    assert parts(given) == (expected,)
    assert parts({**given, "x": {"y": 1}, "none": None}) == (msgspec.structs.replace(expected, extra={"x": {"y": 1}}),)
    inner = {name: {**value, "format": "f2", "z": [1]} for name, value in given.items() if isinstance(value, dict)}
    if inner and kind != "sound":
        ((name, _),) = inner.items()
        expected = msgspec.structs.replace(expected, extra={name: {"format": "f2", "z": [1]}})
        assert parts({**given, **inner}) == (expected,)


@pytest.mark.parametrize("kind", [kind for kind in PARTS if kind != "refusal"])
@pytest.mark.parametrize(("mark", "cache"), [(EPHEMERAL, True), (HOUR, "1h"), ({**EPHEMERAL, "ttl": None}, True)])
def test_a_cache_mark_of_a_part(kind, mark, cache):
    """`cache_control` becomes `cache`."""
    given, expected = PARTS[kind]
    assert parts({**given, "cache_control": mark}) == (msgspec.structs.replace(expected, cache=cache),)


@pytest.mark.parametrize("mark", [{"type": "persistent"}, {**EPHEMERAL, "scope": "org"}, {**EPHEMERAL, "ttl": 5}, True])
def test_another_cache_mark_is_kept(mark):
    """As it is, in `extra`: drivers send it, or name it."""
    assert parts({"type": "text", "text": "a", "cache_control": mark}) == (Text("a", extra={"cache_control": mark}),)


@pytest.mark.parametrize("role", ["system", "user"])
@pytest.mark.parametrize(
    ("content", "marked"),
    [
        ("a", (Text("a", cache="1h"),)),
        (["a", "b"], (Text("a"), Text("b", cache="1h"))),
        ([{"type": "image_url", "image_url": URL}], (Image(url=URL, cache="1h"),)),
    ],
)
def test_a_cache_mark_of_a_message(role, content, marked):
    """It is that of the last part."""
    (message,) = as_messages([{"role": role, "content": content, "cache_control": HOUR}])
    assert (message.parts, message.extra) == (marked, {})


def test_a_cache_mark_of_a_result():
    """It is that of the last part of the result."""
    turn = {"role": "tool", "tool_call_id": "1", "content": "a", "cache_control": EPHEMERAL}
    (part,) = as_messages([turn])[0].parts
    assert part == ToolResult(id="1", content=(Text("a", cache=True),))


def test_a_cache_mark_that_no_part_can_hold_is_kept():
    """In `extra` of the message, which drivers send or name."""
    call = {"id": "1", "function": {"name": "f", "arguments": ""}}
    (message,) = as_messages([{"role": "assistant", "content": "a", "tool_calls": [call], "cache_control": EPHEMERAL}])
    assert message.extra == {"cache_control": EPHEMERAL}
    assert message.parts[0] == Text("a")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "YWI="}},
        {"type": "tool_result", "tool_use_id": "1", "content": "a"},
        {"type": "input_text", "text": "a"},
        {"inlineData": {"mimeType": "image/png", "data": "YWI="}},
        {"text": "a", "cachePoint": {"type": "default"}},
    ],
    ids=lambda part: str(part.get("type")),
)
@pytest.mark.parametrize("role", ["user", "tool"])
def test_a_part_of_another_format_is_kept(part, role):
    """As a `RawPart`, also in the result of a tool."""
    (read,) = parts(part, role=role)
    assert read == (RawPart(part) if role == "user" else ToolResult(id=None, content=(RawPart(part),)))


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_the_id_of_a_tool_call_is_kept(role):
    """In `extra` of a message that is no result."""
    (message,) = as_messages([{"role": role, "content": "a", "tool_call_id": "1"}])
    assert message.extra == {"tool_call_id": "1"}


def test_fields_of_a_tool_call_are_kept():
    """In `extra`, without the index of a stream's pieces."""
    call = {"id": "1", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{}", "x": 1}, "y": 2}
    assert parts(role="assistant", tool_calls=[call]) == (
        ToolCall(name="f", id="1", arguments_raw="{}", complete=True, extra={"function": {"x": 1}, "y": 2}),
    )


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ({"role": "user", "content": [{"type": "text"}]}, r"messages\[0\].content\[0\], a part of type 'text', lacks"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": 5}]}, "wrong type"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": "data:a;base64,é"}]}, "not base64"),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "lacks the field 'file_id'"),
        ({"role": "tool", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}, "Audio"),
        ({"role": "assistant", "tool_calls": "f"}, r"messages\[0\].tool_calls is of type str"),
        ({"role": "assistant", "tool_calls": [{}, 5]}, r"messages\[0\].tool_calls\[0\] is a dict"),
        ({"role": "assistant", "tool_calls": [5]}, r"messages\[0\].tool_calls\[0\] is of type int"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": object()}}}]}, "object"),
    ],
)
def test_unreadable_dict(turn, expected):
    """The error has the place."""
    with pytest.raises(RequestError, match=expected):
        as_messages([turn])


# Tools

SCHEMA = {"type": "object"}


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (
            {"type": "function", "function": {"name": "f"}, "cache_control": HOUR, "defer_loading": True},
            Tool("f", cache="1h", extra={"defer_loading": True}),
        ),
        ({"function": {"name": "f", "cache_control": EPHEMERAL}}, Tool("f", cache=True)),
        ({"function": {"name": "f"}, "cache_control": True}, Tool("f", extra={"cache_control": True})),
        ({"name": "f", "parameters": SCHEMA, "x": 1}, Tool("f", parameters=SCHEMA, extra={"x": 1})),
        ({"name": "f", "input_schema": SCHEMA, "cache_control": HOUR}, Tool("f", parameters=SCHEMA, cache="1h")),
        ({"type": "function", "name": "f", "strict": True}, Tool("f", strict=True)),
        *(
            (tool, RawTool(tool))
            for tool in (
                {"type": "web_search_20250305", "name": "web_search", "cache_control": HOUR},
                {"type": "web_search"},
                {"type": "custom", "name": "f", "input_schema": SCHEMA},
                {"type": "builtin_function", "function": {"name": "$web_search"}},
                {"googleSearch": {}},
                {"functionDeclarations": [{"name": "f"}]},
            )
        ),
        (RawTool({"type": "own"}), RawTool({"type": "own"})),
    ],
    ids=str,
)
def test_tools_are_read(tool, expected):
    """Functions as `Tool`, with all their fields; tools in the provider's own format unchanged."""
    assert as_tools([tool]) == (expected,)


def test_known_fields_of_a_tool_do_not_include_the_others():
    """`fields` has neither `cache` nor `extra`, which a driver adds where its dialect has them."""
    assert set(Tool("f", cache=True, extra={"x": 1}).fields()) == {"name", "parameters"}


@pytest.mark.parametrize(
    ("choice", "word"),
    [
        ("auto", "auto"),
        ({"type": "function", "function": {"name": "f"}}, "f"),
        ({"type": "tool", "name": "f"}, "f"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        (Tool("f"), "f"),
        (None, None),
    ],
)
def test_tool_choices_are_read(choice, word):
    """Words, names, and dicts in OpenAI's and Anthropic's format."""
    assert as_tool_choice(choice) == word


# Results of tools


@dataclasses.dataclass
class Weather:
    """A result as a dataclass."""

    degrees: float


class Wind(msgspec.Struct):
    """A result as a struct."""

    speed: int


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ("rain", "rain"),
        ("", ""),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ([], "[]"),
        (["a", "b"], '["a","b"]'),
        (5, "5"),
        (0.5, "0.5"),
        (True, "true"),
        (None, "null"),
        (Weather(4.5), '{"degrees":4.5}'),
        ([Wind(3)], '[{"speed":3}]'),
        (dt.date(2024, 5, 1), '"2024-05-01"'),
        (Text("a"), (Text("a"),)),
        ([Text("a"), Image(url=URL)], (Text("a"), Image(url=URL))),
        ((RawPart({"type": "own"}),), (RawPart({"type": "own"}),)),
    ],
    ids=str,
)
def test_a_result_is_any_json_value(result, content):
    """Text and parts as they are, other values as JSON text."""
    assert Message.tool_result("1", result).content == (ToolResult(id="1", content=content),)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (object(), "of type object"),
        (b"a", "is bytes"),
        ({"a": {1, 2}}, r"\['a'\] is of type set"),
        ([math.nan], r"\[0\] is nan"),
        (Weather(math.inf), "degrees is inf"),
        ({"a": "\udfff"}, "lone surrogate"),
        (Audio(data=b"a"), "Audio"),
        ([Text("a"), 5], "Text among other values"),
        (iter([1]), "iterator"),
    ],
    ids=["object", "bytes", "set", "nan", "infinity", "surrogate", "audio", "mixed", "iterator"],
)
def test_a_result_that_is_no_json_value(result, expected):
    """The error names the type and the place."""
    with pytest.raises(RequestError, match=rf"The result of the tool.*{expected}"):
        Message.tool_result("1", result)


def test_a_result_that_contains_itself():
    """It is refused too."""
    result = []
    result.append(result)
    with pytest.raises(RequestError, match="contains itself"):
        Message.tool_result("1", result)
