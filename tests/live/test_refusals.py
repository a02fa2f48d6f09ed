"""What a server that is not ours does not accept, each an error of the class that says whose fault it is."""

from __future__ import annotations

import pytest

from polyglot_core import AuthenticationError, Outcome, Truncated
from polyglot_core.errors import ContextLengthExceeded, NotFound, ServerError

from .serving import CONTEXT

pytestmark = pytest.mark.live

TOO_LONG = "word " * CONTEXT


def test_a_prompt_longer_than_the_context_is_named_as_that(client):
    """A plain request gets the server's own word and numbers; sending it again would not help."""
    with pytest.raises(ContextLengthExceeded, match=f"maximum context length is {CONTEXT} tokens") as caught:
        client.response(TOO_LONG)
    error = caught.value
    assert (error.status, error.code, error.retryable) == (400, "context_length_exceeded", False)
    assert error.request_id
    assert error.partial.outcome is Outcome.FAILED


def test_a_stream_of_a_prompt_longer_than_the_context_is_no_success(client):
    """This server has said 200 before it counts the tokens, and then says nothing more: that is no empty answer."""
    stream = client.stream(TOO_LONG)
    with pytest.raises(Truncated) as caught:
        stream.read()
    assert stream.partials == []
    assert caught.value.partial.outcome is Outcome.TRUNCATED


def test_a_request_that_the_server_stumbles_over_is_a_server_error_in_its_words(client):
    """This server calls a field that it cannot read a failure of its own (500); the message names the field."""
    with pytest.raises(ServerError, match="temperature") as caught:
        client.stream("Hello", temperature="hot").read()
    assert (caught.value.status, caught.value.code) == (500, "internal_server_error")


def test_a_wrong_key_is_refused(connect):
    """The error is about who asks, in the server's words."""
    with pytest.raises(AuthenticationError, match="Invalid API key") as caught:
        connect(api_key="wrong-key").stream("Hello").read()
    assert (caught.value.status, caught.value.retryable) == (401, False)


def test_an_address_that_is_not_there_is_not_found(connect, server):
    """A base URL with a wrong path is the caller's mistake, and no server error."""
    with pytest.raises(NotFound) as caught:
        connect(base_url=f"{server.base_url}/elsewhere").stream("Hello").read()
    assert caught.value.status == 404
