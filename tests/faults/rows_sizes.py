"""Rows 46 to 57: the response is large, slow, compressed, or of another length than declared."""

from __future__ import annotations

import gzip
import socket
import time
import tracemalloc
import zlib

from polyglot_core import Outcome, PolyglotError, TimedOut, TransportError
from polyglot_core._values.limits import Limits
from polyglot_core.errors import LimitExceeded
from polyglot_simulator import ByteAtATime, Comments, Cut, Garbage, Gzip, Pace, Stall

from ..endings.calling import Call
from .bodies import BODY, DONE, FINISH, STORY, delta, reply, said
from .playing import all_of, answers, scripted, simulated, told
from .scripted import CHUNKED, chunk, head
from .stage import Ends, Scenario, Stage, same

__all__ = ["SCENARIOS"]

# Sizes


@told(46, "one event of 8 MB", "What is under the limit is read, however long its line.")
def large_event(stage: Stage) -> None:
    text = "x" * 8_000_000
    server = stage.simulate(reply(said(text), FINISH, DONE))
    stage.keeps(answers(text), stage.call(stage.connection(server)), server)


def too_large(part: str, line: bytes, promise: str) -> Scenario:
    """Play an endless event; the memory of its reader stays below twice the limit."""

    @told(47, part, promise)
    def play(stage: Stage) -> None:
        limit = 1024 * 1024
        script = (head(**CHUNKED), chunk(STORY[0]), *[chunk(line * 4096)] * (8 * limit // (len(line) * 4096)), "hang")
        server = stage.serve(script)  # type: ignore[arg-type]
        stage.keeps(
            answers(), stage.call(stage.connection(stage.simulate()))
        )  # do not count the memory of first imports
        call = stage.call(stage.connection(server, again=2, limits=Limits(event=limit)))
        error, peak = _failure_and_peak(call)
        found = (type(error), error.partial.content, error.partial.outcome, error.attempts, len(server.requests))
        same("error", found, (LimitExceeded, "One", Outcome.FAILED, 1, 1))
        same("says which limit", "limits.event" in str(error) and str(limit) in str(error), True)
        same("closed", server.requests[0].wait_closed(1.0) is not None, True)
        same(f"peak of {peak / limit:.2f} limits is under 2", peak < 2 * limit, True)

    return play


def _failure_and_peak(call: Call) -> tuple[PolyglotError, int]:
    """Return the error of a call and its peak memory in bytes."""
    tracemalloc.start()
    try:
        error = call.failure()
        return error, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


too_large_events = [
    too_large(
        "a line without end", b"data: xxxxxxxxxx", "It is refused at the limit, and never stands in memory twice."
    ),
    too_large("lines without a blank one", b"data: xxxxxxxxx\n", "The same, for an event of many lines."),
]


# Timeouts

SILENCE = "It is ended by its clock, which the error names."
stalls = [
    simulated(48, "after the headers", "It is ended by `first`, and asked again.", answers(requests=2, within=3.0),
              Stall(after_events=0, times=1), again=1, clocks={"first": 0.3}),
    simulated(48, "for good", SILENCE + " Each attempt has its own.",
              Ends(error=TimedOut, requests=2, closed=True, facts={"clock": "first", "retryable": True, "attempts": 2}),
              Stall(after_events=0), again=1, clocks={"first": 0.2}),
    simulated(48, "after the role", "A chunk that only names the role is no answer yet.",
              Ends(error=TimedOut, requests=1, closed=True, facts={"clock": "first"}), Stall(after_events=1), clocks={"first": 0.2}),
    simulated(48, "before the headers", SILENCE,
              Ends(error=TimedOut, requests=1, closed=True, facts={"clock": "first"}), Stall(before_headers=True), clocks={"first": 0.2}),
    simulated(49, "between events", SILENCE + " Nothing is sent again.",
              Ends(error=TimedOut, content="One two", closed=True, facts={"clock": "idle", "attempts": 1}),
              Stall(after_events=3), again=2, clocks={"idle": 0.2}),
    simulated(49, "not a byte", SILENCE, Ends(error=TimedOut, content="One two", closed=True, facts={"clock": "silence"}),
              Stall(after_events=3), clocks={"silence": 0.2}),
    simulated(49, "within an event", "Half an event is no progress.",
              Ends(error=TimedOut, content="One two", closed=True, facts={"clock": "idle"}),
              Stall(after_bytes=len(BODY) - 160), reply=reply(*STORY), clocks={"idle": 0.2}),
    simulated(50, "comments for ever", "Bytes without meaning are no progress: `idle` ends it.",
              Ends(error=TimedOut, content="One two", closed=True, facts={"clock": "idle"}, within=2.0),
              Comments(every=0.02, count=500, after_events=3), clocks={"idle": 0.3}),
    simulated(50, "a byte now and then", "A byte of an event is no progress either.",
              Ends(error=TimedOut, content="One", closed=True, facts={"clock": "idle"}, within=2.0),
              reply=reply(STORY[0], *(bytes((byte,)) for byte in STORY[1]), delay=0.02, end="open"), clocks={"idle": 0.3}),
    simulated(50, "empty deltas for ever", "Events that say nothing are no progress either.",
              Ends(error=TimedOut, content="One", closed=True, facts={"clock": "idle"}, within=2.0),
              reply=reply(STORY[0], *[delta(content="")] * 200, delay=0.02, end="open"), clocks={"idle": 0.3}),
]  # fmt: skip


@told(50, "total", "`total` bounds the whole call, however busy the stream is.")
def bounded(stage: Stage) -> None:
    server = stage.simulate("a " * 500, pace=Pace(tokens_per_second=50))
    call = stage.call(stage.connection(server, again=2), clocks={"total": 0.4})
    ending = stage.end(call)
    same("error", (type(ending.error), ending.error.clock), (TimedOut, "total"))
    same("retryable", ending.error.retryable, False)
    same("in time", 0.4 <= ending.seconds < 2.0, True)
    same("some of it came", ending.response.content.startswith("a a"), True)
    same("closed", server.requests[0].wait_closed(1.0) is not None, True)


# Compression


def squeezed(window: int, *pieces: bytes) -> list[bytes]:
    """Return the pieces compressed, each flushed."""
    packer = zlib.compressobj(wbits=window)
    flushed = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    return [*flushed, packer.flush()]


def encoded(*names: str) -> list[tuple[str, str]]:
    """Return the headers of a stream in these encodings."""
    return [("content-type", "text/event-stream"), *(("content-encoding", name) for name in names)]


BOMB = zlib.compress(b"data: " + b"x" * 50_000_000, wbits=31)
compressed = [
    simulated(51, "gzip", "It is read although it was not asked for.", answers(), Gzip()),
    simulated(51, "gzip, byte by byte", "It is undone as it comes.", answers(), Gzip(), ByteAtATime()),
    simulated(51, "deflate", "It is read although it was not asked for.", answers(),
              reply=reply(*squeezed(zlib.MAX_WBITS, *STORY), headers=encoded("deflate"))),
    simulated(51, "br", "An encoding that is not known is refused, by its name.",
              Ends(error=TransportError, facts={"kind": "encoding", "attempts": 1, "retryable": False}, says=("'br'",)),
              reply=reply(b"\x0b", headers=encoded("br")), again=2),
    simulated(52, "rubbish in gzip", "What cannot be inflated is an error that keeps what came.",
              Ends(error=TransportError, content="One two", facts={"kind": "encoding", "attempts": 1}),
              Gzip(), Garbage(after_events=3, data=b"\0" * 40), again=2),
    simulated(52, "gzip cut", "Compressed bytes without their end are an error that keeps what came.",
              Ends(error=TransportError, content="One two", facts={"kind": "encoding", "attempts": 1}),
              Gzip(), Cut(after_events=3), again=2),
    simulated(53, "bomb", "It is stopped long before it stands in memory, and not asked for again.",
              Ends(error=LimitExceeded, facts={"attempts": 1}, says=("inflat",)),
              reply=reply(BOMB, headers=encoded("gzip")), again=2),
    simulated(53, "two encodings", "More than one encoding is refused.",
              Ends(error=TransportError, facts={"kind": "encoding", "attempts": 1, "retryable": False}),
              reply=reply(gzip.compress(gzip.compress(BODY)), headers=encoded("gzip, gzip")), again=2),
    simulated(53, "two headers", "The same where they come in two headers.",
              Ends(error=TransportError, facts={"kind": "encoding", "attempts": 1}),
              reply=reply(gzip.compress(gzip.compress(BODY)), headers=encoded("gzip", "gzip")), again=2),
]  # fmt: skip


@told(51, "no added delay", "What was flushed into a compressed stream is handed out before the rest comes.")
def flushed(stage: Stage) -> None:
    first, *rest = squeezed(31, *STORY)
    server = stage.simulate(reply(first, *rest, headers=encoded("gzip"), delay=0.15))
    call = stage.call(stage.connection(server))
    begun = time.monotonic()
    call.read(1)
    same("the first piece came first", time.monotonic() - begun < 0.5 and call.said == "One", True)
    same("asked for", server.requests[0].headers["accept-encoding"], "identity")


# Lengths and keep-alive

lengths = [
    scripted(54, "too short, before the end", "A body that is shorter than it states has not arrived.",
             Ends(error=TransportError, content="One two", facts={"kind": "broken", "attempts": 1}),
             (head(content_length="9999"), *STORY[:2], 0.02, "close"), again=2),
    scripted(54, "too short, after [DONE]", "Behind the sign of the end nothing is missed.", answers(),
             (head(content_length="9999"), *STORY, 0.02, "close")),
    scripted(54, "too long", "What is behind the stated length is no part of the answer.", answers(),
             (head(content_length=str(len(BODY))), *STORY, b"data: more\n\n", "close")),
]  # fmt: skip


@told(57, "keep-alive", "TCP itself asks after 60 s whether the other side is still there, every 60 s, five times.")
def kept_alive(stage: Stage) -> None:
    server = stage.simulate(fault=Stall(after_events=3))
    call = stage.call(stage.connection(server))
    call.read(1)
    reply = call.pending.stream()._pump._exchange._reply
    sock = getattr(reply, "_connection", reply)._socket
    asked = {
        name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
    }
    same("options", (bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)), *asked.values()), (True, 60, 60, 5))


SCENARIOS = all_of(globals())
