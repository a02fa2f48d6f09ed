"""The framing of a body whose content type does not fit the request, by its first bytes."""

from __future__ import annotations

import pytest

from polyglot_core._wire.first_bytes import FirstBytes, form_of
from polyglot_core._wire.framings import framer_for
from polyglot_core._wire.json_framers import JSONArrayFramer, JSONBodyFramer, NDJSONFramer
from polyglot_core._wire.messages import WireRequest
from polyglot_core._wire.sse import SSEFramer

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"data: {", "sse"),
        (b"event: x", "sse"),
        (b"id: 1", "sse"),
        (b"retry: 1", "sse"),
        (b": ping", "sse"),
        (b"error: {", "sse"),
        (BOM + b"data:", "sse"),
        (b"\n\ndata:", "sse"),
        (b"{", "json"),
        (b' \r\n{"a"', "json"),
        (b"[ {", "json"),
        (b"[1", "other"),
        (b"[]", "other"),
        (b"<html>", "other"),
        (b"Sorry", "other"),
        (b"data is", "other"),
        (b"\x00\x01", "other"),
        (b"", None),
        (b" \n", None),
        (b"da", None),
        (b"data", None),
        (BOM[:1], None),
        (b"[ ", None),
    ],
)
def test_form_of_a_body(data, form):
    """Check that fields of an event, an object or a list of objects are recognized, and that little is not enough."""
    assert form_of(data) == form


class Binary:
    media_types = frozenset({"application/x-binary"})

    def __init__(self, *, limit):
        self.limit = limit

    def feed(self, data):
        return ()

    def finish(self):
        return ()


def chosen(framing, content_type, data):
    wire = WireRequest(url="http://localhost", body=b"", framing=framing)
    own = framer_for(wire)
    headers = {"content-type": content_type} if content_type else {}
    first = FirstBytes(wire, headers, own, 1000)
    if not first.needed:
        return "own", ""
    try:
        framer = first.framer(data)
    except ValueError:
        return "refused", ""
    return "own" if framer is own else type(framer), first.note


SSE, JSON, NDJSON = "text/event-stream", "application/json", "application/x-ndjson"


@pytest.mark.parametrize(
    ("framing", "content_type", "data", "expected", "noted"),
    [
        ("sse", SSE, b"{", "own", False),
        ("sse", JSON, b"data: {", "own", True),
        ("sse", "text/plain", b"data: {", "own", True),
        ("sse", None, b"data: {", "own", False),
        ("sse", JSON, b"{", JSONBodyFramer, True),
        ("sse", NDJSON, b"{", JSONBodyFramer, True),
        ("sse", None, b"{", JSONBodyFramer, True),
        ("sse", "text/html", b"<html>", "refused", False),
        ("sse", "text/plain", b"Sorry", "refused", False),
        ("sse", None, b"Sorry", "own", False),
        ("whole", JSON, b"{", "own", False),
        ("whole", "application/x+json", b"{", "own", False),
        ("whole", "text/plain", b"{", "own", True),
        ("whole", SSE, b"data: {", SSEFramer, True),
        ("whole", JSON, b"data: {", SSEFramer, True),
        ("whole", None, b"event: x", SSEFramer, True),
        ("whole", "text/html", b"<html>", "refused", False),
        ("ndjson", NDJSON, b"{", "own", False),
        ("ndjson", None, b"{", "own", False),
        ("ndjson", JSON, b"{", JSONBodyFramer, False),
        ("ndjson", SSE, b"data: {", SSEFramer, True),
        ("ndjson", NDJSON, b"data: {", SSEFramer, True),
        ("json-array", JSON, b"[{", "own", False),
        ("json-array", SSE, b"data: {", SSEFramer, True),
        (Binary, "application/x-binary", b"{", "own", False),
        (Binary, JSON, b"{", JSONBodyFramer, True),
        (Binary, None, b"{", JSONBodyFramer, False),
        (Binary, SSE, b"data: {", "refused", False),
        (Binary, None, b"\x00", "own", False),
        (Binary, "text/html", b"<", "refused", False),
    ],
)
def test_framer_by_type_and_first_bytes(framing, content_type, data, expected, noted):
    """Check that a body is read as what it is, that any other form than the requested one is noted, and HTML refused."""
    found, note = chosen(framing, content_type, data)
    assert (found, bool(note)) == (expected, noted)


def test_white_space_is_not_collected():
    """Check that a body of white space is not kept and searched again with each read."""
    wire = WireRequest(url="http://localhost", body=b"")
    first = FirstBytes(wire, {}, framer_for(wire), 1000)
    for _ in range(100):
        assert first.framer(b" \n" * 100) is None
        assert not first.received


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": 1}', [("whole", b'{"a": 1}')]),
        (b'[{"a": 1}]', [("whole", b'{"a": 1}')]),
        (b'{"a": 1}\n{"b": 2}\n', [("part", b'{"a": 1}'), ("part", b'{"b": 2}')]),
        (b'[{"a": 1},{"b": 2},{"c": 3}]', [("part", b'{"a": 1}'), ("part", b'{"b": 2}'), ("part", b'{"c": 3}')]),
        (b'{"a": 1}{"b', [("part", b'{"a": 1}'), ("part", b'{"b')]),
        (b'{"a', [("whole", b'{"a')]),
        (b"[]", []),
    ],
)
def test_objects_of_a_body(body, expected, size):
    """Check that a single object is a whole response, and that each of several is a part."""
    framer = JSONBodyFramer()
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = [chunk for piece in pieces for chunk in framer.feed(piece)] + list(framer.finish())
    assert [(chunk.kind, chunk.data) for chunk in chunks] == expected


@pytest.mark.parametrize("framer", [NDJSONFramer, JSONArrayFramer, JSONBodyFramer])
def test_second_finish_of_json_framers(framer):
    """Check that `finish` is repeatable."""
    made = framer()
    made.feed(b'{"a": 1}\n{"b')
    made.finish()
    assert not [chunk for chunk in made.finish() if chunk.data == b'{"b']
