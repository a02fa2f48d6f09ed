"""Streams and plain responses of an independent server that implements OpenAI's dialect.

The server is llama-cpp-python's own, with a model of random weights. It cannot tell the difference between sense and
nonsense, but at temperature 0 it says the same words to the same prompt, streamed or not. `tox -e live` installs and
starts it; the first run compiles it, which takes ten minutes or more, and pip keeps the result for later ones.
"""

from __future__ import annotations

import pytest

from polyglot_core import FinishReason, Outcome

pytestmark = pytest.mark.live

PROMPT = "Where does the river go?"
LENGTH = 40  # tokens, each of which is a word
SAME = {"temperature": 0, "max_tokens": LENGTH}


@pytest.fixture
def plain(client):
    """Return the plain response to the prompt."""
    return client.response(PROMPT, **SAME)


def test_stream_yields_each_word(client):
    """Check that each word is a partial, the last one has the finish reason, and together they are the response."""
    stream = client.stream(PROMPT, **SAME)
    *pieces, closing = stream.read()
    assert [piece.finish_reason for piece in pieces] == [None] * LENGTH
    assert (closing.content_delta, closing.finish_reason) == ("", FinishReason.LENGTH)
    response = stream.response()
    assert response.outcome is Outcome.FINISHED
    assert response.content == closing.content == "".join(piece.content_delta for piece in pieces)
    assert (response.finish_reason, response.model) == (FinishReason.LENGTH, "tiny")
    assert response.id.startswith("chatcmpl-")


def test_plain_response_equals_streamed_one(client, plain):
    """Check that text, reason, model and outcome of both are equal at temperature 0, also in multi-byte scripts."""
    stream = client.stream(PROMPT, **SAME)
    stream.read()
    streamed = stream.response()
    assert not plain.content.isascii()
    for fact in ("content", "finish_reason", "model", "outcome", "tool_calls", "reasoning_content"):
        assert getattr(streamed, fact) == getattr(plain, fact), fact


def test_usage_matches_server(client, plain):
    """Check the usage of a plain response; this server reports none for streams, which is None and not zero."""
    assert plain.usage.output_tokens == LENGTH
    assert plain.usage.input_tokens > len(PROMPT.split())
    assert plain.usage.raw["total_tokens"] == plain.usage.input_tokens + plain.usage.output_tokens
    stream = client.stream(PROMPT, **SAME)
    stream.read()
    assert stream.response().usage is None


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("tokens", [1, 7])
def test_max_tokens_limits_response(client, plain, streamed, tokens):
    """Check that a response at its token limit has as many words and the finish reason ``length``."""
    response = answer(client, streamed, max_tokens=tokens)
    assert response.content.split() == plain.content.split()[:tokens]
    assert (response.outcome, response.finish_reason) == (Outcome.FINISHED, FinishReason.LENGTH)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_response_ends_before_stop_sequence(client, plain, streamed):
    """Check that a response ends before the stop sequence, with the reason ``stop``."""
    words = plain.content.split()
    stop = " " + next(word for word in words[5:] if word not in words[:5])
    response = answer(client, streamed, stop=["never said", stop])
    assert response.content == plain.content.partition(stop)[0]
    assert len(response.content.split()) >= 5
    assert (response.outcome, response.finish_reason) == (Outcome.FINISHED, FinishReason.STOP)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_empty_response_is_finished(client, streamed):
    """Check that a response without words is finished."""
    response = answer(client, streamed, extra={"logit_bias": {"2": 100}})  # token 2 is the end
    assert (response.content, response.outcome) == ("", Outcome.FINISHED)
    assert response.finish_reason is FinishReason.STOP


def test_consecutive_streams_share_connection(client, server):
    """Check that two streams of one client are equal and use the same socket."""
    texts = []
    for _ in range(2):
        stream = client.stream(PROMPT, **SAME)
        texts.append("".join(partial.content_delta for partial in stream.read()))
    assert texts[0] == texts[1] != ""
    first, second = server.callers()[-2:]
    assert first == second


def answer(client, streamed, **asked):
    """Return the response to the prompt, streamed or not."""
    asked = SAME | asked
    if not streamed:
        return client.response(PROMPT, **asked)
    stream = client.stream(PROMPT, **asked)
    stream.read()
    return stream.response()
