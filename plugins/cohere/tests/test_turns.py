"""A response goes back as the turn that it was, streamed and plain, and odd responses lose nothing."""

from __future__ import annotations

import json

import pytest

from polyglot_core.errors import ContextLengthExceeded, ProviderError
from polyglot_core.plugin import RawTool, Tool

END = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 1}}}}


def source(start, end, **fields):
    return {"start": start, "end": end, "text": "x", "sources": [{"type": "tool", "id": "t"}], **fields}


def text(value, **fields):
    return {"type": "text", "text": value, **fields}


def thought(value, **fields):
    return {"type": "thinking", "thinking": value, **fields}


def call(**fields):
    return {"id": "sum_1", "type": "function", "function": {"name": "sum", "arguments": '{"a":1}'}, **fields}


def piece(kind, index=0, **message):
    return {"type": kind, "index": index, "delta": {"message": message}}


def content(index, start, *deltas):
    yield piece("content-start", index, content=start)
    yield from (piece("content-delta", index, content=delta) for delta in deltas)
    yield {"type": "content-end", "index": index}


# name → the message of a plain response, and the same as events of a stream
TURNS = {
    "a text": ({"content": "AB"}, list(content(0, text(""), {"text": "A"}, {"text": "B"}))),
    "thinking and text": (
        {"content": [thought("Hm."), text("AB")]},
        [*content(0, thought(""), {"thinking": "Hm."}), *content(1, text(""), {"text": "A"}, {"text": "B"})],
    ),
    "two texts": (
        {"content": [text("A"), text("B")]},
        [*content(0, text(""), {"text": "A"}), *content(1, text(""), {"text": "B"})],
    ),
    "text, thinking, text": (
        {"content": [text("A"), thought("Hm."), text("B")]},
        [*content(0, text(""), {"text": "A"}), *content(1, thought(""), {"thinking": "Hm."}),
         *content(2, text(""), {"text": "B"})],
    ),
    "sources": (
        {"content": "AB", "citations": [source(0, 1), source(1, 2)]},
        [*content(0, text(""), {"text": "A"}, {"text": "B"}), piece("citation-start", 0, citations=source(0, 1)),
         {"type": "citation-end", "index": 0}, piece("citation-start", 1, citations=source(1, 2))],
    ),
    "sources of a text after thinking": (
        {"content": [thought("Hm."), text("AB")], "citations": [source(0, 1, content_index=1), source(1, 2, content_index=1)]},
        [*content(0, thought(""), {"thinking": "Hm."}), *content(1, text(""), {"text": "A"}, {"text": "B"}),
         piece("citation-start", 0, citations=source(0, 1, content_index=1)),
         piece("citation-start", 1, citations=source(1, 2, content_index=1))],
    ),
    "a plan and a call": (
        {"tool_plan": "I add.", "tool_calls": [call(mark=1)]},
        [piece("tool-plan-delta", tool_plan="I "), piece("tool-plan-delta", tool_plan="add."),
         piece("tool-call-start", tool_calls={**call(mark=1), "function": {"name": "sum", "arguments": ""}}),
         piece("tool-call-delta", tool_calls={"function": {"arguments": '{"a":1}'}}),
         {"type": "tool-call-end", "index": 0}],
    ),
    "a part of an unknown type": (
        {"content": [{"type": "new", "of": [1]}, text("A")]},
        [*content(0, {"type": "new", "of": [1]}), *content(1, text(""), {"text": "A"})],
    ),
}  # fmt: skip


def stream_of(*events):
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (str(each.get("type")).encode(), json.dumps(each).encode()) for each in events
    )


def received(decode, message, events, *, streamed):
    """Return the response to a message, plain or streamed as events."""
    if streamed:
        start = {"type": "message-start", "id": "r", "delta": {"message": {"role": "assistant", "content": []}}}
        return decode(stream_of(start, *events, END)).response
    whole = message.get("content", [])
    parts = [text(whole)] if isinstance(whole, str) else whole
    found = {"id": "r", "message": {"role": "assistant", **message, "content": parts}, **END["delta"]}
    return decode(json.dumps(found).encode(), stream=False).response


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("name", TURNS)
def test_turn_goes_back_as_it_was_received(decode, body, name, streamed):
    """Part for part, in order, with its plan, its sources and unknown parts."""
    message, events = TURNS[name]
    response = received(decode, message, events, streamed=streamed)
    assert body(["Hi", response.message])["messages"][1] == {"role": "assistant", **message}


@pytest.mark.parametrize("name", TURNS)
def test_streamed_turn_equals_the_plain_one(decode, name):
    """In every field."""
    message, events = TURNS[name]
    one, other = (received(decode, message, events, streamed=streamed).choices for streamed in (True, False))
    assert one == other


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("name", ["sources", "sources of a text after thinking"])
def test_sources_name_the_text_that_they_support(decode, name, streamed):
    """The number of an event is that of the source, not of the text."""
    choice = received(decode, *TURNS[name], streamed=streamed).choices[0]
    assert [choice.parts[cited.part].text[cited.start : cited.end] for cited in choice.cited] == ["A", "B"]


@pytest.mark.parametrize(
    ("word", "kind"),
    [("ERROR", "ServerError"), ("TIMEOUT", "ServerError"), ("USER_CANCEL", "ServerError"), ("network_error", "ServerError"),
     ("ERROR_TOXIC", "ProviderError"), ("ERROR_LIMIT", "ContextLengthExceeded")],
)  # fmt: skip
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_finish_reasons_that_are_failures(decode, word, kind, streamed):
    """The class tells whether another attempt may succeed."""
    ending = {"finish_reason": word}
    body = stream_of(piece("content-delta", content={"text": "A"}), {"type": "message-end", "delta": ending})
    plain = json.dumps({"message": {"content": [text("A")]}, **ending}).encode()
    error = decode(body if streamed else plain, stream=streamed).error
    assert (type(error).__name__, error.code, error.partial.content) == (kind, word, "A")
    assert isinstance(error, ContextLengthExceeded) == (kind == "ContextLengthExceeded")


@pytest.mark.parametrize("word", ["null", "", None])
def test_end_without_a_finish_reason(decode, word):
    """The end of the message completes it."""
    body = stream_of(
        piece("content-delta", content={"text": "A"}), {"type": "message-end", "delta": {"finish_reason": word}}
    )
    response = decode(body).response
    assert (response.content, response.finish_reason, response.outcome) == ("A", "unknown", "finished")


ODD = {
    "a content that is a text": [piece("content-delta", content="AB")],
    "a content that is a list": [piece("content-delta", content=[{"text": "A"}, {"text": "B"}])],
    "an index that is a text": [piece("content-delta", "0", content={"text": "AB"})],
    "a text that is a number": [piece("content-delta", content={"text": "A"}), piece("content-delta", content="B")],
    "content in the start": [
        {"type": "message-start", "id": "r", "delta": {"message": {"content": [text("AB")]}}},
    ],
}


@pytest.mark.parametrize("name", ODD)
def test_event_in_another_shape(decode, name):
    """Nothing is lost."""
    assert decode(stream_of(*ODD[name], END)).response.content == "AB"


def test_whole_response_as_the_only_event(decode):
    """A gateway makes a stream of a plain response."""
    whole = {"id": "r", "message": {"role": "assistant", "content": [text("AB")]}, "finish_reason": "COMPLETE"}
    response = decode(b"data: %b\n\n" % json.dumps(whole).encode()).response
    assert (response.content, response.finish_reason, response.outcome) == ("AB", "stop", "finished")


@pytest.mark.parametrize(
    "error", [{"message": "Busy."}, {"detail": "Busy."}, {"error": "Busy."}, {"errors": ["Busy."]}]
)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_error_in_any_shape(decode, error, streamed):
    """It is the provider's failure."""
    data = json.dumps(error).encode()
    found = decode(b"data: %b\n\n" % data if streamed else data, stream=streamed).error
    assert isinstance(found, ProviderError)
    assert "Busy." in str(found)


def test_details_are_equal_streamed_and_plain(decode):
    """Fields of the end that are not read are kept."""
    ending = {**END["delta"], "warnings": ["w"], "new": 1}
    streamed = decode(stream_of(piece("content-delta", content={"text": "A"}), {**END, "delta": ending})).response
    plain = decode(json.dumps({"message": {"content": [text("A")]}, **ending}).encode(), stream=False).response
    # those of a plain response are beside its message
    assert dict(streamed.details) == dict(plain.details) == {"warnings": ["w"], "new": 1}


def test_tools_and_extra_fields(body):
    """Tools of the provider's own format are sent as they are; further fields are merged."""
    tools = (RawTool({"type": "web"}), Tool("sum", extra={"mark": 1, "function": {"inner": 2}}))
    options = {"reasoning_budget": 9}
    found = body("Hi", tools=tools, options=options, extra={"thinking": {"mark": 1}})
    assert found["tools"][0] == {"type": "web"}
    assert (found["tools"][1]["mark"], found["tools"][1]["function"]["inner"]) == (1, 2)
    assert found["thinking"] == {"type": "enabled", "token_budget": 9, "mark": 1}
