"""Fixtures that encode requests and decode responses of chat completions."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

import polyglot_openai.chat.driver
from polyglot_core._client.arguments import as_messages
from polyglot_core.plugin import Chunk, Connection, Details, InferenceRequest
from polyglot_core.testing import bind, replay


def _bound(**fields):
    connection = Connection(**{"name": "here", "driver": "openai", "api_key": "test-key", **fields})
    return bind(polyglot_openai.chat.driver, connection)


def _encoded(fields=(), messages="Hi", **asked):
    """Return the wire request for messages, over a connection with these fields."""
    return _bound(**dict(fields)).encode(InferenceRequest(model="m", messages=as_messages(messages), **asked))


def _body(fields=(), **asked):
    """Return the JSON body for messages."""
    return json.loads(_encoded(fields, **asked).body)


def _data(chunk):
    return chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()


def _chunk(chunk, kind="part"):
    return Chunk(_data(chunk), _data(chunk), kind)


def _decoded(*chunks, kind="part", facts=None, details=False):
    """Return the events of each chunk, decoded one after another by one attempt, without details unless asked."""
    decode = _bound(facts=facts or {}).decoder({})
    decoded = [list(decode(_chunk(chunk, kind))) for chunk in chunks]
    return decoded if details else [[each for each in events if type(each) is not Details] for events in decoded]


def _stream(*chunks):
    """Return chunks as an event stream."""
    return b"".join(b"data: " + _data(chunk) + b"\n\n" for chunk in chunks)


def _read(*pieces, stream=True, facts=None):
    """Decode a response; return its partials and the response."""
    driver = _bound(facts=facts or {})
    wire = driver.encode(InferenceRequest(model="m", messages=as_messages("Hi"), stream=stream))
    headers = {"content-type": "text/event-stream" if stream else "application/json"}
    replayed = replay(driver, wire, pieces, headers=headers)
    if replayed.error is not None:
        raise replayed.error
    return replayed.partials, replayed.response


@pytest.fixture(scope="session")
def openai():
    """Return the functions that encode and decode with the driver."""
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
