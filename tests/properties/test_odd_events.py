"""Events that are no chunk of the dialect, in every dialect: errors end the response, and nothing else does."""

from __future__ import annotations

import json

import pytest

from polyglot_core.errors import PolyglotError, ProviderError, Truncated

from .bodies import ours
from .hearing import hear, is_heard

STREAMS = {"sse": b"\n\n", "ndjson": b"\n"}
each_stream = pytest.mark.parametrize(
    "exchange",
    [each for each in ours() if each.framing in STREAMS and "error" not in each.path and is_heard(each.dialect)],
    ids=lambda exchange: exchange.path,
)
each_place = pytest.mark.parametrize("place", ["first", "middle", "before the finish", "last"])


def events_of(exchange):
    return exchange.body.rstrip(b"\n").split(STREAMS[exchange.framing])


def with_event(exchange, odd, place):
    """Return the body with one more event or line."""
    events = events_of(exchange)
    number = {"first": 0, "middle": len(events) // 2, "before the finish": -3, "last": len(events)}[place]
    number = number if number >= 0 else max(1, len(events) + number)
    end = STREAMS[exchange.framing]
    return end.join([*events[:number], odd, *events[number:]]) + end


def told(heard):
    """Return the response without what may differ."""
    apart = {"details", "notes"}
    plain = {name: value for name, value in heard.response.items() if name not in apart}
    choices = [{name: value for name, value in each.items() if name not in apart} for each in plain["choices"]]
    return {**plain, "choices": choices}


def is_sound(exchange, body):
    """Assert that the response is that of the unchanged body."""
    heard = hear(exchange, body)
    assert heard.error is None
    assert told(heard) == told(hear(exchange))
    return heard


FAILURES = {
    "an event error with an object": b'event: error\ndata: {"error": {"message": "Too wet.", "code": "rain"}}',
    "an event error with a flat object": b'event: error\ndata: {"message": "Too wet.", "code": "rain"}',
    "an event error with a text": b"event: error\ndata: Too wet.",
    "an event error with a JSON text": b'event: error\ndata: "Too wet."',
    "an event rate_limit_error": b'event: rate_limit_error\ndata: {"error": {"message": "Too wet."}}',
    "an event stream.failed": b'event: stream.failed\ndata: {"error": {"message": "Too wet."}}',
    "an event without meaning": b'event: message\ndata: {"error": {"message": "Too wet."}}',
    "a field error": b'error: {"message": "Too wet.", "code": 400}',
    "a field error with a text": b"error: Too wet.",
    "an object in error": b'data: {"error": {"message": "Too wet."}}',
    "a text in error": b'data: {"error": "Too wet."}',
    "a message": b'data: {"message": "Too wet."}',
    "a message and a code": b'data: {"code": "rain", "message": "Too wet.", "request_id": "r-1"}',
    "a detail": b'data: {"detail": "Too wet."}',
    "a list of errors": b'data: {"errors": [{"message": "Too wet."}]}',
    "error_code and error_message": b'data: {"error_code": 17, "error_message": "Too wet."}',
    "the object error": b'data: {"object": "error", "message": "Too wet.", "code": 400}',
    "the type error": b'data: {"type": "error", "message": "Too wet."}',
    "no success": b'data: {"success": false, "message": "Too wet."}',
    "a status error": b'data: {"status": "error", "message": "Too wet."}',
    "JSON without a field": b'{"error": {"message": "Too wet."}}',
    "JSON over lines": b'{\n  "message": "Too wet.",\n  "code": 400\n}',
}


@each_place
@each_stream
@pytest.mark.parametrize("odd", FAILURES.values(), ids=FAILURES)
def test_errors_in_any_form_end_the_response(exchange, odd, place):
    """Check that the provider's words are in the error, and the content before it in the partial."""
    if exchange.framing == "ndjson":
        odd = odd.removeprefix(b"data: ")
        if not odd.startswith(b"{") or b"\n" in odd:
            pytest.skip("the line is no JSON")
    if place == "last" and events_of(exchange)[-1].endswith((b"[DONE]", b"true}")):
        pytest.skip("nothing counts behind the end mark")
    heard = hear(exchange, with_event(exchange, odd, place))
    if heard.error is None:  # the dialect ends with an event of its own, and what follows it is not read
        assert place == "last"
        return
    assert isinstance(heard.error, ProviderError), heard.error
    assert "Too wet." in heard.error.message
    assert heard.response["outcome"] == "failed"
    assert not heard.error.retryable


HARMLESS = {
    "a ping with a time": b"event: ping\ndata: 2026-01-01 10:00:00.5",
    "a ping with a word": b"event: ping\ndata: ping",
    "a heartbeat without data": b"event: heartbeat",
    "an event of the vendor's": b'event: garden.progress\ndata: {"message": "50 %", "error": null}',
    "an event of the vendor's with a text": b"event: garden.progress\ndata: half of it",
    "an error of a tool": b'event: tool_error\ndata: {"error": {"message": "No such bed."}}',
    "an error of a tool as a text": b'event: tool_error\ndata: {"error": "No such bed.", "id": "t-1"}',
    "an error of a tool with a message": b'event: tool.failed\ndata: {"message": "No such bed.", "code": 404}',
    "a result of a tool": b'event: tool_result\ndata: {"error": {"message": "No such bed."}, "tool": "soil"}',
    "an error of a guard": b'event: guard.error\ndata: {"errors": [{"message": "No such bed."}]}',
    "a keep-alive": b"data: keep-alive",
    "a comment": b": still here",
    "null": b"data: null",
    "an empty text": b'data: ""',
    "an empty list": b"data: []",
    "a number": b"data: 3",
    "true": b"data: true",
    "nothing": b"data:",
    "an empty object": b"data: {}",
    "success": b'data: {"code": 0, "message": "ok"}',
    "progress": b'data: {"type": "progress", "message": "50 %"}',
    "an error that is none": b'data: {"error": null, "message": ""}',
    "a line": b"Good morning",
    "a field of the vendor's": b"x-garden: rose",
}


@each_place
@each_stream
@pytest.mark.parametrize("odd", HARMLESS.values(), ids=HARMLESS)
def test_events_that_say_nothing_change_nothing(exchange, odd, place):
    """Check that the response is the same with any of them anywhere in it."""
    if exchange.framing == "ndjson":
        odd = odd.removeprefix(b"data: ")
        if not odd.startswith((b"{", b"[", b'"', b"n", b"t", b"3", b"k")):
            pytest.skip("it is none of a stream of lines")
    is_sound(exchange, with_event(exchange, odd, place))


@each_stream
@pytest.mark.parametrize("name", ["tool_error", "tool.failed", "guard.error"])
def test_error_of_a_tool_before_the_end_is_the_reason(exchange, name):
    """Check that it is the error of a response that ends without a finish."""
    if exchange.framing == "ndjson":
        pytest.skip("a line has no name")
    first = events_of(exchange)[0] + b"\n\n"
    if hear(exchange, first).error is None:
        pytest.skip("the first event has the finish")
    heard = hear(exchange, first + b'event: %b\ndata: {"error": {"message": "No such bed."}}\n\n' % name.encode())
    assert isinstance(heard.error, ProviderError)
    assert "No such bed." in heard.error.message


@each_stream
def test_last_event_without_its_blank_line(exchange):
    """Check that an event that is whole JSON counts at the end of the body."""
    is_sound(exchange, exchange.body.rstrip(b"\n"))


@each_stream
def test_one_line_feed_between_events(exchange):
    """Check that events without blank lines between them are read one by one."""
    is_sound(exchange, b"\n".join(event for event in events_of(exchange)) + b"\n\n")


@each_stream
@pytest.mark.parametrize("ends", [b"\r\n", b"\r"], ids=["CR LF", "CR"])
def test_other_line_ends(exchange, ends):
    """Check that lines may end in another way."""
    if exchange.framing == "ndjson" and ends == b"\r":
        pytest.skip("white space between JSON texts is no line end")
    is_sound(exchange, exchange.body.replace(b"\n", ends))


def lines_of(exchange):
    """Return the JSON texts of a stream, without an end mark."""
    return [
        line.removeprefix(b"data: ").strip()
        for line in exchange.body.split(b"\n")
        if line.startswith((b"data: {", b"{"))
    ]


REWRITTEN = {
    "no space": lambda lines: b"".join(b"data:%b\n\n" % line for line in lines),
    "a prefix twice": lambda lines: b"".join(b"data: data: %b\n\n" % line for line in lines),
    "a list for each": lambda lines: b"".join(b"data: [%b]\n\n" % line for line in lines),
    "all in one list": lambda lines: b"data: [%b]\n\n" % b",".join(lines),
    "JSON in a text": lambda lines: b"".join(b"data: %b\n\n" % json.dumps(line.decode()).encode() for line in lines),
    "one behind the other": lambda lines: b"data: %b\n\n" % b"".join(lines),
    "marks": lambda lines: b"".join(b"\xef\xbb\xbfdata: %b\n\n" % line for line in lines),
    "lines without a field": lambda lines: b"".join(b"%b\n" % line for line in lines),
    "lines without a field, apart": lambda lines: b"".join(b"%b\n\n" % line for line in lines),
}


@each_stream
@pytest.mark.parametrize("rewrite", REWRITTEN.values(), ids=REWRITTEN)
def test_chunks_in_another_form(exchange, rewrite):
    """Check that each of these streams is the same response, with a note unless the standard allows it."""
    stream = exchange._replace(headers=(("content-type", "text/event-stream"),))
    heard = hear(stream, rewrite(lines_of(exchange)))
    assert heard.error is None
    assert told(heard) == told(hear(exchange))


TYPES = ["application/json", "text/plain; charset=utf-8", "application/octet-stream", "application/x-ndjson", None]


@each_stream
@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("form", ["as it is", "events", "lines", "a list"])
def test_streams_under_another_type(exchange, content_type, form):
    """Check that the first bytes show what a stream is, whatever its content type."""
    lines = lines_of(exchange)
    body = {
        "as it is": exchange.body,
        "events": b"".join(b"data: %b\n\n" % line for line in lines),
        "lines": b"".join(b"%b\n" % line for line in lines),
        "a list": b"[%b]" % b",\n".join(lines),
    }[form]
    headers = (("content-type", content_type),) if content_type else ()
    heard = hear(exchange._replace(headers=headers), body)
    assert heard.error is None
    assert told(heard) == told(hear(exchange))


def pairs():
    """Return each dialect's plain and streamed body."""
    found = {}
    for exchange in ours():
        if exchange.path.count(".") == 1 and exchange.framing in {"json", *STREAMS} and is_heard(exchange.dialect):
            found.setdefault(exchange.dialect, {})[exchange.streamed] = exchange
    return [pytest.param(both[False], both[True], id=name) for name, both in found.items() if len(both) == 2]


@pytest.mark.parametrize(("plain", "streamed"), pairs())
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain", None])
def test_plain_response_to_a_streamed_request(plain, streamed, content_type):
    """Check that one JSON object is the whole response, and that it is noted."""
    headers = (("content-type", content_type),) if content_type else ()
    heard = hear(streamed._replace(headers=headers), plain.body)
    assert heard.error is None
    assert heard.texts == hear(plain).texts
    assert heard.response["outcome"] == "finished"


@pytest.mark.parametrize(("plain", "streamed"), pairs())
@pytest.mark.parametrize("content_type", ["the stream's own", "application/json", "text/plain", None])
def test_stream_in_place_of_a_plain_response(plain, streamed, content_type):
    """Check that a stream that was not requested is read."""
    own = streamed.headers[0][1] if content_type == "the stream's own" else content_type
    headers = (("content-type", own),) if own else ()
    heard = hear(plain._replace(headers=headers), streamed.body)
    assert heard.error is None
    assert heard.texts == hear(streamed).texts
    assert heard.response["notes"]


@pytest.mark.parametrize(("plain", "streamed"), pairs())
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain", None])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
def test_refusal_of_a_gateway(plain, streamed, content_type, stream):
    """Check that a gateway's object with status 200 is an error that quotes it, and is not sent again."""
    headers = (("content-type", content_type),) if content_type else ()
    heard = hear((streamed if stream else plain)._replace(headers=headers), b'{"message": "Forbidden"}')
    assert isinstance(heard.error, PolyglotError)
    assert "Forbidden" in heard.error.message
    assert not heard.error.retryable


@each_stream
@pytest.mark.parametrize("line", [b"upstream: timed out in the garden", b"<html><p>Sorry</p></html>"])
def test_lines_are_the_reason_of_a_stream_without_a_finish(exchange, line):
    """Check that the lines beside the events are in the error where no finish is received."""
    if exchange.framing == "ndjson" or exchange.dialect == "gemini-generate":
        pytest.skip("each line of it is a chunk, or each chunk has a finish reason")
    events = events_of(exchange)
    heard = hear(exchange, b"\n\n".join([*events[:2], line]) + b"\n\n")
    assert isinstance(heard.error, Truncated)
    assert line.decode() in heard.error.message


@each_stream
def test_end_mark_alone_is_no_success(exchange):
    """Check that a stream of nothing but its end mark is truncated."""
    if exchange.framing == "ndjson":
        pytest.skip("its end is in an object")
    heard = hear(exchange, b"data: [DONE]\n\n")
    assert isinstance(heard.error, Truncated)
