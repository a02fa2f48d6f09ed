"""A response goes back as the turn that it was, streamed and plain, and odd responses lose nothing."""

from __future__ import annotations

import json

import pytest

from polyglot_core.errors import ProviderError
from polyglot_core.plugin import Message, RawTool, Text, Tool

DONE = b"data: [DONE]\n\n"


def text(value, **fields):
    return {"type": "text", "text": value, **fields}


def thought(*inner, **fields):
    return {"type": "thinking", "thinking": [text(each) if isinstance(each, str) else each for each in inner], **fields}


def reference(number):
    return {"type": "reference", "reference_ids": [number]}


def call(name="sum", id_="abcdef123", **fields):
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": '{"a":1}'}, **fields}


# name → the message of a plain response, and the same as deltas of a stream
TURNS = {
    "a text": ({"content": "A.B."}, [{"content": "A."}, {"content": "B."}]),
    "thinking and text": (
        {"content": [thought("Hm. So.", closed=True), text("A.B.")]},
        [
            {"content": [thought("Hm.")]},
            {"content": [thought(" So.", closed=True)]},
            {"content": "A."},
            {"content": "B."},
        ],
    ),
    "sources between texts": (
        {"content": [text("A."), reference(1), text("B.C."), reference(2), reference(3)]},
        [
            {"content": "A."},
            {"content": [reference(1)]},
            {"content": "B."},
            {"content": "C."},
            {"content": [reference(2), reference(3)]},
        ],
    ),
    "text, thinking, text": (
        {"content": [text("A."), thought("Hm.", closed=True), text("B.")]},
        [{"content": "A."}, {"content": [thought("Hm.", closed=True)]}, {"content": "B."}],
    ),
    "a source inside thinking": (
        {"content": [thought("Hm.", reference(1), "So.", closed=True), text("A.")]},
        [
            {"content": [thought("Hm.")]},
            {"content": [thought(reference(1))]},
            {"content": [thought("So.", closed=True)]},
            {"content": "A."},
        ],
    ),
    "thinking that is a text": (
        {"content": [{"type": "thinking", "thinking": "Hm."}, text("A.")]},
        [{"content": [{"type": "thinking", "thinking": "Hm."}]}, {"content": "A."}],
    ),
    "parts of unknown types": (
        {"content": [text("A."), {"type": "new", "of": [1]}, {"type": "bare"}, text("B.", mark=1)]},
        [
            {"content": "A."},
            {"content": [{"type": "new", "of": [1]}, {"type": "bare"}]},
            {"content": [text("B.", mark=1)]},
        ],
    ),
    "files": (
        {
            "content": [
                text("A."),
                {"type": "tool_file", "file_id": "f"},
                {"type": "image_url", "image_url": "https://a"},
            ]
        },
        [
            {"content": "A."},
            {"content": [{"type": "tool_file", "file_id": "f"}]},
            {"content": [{"type": "image_url", "image_url": "https://a"}]},
        ],
    ),
    "calls": (
        {"content": "A.", "tool_calls": [call(mark=1), call("mul", "abcdef124")]},
        [{"content": "A."}, {"tool_calls": [call(mark=1, index=0), call("mul", "abcdef124", index=1)]}],
    ),
}


def stream_of(*choices, **fields):
    chunks = ({"id": "r", "model": "m", "choices": [{"index": 0, **choice}], **fields} for choice in choices)
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)


def received(decode, message, deltas, *, streamed):
    """Return the response to a message, plain or streamed as deltas."""
    if streamed:
        choices = [{"delta": {"role": "assistant", "content": ""}}, *({"delta": delta} for delta in deltas)]
        return decode(stream_of(*choices, {"delta": {"content": ""}, "finish_reason": "stop"}) + DONE).response
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return decode(json.dumps({"id": "r", "model": "m", "choices": [choice]}).encode(), stream=False).response


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("name", TURNS)
def test_turn_goes_back_as_it_was_received(decode, body, name, streamed):
    """Part for part, in order, unknown ones included."""
    message, deltas = TURNS[name]
    response = received(decode, message, deltas, streamed=streamed)
    assert body(["Hi", response.message])["messages"][1] == {"role": "assistant", **message}


@pytest.mark.parametrize("name", TURNS)
def test_streamed_turn_equals_the_plain_one(decode, name):
    """In every part, and in the text that each source supports."""
    message, deltas = TURNS[name]
    one, other = (received(decode, message, deltas, streamed=streamed).choices[0] for streamed in (True, False))
    assert (one.cited, one.content, one.reasoning_content) == (other.cited, other.content, other.reasoning_content)
    assert [type(part) for part in one.parts] == [type(part) for part in other.parts]


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_source_names_the_text_before_it(decode, streamed):
    """That is all that the provider states of its place."""
    response = received(decode, *TURNS["sources between texts"], streamed=streamed)
    parts = response.choices[0].parts
    assert [parts[cited.part].text for cited in response.choices[0].cited] == ["A.", "B.C.", "B.C."]


HELLO = {"role": "assistant", "content": "A.B."}
SHAPES = {
    "a message alone": [{"message": HELLO, "finish_reason": "stop"}],
    "a message beside an empty delta": [{"delta": {"content": ""}, "message": HELLO, "finish_reason": "stop"}],
    "a message beside null": [{"delta": None, "message": HELLO, "finish_reason": "stop"}],
    "messages so far": [{"message": {"content": "A."}}, {"message": HELLO, "finish_reason": "stop"}],
    "messages in pieces": [{"message": {"content": "A."}}, {"message": {"content": "B."}, "finish_reason": "stop"}],
    "deltas and the message so far": [
        {"delta": {"content": "A."}, "message": {"content": "A."}},
        {"delta": {"content": "B."}, "message": HELLO},
        {"delta": {}, "message": HELLO, "finish_reason": "stop"},
    ],
    "an index that is a text": [{"index": "0", "delta": {"content": "A.B."}, "finish_reason": "stop"}],
    "a delta that is a text": [{"delta": "A.B.", "finish_reason": "stop"}],
    "content in a list of texts": [{"delta": {"content": ["A.", "B."]}, "finish_reason": "stop"}],
    "null for a finish reason": [
        {"delta": {"content": "A."}, "finish_reason": "null"},
        {"delta": {"content": "B."}, "finish_reason": "stop"},
    ],
}


@pytest.mark.parametrize("name", SHAPES)
def test_stream_in_another_shape(decode, name):
    """Nothing is lost, and nothing is there twice."""
    response = decode(stream_of(*SHAPES[name]) + DONE).response
    assert (response.content, response.finish_reason, response.outcome) == ("A.B.", "stop", "finished")


@pytest.mark.parametrize(
    "error",
    [{"message": "Busy."}, {"detail": "Busy."}, {"detail": [{"msg": "Busy."}]}, {"object": "error", "message": "Busy."},
     {"error": "Busy."}, {"error": {"message": "Busy."}},
     {"choices": [{"index": 0, "delta": {}, "error": {"message": "Busy."}}]},
     {"choices": [{"index": 0, "finish_reason": "error", "error": "Busy."}]},
     {"choices": [{"index": 0, "delta": {"error": {"message": "Busy."}}}]},
     {"choices": [{"index": 0, "message": {"error": "Busy."}, "finish_reason": "stop"}]}],
)  # fmt: skip
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_error_in_any_shape(decode, error, streamed):
    """It is the provider's failure."""
    data = json.dumps(error).encode()
    found = decode(b"data: %b\n\n" % data + DONE if streamed else data, stream=streamed).error
    assert isinstance(found, ProviderError)
    assert "Busy." in str(found)


def test_details_are_equal_streamed_and_plain(decode):
    """Fields that are not read are kept, those of the choice with it."""
    facts, own = {"created": 1, "new": {"a": 1}}, {"new_reason": "x"}
    choices = [{"delta": {"content": "A."}}, {"delta": {"content": "B."}, "finish_reason": "stop", **own}]
    plain = {"choices": [{"index": 0, "message": HELLO, "finish_reason": "stop", **own}], **facts}
    streamed = decode(stream_of(*choices, **facts, p="abc") + DONE).response
    whole = decode(json.dumps(plain).encode(), stream=False).response
    assert dict(streamed.details) == dict(whole.details) == {**facts, **own}


def test_tools_and_extra_fields(body):
    """Tools of the provider's own format are sent as they are; further fields are merged."""
    tools = (RawTool({"type": "web_search"}), Tool("sum", extra={"mark": 1, "function": {"inner": 2}}))
    found = body(
        "Hi", tools=tools, response_format="json", extra={"response_format": {"mark": 1}, "tools": [{"type": "b"}]}
    )
    assert found["tools"][0] == {"type": "web_search"}
    assert (found["tools"][1]["mark"], found["tools"][1]["function"]["inner"]) == (1, 2)
    assert found["tools"][2] == {"type": "b"}
    assert found["response_format"] == {"type": "json_object", "mark": 1}
    part = Text("a", extra={"mark": 1})
    assert body([Message(role="user", content=(part,))])["messages"][0]["content"] == [text("a", mark=1)]
