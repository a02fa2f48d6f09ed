"""Streams that fall silent: each silence is ended by its own clock, and an answer that is complete is not one of them."""

from __future__ import annotations

from time import perf_counter

import pytest

from polyglot_core import FinishReason, Outcome, TimedOut
from polyglot_simulator import Comments, Cut, Garbage, LeaveOpen, Pace, RawReply, SlowHeaders, Stall

pytestmark = pytest.mark.http

SHORT = 0.3  # seconds of a clock that is to run out
SLACK = 4.5  # seconds that a busy machine may take besides; what a clock has to end would go on for 10
FINISH = 5  # the event that says why the model stopped; the end is the seventh


def timed_failure(call):
    """The error of a call and after how many seconds it came."""
    begun = perf_counter()
    error = call.failure()
    return error, perf_counter() - begun


def ran_out(error, clock, text):
    """Whether a clock ended the call, and what had come by then is kept."""
    return (
        isinstance(error, TimedOut)
        and isinstance(error, TimeoutError)
        and (error.clock, error.partial.content, error.partial.outcome) == (clock, text, Outcome.TIMED_OUT)
        and error.retryable is (clock != "total")  # there is no time left to ask again
    )


# Complete, although the socket stays open


def test_a_stream_is_finished_at_its_end_even_if_the_socket_stays_open(ask, record_property):
    """After the sign of the end nothing is waited for: not the end of the body, not a clock."""
    seconds = min(seconds_to_finish(ask(LeaveOpen())) for _ in range(3))
    record_property("seconds from the call to the end", round(seconds, 4))
    assert seconds < 0.5


def seconds_to_finish(call):
    begun = perf_counter()
    call.read()
    assert call.response().outcome is Outcome.FINISHED
    return perf_counter() - begun


@pytest.mark.parametrize("fault", [Stall(after_events=FINISH), Stall(after_events=FINISH + 1)], ids=["bare", "usage"])
def test_silence_after_the_finish_is_the_end(ask, fault):
    """Once the model is done the stream waits for no longer than ``grace``, and is then finished."""
    call = ask(fault, clocks={"grace": SHORT})
    begun = perf_counter()
    assert call.read()[-1].finish_reason is FinishReason.STOP
    assert SHORT <= perf_counter() - begun < SHORT + SLACK
    response = call.response()
    assert (response.content, response.outcome) == ("One two three", Outcome.FINISHED)
    assert (response.usage is not None) == (fault.after_events > FINISH)


def test_what_comes_within_the_grace_is_taken(ask):
    """Usage that comes a moment after the finish is part of the answer."""
    response = ask(Stall(after_events=FINISH, seconds=SHORT), clocks={"grace": 3.0, "idle": 0.1}).response()
    assert (response.outcome, response.usage is not None) == (Outcome.FINISHED, True)


def test_comments_after_the_finish_do_not_stretch_the_grace(ask):
    """A server that keeps the connection alive for ever does not keep a finished answer."""
    call = ask(Comments(every=0.05, count=200, after_events=FINISH), clocks={"grace": SHORT})
    begun = perf_counter()
    assert call.response().outcome is Outcome.FINISHED
    assert perf_counter() - begun < SHORT + SLACK


# Silence


@pytest.mark.parametrize("events", [0, 1])
def test_silence_before_the_first_event_is_ended_by_first(ask, events):
    """Headers, and a chunk that only names a role, are no answer yet: ``first`` runs until something of it comes."""
    error, seconds = timed_failure(ask(Stall(after_events=events), clocks={"first": SHORT}))
    assert ran_out(error, "first", "")
    assert SHORT <= seconds < SHORT + SLACK


def test_silence_before_the_headers_is_ended_by_first(ask):
    """A server that accepts the request and says nothing at all is given up after ``first``."""
    error, seconds = timed_failure(ask(Stall(before_headers=True), clocks={"first": SHORT}))
    assert ran_out(error, "first", "")
    assert SHORT <= seconds < SHORT + SLACK


def test_silence_between_events_is_ended_by_idle(ask):
    """A stream that has begun and goes no further is given up after ``idle``."""
    call = ask(Stall(after_events=3), clocks={"idle": SHORT})
    error, seconds = timed_failure(call)
    assert ran_out(error, "idle", "One two")
    assert call.said == "One two"
    assert SHORT <= seconds < SHORT + SLACK


def test_silence_inside_of_an_event_is_ended_by_idle(ask):
    """Half an event is nothing with meaning."""
    error, _ = timed_failure(ask(Stall(after_bytes=-800), clocks={"idle": SHORT}))
    assert isinstance(error, TimedOut)
    assert error.clock == "idle"


def test_not_a_byte_is_ended_by_silence(ask):
    """``silence`` runs while not a single byte comes, and may be shorter than ``idle``."""
    error, seconds = timed_failure(ask(Stall(after_events=3), clocks={"silence": SHORT}))
    assert ran_out(error, "silence", "One two")
    assert SHORT <= seconds < SHORT + SLACK


@pytest.mark.parametrize(("events", "clock", "text"), [(0, "first", ""), (1, "first", ""), (3, "idle", "One two")])
def test_comments_do_not_feed_the_clocks_of_events(ask, events, clock, text):
    """Comments that keep a connection alive are no progress."""
    call = ask(Comments(every=0.05, count=200, after_events=events), clocks={clock: SHORT})
    error, seconds = timed_failure(call)
    assert ran_out(error, clock, text)
    assert SHORT <= seconds < SHORT + SLACK


@pytest.mark.parametrize(
    "chunk", [b'{"choices":[]}', b'{"choices":[{"index":0,"delta":{"content":""}}]}', b'{"id":"x"}']
)
def test_events_without_meaning_do_not_feed_the_clocks_of_events(ask, chunk):
    """Chunks that say nothing are comments in another dress."""
    begun = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"One"}}]}\n\n'
    reply = RawReply(writes=[begun, *[b"data: %b\n\n" % chunk] * 200], delay=0.05, end="open")
    error, seconds = timed_failure(ask(reply=reply, clocks={"idle": SHORT}))
    assert ran_out(error, "idle", "One")
    assert seconds < SHORT + SLACK


def test_comments_feed_silence(ask):
    """While bytes come there is no silence, even if they mean nothing."""
    response = ask(Comments(every=0.1, count=8, after_events=3), clocks={"silence": 0.5}).response()
    assert response.outcome is Outcome.FINISHED


def test_a_slow_stream_is_no_silence(ask, simulate, call_to):
    """Pieces that come within ``idle`` of each other may take as long as they like in all."""
    simulator = simulate("a b c d e f g h", pace=Pace(tokens_per_second=10))
    response = call_to(simulator.connection, timeouts={"idle": 0.6, "first": 0.6}).response()
    assert response.content == "a b c d e f g h"


def test_total_ends_what_the_other_clocks_let_run(simulate, call_to):
    """``total`` bounds the whole call, however busy the stream is."""
    simulator = simulate("a " * 500, pace=Pace(tokens_per_second=20))
    error, seconds = timed_failure(call_to(simulator.connection, timeouts={"total": 0.5}))
    assert isinstance(error, TimedOut)
    assert (error.clock, error.partial.outcome) == ("total", Outcome.TIMED_OUT)
    assert error.partial.content.startswith("a a")
    assert 0.5 <= seconds < 0.5 + SLACK


def test_total_bounds_the_wait_for_headers(ask):
    """A call that has not even been answered when ``total`` runs out ends then, not after ``first``."""
    error, seconds = timed_failure(ask(Stall(before_headers=True), clocks={"total": SHORT, "first": 10.0}))
    assert ran_out(error, "total", "")
    assert SHORT <= seconds < SHORT + SLACK


def test_a_plain_answer_is_bound_by_first(ask):
    """The body of a plain answer has to come within ``first``: before it is whole nothing of it has come."""
    error, seconds = timed_failure(ask(Stall(after_bytes=20), clocks={"first": SHORT}, stream=False))
    assert ran_out(error, "first", "")
    assert SHORT <= seconds < SHORT + SLACK


def test_time_that_the_caller_takes_is_not_the_providers(ask):
    """A loop body that takes longer than ``idle`` is not held against the stream."""
    call = ask(clocks={"idle": 0.2, "silence": 0.2, "grace": 0.2})
    call.read(1)
    pause(0.5)
    call.read()
    assert call.response().outcome is Outcome.FINISHED


def pause(seconds):
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass


def test_headers_that_drip_are_ended_by_first(ask):
    """``first`` ends a head that comes byte by byte, though the HTTP client's own timeout begins anew with each."""
    error, seconds = timed_failure(ask(SlowHeaders(0.05), clocks={"first": SHORT}))
    assert ran_out(error, "first", "")
    assert seconds < SHORT + SLACK


def test_a_clock_that_is_off_never_runs_out(ask):
    """None switches a clock off."""
    off = dict.fromkeys(["first", "idle", "silence", "grace", "total", "connect"])
    response = ask(Stall(after_events=3, seconds=SHORT), Garbage(after_events=1, data=b":\n\n"), clocks=off).response()
    assert response.outcome is Outcome.FINISHED


def test_a_truncated_stream_does_not_wait(ask):
    """The end of the body is the end: no clock is waited for."""
    _, seconds = timed_failure(ask(Cut(after_events=3), clocks={"idle": 10.0}))
    assert seconds < SLACK
