"""Framing of streams: events, and JSON instead of events."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_core.errors import LimitExceeded, UnexpectedContentType
from polyglot_core.plugin import Connection
from polyglot_core.testing import bind
from polyglot_google import gemini
from polyglot_google.framing import StreamFramer

EVENTS = b'data: {"a":1}\r\n\r\ndata: {"b":"x{\\n["}\r\n\r\n: quiet\r\n\r\ndata: {"c":[]}\r\n\r\n'
OBJECTS = [{"a": 1}, {"b": "x{\n["}, {"c": []}]
LIMIT = 1 << 20
ERROR = json.dumps({"error": {"code": 499, "message": "gone }"}}, indent=2).encode()


CHUNKS = [
    {"candidates": [{"content": {"parts": [{"text": "Pla"}]}}]},
    {"candidates": [{"content": {"parts": [{"text": "nt."}]}, "finishReason": "STOP"}]},
]


def framed(*pieces):
    framer = StreamFramer(limit=LIMIT)
    chunks = [chunk for piece in pieces for chunk in framer.feed(piece)]
    return [*chunks, *framer.finish()]


def values(chunks):
    return [json.loads(chunk.data) for chunk in chunks]


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n", b"\r"])
def test_events_with_any_line_end(line_end):
    """Google ends lines with CR and LF."""
    assert values(framed(EVENTS.replace(b"\r\n", line_end))) == OBJECTS


def test_last_event_needs_no_blank_line():
    """Recorded streams end without it."""
    assert values(framed(EVENTS.rstrip())) == OBJECTS


@pytest.mark.parametrize(
    "before", [EVENTS, EVENTS.rstrip() + b"\n", EVENTS.replace(b"\r\n", b"\n"), EVENTS.replace(b"\r\n", b"\r")]
)
def test_json_at_the_start_of_a_line_is_a_chunk(before):
    """With the blank line before it, or without."""
    assert values(framed(before + ERROR)) == [*OBJECTS, json.loads(ERROR)]


@pytest.mark.parametrize(
    "opening", [b'data: {"a": "', b'[{"a": "', b'data: {}\n\n[{"a": "'], ids=["sse", "json", "both"]
)
def test_event_limit(opening):
    """Events and objects are limited alike, by the limit of the framer."""
    framer = StreamFramer(limit=100)
    framer.feed(opening + b"x" * 80)
    with pytest.raises(LimitExceeded, match="larger than 100 bytes"):
        framer.feed(b"x" * 80)


def test_array_is_read_element_by_element():
    """Some gateways send no events but an array."""
    array = b"[" + b"\n,\r\n".join(json.dumps(one, indent=2).encode() for one in OBJECTS) + b"\n]\n"
    assert values(framed(array)) == OBJECTS
    framer = StreamFramer(limit=LIMIT)
    assert values(framer.feed(array[: array.index(b",")])) == OBJECTS[:1]


def test_truncated_json_is_a_chunk():
    """So the end of the body does not pass for the end of the response."""
    assert framed(EVENTS + ERROR[:30])[-1].data == ERROR[:30]
    assert framed(b'[{"a": 1')[-1].data == b'{"a": 1'


def test_brace_within_a_line_is_no_start():
    """Wherever the network splits an event, its JSON stays in it."""
    assert values(framed(b'data: {"a":', b'{"b":1}}\n\n')) == [{"a": {"b": 1}}]
    assert values(framed(b"data: ", b'{"a":1}\n\n')) == [{"a": 1}]
    assert values(framed(b"data: ", b"", b'{"a":1}\n\n')) == [{"a": 1}]


@given(st.lists(st.integers(0, len(EVENTS + ERROR)), max_size=12), st.sampled_from([EVENTS, EVENTS + ERROR, ERROR]))
@settings(max_examples=200, deadline=None)
def test_any_split_gives_the_same_chunks(places, body):
    """The network may split anywhere."""
    edges = [0, *sorted(min(place, len(body)) for place in places), len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges)]
    assert framed(*pieces) == framed(body)
    assert framed(*(body[place : place + 1] for place in range(len(body)))) == framed(body)


NAMES = ("answer", "calls", "streamed_arguments", "code", "grounded", "media", "candidates", "blocked", "bare_error")


@given(st.data(), st.sampled_from(NAMES))
@settings(max_examples=60, deadline=None)
def test_any_split_of_a_body_gives_the_same_events(data, name):
    """The events do not depend on the reads."""
    body = (Path(__file__).parent / "bodies" / f"{name}.sse").read_bytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    edges = [0, *cuts, len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges)]
    assert decoded(framed(*pieces)) == decoded(framed(body))


def decoded(chunks):
    bound = bind(gemini, Connection(name="garden", driver="gemini"))
    decode = bound.decoder({})
    return [event for chunk in chunks for event in decode(chunk)]


def test_framing_of_stream_and_plain(encode):
    """The framing follows from the request."""
    streamed, plain = encode(stream=True), encode()
    assert (streamed.framing, plain.framing) == (StreamFramer, "whole")
    assert (streamed.complete_on, streamed.finish_counts) == ("finish", "last")


def test_array_stream_is_a_response(replay_body):
    """Such streams have numbered reasons if a client asks for them."""
    body = (Path(__file__).parent / "bodies" / "array.json").read_bytes()
    response = replay_body(body, headers={"content-type": "application/json; charset=UTF-8"}).response
    assert (response.content, response.finish_reason_raw) == ('Plant [them] {now}".', "STOP")
    assert response.usage.output_tokens == 7


SHAPES = {
    "events": b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in CHUNKS),
    "events after comments": b": quiet\r\n\r\n"
    + b"".join(b"data: %b\r\n\r\n" % json.dumps(one).encode() for one in CHUNKS),
    "array": json.dumps(CHUNKS).encode(),
    "indented array": json.dumps(CHUNKS, indent=2).encode(),
    "objects": b"\n".join(json.dumps(one).encode() for one in CHUNKS),
    "one object": json.dumps(
        {"candidates": [{"content": {"parts": [{"text": "Plant."}]}, "finishReason": "STOP"}]}
    ).encode(),
}


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json; charset=UTF-8", None])
@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_shape_of_a_stream_is_seen_from_its_bytes(replay_body, body, kind):
    """Gateways drop ``alt=sse``, add it, or answer plainly, and state either content type."""
    response = replay_body(body, headers={"content-type": kind} if kind else {}).response
    assert (response.content, response.finish_reason, response.outcome) == ("Plant.", "stop", "finished")


def test_html_page_is_no_stream(replay_body):
    """A proxy's page with status 200 is reported as such."""
    error = replay_body(b"<html>sign in</html>", headers={"content-type": "text/html"}).error
    assert isinstance(error, UnexpectedContentType)
