"""Error responses: statuses with bodies of every kind, HTML pages of intermediaries, and empty bodies."""

from __future__ import annotations

from email.utils import formatdate
from time import time

import pytest

from polyglot_core import AuthenticationError, Outcome, ProviderError, RateLimited, Retries, Truncated
from polyglot_core.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    ServerError,
    UnexpectedContentType,
)
from polyglot_simulator import ContentType, Drop, RawReply, Stall, Status

pytestmark = pytest.mark.http

CLASSES = {
    400: InvalidRequest,
    401: AuthenticationError,
    402: QuotaExceeded,
    403: PermissionDenied,
    404: NotFound,
    408: InvalidRequest,
    422: InvalidRequest,
    429: RateLimited,
    500: ServerError,
    502: ServerError,
    503: Overloaded,
    529: Overloaded,
}
PAGE = "<!doctype html><style>p {color: red}</style><title>Sorry</title><h1>Sorry, <b>no</b>.</h1>" + "<p>…</p>" * 20
JSON = {"error": {"message": "Sorry, no."}}
BODIES = {
    "JSON": ("application/json", JSON, "Sorry, no."),
    "JSON text": ("application/json", {"error": "Sorry, no."}, "Sorry, no."),
    "detail": ("application/json", {"detail": "Sorry, no."}, "Sorry, no."),
    "HTML": ("text/html", PAGE, "Sorry, no"),
    "text": ("text/plain", "Sorry, no.", "Sorry, no."),
    "empty": ("application/json", "", ""),
    "cut JSON": ("application/json", '{"error": {"message": "Sorry, no.', "Sorry, no."),
    "huge": ("text/plain", "Sorry, no. " + "x" * 1_000_000, "Sorry, no."),
    "huge JSON": ("application/json", {"error": {"message": "Sorry, no.", "trace": "x" * 1_000_000}}, "Sorry, no."),
    "binary": ("application/octet-stream", b"\0\xff\x1b[31m" * 100, ""),
}
both_kinds = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])


@both_kinds
@pytest.mark.parametrize(("content_type", "body", "said"), BODIES.values(), ids=BODIES)
def test_status_selects_error_class(simulate, call_to, content_type, body, said, streamed):
    """Raise the error class of a status, whatever its body, with the body's message if it has one."""
    simulator = simulate(faults=[Status(status, body, content_type=content_type) for status in CLASSES])
    errors = [call_to(simulator.connection, stream=streamed).failure() for _ in CLASSES]
    assert [(error.status, type(error)) for error in errors] == list(CLASSES.items())
    for error in errors:
        assert (error.phase, error.attempts) == ("headers", 1)
        assert said in error.message
        assert error.message.isprintable()
        assert len(error.message) < 600
        assert (error.partial.content, error.partial.outcome) == ("", Outcome.FAILED)


@pytest.mark.parametrize(
    ("status", "helps"),
    [(400, False), (401, False), (403, False), (404, False), (422, False), (501, False), (505, False)]
    + [(status, True) for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)],
)
def test_status_selects_retryable(ask, status, helps):
    """Mark transient errors as retryable, and no others."""
    assert ask(Status(status, JSON)).failure().retryable is helps


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after": formatdate(time() + 3600, usegmt=True)}, pytest.approx(3600, abs=900)),
        ({"retry-after": formatdate(time() - 3600, usegmt=True)}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_parsed(ask, status, headers, seconds):
    """Parse ``retry_after`` (seconds) from a number or a date in the headers; None if neither is valid."""
    assert ask(Status(status, JSON, headers=headers)).failure().retry_after == seconds


def test_provider_code_overrides_status(ask):
    """Classify an exhausted quota by the provider's error code: a 429 that a retry does not help."""
    error = ask(Status(429, {"error": {"message": "No money.", "code": "insufficient_quota"}})).failure()
    assert (type(error), error.retryable, error.code) == (QuotaExceeded, False, "insufficient_quota")


def test_error_status_is_retried_up_to_limit(simulate, call_to):
    """Retry transient errors up to the limit, and report the number of requests if all fail."""
    retries = Retries(max_retries=2, initial_backoff=0.01)
    passing, staying = simulate(fault=Status(503, times=2)), simulate(fault=Status(503))
    response = call_to(passing.connection.with_changes(retries=retries)).response()
    error = call_to(staying.connection.with_changes(retries=retries)).failure()
    assert (response.outcome, len(passing.requests)) == (Outcome.FINISHED, 3)
    assert (error.attempts, len(staying.requests)) == (3, 3)


def test_truncated_error_body_keeps_status(ask):
    """Raise the error of a status even if its body is cut off."""
    error = ask(Status(401, JSON), Drop(after_bytes=5)).failure()
    assert (type(error), error.status) == (AuthenticationError, 401)


def test_stalled_error_body_keeps_status(ask):
    """Raise the error of a status when a timeout expires if its body stalls."""
    error = ask(Status(401, JSON), Stall(after_bytes=5), clocks={"first": 0.3}).failure()
    assert (type(error), error.status) == (AuthenticationError, 401)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(simulate, call_to, status):
    """Raise for a redirect with its target, and do not send the key there."""
    elsewhere = simulate()
    here = simulate(fault=Status(status, "", headers={"location": f"{elsewhere.base_url}/chat/completions"}))
    error = call_to(here.connection).failure()
    assert (type(error), error.status) == (ProviderError, status)
    assert elsewhere.base_url in error.message
    assert elsewhere.requests == []


# Status 200 with an unusable body


@both_kinds
@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=utf-8", "text/plain"])
def test_html_page_with_status_200_is_rejected(ask, content_type, streamed):
    """Raise for an HTML page with status 200, with its beginning in the message."""
    error = ask(ContentType(content_type, PAGE), stream=streamed).failure()
    assert type(error) is UnexpectedContentType
    assert content_type in error.message
    assert "Sorry" in error.message
    assert not error.retryable
    assert error.partial.outcome is Outcome.FAILED


def test_json_in_place_of_stream_is_rejected(ask):
    """Raise for JSON in place of a stream, or raise the error that it contains."""
    assert type(ask(ContentType("application/json", {"choices": []})).failure()) is UnexpectedContentType
    assert type(ask(ContentType("application/json", JSON)).failure()) is ProviderError


@both_kinds
def test_missing_content_type_is_accepted(ask, streamed):
    """Accept a response without a content type, as some servers send."""
    response = ask(ContentType(None), stream=streamed).response()
    assert (response.content, response.outcome) == ("One two three", Outcome.FINISHED)


@both_kinds
@pytest.mark.parametrize("status", [200, 204])
def test_empty_body_is_truncated(ask, status, streamed):
    """Report an empty 200, or a 204, as truncated."""
    framing = {"end": "length", "headers": [("content-type", "text/event-stream" if streamed else "application/json")]}
    error = ask(reply=RawReply(status=status, **framing), stream=streamed).failure()
    assert type(error) is Truncated
    assert error.retryable
