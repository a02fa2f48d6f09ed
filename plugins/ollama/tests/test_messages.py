"""How a conversation becomes flat messages."""

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


def test_a_message_is_a_role_and_a_text(body):
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


def test_texts_of_a_message_are_one_text(body):
    """There is one field for them; marks of a cache have no meaning here."""
    assert body([user(Text("One, ", cache=True), Text("two."))])["messages"][0]["content"] == "One, two."


def test_images_stand_beside_the_text_as_base64(body):
    """Without their type, which the server finds out."""
    said = body([user(Text("What?"), Image(data=PIXEL))])["messages"][0]
    assert said == {"role": "user", "content": "What?", "images": [base64.b64encode(PIXEL).decode()]}


def test_thinking_stands_beside_the_text(body):
    """Signatures, and thinking that came encrypted, are other providers' and are left out."""
    said = body(["Hi", assistant(Reasoning(text="Hm.", signature="s"), Reasoning(redacted="x"), Text("Yes."))])
    assert said["messages"][1] == {"role": "assistant", "content": "Yes.", "thinking": "Hm."}


def test_calls_have_arguments_as_objects(body):
    """With an id where they have one."""
    said = body(["Hi", assistant(ToolCall(name="a", id="c1", arguments_raw='{"x": 1}'), ToolCall(name="b"))])
    assert said["messages"][1] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "a", "arguments": {"x": 1}}},
            {"type": "function", "function": {"name": "b", "arguments": {}}},
        ],
    }


def test_a_result_names_its_tool(body):
    """The tool is found by the id of the call where the result does not name it."""
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
    """Also where a turn holds several, with a text behind them."""
    turn = Message(
        role="user", content=(ToolResult(id="1", content="x"), ToolResult(id="2", content="y"), Text("Go on."))
    )
    assert [(said["role"], said["content"]) for said in body([turn])["messages"]] == [
        ("tool", "x"),
        ("tool", "y"),
        ("user", "Go on."),
    ]


def test_a_result_of_a_tool_that_failed_says_so_in_its_text(body):
    """There is no field for it."""
    assert body([Message.tool_result("1", "no network", error=True)])["messages"][0]["content"] == "Error: no network"


def test_a_result_may_hold_images(body):
    """They stand beside its text."""
    said = body([Message.tool_result("1", (Text("Here:"), Image(data=PIXEL)))])["messages"][0]
    assert (said["content"], len(said["images"])) == ("Here:", 1)


def test_fields_that_a_message_may_have_are_sent(body):
    """Messages are flat objects, so a field of the user's own has a place."""
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
def test_parts_that_it_has_no_words_for_are_refused(body, part, named):
    """The error names the part; `drop` leaves it out."""
    with pytest.raises(RequestError, match=named):
        body([user(Text("Hi"), part)])
    assert body([user(Text("Hi"), part)], unsupported="drop")["messages"][0] == {"role": "user", "content": "Hi"}


def test_a_call_with_broken_arguments_is_refused(body):
    """A call that broke off cannot be said; with `drop` it goes without arguments."""
    turns = ["Hi", assistant(ToolCall(name="a", arguments_raw='{"x'))]
    with pytest.raises(RequestError, match="'a' whose arguments are not a JSON object"):
        body(turns)
    calls = body(turns, unsupported="drop")["messages"][1]["tool_calls"]
    assert calls[0]["function"]["arguments"] == {}


@pytest.mark.parametrize(
    ("turn", "named"),
    [
        ({"role": "user", "content": "Hi", "name": "Ada"}, "name of a speaker"),
        ({"role": "narrator", "content": "Hi"}, "role 'narrator'"),
    ],
)
def test_what_a_message_has_no_place_for_is_refused(body, turn, named):
    """The error names it."""
    with pytest.raises(RequestError, match=named):
        body([turn])


def test_an_answer_goes_back_as_the_turn_that_it_was(body, decode):
    """Text, thinking and calls."""
    said = body(["Hi", decode("tools.ndjson").response.message])["messages"][1]
    assert (said["content"], said["thinking"]) == ("I look both up.", "Two places, two questions.")
    assert [call["function"]["arguments"] for call in said["tool_calls"]] == [{"city": "Oslo", "days": [1, 2]}, {}]
