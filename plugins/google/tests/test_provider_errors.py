"""Google's errors, by status and inside a 200: class, code, and retry delay."""

from __future__ import annotations

import json

import pytest

from polyglot_core.errors import (
    AuthenticationError,
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    RateLimited,
    ServerError,
    Truncated,
)


def error(code, status, message="It did not work.", details=()):
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
WAIT = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36.5s"}
LONG = "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576)."

TABLE = [
    (error(400, "INVALID_ARGUMENT"), InvalidRequest, "INVALID_ARGUMENT"),
    (error(400, "INVALID_ARGUMENT", "API key not valid.", [BAD_KEY]), AuthenticationError, "API_KEY_INVALID"),
    (error(400, "INVALID_ARGUMENT", LONG), ContextLengthExceeded, "INVALID_ARGUMENT"),
    (error(401, "UNAUTHENTICATED"), AuthenticationError, "UNAUTHENTICATED"),
    (error(403, "PERMISSION_DENIED"), PermissionDenied, "PERMISSION_DENIED"),
    (error(404, "NOT_FOUND"), NotFound, "NOT_FOUND"),
    (error(429, "RESOURCE_EXHAUSTED"), RateLimited, "RESOURCE_EXHAUSTED"),
    (error(500, "INTERNAL"), ServerError, "INTERNAL"),
    (error(500, True), ServerError, "500"),
    (error(500, ["INTERNAL"]), ServerError, "500"),
    (error(503, "UNAVAILABLE"), Overloaded, "UNAVAILABLE"),
    (error(504, "DEADLINE_EXCEEDED"), ServerError, "DEADLINE_EXCEEDED"),
]


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(("body", "kind", "code"), TABLE)
def test_error_status(replay_body, body, kind, code, streamed):
    """The class follows from Google's status name, or from its details if the name is too general."""
    failed = replay_body(json.dumps(body).encode(), status=body["error"]["code"], streamed=streamed).error
    assert type(failed) is kind
    assert (failed.status, failed.code) == (body["error"]["code"], code)
    assert failed.message.startswith(body["error"]["message"])


@pytest.mark.parametrize(("body", "kind", "code"), TABLE)
def test_error_inside_a_200(replay_body, body, kind, code):
    """As an event of a stream, as the body of a plain response, and in a list."""
    text = json.dumps(body).encode()
    for answer, streamed in ((b"data: %b\r\n\r\n" % text, True), (text, False), (b"[%b]" % text, True)):
        failed = replay_body(answer, streamed=streamed).error
        assert type(failed) is kind
        assert (failed.status, failed.code) == (body["error"]["code"], code)


def test_error_in_a_list(replay_body):
    """The error response to a streamed request is an array of one object."""
    failed = replay_body(json.dumps([error(429, "RESOURCE_EXHAUSTED", details=[WAIT])]).encode(), status=429).error
    assert isinstance(failed, RateLimited)
    assert failed.code == "RESOURCE_EXHAUSTED"


def test_retry_delay_is_in_the_details(replay_body):
    """There is no retry-after header; the delay is in a RetryInfo."""
    failed = replay_body(json.dumps(error(429, "RESOURCE_EXHAUSTED", details=[WAIT])).encode(), status=429).error
    assert failed.retry_after == 36.5


@pytest.mark.parametrize("delay", [None, [7], "soon", "-3s", "1_0s", ""])
def test_invalid_delay_is_ignored(replay_body, delay):
    """The error itself is reported all the same."""
    details = [{"retryDelay": delay}, "no object"]
    failed = replay_body(json.dumps(error(429, "RESOURCE_EXHAUSTED", details=details)).encode(), status=429).error
    assert isinstance(failed, RateLimited)
    assert failed.retry_after is None


@pytest.mark.parametrize("body", [b"<html><h1>Bad gateway</h1></html>", b"", b'"no"', b"[1]", b'{"error": "busy"}'])
def test_foreign_error_is_left_to_core(replay_body, body):
    """A proxy's page is an error of its status."""
    failed = replay_body(body, status=502).error
    assert type(failed) is ServerError
    assert failed.status == 502


def test_error_event_keeps_the_content(replay_body):
    """The text received so far is in the error's partial."""
    failed = replay_body("error_event.sse").error
    assert isinstance(failed, Overloaded)
    assert failed.partial.content == "Plant"


def test_bare_json_error_in_a_stream(replay_body):
    """It is no event, and it follows a STOP: without it the stream would count as finished."""
    failed = replay_body("bare_error.sse").error
    assert isinstance(failed, ProviderError)
    assert (failed.status, failed.code) == (499, "CANCELLED")
    assert failed.partial.content == "Plant"
    assert failed.partial.outcome == "failed"


def test_truncated_bare_error_is_no_success(replay_body, recorded):
    """Truncated anywhere within the error, the stream is truncated."""
    body = recorded("bare_error.sse").body
    start = body.index(b"{\n")
    for end in range(start + 1, len(body) - 3):
        assert isinstance(replay_body(body[:end]).error, Truncated), body[start:end]
