"""Streams that are still referenced: they continue, return the rest, and repeat their result."""

from __future__ import annotations

import pytest

from polyglot_core import Outcome, PolyglotError, StreamError
from polyglot_simulator import Cut, Drop, ErrorEvent, Reset, Stall, Status

pytestmark = pytest.mark.http

WORDS = " ".join(f"word{number}" for number in range(20))


def test_referenced_stream_stays_open_after_break(simulate, call_to):
    """Keep a stream open after ``break`` while it is still referenced."""
    simulator = simulate(WORDS, fault=Stall(after_events=4))
    call = call_to(simulator.connection)
    call.read(1)
    assert simulator.requests[0].wait_closed(0.2) is None
    assert len(call.read(2)) == 2
    call.close()
    assert simulator.requests[0].wait_closed(3.0) is not None


def test_next_loop_continues(ask):
    """Return every partial once over two loops."""
    call = ask(reply=WORDS)
    call.read(3)
    call.read(4)
    assert [partial.content_delta for partial in call.partials] == WORDS.replace(" ", "\0 ").split("\0")[:7]
    call.read()
    assert call.said == call.response().content == WORDS


@pytest.mark.parametrize("taken", [0, 1, 19, 20, 21])
def test_response_reads_rest_without_repeats(ask, taken):
    """Return the complete `response()` after any part of a stream, and each partial once."""
    call = ask(reply=WORDS)
    seen = []
    call.pending.stream().on_partial(lambda partial: seen.append(partial.content_delta))
    if taken:
        call.read(taken)
    response = call.response()
    assert (response.content, response.outcome) == (WORDS, Outcome.FINISHED)
    assert "".join(seen) == WORDS
    assert len(seen) == 21


def test_one_request_per_call(simulate, call_to):
    """Send one request for all streams, loops and responses of a call."""
    simulator = simulate()
    call = call_to(simulator.connection)
    call.read(1)
    assert call.response() == call.response()
    assert call.pending.stream() is call.pending.stream()
    assert len(simulator.requests) == 1


def test_ended_stream_is_not_replayed(ask):
    """Raise for a loop over an ended stream, instead of running zero times."""
    call = ask()
    call.read()
    with pytest.raises(StreamError, match=r"not replayed.*response\(\)"):
        call.read()


FAILURES = {
    "truncated": Cut(after_events=3),
    "dropped": Drop(after_events=3),
    "reset": Reset(after_events=3),
    "error": ErrorEvent(after_events=3),
    "stalled": Stall(after_events=3),
    "refused": Status(429),
}
each_failure = pytest.mark.parametrize("fault", FAILURES.values(), ids=FAILURES)


@each_failure
def test_failed_stream_repeats_its_error(ask, fault):
    """Raise the same error object from `response()` each time after a failure."""
    call = ask(fault, clocks={"idle": 0.2})
    error = call.failure()
    for _ in range(3):
        with pytest.raises(PolyglotError) as raised:
            call.response()
        assert raised.value is error
    with pytest.raises(StreamError):
        call.read()


@each_failure
def test_response_without_loop_raises_same_error(ask, fault):
    """Raise from `response()` what a loop would raise, with the partial response."""
    looped = ask(fault, clocks={"idle": 0.2}).failure()
    with pytest.raises(PolyglotError) as raised:
        ask(fault, clocks={"idle": 0.2}).response()
    assert type(raised.value) is type(looped)
    assert raised.value.partial.content == looped.partial.content
    assert raised.value.partial.outcome is looped.partial.outcome


@each_failure
def test_close_after_failure_keeps_outcome(ask, fault):
    """Keep the outcome of a failed call when it is closed."""
    call = ask(fault, clocks={"idle": 0.2})
    error = call.failure()
    call.close()
    with pytest.raises(PolyglotError) as raised:
        call.response()
    assert raised.value is error
    assert error.partial.outcome is not Outcome.CANCELLED


def test_closed_stream_keeps_partial(ask):
    """Return the partial response with outcome cancelled after any number of `close()`, and end a loop."""
    call = ask(Stall(after_events=3))
    call.read(2)
    call.close()
    call.close()
    assert call.read() == []
    response = call.response()
    assert (response.content, response.outcome, response.finish_reason) == ("One two", Outcome.CANCELLED, None)


def test_close_after_end_keeps_outcome(ask):
    """Keep the outcome of a finished stream when it is closed."""
    call = ask()
    call.read()
    call.close()
    assert call.response().outcome is Outcome.FINISHED
