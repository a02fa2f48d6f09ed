"""A client of plain sockets, which sees what no HTTP library shows: single bytes, FIN, RST and silence."""

from __future__ import annotations

import gc
import http.client
import json
import random
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyglot_simulator import Simulator

hypothesis.settings.register_profile("checks", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("checks")

_PATIENCE = 5.0


_referrers: list[list[random.Random]] = []


def pytest_collection_finish() -> None:
    """Leave the collected tests out of garbage collections, each of which would take a tenth of a second.

    What is left out is not found as a referrer either. Hypothesis refuses to manage a generator of random numbers that
    has none, so each gets one.
    """
    generators = [each for each in gc.get_objects() if issubclass(type(each), random.Random)]
    gc.collect()
    gc.freeze()
    _referrers.append(list(generators))


class Decoded(NamedTuple):
    """What came over a socket, and how it ended: ``fin``, ``reset`` or ``silence``."""

    data: bytes
    ending: str

    @property
    def head(self) -> str:
        """Status line and headers."""
        return self.data.partition(b"\r\n\r\n")[0].decode()

    @property
    def body(self) -> bytes:
        """What follows the head, as it came."""
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def chunks(self) -> list[bytes]:
        """The HTTP chunks of the body; a last empty one is the proper end."""
        found, rest = [], self.body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            found.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        return found

    @property
    def events(self) -> list[bytes]:
        """The blocks of a chunked event stream."""
        return b"".join(self.chunks).split(b"\n\n")[:-1]


class Caller:
    """One connection to a simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self.socket = socket.create_connection(("127.0.0.1", simulator.port), timeout=_PATIENCE)

    def send(self, method: str, path: str, body: bytes = b"", headers: str = "") -> Caller:
        """Send a request."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        self.socket.sendall(head.encode() + body)
        return self

    def ask(self, *, last: bool = False, **fields: object) -> Caller:
        """Ask for a completion; streamed unless `fields` say otherwise; `last` asks to close after it."""
        body = {"model": "m", "messages": [{"role": "user", "content": "Hello there"}], "stream": True} | fields
        headers = "Connection: close\r\n" if last else ""
        return self.send("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)

    def hear(self, patience: float = _PATIENCE) -> Decoded:
        """All that comes, until the simulator ends it or is silent for `patience` seconds."""
        data = b""
        self.socket.settimeout(patience)
        try:
            while piece := self.socket.recv(65536):
                data += piece
        except ConnectionResetError:
            return Decoded(data, "reset")
        except TimeoutError:
            return Decoded(data, "silence")
        return Decoded(data, "fin")

    def response(self) -> tuple[int, Any]:
        """The next response, read with the standard library: its status, and its body (parsed where it is JSON)."""
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        body = response.read()
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(body) if is_json else body

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


@pytest.fixture
def call() -> Iterator[Callable[[Simulator], Caller]]:
    """Opens connections, and closes them after the test."""
    callers: list[Caller] = []

    def open_connection(simulator: Simulator) -> Caller:
        callers.append(Caller(simulator))
        return callers[-1]

    yield open_connection
    for caller in callers:
        caller.close()
