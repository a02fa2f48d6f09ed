"""A web server on loopback, in a thread, and a client of it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from contextlib import aclosing, closing, contextmanager
from typing import Any, NamedTuple

import anyio
import httpx
import uvicorn

from polyglot_core import AsyncInference, Inference

STYLES = ("sync", "asyncio", "trio")


def run(style, story):
    """Run an async function on the event loop of a style; a sync stream is read on asyncio."""
    return anyio.run(story, backend="asyncio" if style == "sync" else style)


def new_stream(style, simulator):
    """Return a stream of a style, whose request is not sent yet."""
    inference = (Inference if style == "sync" else AsyncInference).from_connection(simulator.connection)
    return inference.create("Tell a story.").stream()


async def lifted(pieces):
    """Yield what a generator yields, be it sync or async, and close it."""
    if hasattr(pieces, "__aiter__"):
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
    else:
        with closing(pieces):
            for piece in pieces:
                yield piece


async def read_all(pieces) -> bytes:
    """Return everything that a generator yields."""
    return b"".join([piece async for piece in lifted(pieces)])


async def read_to(pieces, part: bytes) -> bytes:
    """Return what a generator yields until a part is in it, and close it."""
    received = b""
    async with aclosing(lifted(pieces)) as each:
        async for piece in each:
            received += piece
            if part in received:
                break
    return received


class Event(NamedTuple):
    """A server-sent event: its id, and its data as JSON."""

    id: str | None
    data: Any


class Server:
    """uvicorn with an ASGI application, in a thread. Its connections buffer little, so that a slow client is felt."""

    def __init__(self, app, **options):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1, **options)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        asyncio.run(self._server.serve(sockets=[self.socket]))

    def __enter__(self):
        self._thread.start()
        wait_for(lambda: self._server.started)
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join(10)
        self.socket.close()


def wait_for(condition, seconds=10.0):
    """Wait until a condition holds; return the seconds that it took."""
    start = time.perf_counter()
    while not condition():
        assert time.perf_counter() - start < seconds, "it never came to be"
        time.sleep(0.002)
    return time.perf_counter() - start


def events_in(body: bytes) -> list[Event]:
    """Return the events in a body; data that is no JSON as text."""
    found = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.split("\n"))
        if "data" in fields:
            text = fields["data"]
            found.append(Event(fields.get("id"), json.loads(text) if text.startswith("{") else text))
    return found


def text_of(events) -> str:
    """Return the text that events of the shape ``partials`` make up."""
    return "".join(event.data.get("content_delta", "") for event in events)


def read_until(pieces, part: bytes) -> bytes:
    """Read pieces of a body until a part of it has been received; return all of them."""
    received = b""
    while part not in received:
        received += next(pieces)
    return received


def stands_still(count, seconds=0.3):
    """Wait until a number does not change for some seconds; return it."""
    while True:
        before = count()
        time.sleep(seconds)
        if count() == before:
            return before


@contextmanager
def reading(url, **options):
    """Open a GET request whose body is read piece by piece."""
    with httpx.Client(timeout=10) as client, client.stream("GET", url, **options) as response:
        yield response
