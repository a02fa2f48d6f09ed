"""Streams and plain answers of a server that is not ours: it speaks OpenAI's dialect as others have understood it.

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
    """The plain answer to the prompt."""
    return client.response(PROMPT, **SAME)


def test_a_stream_hands_out_its_answer_piece_by_piece(client):
    """Each word is a partial of its own, the last partial says why it ended, and together they are the response."""
    stream = client.stream(PROMPT, **SAME)
    *pieces, closing = stream.read()
    assert [piece.finish_reason for piece in pieces] == [None] * LENGTH
    assert (closing.content_delta, closing.finish_reason) == ("", FinishReason.LENGTH)
    response = stream.response()
    assert response.outcome is Outcome.FINISHED
    assert response.content == closing.content == "".join(piece.content_delta for piece in pieces)
    assert (response.finish_reason, response.model) == (FinishReason.LENGTH, "tiny")
    assert response.id.startswith("chatcmpl-")


def test_a_plain_answer_is_the_streamed_one(client, plain):
    """At temperature 0 text, reason, model and outcome are the same, in scripts of more than a byte a letter too."""
    stream = client.stream(PROMPT, **SAME)
    stream.read()
    streamed = stream.response()
    assert not plain.content.isascii()
    for fact in ("content", "finish_reason", "model", "outcome", "tool_calls", "reasoning_content"):
        assert getattr(streamed, fact) == getattr(plain, fact), fact


def test_usage_is_what_the_server_counts(client, plain):
    """A plain answer says what it cost; this server counts no tokens of streams, which is unknown and not nothing."""
    assert plain.usage.output_tokens == LENGTH
    assert plain.usage.input_tokens > len(PROMPT.split())
    assert plain.usage.raw["total_tokens"] == plain.usage.input_tokens + plain.usage.output_tokens
    stream = client.stream(PROMPT, **SAME)
    stream.read()
    assert stream.response().usage is None


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("tokens", [1, 7])
def test_no_more_tokens_come_than_were_allowed(client, plain, streamed, tokens):
    """An answer at its limit has so many of the words, and says that its length ended it."""
    response = answer(client, streamed, max_tokens=tokens)
    assert response.content.split() == plain.content.split()[:tokens]
    assert (response.outcome, response.finish_reason) == (Outcome.FINISHED, FinishReason.LENGTH)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_an_answer_ends_before_a_stop_sequence(client, plain, streamed):
    """What comes before the text to stop at is the whole answer, and the reason is ``stop``."""
    words = plain.content.split()
    stop = " " + next(word for word in words[5:] if word not in words[:5])
    response = answer(client, streamed, stop=["never said", stop])
    assert response.content == plain.content.partition(stop)[0]
    assert len(response.content.split()) >= 5
    assert (response.outcome, response.finish_reason) == (Outcome.FINISHED, FinishReason.STOP)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_a_model_that_has_nothing_to_say_is_done(client, streamed):
    """An answer of no words is finished like any other."""
    response = answer(client, streamed, extra={"logit_bias": {"2": 100}})  # token 2 is the end
    assert (response.content, response.outcome) == ("", Outcome.FINISHED)
    assert response.finish_reason is FinishReason.STOP


def test_streams_one_after_the_other_share_a_connection(client, server):
    """Two streams on one client are answered alike, and the server sees both come from the same socket."""
    texts = []
    for _ in range(2):
        stream = client.stream(PROMPT, **SAME)
        texts.append("".join(partial.content_delta for partial in stream.read()))
    assert texts[0] == texts[1] != ""
    first, second = server.callers()[-2:]
    assert first == second


def answer(client, streamed, **asked):
    """The response to the prompt, by way of a stream or not."""
    asked = SAME | asked
    if not streamed:
        return client.response(PROMPT, **asked)
    stream = client.stream(PROMPT, **asked)
    stream.read()
    return stream.response()
