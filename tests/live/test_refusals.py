"""Errors of an independent server, each of the class that shows who has to act."""

from __future__ import annotations

import pytest

from polyglot_core import AuthenticationError, Outcome, Truncated
from polyglot_core.errors import ContextLengthExceeded, NotFound, ServerError

from .serving import CONTEXT

pytestmark = pytest.mark.live

TOO_LONG = "word " * CONTEXT


def test_overlong_prompt_is_reported(client):
    """Raise for a prompt longer than the context with the server's message and numbers; not retryable."""
    with pytest.raises(ContextLengthExceeded, match=f"maximum context length is {CONTEXT} tokens") as caught:
        client.response(TOO_LONG)
    error = caught.value
    assert (error.status, error.code, error.retryable) == (400, "context_length_exceeded", False)
    assert error.request_id
    assert error.partial.outcome is Outcome.FAILED


def test_stream_of_overlong_prompt_is_truncated(client):
    """Report the empty stream of an overlong prompt as truncated: this server sends 200 before it counts tokens."""
    stream = client.stream(TOO_LONG)
    with pytest.raises(Truncated) as caught:
        stream.read()
    assert stream.partials == []
    assert caught.value.partial.outcome is Outcome.TRUNCATED


def test_invalid_field_is_server_error(client):
    """Raise `ServerError` with the field's name: this server responds with 500 to an invalid field."""
    with pytest.raises(ServerError, match="temperature") as caught:
        client.stream("Hello", temperature="hot").read()
    assert (caught.value.status, caught.value.code) == (500, "internal_server_error")


def test_wrong_key_is_authentication_error(connect):
    """Raise an authentication error with the server's message."""
    with pytest.raises(AuthenticationError, match="Invalid API key") as caught:
        connect(api_key="wrong-key").stream("Hello").read()
    assert (caught.value.status, caught.value.retryable) == (401, False)


def test_wrong_path_is_not_found(connect, server):
    """Raise `NotFound` for a base URL with a wrong path."""
    with pytest.raises(NotFound) as caught:
        connect(base_url=f"{server.base_url}/elsewhere").stream("Hello").read()
    assert caught.value.status == 404
