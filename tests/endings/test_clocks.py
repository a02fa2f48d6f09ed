"""Timeouts of stalled streams: each kind of silence has its own timeout, and a complete response needs none."""

from __future__ import annotations

from time import perf_counter

import pytest

from polyglot_core import FinishReason, Outcome, TimedOut
from polyglot_simulator import Comments, Cut, Garbage, LeaveOpen, Pace, RawReply, SlowHeaders, Stall

pytestmark = pytest.mark.http

SHORT = 0.3  # seconds of a timeout that is to expire
SLACK = 4.5  # seconds of tolerance for a busy machine; without the timeout the call would take 10
FINISH = 5  # the event that says why the model stopped; the end is the seventh


def timed_failure(call):
    """Return the error of a call and after how many seconds it was raised."""
    begun = perf_counter()
    error = call.failure()
    return error, perf_counter() - begun


def ran_out(error, clock, text):
    """Check that this timeout ended the call and that the content received so far is kept."""
    return (
        isinstance(error, TimedOut)
        and isinstance(error, TimeoutError)
        and (error.clock, error.partial.content, error.partial.outcome) == (clock, text, Outcome.TIMED_OUT)
        and error.retryable is (clock != "total")  # no time is left for a retry
    )


# Complete, although the socket stays open


def test_stream_finishes_at_end_marker_with_open_socket(ask, record_property):
    """Return at the end-of-stream marker, without waiting for the end of the body or for a timeout."""
    seconds = min(seconds_to_finish(ask(LeaveOpen())) for _ in range(3))
    record_property("seconds from the call to the end", round(seconds, 4))
    assert seconds < 0.5


def seconds_to_finish(call):
    begun = perf_counter()
    call.read()
    assert call.response().outcome is Outcome.FINISHED
    return perf_counter() - begun


@pytest.mark.parametrize("fault", [Stall(after_events=FINISH), Stall(after_events=FINISH + 1)], ids=["bare", "usage"])
def test_grace_ends_silence_after_finish(ask, fault):
    """Wait at most ``grace`` seconds after the finish reason, then finish."""
    call = ask(fault, clocks={"grace": SHORT})
    begun = perf_counter()
    assert call.read()[-1].finish_reason is FinishReason.STOP
    assert SHORT <= perf_counter() - begun < SHORT + SLACK
    response = call.response()
    assert (response.content, response.outcome) == ("One two three", Outcome.FINISHED)
    assert (response.usage is not None) == (fault.after_events > FINISH)


def test_usage_within_grace_is_received(ask):
    """Include usage that is received within ``grace`` after the finish."""
    response = ask(Stall(after_events=FINISH, seconds=SHORT), clocks={"grace": 3.0, "idle": 0.1}).response()
    assert (response.outcome, response.usage is not None) == (Outcome.FINISHED, True)


def test_comments_do_not_extend_grace(ask):
    """Finish on time even if the server sends keep-alive comments for ever."""
    call = ask(Comments(every=0.05, count=200, after_events=FINISH), clocks={"grace": SHORT})
    begun = perf_counter()
    assert call.response().outcome is Outcome.FINISHED
    assert perf_counter() - begun < SHORT + SLACK


# Silence


@pytest.mark.parametrize("events", [0, 1])
def test_first_ends_silence_before_first_event(ask, events):
    """Run ``first`` until content is received: headers and a chunk with only a role do not stop it."""
    error, seconds = timed_failure(ask(Stall(after_events=events), clocks={"first": SHORT}))
    assert ran_out(error, "first", "")
    assert SHORT <= seconds < SHORT + SLACK


def test_first_ends_silence_before_headers(ask):
    """Time out after ``first`` if the server accepts the request and sends no headers."""
    error, seconds = timed_failure(ask(Stall(before_headers=True), clocks={"first": SHORT}))
    assert ran_out(error, "first", "")
    assert SHORT <= seconds < SHORT + SLACK


def test_idle_ends_silence_between_events(ask):
    """Time out after ``idle`` if a stream stalls between events."""
    call = ask(Stall(after_events=3), clocks={"idle": SHORT})
    error, seconds = timed_failure(call)
    assert ran_out(error, "idle", "One two")
    assert call.said == "One two"
    assert SHORT <= seconds < SHORT + SLACK


def test_idle_ends_silence_inside_event(ask):
    """Time out after ``idle`` if a stream stalls inside an event."""
    error, _ = timed_failure(ask(Stall(after_bytes=-800), clocks={"idle": SHORT}))
    assert isinstance(error, TimedOut)
    assert error.clock == "idle"


def test_silence_ends_stream_without_bytes(ask):
    """Time out after ``silence`` if no byte is received, even if ``idle`` is longer."""
    error, seconds = timed_failure(ask(Stall(after_events=3), clocks={"silence": SHORT}))
    assert ran_out(error, "silence", "One two")
    assert SHORT <= seconds < SHORT + SLACK


@pytest.mark.parametrize(("events", "clock", "text"), [(0, "first", ""), (1, "first", ""), (3, "idle", "One two")])
def test_comments_do_not_reset_event_timeouts(ask, events, clock, text):
    """Ignore keep-alive comments in the timeouts of events."""
    call = ask(Comments(every=0.05, count=200, after_events=events), clocks={clock: SHORT})
    error, seconds = timed_failure(call)
    assert ran_out(error, clock, text)
    assert SHORT <= seconds < SHORT + SLACK


@pytest.mark.parametrize(
    "chunk", [b'{"choices":[]}', b'{"choices":[{"index":0,"delta":{"content":""}}]}', b'{"id":"x"}']
)
def test_empty_events_do_not_reset_event_timeouts(ask, chunk):
    """Ignore chunks without content in the timeouts of events, like comments."""
    begun = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"One"}}]}\n\n'
    reply = RawReply(writes=[begun, *[b"data: %b\n\n" % chunk] * 200], delay=0.05, end="open")
    error, seconds = timed_failure(ask(reply=reply, clocks={"idle": SHORT}))
    assert ran_out(error, "idle", "One")
    assert seconds < SHORT + SLACK


def test_comments_reset_silence(ask):
    """Reset ``silence`` at every byte received, comments included."""
    response = ask(Comments(every=0.1, count=8, after_events=3), clocks={"silence": 0.5}).response()
    assert response.outcome is Outcome.FINISHED


def test_slow_stream_does_not_time_out(ask, simulate, call_to):
    """Accept a stream of any length whose pieces are received within ``idle`` of each other."""
    simulator = simulate("a b c d e f g h", pace=Pace(tokens_per_second=10))
    response = call_to(simulator.connection, timeouts={"idle": 0.6, "first": 0.6}).response()
    assert response.content == "a b c d e f g h"


def test_total_bounds_busy_stream(simulate, call_to):
    """Bound the whole call by ``total``, however busy the stream is."""
    simulator = simulate("a " * 500, pace=Pace(tokens_per_second=20))
    error, seconds = timed_failure(call_to(simulator.connection, timeouts={"total": 0.5}))
    assert isinstance(error, TimedOut)
    assert (error.clock, error.partial.outcome) == ("total", Outcome.TIMED_OUT)
    assert error.partial.content.startswith("a a")
    assert 0.5 <= seconds < 0.5 + SLACK


def test_total_bounds_wait_for_headers(ask):
    """Time out after ``total`` during the wait for headers, not after ``first``."""
    error, seconds = timed_failure(ask(Stall(before_headers=True), clocks={"total": SHORT, "first": 10.0}))
    assert ran_out(error, "total", "")
    assert SHORT <= seconds < SHORT + SLACK


def test_first_bounds_plain_response(ask):
    """Time out after ``first`` if the body of a plain response is not complete by then."""
    error, seconds = timed_failure(ask(Stall(after_bytes=20), clocks={"first": SHORT}, stream=False))
    assert ran_out(error, "first", "")
    assert SHORT <= seconds < SHORT + SLACK


def test_time_of_caller_does_not_count(ask):
    """Exclude the time of the caller's loop body from ``idle``."""
    call = ask(clocks={"idle": 0.2, "silence": 0.2, "grace": 0.2})
    call.read(1)
    pause(0.5)
    call.read()
    assert call.response().outcome is Outcome.FINISHED


def pause(seconds):
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass


def test_first_ends_dripping_headers(ask):
    """Time out after ``first`` if headers drip in byte by byte, though each byte resets the HTTP client's own timeout."""
    error, seconds = timed_failure(ask(SlowHeaders(0.05), clocks={"first": SHORT}))
    assert ran_out(error, "first", "")
    assert seconds < SHORT + SLACK


def test_disabled_timeout_never_expires(ask):
    """Disable a timeout by None."""
    off = dict.fromkeys(["first", "idle", "silence", "grace", "total", "connect"])
    response = ask(Stall(after_events=3, seconds=SHORT), Garbage(after_events=1, data=b":\n\n"), clocks=off).response()
    assert response.outcome is Outcome.FINISHED


def test_truncated_stream_does_not_wait(ask):
    """Raise at the end of the body, without waiting for a timeout."""
    _, seconds = timed_failure(ask(Cut(after_events=3), clocks={"idle": 10.0}))
    assert seconds < SLACK
