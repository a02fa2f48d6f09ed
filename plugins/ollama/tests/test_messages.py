"""Encoding of a conversation as flat messages."""

from __future__ import annotations

import base64

import pytest

from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
    Audio,
    Document,
    Image,
    Message,
    RawPart,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)

PIXEL = b"\x89PNG pixel"


def user(*parts):
    return Message(role="user", content=parts)


def assistant(*parts):
    return Message(role="assistant", content=parts)


def test_message_is_a_role_and_a_text(body):
    """Developer turns are system turns here."""
    turns = [
        {"role": "system", "content": "A"},
        {"role": "developer", "content": "B"},
        {"role": "user", "content": "C"},
    ]
    assert body(turns)["messages"] == [
        {"role": "system", "content": "A"},
        {"role": "system", "content": "B"},
        {"role": "user", "content": "C"},
    ]


def test_texts_of_a_message_are_joined(body):
    """There is one field for them; a cache mark is left out only if that is requested."""
    marked = [user(Text("One, ", cache=True), Text("two."))]
    assert body(marked, unsupported="drop")["messages"][0]["content"] == "One, two."
    with pytest.raises(RequestError, match="the cache mark of a part"):
        body(marked)


def test_images_are_base64_next_to_the_text(body):
    """Without their media type, which the server detects."""
    said = body([user(Text("What?"), Image(data=PIXEL))])["messages"][0]
    assert said == {"role": "user", "content": "What?", "images": [base64.b64encode(PIXEL).decode()]}


def test_thinking_is_next_to_the_text(body):
    """Signatures, and encrypted thinking, are other providers' and are dropped."""
    said = body(["Hi", assistant(Reasoning(text="Hm.", signature="s"), Reasoning(redacted="x"), Text("Yes."))])
    assert said["messages"][1] == {"role": "assistant", "content": "Yes.", "thinking": "Hm."}


def test_tool_calls_have_object_arguments(body):
    """With an id if they have one."""
    said = body(["Hi", assistant(ToolCall(name="a", id="c1", arguments_raw='{"x": 1}'), ToolCall(name="b"))])
    assert said["messages"][1] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "a", "arguments": {"x": 1}}},
            {"type": "function", "function": {"name": "b", "arguments": {}}},
        ],
    }


def test_result_names_its_tool(body):
    """The tool is found by the id of the tool call if the result does not name it."""
    said = body(
        [
            assistant(ToolCall(name="a", id="c1")),
            Message.tool_result("c1", "one"),
            Message.tool_result(ToolCall(name="b"), "two"),
            Message.tool_result("elsewhere", "three"),
        ]
    )
    assert said["messages"][1:] == [
        {"role": "tool", "content": "one", "tool_name": "a", "tool_call_id": "c1"},
        {"role": "tool", "content": "two", "tool_name": "b"},
        {"role": "tool", "content": "three", "tool_call_id": "elsewhere"},
    ]


def test_each_result_is_a_message_of_its_own(body):
    """Also if a turn holds several, followed by text."""
    turn = Message(
        role="user", content=(ToolResult(id="1", content="x"), ToolResult(id="2", content="y"), Text("Go on."))
    )
    assert [(said["role"], said["content"]) for said in body([turn])["messages"]] == [
        ("tool", "x"),
        ("tool", "y"),
        ("user", "Go on."),
    ]


def test_failed_tool_result(body):
    """There is no field for it, so the text states it."""
    assert body([Message.tool_result("1", "no network", error=True)])["messages"][0]["content"] == "Error: no network"


def test_result_with_images(body):
    """They are next to its text."""
    said = body([Message.tool_result("1", (Text("Here:"), Image(data=PIXEL)))])["messages"][0]
    assert (said["content"], len(said["images"])) == ("Here:", 1)


def test_extra_fields_of_a_message_are_sent(body):
    """Messages are flat objects, so the user's own fields fit."""
    assert body([{"role": "user", "content": "Hi", "tag": "x"}])["messages"][0]["tag"] == "x"


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (Audio(data=b"RIFF"), "a part of type Audio"),
        (Document(data=b"%PDF"), "a part of type Document"),
        (RawPart({"type": "text", "text": "x"}), "a part of type RawPart"),
        (Image(url="https://example.com/a.png"), r"an image by its URL; use Image\(data=…\)"),
    ],
)
def test_unsupported_parts(body, part, named):
    """The error names the part; `drop` drops it."""
    with pytest.raises(RequestError, match=named):
        body([user(Text("Hi"), part)])
    assert body([user(Text("Hi"), part)], unsupported="drop")["messages"][0] == {"role": "user", "content": "Hi"}


def test_tool_call_with_invalid_arguments(body):
    """They are sent as an object, because the server rejects anything else."""
    calls = body(["Hi", assistant(ToolCall(name="a", arguments_raw='{"x'))])["messages"][1]["tool_calls"]
    assert calls[0]["function"]["arguments"] == {"INVALID_JSON": '{"x'}


@pytest.mark.parametrize(
    ("turn", "named"),
    [
        ({"role": "user", "content": "Hi", "name": "Ada"}, "name of a speaker"),
        ({"role": "narrator", "content": "Hi"}, "role 'narrator'"),
    ],
)
def test_unsupported_fields_of_a_message(body, turn, named):
    """The error names it."""
    with pytest.raises(RequestError, match=named):
        body([turn])


def test_response_can_be_sent_back(body, decode):
    """Text, thinking and tool calls."""
    said = body(["Hi", decode("tools.ndjson").response.message])["messages"][1]
    assert (said["content"], said["thinking"]) == ("I look both up.", "Two places, two questions.")
    assert [call["function"]["arguments"] for call in said["tool_calls"]] == [{"city": "Oslo", "days": [1, 2]}, {}]
