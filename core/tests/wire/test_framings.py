"""Server-sent events by section 9.2 of the HTML standard, in any split, and the table of framings."""

from __future__ import annotations

import base64
import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core._wire.framings import FRAMERS, WholeFramer, framer_for, media_type
from polyglot_core._wire.messages import Chunk, WireRequest
from polyglot_core._wire.sse import SSEFramer
from polyglot_core.errors import LimitExceeded, UnexpectedContentType

BOM = b"\xef\xbb\xbf"

# name → (stream, expected chunks: data, event, id)
VECTORS = {
    "one block": (b"data: a\n\n", [("a", None, None)]),
    "several blocks": (b"data: a\n\ndata: b\n\n", [("a", None, None), ("b", None, None)]),
    "no space after the colon": (b"data:a\n\n", [("a", None, None)]),
    "only the first space is taken": (b"data:  a\n\n", [(" a", None, None)]),
    "a tab is no space": (b"data:\ta\n\n", [("\ta", None, None)]),
    "several lines of data": (b"data: a\ndata: b\n\n", [("a\nb", None, None)]),
    "empty data": (b"data:\n\n", [("", None, None)]),
    "a field without a colon": (b"data\n\n", [("", None, None)]),
    "two empty lines of data": (b"data\ndata\n\n", [("\n", None, None)]),
    "a colon in the data": (b"data: a: b\n\n", [("a: b", None, None)]),
    "an event name": (b"event: e\ndata: a\n\n", [("a", "e", None)]),
    "an event name after the data": (b"data: a\nevent: e\n\n", [("a", "e", None)]),
    "the event name is forgotten": (b"event: e\ndata: a\n\ndata: b\n\n", [("a", "e", None), ("b", None, None)]),
    "an empty event name": (b"event:\ndata: a\n\n", [("a", None, None)]),
    "an event without data": (b"event: e\n\ndata: a\n\n", [("a", None, None)]),
    "an id": (b"id: 1\ndata: a\n\n", [("a", None, "1")]),
    "the id is kept": (b"id: 1\ndata: a\n\ndata: b\n\n", [("a", None, "1"), ("b", None, "1")]),
    "an id without data is kept": (b"id: 1\n\ndata: a\n\n", [("a", None, "1")]),
    "an empty id forgets the last": (b"id: 1\ndata: a\n\nid\ndata: b\n\n", [("a", None, "1"), ("b", None, "")]),
    "an id with NUL": (b"id: 1\x002\ndata: a\n\n", [("a", None, None)]),
    "an id with NUL keeps the last": (b"id: 1\ndata: a\n\nid: \x00\ndata: b\n\n", [("a", None, "1"), ("b", None, "1")]),
    "comments": (b": hello\ndata: a\n:\n: again\n\n", [("a", None, None)]),
    "only a comment": (b": ping\n\ndata: a\n\n", [("a", None, None)]),
    "an unknown field": (b"date: a\ndata: b\nDATA: c\n data: d\n\n", [("b", None, None)]),
    "retry is no event": (b"retry: 100\n\ndata: a\n\n", [("a", None, None)]),
    "blank lines before and between": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [("a", None, None), ("b", None, None)]),
    "CR LF": (b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", [("a\nb", None, None), ("c", None, None)]),
    "CR": (b"data: a\rdata: b\r\rdata: c\r\r", [("a\nb", None, None), ("c", None, None)]),
    "mixed line ends": (
        b"data: a\rdata: b\r\ndata: c\n\r\ndata: d\r\n\n",
        [("a\nb\nc", None, None), ("d", None, None)],
    ),
    "a mark at the start": (BOM + b"data: a\n\ndata: b\n\n", [("a", None, None), ("b", None, None)]),
    "two marks": (BOM + BOM + b"data: a\n\ndata: b\n\n", [("b", None, None)]),
    "a mark later": (b"data: a\n\n" + BOM + b"data: b\n\ndata: c\n\n", [("a", None, None), ("c", None, None)]),
    "half a mark": (BOM[:2] + b"data: a\n\ndata: b\n\n", [("b", None, None)]),
    "an unfinished block": (b"data: a\n\ndata: b\n", [("a", None, None)]),
    "an unfinished line": (b"data: a\n\ndata: b", [("a", None, None)]),
    "nothing": (b"", []),
    "letters of several bytes": ("data: grüße 🚀\n\n".encode(), [("grüße 🚀", None, None)]),
    "separators that are no line ends": ("data: a\u2028b\x0bc\x85\n\n".encode(), [("a\u2028b\x0bc\x85", None, None)]),
}


def meaning(chunks):
    return [(chunk.data.decode(), chunk.event, chunk.id) for chunk in chunks]


def frame(pieces, **how):
    framer = SSEFramer(**how)
    return [chunk for piece in pieces for chunk in framer.feed(piece)] + list(framer.finish())


def cut(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize("name", VECTORS)
def test_streams_are_parsed_as_the_standard_specifies(name, size):
    """Check the chunks of each stream, read in pieces of 1 byte up to the whole."""
    stream, expected = VECTORS[name]
    assert meaning(frame(cut(stream, size))) == expected


@pytest.mark.parametrize("name", VECTORS)
def test_split_at_any_index_gives_the_same_chunks(name):
    """Split each stream in two at every index: the chunks do not change."""
    stream, expected = VECTORS[name]
    for place in range(len(stream) + 1):
        assert meaning(frame([stream[:place], stream[place:]])) == expected, place


@pytest.mark.parametrize("name", VECTORS)
def test_empty_reads_change_nothing(name):
    """Insert empty reads around every byte: the chunks do not change."""
    stream, expected = VECTORS[name]
    pieces = [piece for byte in cut(stream, 1) for piece in (b"", byte, b"")]
    assert meaning(frame(pieces)) == expected


lines = st.sampled_from(
    [
        b"data: a",
        b"data:",
        b"data",
        b'data: {"b": 1}',
        b"event: e",
        b"id: 7",
        b"id",
        b": c",
        b"retry: 5",
        b"x: y",
        b"",
        BOM,
    ]
)
ends = st.sampled_from([b"\n", b"\r", b"\r\n"])
streams = st.lists(st.tuples(lines, ends).map(b"".join), max_size=30).map(b"".join)


@given(stream=streams, data=st.data(), flush=st.booleans())
def test_any_split_gives_the_same_chunks(stream, data, flush):
    """Split generated streams at random: the chunks depend on the bytes only."""
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    assert frame(pieces, flush_at_eof=flush) == frame([stream], flush_at_eof=flush)


@given(payloads=st.lists(st.binary(max_size=40).filter(lambda text: b"\n" not in text and b"\r" not in text)))
def test_payloads_are_returned_unchanged(payloads):
    """Check that payloads of one line are returned byte for byte."""
    stream = b"".join(b"data: " + payload + b"\n\n" for payload in payloads)
    assert [chunk.data for chunk in frame(cut(stream, 5))] == payloads


@pytest.mark.parametrize("place", range(1, 60))
def test_id_of_a_block_in_two_reads(place):
    """The blocks behind it in the second read have its id too."""
    stream = b"".join(b"data: %d\r\n\r\n" % number for number in range(3)) + b"id: 7\r\ndata: a\r\n\r\ndata: b\r\n\r\n"
    assert frame([stream[:place], stream[place:]]) == frame([stream])


@pytest.mark.parametrize(
    "rest", [b"data: c\n\n", b"data: c\n\ndata: d", b"data: c\r\r", b"data: c\r\n\r", b"data: c\n\r"]
)
def test_block_with_another_end_behind_those_with_crlf(rest):
    """It is a chunk at once, and not only when more is read or the body ends."""
    framer = SSEFramer()
    framer.feed(b"data: a\r\n\r\n")
    assert [chunk.data for chunk in framer.feed(b"data: b\r\n\r\n" + rest)] == [b"b", b"c"]
    assert [chunk.data for chunk in framer.feed(b"\ndata: e\r\n\r\n")] in ([b"e"], [b"d\ne"])


one_line = st.binary(max_size=12).filter(lambda text: b"\n" not in text and b"\r" not in text)
names = st.none() | st.sampled_from(["delta", "error", "a: b", "", "é"])


@given(
    events=st.lists(st.tuples(names, one_line), max_size=12),
    end=ends,
    odd=st.sampled_from([b"", b": ping", b"retry: 5", b"data: x", b"x"]),
    data=st.data(),
)
def test_usual_streams_in_any_split(events, end, odd, data):
    """Blocks of one line of data, with or without a name, are chunks in any split, also beside an odd block."""
    blocks = [
        (b"" if name is None else b"event: " + name.encode() + end) + b"data: " + payload + end + end
        for name, payload in events
    ]
    expected = [(payload, name or None) for name, payload in events]
    if odd and blocks:
        place = data.draw(st.integers(0, len(blocks)))
        blocks.insert(place, odd + end + end)
        expected[place:place] = [(b"x", None)] if odd == b"data: x" else []
    stream = b"".join(blocks)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[start:stop] for start, stop in zip([0, *places], [*places, len(stream)], strict=True)]
    for reads in (blocks, pieces, [stream]):
        chunks = frame(reads)
        assert [(chunk.data, chunk.event) for chunk in chunks] == expected
        assert all(chunk.raw == chunk.data for chunk in chunks)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(data):
    """Check that the framer accepts any bytes; it does not interpret payloads."""
    assert all(isinstance(chunk, Chunk) for chunk in frame(cut(data, 3), flush_at_eof=True))


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a", ["a"]),
        (b"data: a\n", ["a"]),
        (b"data: a\r\n", ["a"]),
        (b"data: a\r", ["a"]),
        (b"data: a\ndata: b", ["a\nb"]),
        (b"data: a\n\ndata: b", ["a", "b"]),
        (b"data: a\n\n", ["a"]),
        (b"event: e\n", []),
        (b": comment", []),
        (b"\n\n\n", []),
        (BOM[:2], []),
        (BOM, []),
        (b"", []),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_flush_at_eof_returns_the_unterminated_block(stream, expected, size):
    """Check that with `flush_at_eof` the last block counts without its closing blank line."""
    assert [chunk.data.decode() for chunk in frame(cut(stream, size), flush_at_eof=True)] == expected


def test_second_finish_returns_nothing():
    """Check that a second `finish` does not return the last block twice."""
    framer = SSEFramer(flush_at_eof=True)
    framer.feed(b"data: a")
    assert len(framer.finish()) == 1
    assert not framer.finish()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"retry: 1500\n\n", 1500),
        (b"retry:3\n\n", 3),
        (b"retry: 3s\n\n", None),
        (b"retry: -3\n\n", None),
        (b"retry: 1.5\n\n", None),
        (b"retry:\n\n", None),
        (b"retry\n\n", None),
        (b"retry: 1\n\nretry: x\n\n", 1),
        (b"retry: 9999999999\n\n", 9_999_999_999),
        (b"retry: 10000000000\n\n", None),
        (b"retry: " + b"1" * 5000 + b"\n\n", None),
        (b"retry: 1\n\nretry: " + b"1" * 5000 + b"\n\n", 1),
    ],
)
def test_retry_must_be_at_most_ten_digits(stream, expected):
    """Check that a retry field counts only if it consists of one to ten digits."""
    framer = SSEFramer()
    assert not framer.feed(stream)
    assert framer.retry == expected


def test_long_line_costs_linear_time():
    """Feed a line of 8 MB in reads of 1 KB: it is buffered in place and joined once."""
    framer = SSEFramer()
    kept = framer._open
    for count, piece in enumerate(cut(b"data: " + b"x" * (8 << 20), 1024), 1):
        assert not framer.feed(piece)
        assert framer._open is kept
        assert len(kept) == min(count * 1024, 6 + (8 << 20))
    assert [len(chunk.data) for chunk in framer.feed(b"\n\n")] == [8 << 20]


def test_block_of_many_lines_is_one_chunk():
    """Feed a block of 100,000 data lines, one per read: all of them are in one chunk."""
    framer = SSEFramer()
    for number in range(100_000):
        assert not framer.feed(b"data: %d\n" % number)
    (chunk,) = framer.feed(b"\n")
    assert chunk.data.split(b"\n") == [b"%d" % number for number in range(100_000)]


def test_chunks_are_copies():
    """Check that a chunk's bytes do not change with the buffer that was read."""
    buffer = bytearray(b"data: a\n\n")
    (chunk,) = frame([bytes(buffer)])
    buffer[:] = b"x" * len(buffer)
    assert type(chunk.data) is bytes
    assert (chunk.data, chunk.raw) == (b"a", b"a")


# The other framings


@pytest.mark.parametrize(
    ("pieces", "expected"), [([b"{", b"}"], [b"{}"]), ([], []), ([b" \n"], []), ([b"\x00"], [b"\x00"])]
)
def test_whole_body_is_one_chunk(pieces, expected):
    """Check that a response that is not a stream is one chunk of kind ``whole``; a blank one is none."""
    framer = WholeFramer()
    assert not [chunk for piece in pieces for chunk in framer.feed(piece)]
    chunks = framer.finish()
    assert [chunk.data for chunk in chunks] == expected
    assert all(chunk.kind == "whole" for chunk in chunks)


@pytest.mark.parametrize("name", FRAMERS)
def test_each_response_gets_a_new_framer(name):
    """Check that `framer_for` creates a new framer each time."""
    wire = WireRequest(url="http://localhost", body=b"", framing=name)
    assert framer_for(wire) is not framer_for(wire)


def test_framer_class_of_a_driver_is_used():
    """Check that a driver's framer class receives the limit."""

    class Own:
        def __init__(self, *, limit):
            self.limit = limit

        def feed(self, data):
            return ()

        def finish(self):
            return ()

    framer = framer_for(WireRequest(url="http://localhost", body=b"", framing=Own), 7)
    assert (type(framer), framer.limit) == (Own, 7)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("text/event-stream", "text/event-stream"),
        ("Text/Event-Stream; charset=utf-8", "text/event-stream"),
        (" application/json ;x", "application/json"),
        ("", None),
        (";", None),
        (None, None),
    ],
)
def test_media_type_without_parameters(header, expected):
    """Check that case and parameters of a Content-Type header are ignored."""
    assert media_type(header) == expected


# The limit for one event

LARGE = {
    "sse": (b"data: {}\n\n", b"data: " + b"x" * 90),
    "ndjson": (b"{}\n", b"x" * 90),
    "json-array": (b"[{},", b'{"' + b"x" * 90),
}


def limited(name):
    return FRAMERS[name].make(WireRequest(url="", body=b""), 60)


@pytest.mark.parametrize(("name", "event", "large"), [(name, *bodies) for name, bodies in LARGE.items()])
@pytest.mark.parametrize("size", [1, 7, 50])
def test_too_large_event_raises_before_its_end(name, event, large, size):
    """Check that an event is buffered up to the limit only, and that events before it are returned."""
    framer, chunks = limited(name), []
    with pytest.raises(LimitExceeded, match=r"60 bytes.*limits\.event"):
        for piece in cut(event + large, size):
            chunks += framer.feed(piece)
    assert [chunk.data for chunk in chunks] == [b"{}"]


@pytest.mark.parametrize(("name", "event", "large"), [(name, *bodies) for name, bodies in LARGE.items()])
def test_events_before_a_too_large_one_are_returned_first(name, event, large):
    """Feed complete events and the start of a large one in one read: the error is raised by the next read."""
    framer = limited(name)
    assert [chunk.data for chunk in framer.feed(event + large)] == [b"{}"]
    with pytest.raises(LimitExceeded):
        framer.feed(b"x")


@pytest.mark.parametrize(("name", "event", "large"), [(name, *bodies) for name, bodies in LARGE.items()])
def test_limit_applies_to_single_events(name, event, large):
    """Check that the limit is for one event, not for their sum."""
    framer = limited(name)
    body = event * 50 if name != "json-array" else b"[" + b"{}," * 50
    assert len([chunk for piece in cut(body, 7) for chunk in framer.feed(piece)]) == 50


BEGINNINGS = {
    "sse": b"data: x\n\ndata: ",
    "ndjson": b"{}\n{",
    "json-array": b'[{},{"',
    "whole": b"{",
}


@pytest.mark.parametrize("name", FRAMERS)
def test_buffered_event_costs_its_bytes(name):
    """Feed an event byte by byte: the buffer does not keep an object for each read."""
    framer = FRAMERS[name].make(WireRequest(url="", body=b""), 1 << 18)
    pieces = cut(bytes(200_000), 2)
    tracemalloc.start()
    framer.feed(BEGINNINGS[name])
    for piece in pieces:
        assert not framer.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 200_000 < peak < 3 * 200_000


# The vectors of the web platform tests, if the corpus is available


def _vectors():
    corpus = os.environ.get("POLYGLOT_CORPUS")
    if not corpus:
        pytest.skip("POLYGLOT_CORPUS does not say where the recorded exchanges are")
    return json.loads((Path(corpus).parent / "vectors" / "sse-wpt.json").read_text("utf-8"))


def _expected(vector):
    return [(event["data"], event["event"], event["id"]) for event in vector["expected"]]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
def test_web_platform_vectors(size):
    """Check that every stream of the web platform tests gives the events that a browser dispatches."""
    framed = [vector for vector in _vectors() if not vector.get("fails_connection")]
    assert len(framed) == 28
    for vector in framed:
        chunks = frame(cut(base64.b64decode(vector["input_b64"]), size))
        seen = [(chunk.data.decode(), chunk.event or "message", chunk.id or "") for chunk in chunks]
        assert seen == _expected(vector), vector["name"]


def test_content_types_that_browsers_reject(toy):
    """Check that under a type that a browser rejects, a body is an error unless it is an event stream after all."""
    failing = [vector for vector in _vectors() if vector.get("fails_connection")]
    assert len(failing) == 2
    for vector in failing:
        content_type = vector.get("content_type")
        headers = {"content-type": content_type} if content_type else {}
        attempt = toy.attempt(headers=headers)
        toy.read(attempt, *toy.story)
        assert attempt.response.content == "Once upon a time"
        if media_type(content_type) not in {None, "text/event-stream"}:
            assert attempt.response.notes
            with pytest.raises(UnexpectedContentType):
                toy.read(toy.attempt(headers=headers), b"<p>x</p>")
