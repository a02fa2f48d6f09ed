"""Each fault, as it is seen on the socket."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from polyglot_core.errors import ConfigError
from polyglot_simulator import (
    ByteAtATime,
    Comments,
    ContentType,
    Cut,
    Drop,
    ErrorEvent,
    Garbage,
    Gzip,
    LeaveOpen,
    Reply,
    Reset,
    Simulator,
    SlowHeaders,
    Stall,
    Status,
)

TEXT = "one two three"
SILENCE = 0.3


def healthy_events(call):
    return heard(call, None, last=True).events


def heard(call, fault, **fields):
    with Simulator(TEXT, fault=fault) as simulator:
        return call(simulator).ask(**fields).hear(SILENCE if "last" not in fields else 5.0)


def test_healthy_stream_ends_with_done_and_the_last_chunk(call):
    """Without a fault the stream is whole, and the connection is kept."""
    answer = heard(call, None)
    assert answer.events[-1] == b"data: [DONE]"
    assert answer.chunks[-1] == b""
    assert answer.ending == "silence"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_cut_leaves_out_events_and_ends_the_body_properly(call, count):
    """A cut stream is well-formed HTTP with fewer events."""
    answer = heard(call, Cut(after_events=count))
    assert answer.events == healthy_events(call)[:count]
    assert answer.chunks[-1] == b""
    assert answer.ending == "silence"


def test_negative_position_counts_from_the_end(call):
    """Cut(after_events=-1) leaves out the end signal alone."""
    assert heard(call, Cut(after_events=-1), last=True).events == healthy_events(call)[:-1]


def test_position_past_the_end_is_the_end(call):
    """A fault that is placed too far strikes after the last event."""
    answer = heard(call, Drop(after_events=99))
    assert answer.events == healthy_events(call)
    assert answer.chunks[-1] != b""
    assert answer.ending == "fin"


@pytest.mark.parametrize(("place", "kept"), [(10, slice(10)), (-3, slice(-3))])
def test_cut_after_bytes_may_fall_inside_an_event(call, place, kept):
    """Bytes are counted in the body, without the framing of HTTP."""
    whole = b"".join(event + b"\n\n" for event in healthy_events(call))
    answer = heard(call, Cut(after_bytes=place), last=True)
    assert b"".join(answer.chunks) == whole[kept]
    assert answer.chunks[-1] == b""


def test_cut_plain_response_states_its_true_length(call):
    """A plain response is cut without breaking HTTP."""
    answer = heard(call, Cut(after_bytes=20), stream=False, last=True)
    assert "content-length: 20" in answer.head
    assert len(answer.body) == 20


def test_drop_closes_without_the_last_chunk(call):
    """Drop sends FIN in the middle of a chunked body."""
    answer = heard(call, Drop(after_events=2))
    assert answer.events == healthy_events(call)[:2]
    assert answer.chunks[-1] != b""
    assert answer.ending == "fin"


def test_dropped_plain_response_states_its_whole_length(call):
    """The head of a dropped plain response states more bytes than are sent."""
    answer = heard(call, Drop(after_bytes=20), stream=False)
    assert "content-length: 20" not in answer.head
    assert len(answer.body) == 20
    assert answer.ending == "fin"


def test_reset_after_events_lets_the_events_through(call):
    """Reset sends RST after the events before its position."""
    answer = heard(call, Reset(after_events=2))
    assert answer.events == healthy_events(call)[:2]
    assert answer.ending == "reset"


def test_reset_after_bytes_cuts_inside_an_event(call):
    """Reset can fall on any byte."""
    answer = heard(call, Reset(after_bytes=7))
    assert b"".join(answer.chunks) == b"data: {"
    assert answer.ending == "reset"


@pytest.mark.parametrize(("fault", "ending"), [(Reset, "reset"), (Drop, "fin")])
def test_connection_may_end_before_the_headers(call, fault, ending):
    """With before_headers=True not one byte is sent."""
    assert heard(call, fault(before_headers=True)) == (b"", ending)


def test_stall_waits_at_its_position(call):
    """A stall without seconds lasts until one side closes."""
    answer = heard(call, Stall(after_events=2))
    assert answer.events == healthy_events(call)[:2]
    assert answer.ending == "silence"


def test_stall_before_headers_sends_nothing(call):
    """A stall may precede the first byte."""
    assert heard(call, Stall(before_headers=True)) == (b"", "silence")


def test_waits_before_the_headers_add_up(call):
    """A second stall does not replace the first."""
    assert heard(call, (Stall(before_headers=True), Stall(before_headers=True, seconds=0))) == (b"", "silence")


def test_stall_goes_on_after_its_seconds(call):
    """A short stall loses nothing."""
    assert heard(call, Stall(after_events=2, seconds=0.05), last=True).events == healthy_events(call)


def test_error_event_ends_the_stream_with_an_error(call):
    """The error replaces the rest of the stream, including the end marker."""
    answer = heard(call, ErrorEvent(after_events=2, error={"message": "overloaded", "code": "busy"}), last=True)
    assert answer.events[:-1] == healthy_events(call)[:2]
    assert json.loads(answer.events[-1].removeprefix(b"data: ")) == {"error": {"message": "overloaded", "code": "busy"}}
    assert answer.chunks[-1] == b""


def test_error_in_a_plain_response_is_its_body(call):
    """A plain response has no events, so the error is its whole body, with status 200."""
    with Simulator(TEXT, fault=ErrorEvent()) as simulator:
        status, body = call(simulator).ask(stream=False).response()
    assert (status, body["error"]["type"]) == (200, "server_error")


def test_status_is_sent_n_times_and_keeps_the_reply(call):
    """After the errors the first reply of the list is sent, not the third."""
    with Simulator(["first", "second"], fault=Status(503, times=2)) as simulator:
        caller = call(simulator)
        answers = [caller.ask(stream=False).response() for _ in range(4)]
    assert [status for status, _ in answers] == [503, 503, 200, 200]
    assert answers[0][1]["error"]["type"] == "server_error"
    assert [body["choices"][0]["message"]["content"] for _, body in answers[2:]] == ["first", "second"]


@pytest.mark.parametrize("headers", [{"retry-after": "7"}, [("retry-after", "7")]], ids=["mapping", "pairs"])
def test_status_carries_its_own_body_and_headers(call, headers):
    """Body, type and headers of an error are whatever the test needs."""
    fault = Status(429, body="<p>slow down</p>", headers=headers, content_type="text/html")
    answer = heard(call, fault, last=True)
    assert answer.head.startswith("HTTP/1.1 429 Too Many Requests\r\n")
    assert "retry-after: 7" in answer.head
    assert "content-type: text/html" in answer.head
    assert answer.body == b"<p>slow down</p>"


def test_status_204_has_neither_body_nor_framing(call):
    """An empty response is empty on the wire too."""
    answer = heard(call, Status(204), last=True)
    assert answer.body == b""
    assert "content-length" not in answer.head


def test_comments_trickle_between_events(call):
    """Comments are sent at their position and are not events."""
    answer = heard(call, (Comments(0.01, 3, after_events=1), Cut(after_events=2)), last=True)
    plain = healthy_events(call)
    assert answer.events == [plain[0], *[b": keep-alive"] * 3, plain[1]]


CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/chat/completions", CHAT), ("/v1beta/models/m:streamGenerateContent", GEMINI), ("/api/chat", CHAT)],
    ids=["plain", "array", "lines"],
)
def test_where_there_are_no_comments_white_space_trickles(call, path, body):
    """White space has no meaning in JSON, so the response is unchanged."""
    bodies = []
    for fault in (Comments(0.001, 3), None):
        with Simulator(TEXT, fault=fault) as simulator:
            answer = call(simulator).send("POST", path, json.dumps(body).encode(), "Connection: close\r\n").hear()
        bodies.append(b"".join(answer.chunks) if "chunked" in answer.head else answer.body)
    assert bodies[0] == b"\n\n\n" + bodies[1]


@pytest.mark.parametrize(
    "fault",
    [
        Reset(before_headers=True, times=1),
        Drop(before_headers=True, times=1),
        ContentType("text/html", body="<h1>Welcome</h1>", times=1),
        Status(500, times=1),
    ],
)
def test_reply_that_was_not_sent_is_kept(call, fault):
    """Where nothing of the reply was sent, the next request gets it."""
    with Simulator(["first", "second"], fault=fault) as simulator:
        assert b"first" not in call(simulator).ask(last=True).hear().data
        assert b"first" in call(simulator).ask(last=True).hear().data


def test_garbage_stands_between_two_events(call):
    """Garbage is added, and nothing is taken away."""
    plain = healthy_events(call)
    garbage = Garbage(after_events=1, data=b"\xff\xfe\n\n")
    assert heard(call, garbage, last=True).events == [plain[0], b"\xff\xfe", *plain[1:]]
    assert heard(call, (garbage, Cut(after_events=2)), last=True).events == [plain[0], b"\xff\xfe", plain[1]]


def test_byte_at_a_time_makes_every_byte_a_chunk(call):
    """The same body, in the smallest pieces."""
    answer = heard(call, ByteAtATime(), last=True)
    assert {len(chunk) for chunk in answer.chunks[:-1]} == {1}
    assert answer.events == healthy_events(call)


def test_faults_in_a_row_are_applied_in_order(call):
    """Events are still counted after the body was cut into bytes."""
    answer = heard(call, (ByteAtATime(), Drop(after_events=2)))
    assert answer.events == healthy_events(call)[:2]
    assert answer.ending == "fin"


def test_content_type_replaces_the_stream(call):
    """A 200 that is a web page."""
    answer = heard(call, ContentType("text/html", body="<h1>Welcome</h1>"), last=True)
    assert answer.head.startswith("HTTP/1.1 200 OK")
    assert "content-type: text/html" in answer.head
    assert "event-stream" not in answer.head
    assert answer.body == b"<h1>Welcome</h1>"


def test_content_type_may_be_left_out(call):
    """A stream without a content type is otherwise whole."""
    answer = heard(call, ContentType(None), last=True)
    assert "content-type" not in answer.head
    assert answer.events == healthy_events(call)


def test_leave_open_sends_everything_but_the_end_of_the_body(call):
    """The end marker of the dialect is received, that of HTTP is not."""
    answer = heard(call, LeaveOpen())
    assert answer.events == healthy_events(call)
    assert answer.chunks[-1] != b""
    assert answer.ending == "silence"


def test_slow_headers_drip(call):
    """Only the first bytes of the head are there when the client looks."""
    with Simulator(fault=SlowHeaders(30)) as simulator:
        assert call(simulator).ask().hear(SILENCE) == (b"", "silence")
    assert heard(call, SlowHeaders(0.0001), last=True).events == healthy_events(call)


def test_gzip_is_readable_event_by_event(call):
    """Each event is flushed, so the compressed stream adds no delay."""
    answer = heard(call, Gzip(), last=True)
    assert "content-encoding: gzip" in answer.head
    reader = zlib.decompressobj(wbits=31)
    assert reader.decompress(answer.chunks[0]) == healthy_events(call)[0] + b"\n\n"
    assert gzip.decompress(b"".join(answer.chunks)).split(b"\n\n")[:-1] == healthy_events(call)


def test_gzip_plain_response_states_its_compressed_length(call):
    """Compression does not break the length."""
    answer = heard(call, Gzip(), stream=False, last=True)
    assert f"content-length: {len(answer.body)}" in answer.head
    assert json.loads(gzip.decompress(answer.body))["object"] == "chat.completion"


def test_list_of_faults_has_one_entry_for_each_request(call):
    """Faults in turn: a tuple is several at once, `times` repeats, None and the end of the list are healthy."""
    script = [Status(500, times=2), None, (Garbage(data=b":\n\n"), Cut(after_events=0))]
    with Simulator(TEXT, faults=script) as simulator:
        caller = call(simulator)
        answers = [caller.ask().response() for _ in range(5)]
    assert [status for status, _ in answers] == [500, 500, 200, 200, 200]
    assert answers[3][1] == b""
    assert answers[2][1].endswith(b"[DONE]\n\n")
    assert answers[4][1].endswith(b"[DONE]\n\n")


def test_times_of_one_fault_do_not_end_the_others(call):
    """Each of several faults affects as many requests as its `times`."""
    with Simulator(Reply(TEXT), fault=(Status(500, times=1), Gzip())) as simulator:
        heads = [call(simulator).ask(stream=False, last=True).hear().head for _ in range(2)]
    assert ["500" in head for head in heads] == [True, False]
    assert all("content-encoding: gzip" in head for head in heads)


@pytest.mark.parametrize("fault", [Cut, Drop, Reset, Stall])
def test_fault_without_position_is_rejected(fault):
    """A fault without a position raises an error that names the ways to set it."""
    with pytest.raises(ConfigError, match="exactly one position in the response: after_events=N or after_bytes=N"):
        fault()
    with pytest.raises(ConfigError, match="exactly one position"):
        fault(after_events=1, after_bytes=1)


def test_fault_and_faults_together_are_refused():
    """Two scripts for one request would leave open which one counts."""
    with pytest.raises(ConfigError, match="not both"):
        Simulator(fault=Gzip(), faults=[Gzip()])


def test_object_that_is_not_a_fault_is_rejected():
    """A class is not a fault yet."""
    with pytest.raises(ConfigError, match="such as Reset"):
        Simulator(fault=[Gzip])
