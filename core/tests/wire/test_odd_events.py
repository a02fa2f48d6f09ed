"""Event streams that break the standard: nothing that was received is lost, and every repair has a note."""

from __future__ import annotations

import tracemalloc

import pytest

from polyglot_core._wire.messages import lines_of
from polyglot_core._wire.sse import SSEFramer

BOM = b"\xef\xbb\xbf"
A, B = b'{"a":1}', b'{"b":2}'


def framed(stream, size=10_000, **how):
    framer = SSEFramer(**how)
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    chunks = [chunk for piece in pieces for chunk in framer.feed(piece)] + list(framer.finish())
    return framer, [(chunk.data, chunk.event, chunk.kind) for chunk in chunks]


def part(data, event=None):
    return (data, event, "part")


ODD = {
    "a last event without its blank line": (b"data: %b\n\ndata: %b\n" % (A, B), [part(A), part(B)]),
    "a last event without its line end": (b"data: %b\n\ndata: %b" % (A, B), [part(A), part(B)]),
    "an only event without its line end": (b"data: " + A, [part(A)]),
    "an end mark without its line end": (b"data: %b\n\ndata: [DONE]" % A, [part(A), part(b"[DONE]")]),
    "a last event that is cut": (b"data: %b\n\ndata: %b" % (A, B[:-1]), [part(A)]),
    "a last event of two lines, one of them cut": (b"data: %b\ndata: %b" % (A, B[:-1]), [part(A + b"\n" + B[:-1])]),
    "error as a field": (b"error: %b\n\ndata: [DONE]\n\n" % A, [part(A, "error"), part(b"[DONE]")]),
    "error as a field in capitals": (b"Error: sorry\n\n", [part(b"sorry", "error")]),
    "error as a field behind data": (b"data: %b\nerror: sorry\n\n" % A, [part(b"sorry", "error"), part(A)]),
    "error as a field at the end": (b"data: %b\n\nerror: %b" % (A, B), [part(A), part(B, "error")]),
    "an error without data": (b"event: error\n\n", [part(b"", "error")]),
    "an error as the last line": (b"data: %b\n\nevent: error\n" % A, [part(A), part(b"", "error")]),
    "JSON between events": (b"data: %b\n\n%b\n\ndata: %b\n\n" % (A, B, A), [part(A), part(B), part(A)]),
    "JSON at the end": (b"data: %b\n\n%b" % (A, B), [part(A), part(B)]),
    "lines of JSON": (b"%b\n%b\n" % (A, B), [part(A), part(B)]),
    "lines of JSON with blank lines": (b"%b\n\n%b\n\n" % (A, B), [part(A), part(B)]),
    "JSON and an end mark": (b"%b\n\ndata: [DONE]\n\n" % A, [part(A), part(b"[DONE]")]),
    "JSON alone": (A, [(A, None, "whole")]),
    "JSON alone, over lines": (b'{\n "a": 1\n}\n', [(b'{\n "a": 1\n}', None, "whole")]),
    "a comment, then JSON alone": (b": hello\n\n" + A, [(A, None, "whole")]),
    "a mark before a later event": (b"data: %b\n\n%bdata: %b\n\n" % (A, BOM, B), [part(A), part(B)]),
    "two marks": (BOM + BOM + b"data: " + A + b"\n\n", [part(A)]),
    "an indented field": (b"  data: " + A + b"\n\n", [part(A)]),
    "a field in capitals": (b"DATA: " + A + b"\n\n", [part(A)]),
    "a space before the colon": (b"data : " + A + b"\n\n", [part(A)]),
    "named events without blank lines": (
        b"event: x\ndata: %b\nevent: y\ndata: %b\n\n" % (A, B),
        [part(A, "x"), part(B, "y")],
    ),
}


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize("name", ODD)
def test_odd_streams_are_read(name, size):
    """Check that whatever the cut into reads, the chunks are the same."""
    stream, expected = ODD[name]
    _, chunks = framed(stream, size)
    assert chunks == expected


@pytest.mark.parametrize("ends", [b"\r\n", b"\r"], ids=["CR LF", "CR"])
@pytest.mark.parametrize("name", [name for name in ODD if "over lines" not in name])
def test_odd_streams_with_other_line_ends(name, ends):
    """Check that the kind of line end makes no difference, but for line feeds in joined data."""
    stream, expected = ODD[name]
    assert framed(stream.replace(b"\n", ends))[1] == expected


@pytest.mark.parametrize(
    ("stream", "note"),
    [
        (b"data: " + A, "without the blank line"),
        (b"data: %b\n\n%b\n\n" % (A, B), "no field name"),
        (b"DATA: %b\n\n" % A, "misspelled"),
        (b"data: %b\n\n" % A, ""),
        (b": ping\n\nretry: 1\n\nx: y\n\ndata: %b\n\n" % A, ""),
    ],
)
def test_repairs_have_a_note(stream, note):
    """Check that each repair is noted once, and that a sound stream has no notes."""
    framer, _ = framed(stream + stream[:0])
    assert (len(framer.leftovers.notes), note in "".join(framer.leftovers.notes)) == (bool(note), True)


@pytest.mark.parametrize(
    ("lines", "telling"),
    [(b"Internal Server Error", True), (b"<p>Sorry</p>", True), (b"upstream error: x", True), (b"x-id: 1", False)],
)
def test_lines_that_are_no_fields_are_kept(lines, telling):
    """Check that such lines are kept, and that a field of the vendor is none that tells why a stream ended."""
    framer, chunks = framed(b"data: %b\n\n%b\n\ndata: %b\n\n" % (A, lines, B))
    assert chunks == [part(A), part(B)]
    assert (bytes(framer.leftovers.text), framer.leftovers.telling) == (lines, telling)


def test_kept_lines_are_bounded():
    """Check that 4 KiB of the lines are kept, whatever there is."""
    framer, _ = framed((b"x" * 1000 + b"\n\n") * 1000)
    assert len(framer.leftovers.text) <= 4096 + 1


LINE_KINDS = {
    "data": b"data: x\n",
    "JSON data": b"data: {}\n",
    "odd": b"xy\n",
    "JSON": b"{}\n",
    "comments": b":\n",
    "misspelled": b"Data: {}\n",
}


@pytest.mark.parametrize("kind", ["data", "odd", "comments", "misspelled"])
def test_block_of_lines_takes_memory_of_its_bytes(kind):
    """Check that a block of many short lines takes a small multiple of its own size, not an object for each line."""
    line, size = LINE_KINDS[kind], 1 << 18
    body = line * (size // len(line))
    framer = SSEFramer()
    tracemalloc.start()
    for start in range(0, len(body), 1 << 16):
        framer.feed(body[start : start + (1 << 16)])
    framer.feed(b"\n")
    framer.finish()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 7 * len(body)


class Counting(bytes):
    """Bytes that count how often they are searched or sliced."""

    calls = 0

    def find(self, *args):
        type(self).calls += 1
        return super().find(*args)


@pytest.mark.parametrize("size", [1 << 16, 1 << 17, 1 << 18])
def test_lines_of_a_long_text_are_found_one_by_one(size):
    """Check that a text is searched once for each of its lines."""
    Counting.calls = 0
    text = Counting(b"a\n" * (size // 2))
    assert sum(map(len, lines_of(text))) == size // 2
    assert Counting.calls == size // 2 + 1
