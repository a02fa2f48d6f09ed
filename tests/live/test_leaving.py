"""Streams that are left early, by their reader and by the server: who has gone, and what is said of what had come."""

from __future__ import annotations

import pytest

from polyglot_core import FinishReason, Outcome, Truncated

from .serving import serve

pytestmark = pytest.mark.live

PROMPT = "Tell me everything."
LONG = {"temperature": 0}  # until the context is full: two thousand words, a few seconds
READ = 5
GONE = "Disconnected from client"  # what the server says once it has noticed


def closed(stream):
    """``close()`` after the first partials."""
    stream.read(READ)
    stream.close()


def left(stream):
    """Leaving the stream's own block."""
    stream.leave_after(READ)


@pytest.mark.parametrize("leave", [closed, left])
def test_the_server_is_free_at_once_when_its_reader_leaves(client, server, leave):
    """The server, which serves one at a time, stops in the middle and answers the next request of the same client."""
    noticed = server.said(GONE)
    stream = client.stream(PROMPT, **LONG)
    leave(stream)
    assert server.says(GONE, noticed + 1)
    response = stream.response()
    assert response.outcome is Outcome.CANCELLED
    assert response.content == "".join(partial.content_delta for partial in stream.partials)
    assert len(response.content.split()) == READ
    following = client.response(PROMPT, max_tokens=READ, **LONG)
    assert (following.outcome, following.content) == (Outcome.FINISHED, response.content)


def test_streams_left_in_a_row_leave_nothing_behind(client, server):
    """Again and again: each is noticed, and a stream that is read to its end afterwards is whole."""
    noticed = server.said(GONE)
    held = [client.stream(PROMPT, **LONG) for _ in range(3)]
    for count, stream in enumerate(held, 1):
        stream.leave_after(READ)
        assert server.says(GONE, noticed + count)
    stream = client.stream(PROMPT, max_tokens=READ, **LONG)
    assert stream.read()[-1].finish_reason is FinishReason.LENGTH
    assert stream.response().outcome is Outcome.FINISHED
    assert server.said(GONE) == noticed + 3


def test_a_stream_that_the_server_drops_for_a_newcomer_is_cut(connect, model, tmp_path):
    """By default the server ends the stream it is at when somebody else asks, with the sign of the end and no reason.

    The preset knows of it: the stream is `Truncated`, and what had come is kept.
    """
    with serve(model, tmp_path / "server.log", interrupt_requests=True) as server:
        client = connect(base_url=server.base_url)
        stream = client.stream(PROMPT, **LONG)
        stream.read(READ)
        assert client.response(PROMPT, max_tokens=READ, **LONG).outcome is Outcome.FINISHED
        with pytest.raises(Truncated) as caught:
            stream.read()
    assert caught.value.partial.content == "".join(partial.content_delta for partial in stream.partials) != ""
