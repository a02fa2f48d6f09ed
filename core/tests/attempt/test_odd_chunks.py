"""Chunks that a driver cannot decode as they are: read in another way, with a note, or `Malformed`."""

from __future__ import annotations

import logging

import msgspec
import pytest

from polyglot_core._attempt.filters.type_repair import retyped
from polyglot_core._values.response import Outcome
from polyglot_core.errors import Malformed, ProviderError, Truncated
from polyglot_core.plugin import Details, End, Finish, ResponseStarted, TextDelta, Usage, UsageReport, hookimpl


class _Line(msgspec.Struct):
    text: str | None = None
    index: int = 0
    stop: str | None = None
    id: str | None = None
    flag: bool = False
    tags: list[str] | None = None


_decode = msgspec.json.Decoder(_Line).decode


class Terse:
    """A dialect of flat objects, with ``[DONE]`` as its end mark."""

    @hookimpl
    def encode_request(self, request):
        raise NotImplementedError

    @hookimpl
    def extract_usage(self, payload):
        return Usage()

    @hookimpl
    def decode_chunk(self, chunk):
        if chunk.data == b"[DONE]":
            return [End()]
        line = _decode(chunk.data)
        events = [ResponseStarted(line.id)] if line.id else []
        if line.text is not None:
            events.append(TextDelta(line.text, line.index))
        if line.stop:
            events.append(Finish("stop", line.stop, line.index))
        return events


A, B, STOP, DONE = b'{"text":"a"}', b'{"text":"b"}', b'{"stop":"end"}', b"[DONE]"


def event(data):
    return b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def read(toy, *data, **how):
    attempt = toy.attempt(module=Terse(), **how)
    toy.read(attempt, *map(event, data))
    return attempt


READABLE = {
    "two lines": b"%b\n%b" % (A, B),
    "two lines with a prefix": b"%b\ndata: %b" % (A, B),
    "two objects": A + B,
    "two objects apart": A + b"  " + B,
    "a list": b"[%b,%b]" % (A, B),
    "a line of a list": b'[{"text":"ab"},',
    "a list of one": b'[{"text":"ab"}]',
    "a text": b'"{\\"text\\":\\"ab\\"}"',
    "a text in a text": b'"\\"{\\\\\\"text\\\\\\":\\\\\\"ab\\\\\\"}\\""',
    "a prefix": b'data: {"text":"ab"}',
    "a hundred thousand prefixes": b"data:" * 100_000 + b'{"text":"ab"}',
    "a number in a text": b'{"text":"ab","index":"0"}',
    "a whole number with a point": b'{"text":"ab","index":0.0}',
    "a truth as a text": b'{"text":"ab","flag":"false"}',
    "a truth as a number": b'{"text":"ab","flag":1}',
    "null for a number": b'{"text":"ab","index":null}',
    "a text in a list": b'{"text":["a","b"]}',
    "a text in an object": b'{"text":{"text":"ab"}}',
    "a list of numbers": b'{"text":"ab","tags":[1,2]}',
    "one for a list": b'{"text":"ab","tags":"x"}',
    "several wrong types": b'{"text":["ab"],"index":"0","flag":"no","tags":{}}',
    "NUL behind the object": b'{"text":"ab"}\0',
    "a control character": b'{"text":"ab","id":"\t\x01"}',
}


@pytest.mark.parametrize("data", READABLE.values(), ids=READABLE)
def test_odd_chunks_are_read_with_a_note(toy, data, caplog):
    """What is odd is read, and the response and the log state it."""
    with caplog.at_level(logging.WARNING, "polyglot_core.attempt"):
        attempt = read(toy, data, STOP, DONE)
    response = attempt.response
    assert (response.outcome, response.content) == (Outcome.FINISHED, "ab")
    assert response.notes
    assert list(response.notes) == [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    "data",
    [b"null", b'""', b"[]", b"3", b"1.5", b"true", b"{}", b"ping", b": hello", b"id: 3", b"[PING]", b"[keep-alive]"],
)
def test_chunks_without_meaning_are_skipped(toy, data):
    """They change nothing, wherever they are."""
    response = read(toy, data, A, data, B, data, STOP, data, DONE).response
    assert (response.outcome, response.content) == (Outcome.FINISHED, "ab")


UNREADABLE = {
    "no JSON": b"Roses",
    "cut": b'{"text":"a"',
    "the second line cut": b'{"text":"x"}\n{"text":"a"',
    "no quotes": b"{text: a}",
    "a mark of an error": b"[ERROR]",
    "JSON and a word": A + b" Roses",
    "lists in a list": b"[[1],[2]]",
    "deep": b"[" * 100_000,
    "objects and more": A + b" and " + B,
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_chunks_are_malformed(toy, data):
    """What cannot be read in any way is `Malformed`, with what was received before it."""
    with pytest.raises(Malformed) as caught:
        read(toy, A, data, STOP, DONE)
    assert caught.value.partial.content.startswith("a")


def test_value_that_cannot_be_converted_is_quoted(toy):
    """A field that is left out is in the note."""
    response = read(toy, b'{"text":"ab","index":"rose"}', STOP, DONE).response
    assert response.content == "ab"
    assert response.notes == ('The field index has a wrong type; it was left out: "rose".',)


def test_text_beside_the_chunks_is_the_reason(toy):
    """A JSON text that is no chunk is quoted if no finish is received."""
    with pytest.raises(Truncated, match="The garden is closed"):
        read(toy, A, b'"The garden is closed."')


@pytest.mark.parametrize("before", [(), (b'{"id":"1"}',), (b'{"text":""}',)], ids=["nothing", "an id", "an empty text"])
def test_end_mark_without_content_is_truncated(toy, before):
    """An end mark proves nothing where nothing was received."""
    with pytest.raises(Truncated, match="marker"):
        read(toy, *before, DONE)


def test_end_mark_after_token_counts_is_an_empty_response(toy):
    """A choice that has begun and its counts prove that the response was meant to be empty; a note states it."""
    attempt = toy.attempt()
    toy.read(attempt, toy.say(TextDelta("")), toy.say(UsageReport({"in": 1})), toy.done)
    assert (attempt.outcome, attempt.response.content) == (Outcome.FINISHED, "")
    assert "without content" in attempt.response.notes[0]


def test_vendors_object_is_the_reason_without_a_finish(toy):
    """An object in an event of a vendor's is an error only if no finish is received."""
    odd = b'event: garden.state\ndata: {"message": "No water.", "code": "dry"}\n\n'
    attempt = toy.attempt(module=Terse())
    toy.read(attempt, event(A), odd, event(STOP), event(DONE))
    assert attempt.outcome is Outcome.FINISHED
    attempt = toy.attempt(module=Terse())
    with pytest.raises(ProviderError, match="No water") as caught:
        toy.read(attempt, event(A), odd)
    assert caught.value.partial.outcome is Outcome.FAILED


def test_lines_between_events_and_an_end_mark_without_a_finish(toy):
    """Where a line may say why there is no finish, the end mark proves nothing; a field of a vendor's says nothing."""
    attempt = toy.attempt(module=Terse())
    with pytest.raises(Truncated, match="Out of water"):
        toy.read(attempt, event(A), b"Out of water\n\n", event(DONE))
    attempt = toy.attempt(module=Terse())
    toy.read(attempt, event(A), b"x-garden: 1\n\n", event(DONE))
    assert attempt.outcome is Outcome.FINISHED


@pytest.mark.parametrize("count", [1, 2, 4])
def test_number_of_repairs_is_that_of_the_fields(count):
    """Equal defects in a list are repaired at once, so that the work is linear in the input."""
    row = msgspec.defstruct("Row", [("n", int)])
    table = msgspec.defstruct("Table", [("rows", list[row])])
    data = msgspec.json.encode({"rows": [{"n": str(n)} for n in range(1000 * count)]})
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(data, type=table)
    found = retyped(data, caught.value)
    assert len(msgspec.json.decode(found.data, type=table).rows) == 1000 * count


@pytest.mark.parametrize("count", [1000, 2000, 4000])
@pytest.mark.parametrize("form", ["lines", "objects", "list"])
def test_each_text_of_an_event_is_decoded_once(toy, form, count, monkeypatch):
    """The number of calls of the driver is that of the texts, and one or two more."""
    data = {"lines": b"\n".join([A] * count), "objects": A * count, "list": b"[%b]" % b",".join([A] * count)}[form]
    calls = 0

    class Counting(Terse):
        @hookimpl
        def decode_chunk(self, chunk):
            nonlocal calls
            calls += 1
            return Terse.decode_chunk(self, chunk)

    attempt = toy.attempt(module=Counting())
    toy.read(attempt, event(data), event(STOP))
    assert attempt.response.content == "a" * count
    assert calls <= count + 3


@pytest.mark.parametrize("data", [b"[DONE]", b"", b"{}"])
def test_event_named_an_error_fails_whatever_its_data(toy, data):
    """Check that an end mark under the name of an error is no end."""
    attempt = toy.attempt(module=Terse())
    with pytest.raises(ProviderError):
        toy.read(attempt, event(A), b"event: error\ndata: " + data + b"\n\n", event(STOP), event(DONE))
    assert attempt.response.outcome is Outcome.FAILED


class Detailed(Terse):
    """A dialect that keeps what it does not read as details."""

    @hookimpl
    def decode_chunk(self, chunk):
        fields = {} if chunk.data == b"[DONE]" else msgspec.json.decode(chunk.data)
        further = {name: value for name, value in fields.items() if name not in {"text", "stop"}}
        return [Details(further)] if further else super().decode_chunk(chunk)


def test_error_that_is_kept_in_the_details_fails(toy):
    """Check that details are no content."""
    with pytest.raises(ProviderError, match="Storm"):
        toy.read(toy.attempt(module=Detailed()), event(A), event(b'{"Message":"Storm."}'), event(STOP), event(DONE))


def toy_body(toy, data):
    attempt = toy.attempt(module=Terse(), framing="whole", headers={"content-type": "application/json"})
    toy.read(attempt, data)
    return attempt


@pytest.mark.parametrize("rest", [b"\0", b"\0\0", b" Roses", b"<script></script>"])
def test_body_with_something_behind_its_json_is_read(toy, rest):
    """Check that nothing of a whole body is lost because of what a proxy has appended."""
    attempt = toy_body(toy, b'{"text":"ab","stop":"end"}' + rest)
    assert (attempt.response.outcome, attempt.response.content) == (Outcome.FINISHED, "ab")
    assert attempt.response.notes


@pytest.mark.parametrize("rest", [b'{"text":', b' and {"text":"x"}'])
def test_body_with_half_an_object_behind_its_json_is_none(toy, rest):
    """Check that a body is not taken for complete if more of it was meant to follow."""
    with pytest.raises((Truncated, Malformed)):
        toy_body(toy, b'{"text":"ab","stop":"end"}' + rest)


@pytest.mark.parametrize("data", [b"Forbidden", b"Service Unavailable"])
def test_last_text_that_is_no_json_is_malformed(toy, data):
    """Check that it is not taken for JSON that was cut off, which would be requested again."""
    attempt = toy.attempt(module=Terse(), framing="ndjson", headers={"content-type": "application/x-ndjson"})
    with pytest.raises(Malformed, match=data.decode()):
        toy.read(attempt, A + b"\n" + data)
