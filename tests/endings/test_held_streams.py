"""A stream that is still held stays as it was left: it goes on, gives the rest, and says the same again and again."""

from __future__ import annotations

import pytest

from polyglot_core import Outcome, PolyglotError, StreamError
from polyglot_simulator import Cut, Drop, ErrorEvent, Reset, Stall, Status

pytestmark = pytest.mark.http

WORDS = " ".join(f"word{number}" for number in range(20))


def test_a_stream_that_is_held_after_a_break_stays_open(simulate, call_to):
    """``break`` alone does not close a stream that somebody still holds."""
    simulator = simulate(WORDS, fault=Stall(after_events=4))
    call = call_to(simulator.connection)
    call.read(1)
    assert simulator.requests[0].wait_closed(0.2) is None
    assert len(call.read(2)) == 2
    call.close()
    assert simulator.requests[0].wait_closed(3.0) is not None


def test_the_next_loop_goes_on_where_the_last_one_stopped(ask):
    """Two loops over one stream see every partial once."""
    call = ask(reply=WORDS)
    call.read(3)
    call.read(4)
    assert [partial.content_delta for partial in call.partials] == WORDS.replace(" ", "\0 ").split("\0")[:7]
    call.read()
    assert call.said == call.response().content == WORDS


@pytest.mark.parametrize("taken", [0, 1, 19, 20, 21])
def test_response_reads_the_rest_and_repeats_nothing(ask, taken):
    """After any part of a stream `response()` is whole, and each partial was handed out once."""
    call = ask(reply=WORDS)
    seen = []
    call.pending.stream().on_partial(lambda partial: seen.append(partial.content_delta))
    if taken:
        call.read(taken)
    response = call.response()
    assert (response.content, response.outcome) == (WORDS, Outcome.FINISHED)
    assert "".join(seen) == WORDS
    assert len(seen) == 21


def test_one_request_is_sent_however_often_is_asked(simulate, call_to):
    """Streams, loops and responses of one call are one request, and one response."""
    simulator = simulate()
    call = call_to(simulator.connection)
    call.read(1)
    assert call.response() == call.response()
    assert call.pending.stream() is call.pending.stream()
    assert len(simulator.requests) == 1


def test_an_ended_stream_is_not_replayed(ask):
    """A loop over a stream that has ended says so instead of running zero times."""
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
def test_a_failed_stream_says_the_same_again(ask, fault):
    """After a failure `response()` raises the very same error, as often as it is asked; it never becomes a success."""
    call = ask(fault, clocks={"idle": 0.2})
    error = call.failure()
    for _ in range(3):
        with pytest.raises(PolyglotError) as raised:
            call.response()
        assert raised.value is error
    with pytest.raises(StreamError):
        call.read()


@each_failure
def test_a_response_that_was_never_looped_over_fails_alike(ask, fault):
    """`response()` alone raises what a loop would, with what had come."""
    looped = ask(fault, clocks={"idle": 0.2}).failure()
    with pytest.raises(PolyglotError) as raised:
        ask(fault, clocks={"idle": 0.2}).response()
    assert type(raised.value) is type(looped)
    assert raised.value.partial.content == looped.partial.content
    assert raised.value.partial.outcome is looped.partial.outcome


@each_failure
def test_closing_after_a_failure_changes_nothing(ask, fault):
    """A failed call stays failed; closing it is no cancellation."""
    call = ask(fault, clocks={"idle": 0.2})
    error = call.failure()
    call.close()
    with pytest.raises(PolyglotError) as raised:
        call.response()
    assert raised.value is error
    assert error.partial.outcome is not Outcome.CANCELLED


def test_a_closed_stream_keeps_what_came(ask):
    """After `close()`, however often, the response is what had come, and is cancelled; a loop is at its end."""
    call = ask(Stall(after_events=3))
    call.read(2)
    call.close()
    call.close()
    assert call.read() == []
    response = call.response()
    assert (response.content, response.outcome, response.finish_reason) == ("One two", Outcome.CANCELLED, None)


def test_closing_after_the_end_changes_nothing(ask):
    """A stream that was read to its end has finished, whatever is done with it after."""
    call = ask()
    call.read()
    call.close()
    assert call.response().outcome is Outcome.FINISHED
