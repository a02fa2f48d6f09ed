"""Binary frames of AWS event streams: what is read, what is refused, and in which split they may come."""

from __future__ import annotations

import base64
import json
import os
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_bedrock.eventstream import EventStreamFramer
from polyglot_core._attempt.attempt import Attempt
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._attempt.lifecycle import Signal
from polyglot_core._drivers.bound import Driver
from polyglot_core._values.response import Outcome
from polyglot_core.errors import LimitExceeded, Malformed, Truncated
from polyglot_core.plugin import Connection, Finish, InferenceRequest, TextDelta, Timeouts, Usage, WireRequest, hookimpl

CORPUS = os.environ.get("POLYGLOT_CORPUS", "")
FILE = Path(CORPUS or ".").parent / "vectors" / "aws-eventstream.json"
VECTORS = json.loads(FILE.read_bytes()) if CORPUS and FILE.is_file() else {"positive": [], "negative": []}
NEEDS_VECTORS = pytest.mark.skipif(
    not VECTORS["positive"], reason="there are no vectors beside the folder that POLYGLOT_CORPUS names"
)


def header(name, value):
    """A header that holds a text."""
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()


def frame(payload=b"", headers=b"", *, total=None, headers_length=None):
    """A frame with right checksums, even where its lengths are wrong."""
    size = 16 + len(headers) + len(payload) if total is None else total
    lengths = struct.pack(">II", size, len(headers) if headers_length is None else headers_length)
    body = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def read(body, *, size=None):
    """Everything that a body holds, fed in pieces of `size` bytes."""
    framer = EventStreamFramer()
    step = size or len(body) or 1
    chunks = [chunk for place in range(0, len(body), step) for chunk in framer.feed(body[place : place + step])]
    return [*chunks, *framer.finish()]


EVENT = frame(b'{"a":1}', header(":message-type", "event") + header(":event-type", "leaf"))
EXCEPTION = frame(b"{}", header(":message-type", "exception") + header(":exception-type", "tooManyLeaves"))
ERROR = frame(b"", header(":message-type", "error") + header(":error-code", "Storm"))
STREAM = EVENT + EXCEPTION + ERROR


def test_a_frame_is_a_chunk_with_payload_headers_and_its_whole_bytes():
    """The payload is the data, the frame is what is shown as raw, headers are texts."""
    (chunk,) = read(EVENT)
    assert (chunk.data, chunk.raw, chunk.kind) == (b'{"a":1}', EVENT, "part")
    assert chunk.headers == {":message-type": "event", ":event-type": "leaf"}


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (0, b"", "true"),
        (1, b"", "false"),
        (2, b"\xff", "-1"),
        (3, b"\x01\x00", "256"),
        (4, b"\xff\xff\xff\xfe", "-2"),
        (5, b"\x00\x00\x00\x01\x00\x00\x00\x00", "4294967296"),
        (6, b"\x00\x02\xbe\xef", "beef"),
        (7, b"\x00\x02\xc3\xa9", "é"),
        (8, b"\x00\x00\x00\x00\x00\x00\x03\xe8", "1000"),
        (9, bytes(range(16)), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
    ],
)
def test_a_header_of_any_type_is_a_text(kind, value, text):
    """Truth values, numbers, bytes, times and ids are read as texts, one kind as good as the other."""
    (chunk,) = read(frame(headers=b"\x01a" + bytes([kind]) + value))
    assert chunk.headers == {"a": text}


def test_the_event_is_the_type_of_an_event_an_exception_or_an_error():
    """Whichever of the three headers a frame has names it; a frame without them has no event."""
    assert [chunk.event for chunk in read(STREAM + frame(b"x"))] == ["leaf", "tooManyLeaves", "Storm", None]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_any_split_gives_the_same_frames(places):
    """It does not matter where the network cuts."""
    framer = EventStreamFramer()
    pieces = [STREAM[start:end] for start, end in zip([0, *places], [*places, len(STREAM)], strict=True)]
    chunks = [chunk for piece in pieces for chunk in framer.feed(piece)]
    assert [*chunks, *framer.finish()] == read(STREAM)


@pytest.mark.parametrize("length", range(1, len(EVENT)))
def test_a_frame_that_the_body_cuts_is_truncated(length):
    """However much of it came; the frames before are handed out."""
    framer = EventStreamFramer()
    assert len(framer.feed(EVENT + EVENT[:length])) == 1
    with pytest.raises(Truncated):
        framer.finish()


@pytest.mark.parametrize("place", range(len(EVENT)))
def test_a_flipped_bit_anywhere_is_never_read(place):
    """Checksums cover every byte of a frame."""
    broken = bytearray(EVENT)
    broken[place] ^= 1
    with pytest.raises(Malformed):
        read(bytes(broken) + EVENT)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(frame(total=0), id="no length"),
        pytest.param(frame(total=15), id="shorter than a frame can be"),
        pytest.param(frame(total=16 * 1024 * 1024 + 1), id="longer than a frame may be"),
        pytest.param(frame(headers_length=1), id="headers longer than the frame"),
        pytest.param(frame(total=200_000, headers_length=131_073), id="headers longer than they may be"),
        pytest.param(frame(headers=b"\x00\x07\x00\x01a"), id="a header without a name"),
        pytest.param(frame(headers=b"\x01a"), id="a header without a type"),
        pytest.param(frame(headers=b"\x01a\x0a"), id="a type that there is not"),
        pytest.param(frame(headers=b"\x01a\x07\x00\x05abc"), id="a text that runs over the end"),
        pytest.param(frame(headers=b"\x01a\x07\x00\x02\xff\xfe"), id="a text that is no UTF-8"),
        pytest.param(frame(headers=header("a", "1") * 2), id="a header that is there twice"),
        pytest.param(frame(headers=b"\x01a\x06" + struct.pack(">H", 32_768) + bytes(32_768)), id="a value too long"),
    ],
)
def test_a_frame_that_breaks_the_rules_is_malformed_and_ends_the_reading(broken):
    """What came before it is handed out first; behind it nothing is read."""
    framer = EventStreamFramer()
    assert [chunk.event for chunk in framer.feed(EVENT + broken + EVENT)] == ["leaf"]
    for ask in (lambda: framer.feed(EVENT), framer.finish):
        with pytest.raises(Malformed):
            ask()


def test_a_length_that_is_not_allowed_is_refused_before_the_bytes_come():
    """The first twelve bytes are enough, so nobody waits for gigabytes."""
    with pytest.raises(Malformed):
        EventStreamFramer().feed(frame(total=2**31)[:12])


SAID = b'[["TextDelta",{"text":"a"}]]'
DONE = b'[["Finish",{"reason":"stop","raw":"stop"}]]'


class Toy:
    """A driver whose chunks are lists of events, in frames."""

    @hookimpl
    def encode_request(self):
        return WireRequest(url="http://localhost", body=b"", framing=EventStreamFramer)

    @hookimpl
    def decode_chunk(self, chunk):
        pairs = msgspec.json.decode(chunk.data, type=list[tuple[str, dict[str, Any]]])
        return [msgspec.convert(fields, {"TextDelta": TextDelta, "Finish": Finish}[name]) for name, fields in pairs]

    @hookimpl
    def extract_usage(self, payload):
        return Usage(raw=payload)


def heard(*pieces):
    """Return the attempt that has received an event stream, as the pump feeds it."""
    driver = Driver("toy", Toy()).bind(Connection(name="here", driver="toy"))
    attempt = Attempt(driver.encode(InferenceRequest(model="m", messages=())), driver, Clocks(Timeouts(), 0.0))
    attempt.begin(200, {})
    try:
        for piece in pieces:
            list(attempt.feed(piece, 0.0))
        list(attempt.finish(0.0))
    except (Malformed, Truncated) as error:
        list(attempt.interrupt(Signal.BROKEN, error, 0.0))
    return attempt


@pytest.mark.parametrize("cut", [1, 20])
def test_an_answer_that_ends_in_a_frame_is_truncated(cut):
    """The error, and the outcome in its partial, say that the answer was cut; what came is kept."""
    with pytest.raises(Truncated) as caught:
        heard(frame(SAID), frame(SAID)[:cut])
    assert (caught.value.partial.content, caught.value.partial.outcome) == ("a", Outcome.TRUNCATED)


def test_an_answer_that_was_done_may_end_in_a_frame():
    """Where the model has said that it is done, half a frame behind it takes nothing away."""
    attempt = heard(frame(SAID), frame(DONE), frame(SAID)[:20])
    assert (attempt.response.content, attempt.outcome) == ("a", Outcome.FINISHED)


@pytest.mark.parametrize("before", [[frame(SAID)], [frame(SAID), frame(DONE)]])
def test_a_broken_frame_fails_the_answer(before):
    """Bytes that are not what was sent are an error, also behind the finish: no success is made of them."""
    with pytest.raises(Malformed) as caught:
        heard(*before, b"x" * 20)
    assert (caught.value.partial.content, caught.value.partial.outcome) == ("a", Outcome.FAILED)


def test_a_frame_that_is_larger_than_the_caller_allows_is_refused_before_it_comes():
    """The prelude says how long it is; the frames before it are handed out."""
    framer = EventStreamFramer(limit=len(EVENT))
    assert len(framer.feed(EVENT + frame(EVENT)[:12])) == 1
    with pytest.raises(LimitExceeded, match=r"limits\.event"):
        framer.feed(b"")


def test_a_frame_in_tiny_pieces_takes_little_more_memory_than_it_has_bytes():
    """What is kept of a frame that has not ended is its bytes, and not an object for each read that brought some."""
    framer = EventStreamFramer(limit=1 << 18)
    pieces = [bytes(2)] * 100_000
    lengths = struct.pack(">II", 1 << 18, 0)
    tracemalloc.start()
    framer.feed(lengths + struct.pack(">I", zlib.crc32(lengths)))
    for piece in pieces:
        assert not framer.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 200_000 < peak < 3 * 200_000


def test_every_request_is_read_by_a_framer_of_its_own():
    """The framing of a request makes a new framer each time, and knows its media type."""
    wire = WireRequest(url="http://localhost", body=b"", framing=EventStreamFramer)
    assert wire.framing(limit=7) is not wire.framing(limit=7)
    assert wire.framing.media_types == {"application/vnd.amazon.eventstream"}


def test_nothing_is_no_frame():
    """An empty body is not an error of the framing."""
    assert read(b"") == []


# AWS's own vectors


def as_text(value):
    """A header's value of the vectors as a chunk has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        ((kind, inner),) = value.items()
        return base64.b64decode(inner).hex() if kind == "b64" else str(inner)
    return str(value)


def encoded(vector):
    if "encoded_b64" in vector:
        return base64.b64decode(vector["encoded_b64"])
    recipe = vector["encoded_recipe"]
    middle = recipe["fill_byte"].encode() * recipe["fill_count"]
    return base64.b64decode(recipe["prefix_b64"]) + middle + base64.b64decode(recipe["suffix_b64"])


@NEEDS_VECTORS
def test_there_are_as_many_vectors_as_there_should_be():
    """A file that lost some would make the tests below say less than they seem to."""
    assert (len(VECTORS["positive"]), len(VECTORS["negative"])) == (20, 32)


@NEEDS_VECTORS
@pytest.mark.parametrize("size", [1, None])
@pytest.mark.parametrize("vector", VECTORS["positive"], ids=lambda vector: vector["name"])
def test_a_sound_vector_is_read(vector, size):
    """Headers and payload are what the vector says, byte by byte and at once."""
    chunks = read(encoded(vector), size=size)
    assert [(chunk.headers, chunk.data) for chunk in chunks] == [
        ({one["name"]: as_text(one["value"]) for one in wanted["headers"]}, base64.b64decode(wanted["payload_b64"]))
        for wanted in vector["expected"]
    ]


@NEEDS_VECTORS
@pytest.mark.parametrize("vector", VECTORS["negative"], ids=lambda vector: vector["name"])
def test_a_broken_vector_is_refused(vector):
    """A frame that is wrong is malformed, one that is cut is truncated, and none is read."""
    with pytest.raises(Truncated if vector["kind"] == "truncated_at_eof" else Malformed):
        read(encoded(vector))
