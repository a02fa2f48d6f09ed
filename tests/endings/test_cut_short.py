"""Responses that are cut off or contain an error: what is raised, and which partial response is kept."""

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
    """Check that an error holds the partial response."""
    partial = error.partial
    return (partial.content, partial.outcome, partial.finish_reason) == (text, outcome, None)


# The body ends, and HTTP framing is intact


@pytest.mark.parametrize(("events", "text"), BEFORE_THE_FINISH)
def test_body_end_before_finish_is_truncated(ask, events, text):
    """Raise if a stream ends, even properly, before a finish reason, and keep the partial response."""
    call = ask(Cut(after_events=events))
    error = call.failure()
    assert isinstance(error, Truncated)
    assert is_kept(error, text, Outcome.TRUNCATED)
    assert call.said == text
    assert error.retryable


@pytest.mark.parametrize("events", [FINISH, FINISH + 1, EVENTS])
def test_body_end_after_finish_is_finished(ask, events):
    """Accept a stream that ends after the finish reason, with or without usage and the end-of-stream marker."""
    call = ask(Cut(after_events=events))
    assert call.read()[-1].finish_reason is FinishReason.STOP
    response = call.response()
    assert (response.content, response.outcome) == ("One two three", Outcome.FINISHED)
    assert (response.usage is not None) == (events > FINISH)


@pytest.mark.parametrize("cut", [-17, -18, -20, -120])
def test_body_end_inside_event_is_truncated(ask, cut):
    """Ignore an incomplete last event: a finish whose JSON lacks one byte is truncated, not malformed."""
    call = ask(
        Cut(after_bytes=cut), reply=Reply("Once", usage=Usage())
    )  # the finish is followed by 2 line feeds and the 14 of the end
    error = call.failure()
    assert type(error) is Truncated
    assert error.partial.finish_reason is None


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_plain_body_end_inside_json_is_truncated(ask, size):
    """Report a plain response that ends inside its JSON as truncated, not as malformed."""
    error = ask(Cut(after_bytes=size), stream=False).failure()
    assert type(error) is Truncated
    assert error.partial.outcome is Outcome.TRUNCATED


# The connection breaks


@BREAKS
@pytest.mark.parametrize(("events", "text"), BEFORE_THE_FINISH)
def test_break_before_finish_is_transport_error(ask, fault, events, text):
    """Raise `TransportError` with the partial response if the connection breaks in the middle of a stream."""
    call = ask(fault(after_events=events))
    error = call.failure()
    assert isinstance(error, TransportError)
    assert is_kept(error, text, Outcome.FAILED)
    assert call.said == text
    assert (error.phase, error.retryable) == ("stream", True)


@BREAKS
@pytest.mark.parametrize("events", [FINISH, FINISH + 1, EVENTS])
def test_break_after_finish_is_ignored(ask, fault, events):
    """Accept any end of the connection after the finish reason: the response is complete."""
    call = ask(fault(after_events=events))
    assert call.read()[-1].finish_reason is FinishReason.STOP
    assert call.response().outcome is Outcome.FINISHED


@BREAKS
def test_break_before_headers_is_transport_error(ask, fault):
    """Raise `TransportError` with an empty response if the connection ends before the headers."""
    error = ask(fault(before_headers=True)).failure()
    assert isinstance(error, TransportError)
    assert is_kept(error, "", Outcome.FAILED)
    assert error.phase == "headers"


@BREAKS
def test_break_of_plain_response_is_transport_error(ask, fault):
    """Raise `TransportError` if a plain response is shorter than its content length."""
    error = ask(fault(after_bytes=40), stream=False).failure()
    assert isinstance(error, TransportError)
    assert is_kept(error, "", Outcome.FAILED)


def test_refused_connection_is_transport_error(simulate, call_to):
    """Report a refused connection as retryable, with the address."""
    simulator = simulate()
    connection = simulator.connection
    port = simulator.port
    simulator.close()
    error = call_to(connection).failure()
    assert isinstance(error, TransportError)
    assert f"127.0.0.1:{port}" in error.message
    assert (error.phase, error.retryable, error.partial.content) == ("connect", True, "")


# An error in a 200

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
def test_error_event_raises_provider_error(ask, error, kind, events, text):
    """Raise the same error for an error event in a 200 as for the status, anywhere in the stream."""
    call = ask(ErrorEvent(after_events=events, error=error))
    raised = call.failure()
    assert type(raised) is kind
    assert raised.message == "Oh no."
    assert raised.code == (str(said) if (said := error.get("code") or error.get("type")) else None)
    assert is_kept(raised, text, Outcome.FAILED)
    assert call.said == text


def test_error_event_after_finish_is_raised(ask):
    """Raise an error event even if it follows the finish reason."""
    call = ask(ErrorEvent(after_events=FINISH))
    error = call.failure()
    assert isinstance(error, ServerError)
    assert error.partial.content == "One two three"
    assert error.partial.outcome is Outcome.FAILED


def test_error_in_plain_200_is_raised(ask):
    """Raise the error in a plain response of status 200."""
    error = ask(ErrorEvent(error={"message": "Oh no.", "type": "overloaded_error"}), stream=False).failure()
    assert isinstance(error, Overloaded)
    assert error.partial.outcome is Outcome.FAILED


# Malformed bytes, and valid but unusual bytes


@pytest.mark.parametrize(
    "data",
    [b'data: {"choices": [\n\n', b"data: \xff\xfe\n\n", b"data: [1, 2\n\n", b"data: " + b"[" * 100_000 + b"\n\n"],
    ids=["cut JSON", "no UTF-8", "cut list", "nested"],
)
@pytest.mark.parametrize(("events", "text"), [(0, ""), (3, "One two")])
def test_unparsable_event_is_malformed(ask, data, events, text):
    """Raise for an event that is not JSON instead of skipping it, and keep the partial response."""
    call = ask(Garbage(after_events=events, data=data))
    error = call.failure()
    assert isinstance(error, Malformed)
    assert is_kept(error, text, Outcome.FAILED)
    assert call.said == text
    assert not error.retryable


@pytest.mark.parametrize("data", [b"rubbish\n\n", b": \xff\n\n", b"event: x\n\n", b"\n\n\n", b"data\n\n"])
def test_ignored_sse_lines_are_skipped(ask, data):
    """Ignore unknown fields, comments, empty lines and events without data, as the SSE standard does."""
    call = ask(Garbage(after_events=3, data=data))
    call.read()
    assert call.said == call.response().content == "One two three"


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize(
    "faults", [(ByteAtATime(),), (Gzip(),), (Gzip(), ByteAtATime())], ids=["bytes", "gzip", "both"]
)
def test_chunking_and_compression_do_not_change_response(ask, faults, streamed):
    """Decode single bytes, compressed bytes and single compressed bytes to the same response."""
    response = ask(*faults, stream=streamed, reply="Eins zwei – drei 🎉").response()
    assert (response.content, response.outcome) == ("Eins zwei – drei 🎉", Outcome.FINISHED)
    assert response.usage is not None


def test_truncated_compression_keeps_partial(ask):
    """Raise if a compressed stream is cut off, and keep what was decompressed."""
    call = ask(Cut(after_events=3), Gzip(), Drop(after_events=3))
    error = call.failure()
    assert isinstance(error, TransportError)
    assert is_kept(error, "One two", Outcome.FAILED)


def test_corrupt_compression_keeps_partial(ask):
    """Raise for invalid bytes in a compressed stream, and keep the content before them."""
    error = ask(Gzip(), Garbage(after_events=3, data=b"\0" * 40)).failure()
    assert isinstance(error, TransportError)
    assert is_kept(error, "One two", Outcome.FAILED)
