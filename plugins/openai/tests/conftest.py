"""How the driver's tests ask and read."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

import polyglot_openai.chat.driver
from polyglot_core._attempt.attempt import Attempt
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._client.arguments import as_messages
from polyglot_core._drivers.bound import Driver
from polyglot_core._values.limits import Timeouts
from polyglot_core.plugin import Chunk, Connection, InferenceRequest


def _bound(**fields):
    connection = Connection(**{"name": "here", "driver": "openai", "api_key": "test-key", **fields})
    return Driver("openai", polyglot_openai.chat.driver).bind(connection)


def _encoded(fields=(), messages="Hi", **asked):
    """The wire request for a question, over a connection with these fields."""
    return _bound(**dict(fields)).encode(InferenceRequest(model="m", messages=as_messages(messages), **asked))


def _body(fields=(), **asked):
    """The JSON body for a question."""
    return json.loads(_encoded(fields, **asked).body)


def _data(chunk):
    return chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()


def _chunk(chunk, kind="part"):
    return Chunk(_data(chunk), _data(chunk), kind)


def _decoded(*chunks, kind="part", facts=None):
    """The events of each chunk, read one after another by one attempt."""
    decode = _bound(facts=facts or {}).decoder({})
    return [list(decode(_chunk(chunk, kind))) for chunk in chunks]


def _stream(*chunks):
    """Chunks as an event stream."""
    return b"".join(b"data: " + _data(chunk) + b"\n\n" for chunk in chunks)


def _read(*pieces, stream=True, facts=None):
    """Read an answer; return its partials and the response."""
    driver = _bound(facts=facts or {})
    wire = driver.encode(InferenceRequest(model="m", messages=as_messages("Hi"), stream=stream))
    session = Attempt(wire, driver, Clocks(Timeouts(), 0.0), "here")
    session.begin(200, {"content-type": "text/event-stream" if stream else "application/json"})
    partials = [partial for piece in pieces for partial in session.feed(piece, 0.0)]
    partials += session.finish(0.0)
    return partials, session.response


@pytest.fixture(scope="session")
def openai():
    """The driver, and how to ask and to read with it."""
    return SimpleNamespace(
        bound=_bound,
        encoded=_encoded,
        body=_body,
        chunk=_chunk,
        decoded=_decoded,
        stream=_stream,
        read=_read,
        data=_data,
    )
