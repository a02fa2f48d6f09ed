"""Conversation writers: visiting parts, matching results to tool calls, and the two shapes of messages."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest
from msgspec.structs import replace

from polyglot_core._authoring.conversation_writers import ConversationWriter, MessageWriter, TurnWriter
from polyglot_core._values.parts import Image, RawPart, Reasoning, Text, ToolCall, ToolResult
from polyglot_core._values.request import InferenceRequest, Message, RawTool, Tool
from polyglot_core.errors import RequestError


class Flat(MessageWriter):
    """Encodes texts, tool calls and results."""


class Turns(TurnWriter):
    """Encodes texts, tool calls, results and raw parts as blocks."""

    def normalize_id(self, call_id):
        return call_id.replace(" ", "_")

    def write_text(self, part):
        yield {"text": part.text}

    def write_tool_call(self, part):
        yield {"call": part.id, "arguments": self.arguments(part)}

    def write_tool_result(self, part):
        yield {"result": part.id, "of": part.name}

    def write_raw(self, part):
        yield from part.payload["blocks"]

    def in_system(self, block):
        if "text" not in block:
            self.cannot("that in a system turn")
        return "text" in block


class Named(Turns):
    """Generates no ids, and requires the names of tools."""

    id_format: ClassVar[str | None] = None
    tool_names: ClassVar[bool] = True


def asked(*messages, unsupported="raise"):
    turns = tuple(
        message if isinstance(message, Message) else Message(role=message[0], content=message[1])
        for message in messages
    )
    return InferenceRequest(model="m", messages=turns, unsupported=unsupported)


def flat(*messages, **fields):
    return Flat(asked(*messages, **fields), "garden").messages()


def turns(*messages, kind=Turns, **fields):
    return kind(asked(*messages, **fields), "garden").conversation()


# Parts


@pytest.mark.parametrize("part", [Image(data=b"x"), Reasoning(text="hm"), RawPart({"type": "odd"})])
def test_part_without_a_method_cannot_be_expressed(part):
    """Check that the error names driver and type; with ``drop`` the part is omitted."""
    with pytest.raises(RequestError, match=rf"'garden' cannot express a part of type {type(part).__name__}"):
        flat(("user", (Text("a"), part)))
    assert flat(("user", (Text("a"), part)), unsupported="drop") == [{"role": "user", "content": "a"}]


def test_unsupported_role_name_and_fields_are_reported():
    """Check roles, speakers' names and further fields; turns cannot hold further fields."""
    for message in (Message(role="critic"), Message(role="user", name="Ann", content="a")):
        with pytest.raises(RequestError, match=r"the role 'critic'|the name of a speaker"):
            flat(message)
    with pytest.raises(RequestError, match="the field 'mood' of a message"):
        turns(Message(role="user", content="a", extra={"mood": "merry", "none": None}))
    assert flat(Message(role="user", content="a", extra={"mood": "merry"})) == [
        {"role": "user", "content": "a", "mood": "merry"}
    ]


@pytest.mark.parametrize("text", ["[1]", '{"a": 1', "x", '"a"', "1", '{"a": 1}{'])
def test_arguments_are_sent_as_a_json_object(text):
    """Check that arguments that are no JSON object go back under a name of their own, as object and as text."""
    assert turns(("assistant", (ToolCall(name="sum"),)))[1][0]["content"] == [{"call": "call_1", "arguments": {}}]
    call = ("assistant", (ToolCall(name="sum", arguments_raw=text),))
    assert turns(call)[1][0]["content"] == [{"call": "call_1", "arguments": {"INVALID_JSON": text}}]
    sent = flat(Message(role="assistant", content=call[1]))[0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(sent) == {"INVALID_JSON": text}


# Tool calls and results


def ids(*messages, kind=Turns):
    blocks = [block for turn in turns(*messages, kind=kind)[1] for block in turn["content"]]
    return [block.get("call", block.get("result")) for block in blocks]


def test_generated_ids_match_results_to_tool_calls():
    """Match a result to the oldest tool call without a result, of its tool if it names one."""
    calls = ("assistant", (ToolCall(name="a"), ToolCall(name="b", id="x"), ToolCall(name="b"), ToolCall(name="a")))
    results = [ToolResult(id=None, name=name, content="") for name in ("b", None, "a")]
    assert ids(calls, ("tool", results)) == ["call_1", "x", "call_3", "call_4", "call_3", "call_1", "call_4"]


def test_ids_are_normalized_in_tool_calls_and_results():
    """Check that `normalize_id` is applied to both."""
    assert ids(("assistant", (ToolCall(name="a", id="c 1"),)), ("tool", (ToolResult(id="c 1", content=""),))) == [
        "c_1",
        "c_1",
    ]


def test_result_without_a_tool_call_gets_the_first_id():
    """Check the id of a result in a conversation without tool calls."""
    assert ids(("tool", (ToolResult(id=None, content=""),))) == ["call_1"]


def test_results_get_the_names_of_their_tools():
    """Find the tool's name by id or by order; without `id_format` no ids are generated."""
    calls = ("assistant", (ToolCall(name="a", id="1"), ToolCall(name="b")))
    results = (
        "tool",
        (ToolResult(id="1", content=""), ToolResult(id=None, content=""), ToolResult(id="2", content="")),
    )
    _, (_, answers) = turns(calls, results, kind=Named)
    assert answers["content"] == [{"result": "1", "of": "a"}, {"result": None, "of": "b"}, {"result": "2", "of": None}]
    _, (_, unnamed) = turns(calls, results)
    assert [block["of"] for block in unnamed["content"]] == [None, None, None]


# Flat messages


def test_flat_message_has_content_and_tool_calls():
    """Check that one text is a string, several are a list, and that tool calls alone have no content."""
    call = ToolCall(name="sum", id="1", arguments_raw='{"a": 1}')
    said = {"id": "1", "type": "function", "function": {"name": "sum", "arguments": '{"a": 1}'}}
    texts = [{"type": "text", "text": text} for text in "ab"]
    assert flat(
        ("assistant", (Text("a"), call)), ("assistant", (call,)), ("user", (Text("a"), Text("b"))), ("user", "")
    ) == [
        {"role": "assistant", "content": "a", "tool_calls": [said]},
        {"role": "assistant", "tool_calls": [said]},
        {"role": "user", "content": texts},
        {"role": "user", "content": ""},
    ]


def test_each_result_is_a_message():
    """Check that results precede the other parts of their message, and that a failure begins with "Error:"."""
    results = (ToolResult(id="1", content="3"), Text("Well?"), ToolResult(id="2", content="no", error=True))
    assert flat(("user", results)) == [
        {"role": "tool", "tool_call_id": "1", "content": "3"},
        {"role": "tool", "tool_call_id": "2", "content": "Error: no"},
        {"role": "user", "content": "Well?"},
    ]


# Turns


def test_turns_of_one_role_are_merged():
    """Check that the first system messages are separate, and that a message without blocks is no turn."""
    system, said = turns(
        ("system", "Be kind."),
        ("user", ""),
        ("developer", "Be brief."),
        ("user", "a"),
        ("tool", (ToolResult(id="1", content=""),)),
        ("system", ""),
        ("user", "b"),
        ("assistant", ""),
        ("assistant", "c"),
        ("user", ""),
    )
    assert system == [{"text": "Be kind."}, {"text": "Be brief."}]
    assert said == [
        {"role": "user", "content": [{"text": "a"}, {"result": "1", "of": None}, {"text": "b"}]},
        {"role": "assistant", "content": [{"text": "c"}]},
    ]


class InPlace(Turns):
    """Has turns of the system."""

    system_in_place: ClassVar[bool] = True


LATE = (("system", "a"), ("user", "b"), ("developer", "c"), ("assistant", "d"), ("system", "e"))


def test_late_system_message_is_reported():
    """Check that it raises, and that it goes into the system prompt if the request allows that."""
    with pytest.raises(
        RequestError, match=r"'garden' cannot express a system message after the first turn; use a user's"
    ):
        turns(*LATE)
    system, said = turns(*LATE, unsupported="drop")
    assert system == [{"text": "a"}, {"text": "c"}, {"text": "e"}]
    assert [turn["role"] for turn in said] == ["user", "assistant"]
    with pytest.warns(UserWarning, match="a system message after the first turn"):
        turns(*LATE, unsupported="warn")


def test_late_system_message_stays_in_place():
    """Check that a dialect with turns of the system keeps the order, and flat messages too."""
    system, said = turns(*LATE, kind=InPlace)
    assert system == [{"text": "a"}]
    assert [(turn["role"], turn["content"]) for turn in said] == [
        ("user", [{"text": "b"}]),
        ("system", [{"text": "c"}]),
        ("assistant", [{"text": "d"}]),
        ("system", [{"text": "e"}]),
    ]
    assert [message["content"] for message in flat(*LATE)] == list("abcde")


# Further fields of parts


class Open(Turns):
    """Lays further fields over the blocks."""

    sends_extra: ClassVar[bool] = True

    def write_tool_result(self, part):
        yield {"result": self.write(part.content)}


class OpenFlat(Flat):
    """Lays further fields over parts and tool calls."""

    sends_extra: ClassVar[bool] = True


@pytest.mark.parametrize(
    "part",
    [
        Text("a", extra={"x": {"y": 1}}),
        ToolCall(name="f", id="1", extra={"x": 1}),
        ToolResult(id="1", content=(Text("a", extra={"x": 1}),)),
    ],
    ids=lambda part: type(part).__name__,
)
@pytest.mark.parametrize("kind", [Turns, Flat])
def test_field_of_a_part_is_reported(part, kind):
    """Check that it is named, and omitted if the request allows that; another response's fields are left out."""
    request = asked(("user", (part,)))
    write = "conversation" if kind is Turns else "messages"
    with pytest.raises(RequestError, match="cannot express the field 'x' of a part of type (Text|ToolCall)"):
        getattr(kind(request, "garden"), write)()
    dropped = getattr(kind(asked(("user", (part,)), unsupported="drop"), "garden"), write)()
    assert "'x'" not in repr(dropped)
    foreign = Message(role="assistant", content=(part,), provider="orchard")
    getattr(kind(asked(foreign), "garden"), write)()


def test_field_of_a_part_is_sent():
    """Check that it is laid over the block, field by field, also in a result."""
    call = ToolCall(name="f", id="1", extra={"x": 1})
    result = ToolResult(id="1", content=(Text("b", extra={"x": 2}),))
    _, said = turns(("user", (Text("a", extra={"x": {"y": 1}}), call, result)), kind=Open)
    assert said[0]["content"] == [
        {"text": "a", "x": {"y": 1}},
        {"call": "1", "arguments": {}, "x": 1},
        {"result": [{"text": "b", "x": 2}]},
    ]
    message = Message(
        role="assistant", content=(Text("a", extra={"x": 1}), replace(call, extra={"function": {"y": 2}}))
    )
    assert OpenFlat(asked(message), "garden").messages() == [
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "a", "x": 1}],
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}", "y": 2}},
            ],
        }
    ]


def test_fields_of_a_message_are_laid_over_it():
    """Check that a field of an object that the writer writes too keeps the others."""
    message = Message(role="user", content=(Text("a"), Text("b")), extra={"content": "c", "mood": {"x": 1}})
    assert flat(message) == [{"role": "user", "content": "c", "mood": {"x": 1}}]


# Names of tools


class Dotted(Turns):
    """Takes names with dots."""

    tool_name: ClassVar[str] = "[a-z.]+"


@pytest.mark.parametrize("name", ["get weather", "wetter-für", "a" * 65, "a.b", "a\n", ""])
def test_name_of_a_tool_is_refused(name):
    """Check the usual names, whatever may be dropped, and those of a dialect with others; raw tools are not checked."""
    for unsupported in ("raise", "drop"):
        with pytest.raises(RequestError, match=r"tools\[1\].name is .*the driver 'garden' takes names that match"):
            Turns(replace(asked(("user", "a"), unsupported=unsupported), tools=(Tool("f"), Tool(name))), "garden")
    Turns(replace(asked(("user", "a")), tools=(Tool("a" * 64), RawTool({"name": name}))), "garden")
    if name == "a.b":
        Dotted(replace(asked(("user", "a")), tools=(Tool(name),)), "garden")


def test_unsupported_block_of_the_system_prompt():
    """Check that `in_system` reports and omits a block."""
    message = ("system", (RawPart({"blocks": [{"text": "a"}, {"odd": 1}]}),))
    with pytest.raises(RequestError, match="that in a system turn"):
        turns(message)
    assert turns(message, unsupported="drop") == ([{"text": "a"}], [])


def test_request_is_not_modified():
    """Check that ids are filled in a copy."""
    request = asked(("assistant", (ToolCall(name="a"),)))
    assert ConversationWriter(request, "garden").given[0].parts[0].id == "call_1"
    assert request.messages[0].parts[0].id is None


def test_turns_have_parts_whatever_the_user_wrote():
    """A writer may go through the content of `given`, and of the message that `turn` is called with."""

    class Own(MessageWriter):
        def turn(self, message):
            return {"role": message.role, "content": [part.text for part in message.content]}

    request = asked(Message(role="user", content="Hi"), Message(role="assistant", content=""))
    writer = Own(request, "own")
    assert [message.content for message in writer.given] == [(Text("Hi"),), ()]
    assert writer.messages() == [{"role": "user", "content": ["Hi"]}, {"role": "assistant", "content": []}]
