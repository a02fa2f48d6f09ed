"""Binary frames of AWS event streams: valid ones, invalid ones, and their splits."""

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
from polyglot_core._values.response import Outcome
from polyglot_core.errors import LimitExceeded, Malformed, Truncated
from polyglot_core.plugin import Connection, Finish, InferenceRequest, TextDelta, Timeouts, Usage, WireRequest, hookimpl
from polyglot_core.testing import bind

CORPUS = os.environ.get("POLYGLOT_CORPUS", "")
FILE = Path(CORPUS or ".").parent / "vectors" / "aws-eventstream.json"
VECTORS = json.loads(FILE.read_bytes()) if CORPUS and FILE.is_file() else {"positive": [], "negative": []}
NEEDS_VECTORS = pytest.mark.skipif(
    not VECTORS["positive"], reason="there are no vectors beside the folder that POLYGLOT_CORPUS names"
)


def header(name, value):
    """Return a header that holds a string."""
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()


def frame(payload=b"", headers=b"", *, total=None, headers_length=None):
    """Return a frame with valid checksums, even if its lengths are wrong."""
    size = 16 + len(headers) + len(payload) if total is None else total
    lengths = struct.pack(">II", size, len(headers) if headers_length is None else headers_length)
    body = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def read(body, *, size=None):
    """Return all chunks of a body, fed in pieces of `size` bytes."""
    framer = EventStreamFramer()
    step = size or len(body) or 1
    chunks = [chunk for place in range(0, len(body), step) for chunk in framer.feed(body[place : place + step])]
    return [*chunks, *framer.finish()]


EVENT = frame(b'{"a":1}', header(":message-type", "event") + header(":event-type", "leaf"))
EXCEPTION = frame(b"{}", header(":message-type", "exception") + header(":exception-type", "tooManyLeaves"))
ERROR = frame(b"", header(":message-type", "error") + header(":error-code", "Storm"))
STREAM = EVENT + EXCEPTION + ERROR


def test_frame_is_a_chunk():
    """The payload is the data, the frame is the raw form, headers are strings."""
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
def test_header_of_any_type_is_a_string(kind, value, text):
    """Booleans, numbers, bytes, times and ids become strings."""
    (chunk,) = read(frame(headers=b"\x01a" + bytes([kind]) + value))
    assert chunk.headers == {"a": text}


def test_event_is_named_by_one_of_three_headers():
    """The type of an event, an exception or an error; a frame without them has no event."""
    assert [chunk.event for chunk in read(STREAM + frame(b"x"))] == ["leaf", "tooManyLeaves", "Storm", None]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_any_split_gives_the_same_frames(places):
    """The frames do not depend on how the network splits the body."""
    framer = EventStreamFramer()
    pieces = [STREAM[start:end] for start, end in zip([0, *places], [*places, len(STREAM)], strict=True)]
    chunks = [chunk for piece in pieces for chunk in framer.feed(piece)]
    assert [*chunks, *framer.finish()] == read(STREAM)


@pytest.mark.parametrize("length", range(1, len(EVENT)))
def test_incomplete_frame_is_truncated(length):
    """However much of it was received; the frames before are returned."""
    framer = EventStreamFramer()
    assert len(framer.feed(EVENT + EVENT[:length])) == 1
    with pytest.raises(Truncated):
        framer.finish()


@pytest.mark.parametrize("place", range(len(EVENT)))
def test_flipped_bit_is_always_detected(place):
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
def test_invalid_frame_is_malformed(broken):
    """The frames before it are returned first; nothing after it is read."""
    framer = EventStreamFramer()
    assert [chunk.event for chunk in framer.feed(EVENT + broken + EVENT)] == ["leaf"]
    for ask in (lambda: framer.feed(EVENT), framer.finish):
        with pytest.raises(Malformed):
            ask()


def test_length_is_checked_before_the_payload():
    """The first twelve bytes are enough, so no client waits for gigabytes."""
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


def attempt_after(*pieces):
    """Return the attempt that has received an event stream, as the pump feeds it."""
    driver = bind(Toy(), Connection(name="here", driver="toy"))
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
def test_response_that_ends_within_a_frame_is_truncated(cut):
    """The error and the outcome in its partial show it; the content received is kept."""
    with pytest.raises(Truncated) as caught:
        attempt_after(frame(SAID), frame(SAID)[:cut])
    assert (caught.value.partial.content, caught.value.partial.outcome) == ("a", Outcome.TRUNCATED)


def test_finished_response_may_end_within_a_frame():
    """After the finish a truncated frame changes nothing."""
    attempt = attempt_after(frame(SAID), frame(DONE), frame(SAID)[:20])
    assert (attempt.response.content, attempt.outcome) == ("a", Outcome.FINISHED)


@pytest.mark.parametrize("before", [[frame(SAID)], [frame(SAID), frame(DONE)]])
def test_broken_frame_fails_the_response(before):
    """Corrupted bytes are an error, also after the finish: they never pass for a success."""
    with pytest.raises(Malformed) as caught:
        attempt_after(*before, b"x" * 20)
    assert (caught.value.partial.content, caught.value.partial.outcome) == ("a", Outcome.FAILED)


def test_frame_above_the_limit_is_rejected_early():
    """The prelude holds its length; the frames before it are returned."""
    framer = EventStreamFramer(limit=len(EVENT))
    assert len(framer.feed(EVENT + frame(EVENT)[:12])) == 1
    with pytest.raises(LimitExceeded, match=r"limits\.event"):
        framer.feed(b"")


def test_frame_in_tiny_pieces_needs_little_memory():
    """An incomplete frame is buffered as its bytes, not as an object for each read."""
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


def test_every_request_has_its_own_framer():
    """The framing of a request makes a new framer each time, and names its media type."""
    wire = WireRequest(url="http://localhost", body=b"", framing=EventStreamFramer)
    assert wire.framing(limit=7) is not wire.framing(limit=7)
    assert wire.framing.media_types == {"application/vnd.amazon.eventstream"}


def test_empty_body_has_no_frame():
    """It is not an error of the framing."""
    assert read(b"") == []


# AWS's own test vectors


def as_text(value):
    """Return a header's value of the vectors as a chunk has it."""
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
def test_number_of_vectors():
    """A file that lost some would weaken the tests below."""
    assert (len(VECTORS["positive"]), len(VECTORS["negative"])) == (20, 32)


@NEEDS_VECTORS
@pytest.mark.parametrize("size", [1, None])
@pytest.mark.parametrize("vector", VECTORS["positive"], ids=lambda vector: vector["name"])
def test_valid_vector(vector, size):
    """Headers and payload are those of the vector, fed byte by byte and at once."""
    chunks = read(encoded(vector), size=size)
    assert [(chunk.headers, chunk.data) for chunk in chunks] == [
        ({one["name"]: as_text(one["value"]) for one in wanted["headers"]}, base64.b64decode(wanted["payload_b64"]))
        for wanted in vector["expected"]
    ]


@NEEDS_VECTORS
@pytest.mark.parametrize("vector", VECTORS["negative"], ids=lambda vector: vector["name"])
def test_invalid_vector(vector):
    """A wrong frame is malformed, an incomplete one truncated, and none is read."""
    with pytest.raises(Truncated if vector["kind"] == "truncated_at_eof" else Malformed):
        read(encoded(vector))
