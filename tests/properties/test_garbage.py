"""Bytes before a stream that do not belong to it, in every dialect: nothing is lost without a note."""

from __future__ import annotations

import pytest

from .bodies import ours
from .hearing import hear, is_heard

each_stream = pytest.mark.parametrize(
    "exchange",
    [each for each in ours() if each.framing == "sse" and "error" not in each.path and is_heard(each.dialect)],
    ids=lambda exchange: exchange.path,
)
GARBAGE = {
    "NUL": b"\0",
    "many NUL": bytes(5000),
    "two byte order marks": b"\xef\xbb\xbf" * 2,
    "NUL and a byte order mark": b"\0\xef\xbb\xbf",
    "a byte order mark of UTF-16": b"\xff\xfe",
    "an escape": b"\x1b",
    "a space of no width": b"\xe2\x80\x8b",
    "a space": b" ",
    "a tab": b"\t",
}


def told(heard):
    """Return the response without its notes."""
    return {name: value for name, value in heard.response.items() if name != "notes"}


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
@each_stream
def test_garbage_before_the_first_line(exchange, garbage, size):
    """Check that the first event is read, and that a note states it."""
    body = garbage + exchange.body
    heard = hear(exchange, pieces=[body[at : at + size] for at in range(0, len(body), size)])
    assert heard.error is None
    assert told(heard) == told(hear(exchange))
    assert any("misspelled" in note for note in heard.response["notes"])


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
@each_stream
def test_garbage_before_an_event_in_the_middle(exchange, garbage):
    """Check the same of another event."""
    first, end, rest = exchange.body.partition(b"\n\n")
    heard = hear(exchange, first + end + garbage + rest)
    assert heard.error is None
    assert told(heard) == told(hear(exchange))


@pytest.mark.parametrize("line", [b"Good morning", b"\0\0 hello", b"?data: x"])
@each_stream
def test_line_that_is_left_out_is_in_a_note(exchange, line):
    """Check that the note quotes it, and that the response is the same."""
    heard = hear(exchange, line + b"\n\n" + exchange.body)
    assert heard.error is None
    assert told(heard) == told(hear(exchange))
    assert any("was left out" in note and line[-5:].decode() in note for note in heard.response["notes"])


@pytest.mark.parametrize("line", [b"\0", b"\xef\xbb\xbf\0", b": hello", b"x-garden: rose"])
@each_stream
def test_line_without_meaning_needs_no_note(exchange, line):
    """Check lines of nothing, comments, and fields of the vendor's."""
    heard = hear(exchange, exchange.body.replace(b"\n\n", b"\n\n" + line + b"\n\n", 1))
    assert heard.response == hear(exchange).response
