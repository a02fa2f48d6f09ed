"""Encoding of a request for the rest of a background response."""

from __future__ import annotations

import json

import pytest

from polyglot_core.errors import RequestError
from polyglot_core.plugin import Chunk, Connection, InferenceRequest, Message
from polyglot_core.testing import bind
from polyglot_openai.responses import driver

CONNECTION = Connection(
    name="test", driver="openai-responses", base_url="https://api.test/v1", facts={"query": {"v": "1"}}
)
BACKGROUND = {"background": True}


def bound():
    return bind(driver, CONNECTION)


def request(**extra):
    return InferenceRequest(model="m", messages=(Message(role="user", content="Hi"),), stream=True, extra=extra)


def state_after(*events):
    """Return the decoder's state after these events."""
    state = {}
    decode = bound().decoder(state)
    for number, event in enumerate(events):
        data = json.dumps({**event, "sequence_number": number}).encode()
        decode(Chunk(data, data))
    return state


def test_rest_is_requested_by_id_and_number():
    """The request is a GET of the response, from the event after the last one received."""
    state = state_after(
        {"type": "response.created", "response": {"id": "resp/1", "model": "m"}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Once"},
        {"type": "response.output_text.delta", "output_index": 0, "delta": " upon"},
    )
    wire = bound().encode_resume(request(**BACKGROUND), state)
    assert (wire.method, wire.body) == ("GET", b"")
    assert wire.url == "https://api.test/v1/responses/resp%2F1?v=1&stream=true&starting_after=2"
    assert (wire.framing, wire.complete_on) == ("sse", "end")


@pytest.mark.parametrize("state", [{}, state_after({"type": "response.output_text.delta", "delta": "Once"})])
def test_response_without_a_known_id_cannot_be_resumed(state):
    """Before its id is received, the response cannot be identified."""
    assert bound().encode_resume(request(**BACKGROUND), state) is None


def test_foreground_response_cannot_be_resumed():
    """The error states what to add."""
    with pytest.raises(RequestError, match="extra={'background': True}"):
        bound().encode_resume(request(), {})
