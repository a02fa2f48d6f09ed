"""Checks of the arguments of `create`: what is refused, with its place, and what is not."""

from __future__ import annotations

import collections
import enum
import math
import types
from decimal import Decimal
from fractions import Fraction

import pytest

from polyglot_core import (
    Audio,
    ConfigError,
    Connection,
    Document,
    Image,
    Inference,
    JSONSchema,
    Message,
    RawPart,
    RawTool,
    Reasoning,
    RequestError,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

pytestmark = pytest.mark.usefixtures("toy_driver")

CONNECTION = Connection(name="here", driver="toy", model="m", api_key="test-key")
SURROGATE = "a\ud800b"


def create(messages="Hi", connection=CONNECTION, **arguments):
    return Inference.from_connection(connection).create(messages, **arguments).request


def user(*parts):
    return [Message(role="user", content="Hi"), Message(role="user", content=parts)]


WRONG = {
    "no messages": ({"messages": []}, "There are no messages"),
    "an empty prompt": ({"messages": ""}, "There are no messages"),
    "an empty dict": ({"messages": {}}, "There are no messages"),
    "None": ({"messages": None}, "not None"),
    "bytes": ({"messages": b"Hi"}, "not bytes; decode it"),
    "a set": ({"messages": {"Hi"}}, "not set; make a list"),
    "a generator": ({"messages": iter(["Hi"])}, "make a list"),
    "a number": ({"messages": 5}, "not int"),
    "a message that is a number": ({"messages": ["Hi", 5]}, r"messages\[1\] must be a string"),
    "a message without a role": ({"messages": ["Hi", {"content": ""}]}, r"messages\[1\] requires a role"),
    "a misspelt role": ({"messages": [Message(role="usr")]}, r"messages\[0\].role is 'usr'.*mean 'user'\?"),
    "a role in capitals": ({"messages": [{"role": "USER"}]}, "did you mean 'user'"),
    "a role that is no text": ({"messages": [Message(role=5)]}, r"messages\[0\].role is 5"),
    "an empty role": ({"messages": [Message(role=" ")]}, r"messages\[0\].role is ' '"),
    "a name that is no text": ({"messages": [Message(role="user", name=5)]}, r"messages\[0\].name is 5"),
    "content that is a number": ({"messages": [Message(role="user", content=5)]}, r"messages\[0\].content is of type int"),
    "content that is bytes": ({"messages": [Message(role="user", content=b"Hi")]}, r"messages\[0\].content is of type bytes"),
    "content that is a set": ({"messages": [Message(role="user", content={"Hi"})]}, "is of type set"),
    "content that is a part": ({"messages": [Message(role="user", content=Text("Hi"))]}, "put it in a list"),
    "a part that is a number": ({"messages": user(Text("a"), 5)}, r"messages\[1\].content\[1\] is of type int"),
    "a text that is a number": ({"messages": user(Text(5))}, r"messages\[1\].content\[0\].text is 5"),
    "a text of a dict that is a number": ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "wrong type"),
    "a part's extra that is a list": ({"messages": user(Text("a", extra=[1]))}, r"content\[0\].extra is of type list"),
    "a cache mark that is no lifetime": ({"messages": user(Text("a", cache="soon"))}, r"content\[0\].cache is 'soon'"),
    "a cache mark that is a number": ({"messages": user(Text("a", cache=5))}, r"content\[0\].cache is 5"),
    "an empty image": ({"messages": user(Image())}, r"messages\[1\].content\[0\], of type Image, has no url or data"),
    "an image twice": ({"messages": user(Image(url="https://a.example", data=b"a"))}, "has url and data"),
    "an image of no bytes": ({"messages": user(Image(data=b""))}, r"content\[0\].data is empty"),
    "an image of text": ({"messages": user(Image(data="iVBOR"))}, "base64.b64decode"),
    "an image in a file": ({"messages": user(Image(url="cat.png"))}, "has no scheme"),
    "an image on a drive": ({"messages": user(Image(url="C:\\cat.png"))}, "has no scheme"),
    "an image at an empty URL": ({"messages": user(Image(url=""))}, r"content\[0\].url is empty"),
    "detail that is a number": ({"messages": user(Image(url="https://a.example", detail=5))}, "detail is 5"),
    "an empty document": ({"messages": user(Document())}, "has no url, data or file_id"),
    "a document twice": ({"messages": user(Document(file_id="a", data=b"a"))}, "has data and file_id"),
    "an empty sound": ({"messages": user(Audio(data=b""))}, r"content\[0\].data is empty"),
    "an empty image in a result": (
        {"messages": user(ToolResult(id="1", content=(Text("a"), Image())))},
        r"messages\[1\].content\[0\].content\[1\], of type Image",
    ),
    "a sound in a result": ({"messages": user(ToolResult(id="1", content=(Audio(data=b"a"),)))}, "is of type Audio"),
    "a result that is a number": ({"messages": user(ToolResult(id="1", content=5))}, r"content\[0\].content is of type int"),
    "arguments that are a dict": ({"messages": user(ToolCall(name="f", arguments_raw={}))}, "arguments_raw is of type dict"),
    "thinking that is a number": ({"messages": user(Reasoning(text=5))}, "text is 5"),
    "a payload that is a list": ({"messages": user(RawPart([]))}, "payload is of type list"),
    "a lone surrogate in the prompt": ({"messages": SURROGATE}, r"messages\[0\].content has a lone surrogate"),
    "a lone surrogate in a part": ({"messages": user(Text(SURROGATE))}, r"messages\[1\].content\[0\].text has a lone"),
    "a lone surrogate in a raw part": ({"messages": user(RawPart({"a": [SURROGATE]}))}, r"payload\['a'\]\[0\] has a lone"),
    "a lone surrogate in a tool": ({"tools": [Tool("f", SURROGATE)]}, r"tools\[0\].description has a lone"),
    "a lone surrogate in a model": ({"model": SURROGATE}, "model has a lone"),
    "a lone surrogate in an option": ({"options": {"user": SURROGATE}}, r"options\['user'\] has a lone"),
    "a lone surrogate in extra": ({"extra": {"a": SURROGATE}}, r"extra\['a'\] has a lone"),
    "an object in extra": ({"extra": {"a": [object()]}}, r"extra\['a'\]\[0\] is of type object"),
    "bytes in extra": ({"extra": {"a": b"x"}}, r"extra\['a'\] is bytes"),
    "a set in extra": ({"extra": {"a": {1}}}, r"extra\['a'\] is of type set"),
    "infinity in extra": ({"extra": {"a": math.inf}}, r"extra\['a'\] is inf"),
    "nan in a message": ({"messages": [Message(role="user", content="a", extra={"a": math.nan})]}, r"messages\[0\].extra\['a'\] is nan"),
    "an object in a schema": ({"response_format": JSONSchema({"a": object()})}, r"response_format.schema\['a'\]"),
    "an object in a tool": ({"tools": [Tool("f", parameters={"a": object()})]}, r"tools\[0\].parameters\['a'\]"),
    "extra that is a list": ({"extra": ["a"]}, "extra must be a dict, not list"),
    "extra with a number for a name": ({"extra": {5: 1}}, "extra has the name 5"),
    "options that are a list": ({"options": ["n"]}, "options must be a dict, not list"),
    "options that are a text": ({"options": "n=1"}, "options must be a dict, not str"),
    "an empty model": ({"model": ""}, "model is empty"),
    "a model that is a number": ({"model": 5}, "model is of type int"),
    "stream that is a text": ({"stream": "yes"}, "stream must be True, False or None"),
    "the option stream that is a text": ({"options": {"stream": "yes"}}, r"options\['stream'\] is 'yes'"),
    "parallel calls that are a text": ({"parallel_tool_calls": "no"}, "parallel_tool_calls must be"),
    "tools that are a text": ({"tools": "f"}, "tools must be a list"),
    "tools that are a tool": ({"tools": Tool("f")}, "put it in a list"),
    "tools that are a number": ({"tools": 5}, "tools must be a list"),
    "a tool that is a function": ({"tools": [print]}, r"tools\[0\] must be a Tool"),
    "a tool without a name": ({"tools": [Tool("")]}, r"tools\[0\].name is empty"),
    "a tool whose name is a number": ({"tools": [Tool(5)]}, r"tools\[0\].name is 5"),
    "a tool whose schema is a text": ({"tools": [Tool("f", parameters="{}")]}, r"tools\[0\].parameters is"),
    "a tool of a provider without content": ({"tools": [RawTool({})]}, r"tools\[0\].payload is empty"),
    "two tools of one name": ({"tools": [Tool("f"), Tool("g"), Tool("f")]}, r"tools\[0\] and tools\[2\] are both named 'f'"),
    "a raw tool of a tool's name": ({"tools": [Tool("f"), {"type": "custom", "name": "f"}]}, "are both named 'f'"),
    "a choice of no tool": ({"tools": [Tool("weather")], "tool_choice": "wether"}, "did you mean 'weather'"),
    "a choice without tools": ({"tool_choice": "weather"}, "there are no tools"),
    "a required tool without tools": ({"tool_choice": "required"}, "there are no tools"),
    "a choice that is a number": ({"tools": [Tool("f")], "tool_choice": 5}, "tool_choice must be"),
    "a choice that is an odd dict": ({"tools": [Tool("f")], "tool_choice": {"type": "tool", "name": "f", "x": 1}}, "tool_choice must be"),
    "a format with a misspelt field": (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}, "nme": "a"}}},
        r"response_format\['json_schema'\] has the field 'nme', which is not read; did you mean 'name'\?",
    ),
    "a format with another field": (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}, "ttl": 5}}}, "the field 'ttl'.*extra",
    ),
    "a field beside the schema": (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}, "strict": True}}, "field 'strict'",
    ),
    "a field of the text format": ({"response_format": {"type": "text", "a": 1}}, "response_format has the field 'a'"),
    "a field of the JSON format": ({"response_format": {"type": "json_object", "a": 1}}, "has the field 'a'"),
    "a JSON format whose schema is text": ({"response_format": {"type": "json_object", "schema": "{}"}}, "must be"),
    "a format of the provider's own": (
        {"response_format": {"type": "grammar", "grammar": "a"}}, "put the format 'grammar' of a provider into extra",
    ),
    "a format that is a word": ({"response_format": "yaml"}, "response_format must be"),
    "a format whose name is a number": ({"response_format": JSONSchema({}, name=5)}, "response_format.name is 5"),
    "unsupported that is a number": ({"unsupported": 5}, "unsupported must be"),
    "on_truncated that is True": ({"on_truncated": True}, "on_truncated must be"),
    "headers that are a list": ({"headers": [("a", "b")]}, "headers must be a dict"),
    "a header that is a number": ({"headers": {"a": 5}}, r"headers\['a'\] is of type int"),
    "a header with a line break": ({"headers": {"a": "b\r\nc: d"}}, r"headers\['a'\] cannot be sent"),
    "a header with a null byte": ({"headers": {"a": "b\0"}}, r"headers\['a'\] cannot be sent"),
    "a header outside of Latin-1": ({"headers": {"a": "€"}}, r"headers\['a'\] cannot be sent"),
    "a header whose name has a space": ({"headers": {"a b": "c"}}, r"headers\['a b'\] cannot be sent"),
    "a header in two spellings": ({"headers": {"X-A": "1", "x-b": "2", "x-a": "3"}}, "headers has 'x-a' more than once"),
    "a fraction that is too large": ({"extra": {"a": Fraction(10**400)}}, r"extra\['a'\] is Fraction.*no number"),
    "a decimal that is no number": ({"extra": {"a": [Decimal("sNaN")]}}, r"extra\['a'\]\[0\] is Decimal.*no number"),
    "a header without a name": ({"headers": {"": "c"}}, r"headers\[''\] cannot be sent"),
    "the key": ({"headers": {"Authorization": "Bearer x"}}, r"headers\['Authorization'\] would replace the key"),
    **{
        f"the header {name}": ({"headers": {name: "a"}}, "is written by the HTTP client")
        for name in (
            *("Content-Length", "transfer-encoding", "Host", "CONNECTION", "te", "upgrade", "keep-alive"),
            *("Accept-Encoding", "content-encoding"),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_argument_is_refused(wrong):
    """By `create`, with its place."""
    arguments, expected = WRONG[wrong]
    with pytest.raises(RequestError, match=expected) as caught:
        create(**arguments)
    assert caught.value.phase == "encode"


class Markup(str):
    """Text of another class, as templates make it."""

    __slots__ = ()

    def __str__(self) -> str:
        return "markup"


class Word(str, enum.Enum):  # noqa: UP042 (as before StrEnum)
    """Words whose text is not that of `str`."""

    LOW = "low"


class Level(enum.Enum):
    """A member of an enum is written as its value."""

    LOW = "low"


RIGHT = {
    "a deque of messages": {"messages": collections.deque(["Hi"])},
    "a role of the provider's own": {"messages": [Message(role="critic", content="Hi")]},
    "an empty message": {"messages": [Message(role="assistant")]},
    "parts as strings": {"messages": [Message(role="user", content=["Hi"])]},
    "an image in a bucket": {"messages": user(Image(url="gs://bucket/a.png"))},
    "an image as data": {"messages": user(Image(url="data:image/png;base64,iVBO"))},
    "an unfinished tool call": {"messages": user(ToolCall(name="f", arguments_raw="{"))},
    "cache marks": {"messages": user(Text("a", cache=True), Image(data=b"GIF8", cache="1h"), Audio(data=b"fLaC", cache="5m"))},
    "a raw part in a result": {"messages": user(ToolResult(id="1", content=(RawPart({"type": "own"}),)))},
    "no tools": {"tools": None},
    "a tool without a description": {"tools": [Tool("f", None)]},
    "a format without a name": {
        "response_format": {"type": "json_schema", "json_schema": {"name": None, "schema": {}}},
    },
    "tools of a dict": {"tools": {"f": Tool("f")}.values()},
    "two raw tools without a name": {"tools": [{"type": "mcp", "server_label": "a"}, {"type": "mcp", "server_label": "b"}]},
    "the choice of a raw tool": {"tools": [{"type": "web_search"}], "tool_choice": "web_search"},
    "the choice of a tool in extra": {"extra": {"tools": [{"name": "f"}]}, "tool_choice": "f"},
    "a choice that needs no tools": {"tool_choice": "auto"},
    "None for everything": dict.fromkeys(
        ("model", "options", "stream", "tools", "tool_choice", "response_format", "extra", "headers", "timeouts", "retries")
    ),
    "values that JSON can hold": {"extra": {"a": [1, 0.5, None, True, "é€🙂", {"b": ()}], "c": Level.LOW, "d": 2**70}},
    "a mapping of another kind": {"extra": types.MappingProxyType({"a": types.MappingProxyType({"b": 1})})},
    "a part whose type is a list": {"messages": user({"type": ["a"]})},
    "a schema of several types": {"response_format": {"type": ["object", "null"]}},
    "a schema in capitals": {"response_format": {"type": "OBJECT"}},
    "a decimal": {"options": {"temperature": Decimal("0.5")}, "extra": {"a": Decimal("0.5")}},
    "a key of another header": {"headers": {"x-api-key": "b"}},
}  # fmt: skip


@pytest.mark.parametrize("right", RIGHT)
def test_right_argument_is_accepted(right):
    """Whatever its form."""
    assert create(**RIGHT[right]).messages


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": "hot"}, {"temperature": -1}, {"temperature": math.nan}, {"temperature": True},
        {"top_p": 1.5}, {"top_p": [1]}, {"top_k": 0.5}, {"top_k": -1}, {"max_tokens": 0}, {"max_tokens": "5"},
        {"max_tokens": 5.0}, {"n": 0}, {"n": True}, {"stop": 5}, {"stop": [5]}, {"stop": b"x"}, {"stop": {"a"}},
        {"seed": "x"}, {"seed": 0.5}, {"presence_penalty": "x"}, {"frequency_penalty": math.inf}, {"logprobs": 1},
        {"logprobs": "yes"}, {"top_logprobs": -1}, {"reasoning_effort": "hgh"}, {"reasoning_effort": 5},
        {"reasoning_effort": True}, {"reasoning_budget": -1}, {"service_tier": 5}, {"user": 5}, {"metadata": []},
        {"metadata": "a"}, {"metadata": {1: "a"}}, {"temperature": 10**400}, {"top_p": Decimal("NaN")},
        {"presence_penalty": Fraction(10**400)}, {"temperature": Decimal("sNaN")},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_option_is_refused(options):
    """In a call, and in a connection, whose name the error has; whether the driver has the option or not."""
    (name,) = options
    with pytest.raises(RequestError, match=rf"^options\['{name}'\] is .*, and should be "):
        create(options=options)
    with pytest.raises(ConfigError, match=rf"^connection 'here': options\['{name}'\] is "):
        create(connection=CONNECTION.with_changes(options=options))


@pytest.mark.parametrize("name", ["temprature", "max_token", "Temperature", "top-p", ""])
def test_unknown_option_is_refused(name):
    """By core, so that no driver can miss it."""
    with pytest.raises(RequestError, match="There is no option") as caught:
        create(options={name: 1})
    assert "extra={…}" in caught.value.message
    with pytest.raises(ConfigError, match="connection 'here': options: There is no option"):
        create(connection=CONNECTION.with_changes(options={name: 1}))


def test_options_of_a_fallback_are_checked():
    """Before anything is sent."""
    other = CONNECTION.with_changes(name="other", options={"n": 0})
    with pytest.raises(ConfigError, match="connection 'other'"):
        create(connection=CONNECTION.with_changes(fallbacks=(other,)))


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"temperature": Fraction(1, 2)}, {"temperature": 0.5}),
        ({"temperature": Decimal("0.7")}, {"temperature": 0.7}),
        ({"reasoning_effort": Word.LOW, "user": Markup("a")}, {"reasoning_effort": "low", "user": "a"}),
        ({"temperature": 1}, {"temperature": 1}),
        ({"stop": ("a", "b")}, {"stop": ["a", "b"]}),
        ({"metadata": types.MappingProxyType({"a": 1})}, {"metadata": {"a": 1}}),
        ({"seed": None, "n": 1}, {"seed": None, "n": 1}),
        *(({"reasoning_effort": word},) * 2 for word in ("none", "minimal", "low", "medium", "high", "xhigh", "max")),
    ],
)
def test_options_become_json_values(options, sent):
    """Numbers of other types are sent as numbers."""
    given = create(options=options).options
    assert given == sent
    assert list(map(type, given.values())) == list(map(type, sent.values()))


def test_model_of_an_enum_is_its_value():
    """Drivers format it into URLs."""
    model = create(model=Word.LOW).model
    assert (type(model), model) == (str, "low")
