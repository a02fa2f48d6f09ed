"""The driver as core uses it: bound to a connection, and fed bodies through a session, without a socket."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

import polyglot_cohere.driver
from polyglot_core.clocks import Clocks
from polyglot_core.connection import Connection, Timeouts
from polyglot_core.errors import PolyglotError
from polyglot_core.plugins import Driver
from polyglot_core.request import InferenceRequest, as_messages
from polyglot_core.session import Session

BODIES = Path(__file__).parent / "bodies"


class Heard(NamedTuple):
    """What came of a body: the response, the partials, the events, and the error if it ended in one."""

    response: Any
    partials: list[Any]
    events: list[Any]
    error: PolyglotError | None


def connect(**fields):
    settings = {"name": "garden", "driver": "cohere", "model": "garden-1", **fields}
    connection = Connection(**settings)
    return Driver("cohere", polyglot_cohere.driver).bind(connection)


def ask(messages="Hello", *, model="garden-1", **fields):
    return InferenceRequest(model=model, messages=as_messages(messages), **fields)


@pytest.fixture
def encode():
    """Encodes a request; `connection` holds the connection's fields, the rest are the request's."""
    return lambda messages="Hello", connection=(), **fields: connect(**dict(connection)).encode(ask(messages, **fields))


@pytest.fixture
def body(encode):
    """The same, and only the body, parsed."""
    return lambda *args, **fields: msgspec.json.decode(encode(*args, **fields).body)


@pytest.fixture
def bodies():
    """The folder of the bodies."""
    return BODIES


@pytest.fixture
def listen():
    """Feeds a body, or a file of bodies by its name, to the driver, in the pieces given."""

    def feed(given, *, stream=None, status=200, pieces=None):
        data = (BODIES / given).read_bytes() if isinstance(given, str) else given
        streamed = stream if stream is not None else not str(given).endswith(".json")
        driver = connect()
        session = Session(driver.encode(ask(stream=streamed)), driver, Clocks(Timeouts(), 0.0))
        events = deque()
        session.watch_events(events)
        partials, error = [], None
        try:
            session.begin(status, {})
            for piece in pieces or [data]:
                partials += session.feed(piece, 1.0)
            partials += session.finish(1.0)
        except PolyglotError as raised:
            error = raised
        return Heard(session.response, partials, list(events), error)

    return feed
