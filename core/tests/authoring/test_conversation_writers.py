"""What the writers of all drivers have in common: walking the parts, joining results to calls, and two shapes."""

from __future__ import annotations

from typing import ClassVar

import pytest

from polyglot_core._authoring.conversation_writers import ConversationWriter, MessageWriter, TurnWriter
from polyglot_core._values.parts import Image, RawPart, Reasoning, Text, ToolCall, ToolResult
from polyglot_core._values.request import InferenceRequest, Message
from polyglot_core.errors import RequestError


class Flat(MessageWriter):
    """Knows texts, calls and results."""


class Turns(TurnWriter):
    """Knows the same as blocks, and raw parts."""

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
    """Wants no ids, and the names of tools."""

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
def test_a_part_without_a_writer_cannot_be_expressed(part):
    """The error names the driver and the kind of part; where the request says so, the part is left out."""
    with pytest.raises(RequestError, match=rf"'garden' cannot express a part of type {type(part).__name__}"):
        flat(("user", (Text("a"), part)))
    assert flat(("user", (Text("a"), part)), unsupported="drop") == [{"role": "user", "content": "a"}]


def test_what_a_message_says_beyond_its_parts_is_not_dropped_silently():
    """A role, a name and a field that the dialect does not have are errors; turns have no further fields at all."""
    for message in (Message(role="critic"), Message(role="user", name="Ann", content="a")):
        with pytest.raises(RequestError, match=r"the role 'critic'|the name of a speaker"):
            flat(message)
    with pytest.raises(RequestError, match="the field 'mood' of a message"):
        turns(Message(role="user", content="a", extra={"mood": "merry", "none": None}))
    assert flat(Message(role="user", content="a", extra={"mood": "merry"})) == [
        {"role": "user", "content": "a", "mood": "merry"}
    ]


def test_arguments_that_are_no_object_cannot_be_expressed_as_one():
    """No arguments are an empty object; anything else than an object is an error, or nothing."""
    assert turns(("assistant", (ToolCall(name="sum"),)))[1][0]["content"] == [{"call": "call_1", "arguments": {}}]
    wrong = ("assistant", (ToolCall(name="sum", arguments_raw="[1]"),))
    with pytest.raises(RequestError, match="a tool call of 'sum' whose arguments are not a JSON object"):
        turns(wrong)
    assert turns(wrong, unsupported="drop")[1][0]["content"] == [{"call": "call_1", "arguments": {}}]


# Calls and results


def ids(*messages, kind=Turns):
    blocks = [block for turn in turns(*messages, kind=kind)[1] for block in turn["content"]]
    return [block.get("call", block.get("result")) for block in blocks]


def test_calls_without_ids_are_numbered_and_results_find_them():
    """The oldest call of the tool that has no result yet; of any tool, where the result names none."""
    calls = ("assistant", (ToolCall(name="a"), ToolCall(name="b", id="x"), ToolCall(name="b"), ToolCall(name="a")))
    results = [ToolResult(id=None, name=name, content="") for name in ("b", None, "a")]
    assert ids(calls, ("tool", results)) == ["call_1", "x", "call_3", "call_4", "call_3", "call_1", "call_4"]


def test_ids_are_spelled_alike_in_calls_and_results():
    """As the dialect can say them."""
    assert ids(("assistant", (ToolCall(name="a", id="c 1"),)), ("tool", (ToolResult(id="c 1", content=""),))) == [
        "c_1",
        "c_1",
    ]


def test_a_result_without_any_call_has_the_id_of_the_last():
    """Nothing better is known."""
    assert ids(("tool", (ToolResult(id=None, content=""),))) == ["call_1"]


def test_results_get_the_names_of_their_tools():
    """Where the dialect wants them, by id or by order; ids that nobody gave stay away there."""
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


def test_a_message_has_content_and_calls_beside_it():
    """One text is a text, several are a list, and a message of calls alone has no content."""
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
    """In its place before what else its message says; a failure is said in the text."""
    results = (ToolResult(id="1", content="3"), Text("Well?"), ToolResult(id="2", content="no", error=True))
    assert flat(("user", results)) == [
        {"role": "tool", "tool_call_id": "1", "content": "3"},
        {"role": "tool", "tool_call_id": "2", "content": "Error: no"},
        {"role": "user", "content": "Well?"},
    ]


# Turns


def test_turns_of_one_role_are_one_and_the_system_prompt_is_apart():
    """Wherever its messages stood; a message without blocks makes no turn."""
    system, said = turns(
        ("system", "Be kind."),
        ("user", "a"),
        ("tool", (ToolResult(id="1", content=""),)),
        ("developer", "Be brief."),
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


def test_a_block_that_a_system_prompt_cannot_hold_is_not_expressed():
    """The subclass says which."""
    message = ("system", (RawPart({"blocks": [{"text": "a"}, {"odd": 1}]}),))
    with pytest.raises(RequestError, match="that in a system turn"):
        turns(message)
    assert turns(message, unsupported="drop") == ([{"text": "a"}], [])


def test_the_request_itself_is_left_as_it_was():
    """Ids are made in a copy."""
    request = asked(("assistant", (ToolCall(name="a"),)))
    assert ConversationWriter(request, "garden").given[0].parts[0].id == "call_1"
    assert request.messages[0].parts[0].id is None
