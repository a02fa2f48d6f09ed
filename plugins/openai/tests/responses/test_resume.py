"""Asking for the rest of a response that is made in the background."""

from __future__ import annotations

import json

import pytest

from polyglot_core._drivers.bound import Driver
from polyglot_core.errors import RequestError
from polyglot_core.plugin import Chunk, Connection, InferenceRequest, Message
from polyglot_openai.responses import driver

CONNECTION = Connection(
    name="test", driver="openai-responses", base_url="https://api.test/v1", facts={"query": {"v": "1"}}
)
BACKGROUND = {"background": True}


def bound():
    return Driver("openai-responses", driver).bind(CONNECTION)


def request(**extra):
    return InferenceRequest(model="m", messages=(Message(role="user", content="Hi"),), stream=True, extra=extra)


def heard(*events):
    """What the decoder has noted after these events."""
    state = {}
    decode = bound().decoder(state)
    for number, event in enumerate(events):
        data = json.dumps({**event, "sequence_number": number}).encode()
        decode(Chunk(data, data))
    return state


def test_the_rest_is_asked_for_by_id_and_number():
    """The request is a GET of the response, from the event after the last that came."""
    state = heard(
        {"type": "response.created", "response": {"id": "resp/1", "model": "m"}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Once"},
        {"type": "response.output_text.delta", "output_index": 0, "delta": " upon"},
    )
    wire = bound().encode_resume(request(**BACKGROUND), state)
    assert (wire.method, wire.body) == ("GET", b"")
    assert wire.url == "https://api.test/v1/responses/resp%2F1?v=1&stream=true&starting_after=2"
    assert (wire.framing, wire.complete_on) == ("sse", "end")


@pytest.mark.parametrize("state", [{}, heard({"type": "response.output_text.delta", "delta": "Once"})])
def test_a_response_without_a_known_id_cannot_be_asked_for(state):
    """Before its id has come, nobody knows which response it was."""
    assert bound().encode_resume(request(**BACKGROUND), state) is None


def test_a_response_that_is_not_made_in_the_background_ends_with_its_connection():
    """The error says what to add."""
    with pytest.raises(RequestError, match="extra={'background': True}"):
        bound().encode_resume(request(), {})
