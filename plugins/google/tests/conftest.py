"""Fixtures that bind the drivers to a connection and decode bodies without a socket."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from polyglot_core.plugin import Connection, InferenceRequest, Message
from polyglot_core.testing import bind
from polyglot_google import gemini, vertex
from polyglot_testkit import Recording, replay

BODIES = Path(__file__).parent / "bodies"
MODULES = {"gemini": gemini, "vertex": vertex}


def connect(driver="gemini", **fields):
    settings = {"name": "garden", "driver": driver, "model": "gemini-garden-1", "api_key": "test-key"}
    return bind(MODULES[driver], Connection(**{**settings, **fields}))


def request(messages="Hello", *, model="gemini-garden-1", **fields):
    turns = (Message(role="user", content=messages),) if isinstance(messages, str) else tuple(messages)
    return InferenceRequest(model=model, messages=turns, **fields)


@pytest.fixture
def encode():
    """Return a function that encodes a request; `connection` has the connection's fields, the rest are the request's."""
    return lambda messages="Hello", connection=(), **fields: connect(**dict(connection)).encode(
        request(messages, **fields)
    )


@pytest.fixture
def body(encode):
    """Return a function that encodes a request and parses its body."""
    return lambda *args, **fields: msgspec.json.decode(encode(*args, **fields).body)


@pytest.fixture
def recorded():
    """Return a function that makes a recording of a body in the folder; the suffix tells if it is a stream."""

    def read(name, **fields):
        return Recording(name=name, body=(BODIES / name).read_bytes(), streamed=name.endswith(".sse"), **fields)

    return read


@pytest.fixture
def replay_body(recorded):
    """Return a function that replays a body of the folder, or bytes; it returns response, partials and error."""

    def play(body, *, driver="gemini", pieces=None, **fields):
        recording = recorded(body, **fields) if isinstance(body, str) else Recording(name="given", body=body, **fields)
        return replay(connect(driver), recording, pieces=pieces)

    return play


@pytest.fixture
def events(recorded):
    """Return a function that decodes a body of the folder, or bytes, into events."""

    def play(body, *, streamed=True):
        recording = recorded(body) if isinstance(body, str) else Recording(name="given", body=body, streamed=streamed)
        return replay(connect(), recording).events

    return play
