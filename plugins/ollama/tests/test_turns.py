"""A response goes back as the turn that it was, streamed and plain, and odd responses lose nothing."""

from __future__ import annotations

import base64
import json

import pytest

from polyglot_core.errors import ProviderError, RequestError
from polyglot_core.plugin import Message, RawTool, Text, Tool

PICTURES = [base64.b64encode(data).decode() for data in (b"\x89PNG..", b"\x89PNG,,")]
COUNTS = {"prompt_eval_count": 3, "eval_count": 2, "total_duration": 9, "load_duration": 1}


def call(name="sum", **fields):
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": {"a": 1}}, **fields}


# name → the message of a plain response, and the same as messages of a stream
TURNS = {
    "a text": ({"content": "AB"}, [{"content": "A"}, {"content": "B"}]),
    "thinking": (
        {"content": "AB", "thinking": "Hm. So."},
        [{"content": "", "thinking": "Hm."}, {"content": "", "thinking": " So."}, {"content": "A"}, {"content": "B"}],
    ),
    "pictures": (
        {"content": "AB", "images": PICTURES},
        [{"content": "A", "images": PICTURES[:1]}, {"content": "B", "images": PICTURES[1:]}],
    ),
    "calls": (
        {"content": "A", "tool_calls": [call(mark=1), call("mul", id="c2")]},
        [{"content": "A"}, {"content": "", "tool_calls": [call(mark=1)]},
         {"content": "", "tool_calls": [call("mul", id="c2")]}],
    ),
    "a call with a further field in its function": (
        {"content": "", "tool_calls": [{**call(), "function": {"name": "sum", "arguments": {"a": 1}, "mark": 1}}]},
        [{"content": "", "tool_calls": [{**call(), "function": {"name": "sum", "arguments": {"a": 1}, "mark": 1}}]}],
    ),
}  # fmt: skip


def lines(*messages, reason="stop", **fields):
    shown = [{"model": "m", "message": {"role": "assistant", **each}, "done": False} for each in messages]
    last = {
        "model": "m",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": reason,
        **fields,
    }
    return b"".join(json.dumps(line).encode() + b"\n" for line in [*shown, last])


def received(decode, message, messages, *, streamed):
    """Return the response to a message, plain or streamed as messages."""
    if streamed:
        return decode(lines(*messages, **COUNTS)).response
    whole = {"model": "m", "message": {"role": "assistant", **message}, "done": True, "done_reason": "stop", **COUNTS}
    return decode(json.dumps(whole).encode(), stream=False).response


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("name", TURNS)
def test_turn_goes_back_as_it_was_received(decode, body, name, streamed):
    """Field for field."""
    message, messages = TURNS[name]
    response = received(decode, message, messages, streamed=streamed)
    assert body(["Hi", response.message])["messages"][1] == {"role": "assistant", **message}


@pytest.mark.parametrize("name", TURNS)
def test_streamed_turn_equals_the_plain_one(decode, name):
    """In every field, and in the details."""
    message, messages = TURNS[name]
    one, other = (received(decode, message, messages, streamed=streamed) for streamed in (True, False))
    assert (one.choices, one.details) == (other.choices, other.details)
    assert one.details == {"total_duration": 9, "load_duration": 1}


ODD = {
    "thinking and content in lists": [{"content": [{"type": "text", "text": "AB"}], "thinking": ["Hm."]}],
    "content that is a number": [{"content": "AB"}, {"thinking": "Hm.", "content": None}],
    "thinking that is an object": [{"thinking": {"text": "Hm."}, "content": "AB"}],
}


@pytest.mark.parametrize("name", ODD)
def test_message_of_other_types(decode, name):
    """Nothing is lost."""
    response = decode(lines(*ODD[name])).response
    assert (response.content, response.reasoning_content) == ("AB", "Hm.")


@pytest.mark.parametrize(
    "line",
    [{"response": "AB"}, {"delta": {"content": "AB"}}, {"message": None, "response": "AB"}],
    ids=["the other route", "a delta", "beside null"],
)
def test_text_in_another_field(decode, line):
    """It is the text."""
    body = json.dumps({"model": "m", "done": False, **line}).encode() + b"\n" + lines()
    assert decode(body).response.content == "AB"


def test_picture_that_is_no_base64_is_kept(decode):
    """As it was received."""
    response = decode(lines({"content": "A", "images": ["?", 5]})).response
    assert [each["image"] for each in response.choices[0].server_tools] == ["?", 5]


@pytest.mark.parametrize("word", ["error", "abort", "cancelled"])
def test_done_reasons_that_are_failures(decode, word):
    """The server could not go on."""
    error = decode(lines({"content": "A"}, reason=word)).error
    assert isinstance(error, ProviderError)
    assert (error.code, error.partial.content) == (word, "A")


@pytest.mark.parametrize(
    ("word", "reason"), [("load", "other"), ("unload", "other"), ("null", "unknown"), ("", "unknown")]
)
def test_done_reasons_without_an_end_of_the_text(decode, word, reason):
    """They are no failure; a note states those that are not known."""
    response = decode(lines({"content": "A"}, reason=word)).response
    assert (response.finish_reason, response.outcome, bool(response.notes)) == (reason, "finished", reason == "other")


@pytest.mark.parametrize(
    "error", [{"message": "Forbidden"}, {"detail": "Forbidden"}, {"error": {"message": "Forbidden"}}]
)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_error_in_any_shape(decode, error, streamed):
    """It is a failure, not a response that ended early."""
    found = decode(json.dumps(error).encode() + b"\n", stream=streamed).error
    assert isinstance(found, ProviderError)
    assert "Forbidden" in str(found)


def test_tools_and_extra_fields(body):
    """Tools of the provider's own format are sent as they are; further fields are merged."""
    tools = (RawTool({"type": "web"}), Tool("sum", extra={"mark": 1, "function": {"inner": 2}}))
    found = body("Hi", tools=tools, options={"max_tokens": 5}, extra={"options": {"num_ctx": 9}})
    assert found["tools"][0] == {"type": "web"}
    assert (found["tools"][1]["mark"], found["tools"][1]["function"]["inner"]) == (1, 2)
    assert found["options"] == {"num_predict": 5, "num_ctx": 9}


def test_further_fields_of_a_text_have_no_place(body):
    """They are reported."""
    turns = [Message(role="user", content=(Text("a", extra={"mark": 1}),))]
    with pytest.raises(RequestError, match="the field 'mark' of a part of type Text"):
        body(turns)
    assert body(turns, unsupported="drop")["messages"][0]["content"] == "a"
