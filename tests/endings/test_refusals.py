"""Answers that are no answer: error statuses with bodies of every kind, pages of something in between, and nothing."""

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
    "huge": ("text/plain", "Sorry, no. " + "x" * 3_000_000, "Sorry, no."),
    "huge JSON": ("application/json", {"error": {"message": "Sorry, no.", "trace": "x" * 3_000_000}}, "Sorry, no."),
    "binary": ("application/octet-stream", b"\0\xff\x1b[31m" * 100, ""),
}
both_kinds = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])


@both_kinds
@pytest.mark.parametrize(("content_type", "body", "said"), BODIES.values(), ids=BODIES)
def test_a_status_says_what_kind_of_error_it_is(simulate, call_to, content_type, body, said, streamed):
    """An error status gives the error of its kind, whatever body comes with it, and the body's text where it has one."""
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
def test_a_status_says_whether_asking_again_may_help(ask, status, helps):
    """Errors that pass by themselves are retryable, and no others are."""
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
def test_what_the_provider_asks_to_wait_is_in_the_error(ask, status, headers, seconds):
    """``retry_after`` holds the seconds that the headers state, as a number or as a date, and nothing where none can be read."""
    assert ask(Status(status, JSON, headers=headers)).failure().retry_after == seconds


def test_the_providers_own_word_says_more_than_the_status(ask):
    """An allowance that is used up comes as a 429, and is not what waiting helps against."""
    error = ask(Status(429, {"error": {"message": "No money.", "code": "insufficient_quota"}})).failure()
    assert (type(error), error.retryable, error.code) == (QuotaExceeded, False, "insufficient_quota")


def test_a_refusal_is_asked_again_as_often_as_is_allowed(simulate, call_to):
    """With retries a passing refusal is not seen, and one that stays says how many requests were sent."""
    retries = Retries(max_retries=2, initial_backoff=0.01)
    passing, staying = simulate(fault=Status(503, times=2)), simulate(fault=Status(503))
    response = call_to(passing.connection.with_changes(retries=retries)).response()
    error = call_to(staying.connection.with_changes(retries=retries)).failure()
    assert (response.outcome, len(passing.requests)) == (Outcome.FINISHED, 3)
    assert (error.attempts, len(staying.requests)) == (3, 3)


def test_a_body_that_breaks_off_does_not_hide_the_status(ask):
    """The status of a refusal is known even if its body does not arrive whole."""
    error = ask(Status(401, JSON), Drop(after_bytes=5)).failure()
    assert (type(error), error.status) == (AuthenticationError, 401)


def test_a_body_that_does_not_end_does_not_hide_the_status(ask):
    """A refusal whose body stalls is that refusal, as soon as a clock runs out."""
    error = ask(Status(401, JSON), Stall(after_bytes=5), clocks={"first": 0.3}).failure()
    assert (type(error), error.status) == (AuthenticationError, 401)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(simulate, call_to, status):
    """A redirect is an error that names the place; the key does not go there."""
    elsewhere = simulate()
    here = simulate(fault=Status(status, "", headers={"location": f"{elsewhere.base_url}/chat/completions"}))
    error = call_to(here.connection).failure()
    assert (type(error), error.status) == (ProviderError, status)
    assert elsewhere.base_url in error.message
    assert elsewhere.requests == []


# Status 200, and yet no answer


@both_kinds
@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=utf-8", "text/plain"])
def test_a_page_with_status_200_is_no_answer(ask, content_type, streamed):
    """A page from something in between is said to be one, with its beginning, and is never an empty success."""
    error = ask(ContentType(content_type, PAGE), stream=streamed).failure()
    assert type(error) is UnexpectedContentType
    assert content_type in error.message
    assert "Sorry" in error.message
    assert not error.retryable
    assert error.partial.outcome is Outcome.FAILED


def test_a_plain_answer_is_no_stream(ask):
    """JSON where a stream was asked for is of an unexpected type, unless it is an error: then it is that error."""
    assert type(ask(ContentType("application/json", {"choices": []})).failure()) is UnexpectedContentType
    assert type(ask(ContentType("application/json", JSON)).failure()) is ProviderError


@both_kinds
def test_a_missing_content_type_is_let_pass(ask, streamed):
    """Some servers leave the content type out; their answers are read like others."""
    response = ask(ContentType(None), stream=streamed).response()
    assert (response.content, response.outcome) == ("One two three", Outcome.FINISHED)


@both_kinds
@pytest.mark.parametrize("status", [200, 204])
def test_nothing_at_all_is_truncated(ask, status, streamed):
    """An empty answer of status 200, or a 204, is an answer that ended before it began."""
    framing = {"end": "length", "headers": [("content-type", "text/event-stream" if streamed else "application/json")]}
    error = ask(reply=RawReply(status=status, **framing), stream=streamed).failure()
    assert type(error) is Truncated
    assert error.retryable
