"""Recorded bytes, with the write boundaries that a test wants."""

from __future__ import annotations

import pytest

from polyglot_simulator import RawReply, Reset, Simulator

SILENCE = 0.3
WRITES = [b"data: 1\n", b"", b"\ndata: \xff", b"\n\n"]


def heard(call, reply, patience=5.0):
    with Simulator(reply) as simulator:
        return call(simulator).ask().hear(patience)


def test_each_write_is_a_chunk(call):
    """A chunked raw reply keeps the boundaries; an empty write is none, for it would end the body."""
    answer = heard(call, RawReply(writes=WRITES), SILENCE)
    assert answer.chunks == [b"data: 1\n", b"\ndata: \xff", b"\n\n", b""]
    assert answer.head.splitlines() == [
        "HTTP/1.1 200 OK",
        "content-type: text/event-stream",
        "transfer-encoding: chunked",
    ]


def test_each_write_reaches_the_socket_by_itself(call):
    """Before the delay is over only the first write is there; a short one loses nothing."""
    writes = [b"one", b"two"]
    answer = heard(call, RawReply(writes=writes, delay=30, end="close"), SILENCE)
    assert (answer.body, answer.ending) == (b"one", "silence")
    assert heard(call, RawReply(writes=writes, delay=0.01, end="close")).body == b"onetwo"


@pytest.mark.parametrize(
    ("end", "framing", "ending"),
    [("close", "connection: close", "fin"), ("length", "content-length: 18", "silence")],
)
def test_unchunked_body_is_exactly_the_writes(call, end, framing, ending):
    """The bytes are received unchanged."""
    answer = heard(call, RawReply(writes=WRITES, end=end), SILENCE)
    assert answer.body == b"".join(WRITES)
    assert framing in answer.head
    assert answer.ending == ending


@pytest.mark.parametrize(("end", "ending"), [("open", "silence"), ("reset", "reset")])
def test_body_without_an_end(call, end, ending):
    """All writes are received, and the last chunk is not."""
    answer = heard(call, RawReply(writes=WRITES, end=end), SILENCE)
    assert b"".join(answer.chunks) == b"".join(WRITES)
    assert answer.chunks[-1] != b""
    assert answer.ending == ending


def test_status_and_headers_are_those_given(call):
    """A framing header of one's own is sent instead of the simulator's, even a wrong one."""
    headers = [("Content-Type", "application/json"), ("Content-Length", "99"), ("x-a", "1"), ("x-a", "2")]
    answer = heard(call, RawReply(status=529, headers=headers, writes=[b"{}"], end="length"), SILENCE)
    assert answer.head.splitlines() == ["HTTP/1.1 529 Unknown", *(f"{name}: {value}" for name, value in headers)]
    assert answer.body == b"{}"


def test_raw_replies_mix_with_others_and_with_faults(call):
    """A function may return either, and a write counts as an event."""
    with Simulator(lambda request: RawReply(writes=WRITES), fault=Reset(after_events=1)) as simulator:
        answer = call(simulator).ask().hear()
    assert answer.chunks == [b"data: 1\n"]
    assert answer.ending == "reset"


def test_raw_reply_is_sent_on_any_path(call):
    """A dialect of the user's own has paths of its own; other replies know only those of their dialects."""
    for reply, status in ((RawReply(writes=[b"data: 1\n\n"]), 200), ("Hi", 404), (lambda _: "Hi", 404)):
        with Simulator(reply) as simulator:
            head = call(simulator).send("POST", "/v9/talk", b"{}").hear(SILENCE).head
        assert head.startswith(f"HTTP/1.1 {status} "), reply
