"""Streams that are closed early, by their reader and by the server, and the partial responses kept."""

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
    """Call ``close()`` after the first partials."""
    stream.read(READ)
    stream.close()


def left(stream):
    """Exit the stream's own block."""
    stream.leave_after(READ)


@pytest.mark.parametrize("leave", [closed, left])
def test_close_frees_server_at_once(client, server, leave):
    """Check that the server, which serves one request at a time, stops at once and serves the same client's next one."""
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


def test_repeated_early_closes_leak_nothing(client, server):
    """Check that the server notices each early close, and that a stream read to its end afterwards is complete."""
    noticed = server.said(GONE)
    held = [client.stream(PROMPT, **LONG) for _ in range(3)]
    for count, stream in enumerate(held, 1):
        stream.leave_after(READ)
        assert server.says(GONE, noticed + count)
    stream = client.stream(PROMPT, max_tokens=READ, **LONG)
    assert stream.read()[-1].finish_reason is FinishReason.LENGTH
    assert stream.response().outcome is Outcome.FINISHED
    assert server.said(GONE) == noticed + 3


def test_stream_dropped_by_server_is_truncated(connect, model, tmp_path):
    """By default the server ends its current stream when another request arrives, with an end mark and no reason.

    With the preset the stream is `Truncated`, and the content received is kept.
    """
    with serve(model, tmp_path / "server.log", interrupt_requests=True) as server:
        client = connect(base_url=server.base_url)
        stream = client.stream(PROMPT, **LONG)
        stream.read(READ)
        assert client.response(PROMPT, max_tokens=READ, **LONG).outcome is Outcome.FINISHED
        with pytest.raises(Truncated) as caught:
            stream.read()
    assert caught.value.partial.content == "".join(partial.content_delta for partial in stream.partials) != ""
