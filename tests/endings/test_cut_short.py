"""Answers that end before their end, or with an error in them: what is raised, and what is kept of what had come."""

from __future__ import annotations

import pytest

from polyglot_core import (
    FinishReason,
    Outcome,
    ProviderError,
    RateLimited,
    TransportError,
    Truncated,
    Usage,
)
from polyglot_core.errors import ContextLengthExceeded, Malformed, Overloaded, QuotaExceeded, ServerError
from polyglot_simulator import ByteAtATime, Cut, Drop, ErrorEvent, Garbage, Gzip, Reply, Reset

pytestmark = pytest.mark.http

EVENTS = 7  # the role, three pieces of text, the finish, the usage, the end
FINISH = 5  # the event that says why the model stopped
BEFORE_THE_FINISH = [(0, ""), (1, ""), (2, "One"), (3, "One two"), (4, "One two three")]  # events, and their text
BREAKS = pytest.mark.parametrize("fault", [Drop, Reset], ids=["FIN", "RST"])


def is_kept(error, text, outcome):
    """Whether an error holds the response as far as it came."""
    partial = error.partial
    return (partial.content, partial.outcome, partial.finish_reason) == (text, outcome, None)


# The body ends, and HTTP is content


@pytest.mark.parametrize(("events", "text"), BEFORE_THE_FINISH)
def test_a_body_that_ends_before_the_finish_is_truncated(ask, events, text):
    """A stream that ends, however properly, before the model said why it stopped is an error that keeps what came."""
    call = ask(Cut(after_events=events))
    error = call.failure()
    assert isinstance(error, Truncated)
    assert is_kept(error, text, Outcome.TRUNCATED)
    assert call.said == text
    assert error.retryable


@pytest.mark.parametrize("events", [FINISH, FINISH + 1, EVENTS])
def test_a_body_that_ends_after_the_finish_is_finished(ask, events):
    """A stream that ends after the finish is whole, with or without usage and the sign of the end."""
    call = ask(Cut(after_events=events))
    assert call.read()[-1].finish_reason is FinishReason.STOP
    response = call.response()
    assert (response.content, response.outcome) == ("One two three", Outcome.FINISHED)
    assert (response.usage is not None) == (events > FINISH)


@pytest.mark.parametrize("cut", [-15, -16, -20, -120])
def test_a_body_that_ends_inside_of_an_event_is_truncated(ask, cut):
    """Half an event is no event: a finish that lacks a single byte does not count, and is not malformed either."""
    call = ask(Cut(after_bytes=cut), reply=Reply("Once", usage=Usage()))  # the finish is followed by the 14 of the end
    error = call.failure()
    assert type(error) is Truncated
    assert error.partial.finish_reason is None


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_plain_body_that_ends_early_is_truncated(ask, size):
    """A plain answer that stops inside of its JSON is truncated, not malformed."""
    error = ask(Cut(after_bytes=size), stream=False).failure()
    assert type(error) is Truncated
    assert error.partial.outcome is Outcome.TRUNCATED


# The connection breaks


@BREAKS
@pytest.mark.parametrize(("events", "text"), BEFORE_THE_FINISH)
def test_a_connection_that_breaks_before_the_finish_is_a_transport_error(ask, fault, events, text):
    """A connection that ends or is reset in the middle of a stream is a `TransportError` that keeps what came."""
    call = ask(fault(after_events=events))
    error = call.failure()
    assert isinstance(error, TransportError)
    assert is_kept(error, text, Outcome.FAILED)
    assert call.said == text
    assert (error.phase, error.retryable) == ("stream", True)


@BREAKS
@pytest.mark.parametrize("events", [FINISH, FINISH + 1, EVENTS])
def test_a_connection_that_breaks_after_the_finish_does_no_harm(ask, fault, events):
    """Once the model has said why it stopped nothing of the answer is missing, however the connection ends."""
    call = ask(fault(after_events=events))
    assert call.read()[-1].finish_reason is FinishReason.STOP
    assert call.response().outcome is Outcome.FINISHED


@BREAKS
def test_a_connection_that_breaks_before_the_headers_is_a_transport_error(ask, fault):
    """A connection that ends before the first byte of an answer is a `TransportError` with an empty response."""
    error = ask(fault(before_headers=True)).failure()
    assert isinstance(error, TransportError)
    assert is_kept(error, "", Outcome.FAILED)
    assert error.phase == "headers"


@BREAKS
def test_a_plain_answer_whose_connection_breaks_is_a_transport_error(ask, fault):
    """A plain answer that is shorter than its stated length did not arrive."""
    error = ask(fault(after_bytes=40), stream=False).failure()
    assert isinstance(error, TransportError)
    assert is_kept(error, "", Outcome.FAILED)


def test_a_port_that_nobody_listens_on_is_a_transport_error(simulate, call_to):
    """A refused connection says where nobody answered, and that the same request may be sent again."""
    simulator = simulate()
    connection = simulator.connection
    port = simulator.port
    simulator.close()
    error = call_to(connection).failure()
    assert isinstance(error, TransportError)
    assert f"127.0.0.1:{port}" in error.message
    assert (error.phase, error.retryable, error.partial.content) == ("connect", True, "")


# An error inside of a 200

ERRORS = {
    "server": ({"message": "Oh no.", "type": "server_error"}, ServerError),
    "overloaded": ({"message": "Oh no.", "type": "overloaded_error"}, Overloaded),
    "rate": ({"message": "Oh no.", "type": "tokens", "code": "rate_limit_exceeded"}, RateLimited),
    "quota": ({"message": "Oh no.", "type": "insufficient_quota", "code": "insufficient_quota"}, QuotaExceeded),
    "context": ({"message": "Oh no.", "code": "context_length_exceeded"}, ContextLengthExceeded),
    "number": ({"message": "Oh no.", "code": 429}, RateLimited),
    "unknown": ({"message": "Oh no."}, ProviderError),
}


@pytest.mark.parametrize(("error", "kind"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize(("events", "text"), [(0, ""), (1, ""), (3, "One two")])
def test_an_error_event_is_the_providers_error(ask, error, kind, events, text):
    """An error inside of a 200 is raised as the same error with a status would be, wherever in the stream it comes."""
    call = ask(ErrorEvent(after_events=events, error=error))
    raised = call.failure()
    assert type(raised) is kind
    assert raised.message == "Oh no."
    assert raised.code == (str(said) if (said := error.get("code") or error.get("type")) else None)
    assert is_kept(raised, text, Outcome.FAILED)
    assert call.said == text


def test_an_error_event_after_the_finish_is_an_error_too(ask):
    """A provider that reports an error is believed even after the finish; no success is made of it."""
    call = ask(ErrorEvent(after_events=FINISH))
    error = call.failure()
    assert isinstance(error, ServerError)
    assert error.partial.content == "One two three"
    assert error.partial.outcome is Outcome.FAILED


def test_an_error_in_a_plain_200_is_the_providers_error(ask):
    """A plain answer of status 200 that holds nothing but an error is that error."""
    error = ask(ErrorEvent(error={"message": "Oh no.", "type": "overloaded_error"}), stream=False).failure()
    assert isinstance(error, Overloaded)
    assert error.partial.outcome is Outcome.FAILED


# Bytes that cannot be read, and bytes that only look unusual


@pytest.mark.parametrize(
    "data",
    [b'data: {"choices": [\n\n', b"data: \xff\xfe\n\n", b"data: [1, 2\n\n", b"data: " + b"[" * 100_000 + b"\n\n"],
    ids=["cut JSON", "no UTF-8", "cut list", "nested"],
)
@pytest.mark.parametrize(("events", "text"), [(0, ""), (3, "One two")])
def test_an_event_that_cannot_be_read_is_malformed(ask, data, events, text):
    """What is no JSON in the middle of a stream is said to be so; it is not skipped, and what came before is kept."""
    call = ask(Garbage(after_events=events, data=data))
    error = call.failure()
    assert isinstance(error, Malformed)
    assert is_kept(error, text, Outcome.FAILED)
    assert call.said == text
    assert not error.retryable


@pytest.mark.parametrize("data", [b"rubbish\n\n", b": \xff\n\n", b"event: x\n\n", b"\n\n\n", b"data\n\n"])
def test_lines_that_the_standard_passes_over_do_no_harm(ask, data):
    """Unknown fields, comments, empty lines and events without data are no part of the answer."""
    call = ask(Garbage(after_events=3, data=data))
    call.read()
    assert call.said == call.response().content == "One two three"


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize(
    "faults", [(ByteAtATime(),), (Gzip(),), (Gzip(), ByteAtATime())], ids=["bytes", "gzip", "both"]
)
def test_the_way_in_which_bytes_come_does_not_matter(ask, faults, streamed):
    """Single bytes, compressed bytes and single compressed bytes are the same answer."""
    response = ask(*faults, stream=streamed, reply="Eins zwei – drei 🎉").response()
    assert (response.content, response.outcome) == ("Eins zwei – drei 🎉", Outcome.FINISHED)
    assert response.usage is not None


def test_compressed_bytes_that_break_off_keep_what_came(ask):
    """A compressed stream that is cut off is an error, and what could be inflated is kept."""
    call = ask(Cut(after_events=3), Gzip(), Drop(after_events=3))
    error = call.failure()
    assert isinstance(error, TransportError)
    assert is_kept(error, "One two", Outcome.FAILED)


def test_compressed_bytes_that_are_broken_keep_what_came(ask):
    """Bytes that do not belong into a compressed stream are an error, and what came before them is kept."""
    error = ask(Gzip(), Garbage(after_events=3, data=b"\0" * 40)).failure()
    assert isinstance(error, TransportError)
    assert is_kept(error, "One two", Outcome.FAILED)
