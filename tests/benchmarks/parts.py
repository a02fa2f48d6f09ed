"""What the parts of a call take, up to its first piece of content: each measured alone, and one after the other."""

from __future__ import annotations

import argparse
import contextlib
import socket
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import httpx
from bodies import Body, body_of
from clients import connection_for
from serving import Plan, serving

from polyglot_core import Inference
from polyglot_core._attempt.attempt import Attempt
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._drivers import discovery
from polyglot_core._engine.call import Call
from polyglot_core.plugin import HTTPRequest, Timeouts, WireRequest
from polyglot_http1.package import TRANSPORT
from polyglot_http1.parsing import ResponseParser
from polyglot_http1.sync import SyncConnection, SyncTransport

__all__ = ["parts", "steps"]

_CALLS = 400


class _Opening:
    """The wait for a response, as a transport sees it."""

    connect, resend, ended = 5.0, False, False

    def on_abort(self, _end: Callable[[], object]) -> None:
        """Nothing aborts it."""

    def send(self, _connection: object) -> None:
        """Nothing waits for it."""


def parts(_: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the time of the parts of a call up to its first piece of content, with chat completions over http1."""
    body = body_of("openai", "text", 1)
    with serving(Plan(body.content_type, body.events)) as server:
        connection = connection_for("openai", server, transport="http1")
        inference = Inference.from_connection(connection)
        request = inference.create("Hello", stream=True).request
        found = discovery.load_driver("openai")
        assert found is not None
        driver = found.bind(connection)
        wire = driver.encode(request)
        works: dict[str, Callable[[], object]] = {
            "a socket alone": _socket(server, wire),
            "httpx alone": _httpx(wire),
            "polyglot-http1 alone": _http1(server, wire),
            "create": lambda: inference.create("Hello", stream=True),
            "encode": lambda: driver.encode(request),
            "frame, decode and assemble": lambda: _decoded(driver, wire, body),
            "the whole call": lambda: _first(inference),
        }
        for name, work in works.items():
            yield {"part": name, "µs": round(_median(work))}


_MARKS = (
    (Call, "encode", "create: read and check the arguments, make the objects of the call", None),
    (SyncTransport, "open", "encode the request; make the attempt; find the pool; start the clocks", None),
    (SyncConnection, "_write", "find an idle connection and check it; write the head", "write to the socket"),
    (ResponseParser, "feed", "wait for the response", "parse the head and the chunks"),
    (Attempt, "take", "make the exchange, check the headers, frame the body", "decode the chunk"),
)
"""Functions in the order in which a call reaches them; the step that ends where it begins, and the one within it."""

_LAST = "assemble the response and make the partial"


def steps(_: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the time of the steps of a call to its first piece of content, with chat completions over http1."""
    body = body_of("openai", "text", 1)
    moments: dict[str, float] = {}
    taken: dict[str, list[float]] = {}
    with serving(Plan(body.content_type, body.events)) as server, contextlib.ExitStack() as changed:
        inference = Inference.from_connection(connection_for("openai", server, transport="http1"))
        for owner, name, before, within in _MARKS:
            changed.enter_context(_marked(owner, name, before, within, moments))
        for number in range(_CALLS + 20):
            moments.clear()
            previous = perf_counter()
            moments[_LAST] = _first(inference)
            if number >= 20:
                for step in sorted(moments, key=lambda step: moments[step]):
                    taken.setdefault(step, []).append(moments[step] - previous)
                    previous = moments[step]
    for step, seconds in taken.items():
        yield {"step": step, "µs": round(median(seconds) * 1e6)}


@contextlib.contextmanager
def _marked(owner: type, name: str, before: str, within: str | None, moments: dict[str, float]) -> Iterator[None]:
    """Note when a function is called first, and when it returns then."""
    function = getattr(owner, name)

    def noting(*args: Any, **named: Any) -> Any:
        moments.setdefault(before, perf_counter())
        result = function(*args, **named)
        if within is not None:
            moments.setdefault(within, perf_counter())
        return result

    setattr(owner, name, noting)
    try:
        yield
    finally:
        setattr(owner, name, function)


def _median(work: Callable[[], object]) -> float:
    """Return the median of the microseconds until the work is done, or until the moment that it returns."""
    taken = []
    for number in range(_CALLS + 20):
        begun = perf_counter()
        ended = work()
        if number >= 20:  # the first ones connect
            taken.append((ended if isinstance(ended, float) else perf_counter()) - begun)
    return median(taken) * 1e6


def _first(inference: Inference) -> float:
    moment = 0.0
    for partial in inference.create("Hello", stream=True).stream():
        if partial.content_delta and not moment:
            moment = perf_counter()
    return moment


def _decoded(driver: Any, wire: WireRequest, body: Body) -> None:
    attempt = Attempt(wire, driver, Clocks(Timeouts(), 0.0))
    attempt.begin(200, {"content-type": body.content_type})
    for data in body.events[:2]:
        list(attempt.feed(data, 1.0))


def _socket(server: str, wire: WireRequest) -> Callable[[], float]:
    place = urlsplit(server)
    sock = socket.create_connection((place.hostname, place.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sent = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n\r\n%b" % (len(wire.body), wire.body)

    def work() -> float:
        sock.sendall(sent)
        data = sock.recv(65536)
        moment = perf_counter()
        while not data.endswith(b"0\r\n\r\n"):
            data += sock.recv(65536)
        return moment

    return work


def _httpx(wire: WireRequest) -> Callable[[], float]:
    client = httpx.Client()

    def work() -> float:
        with client.stream("POST", wire.url, content=wire.body, headers=dict(wire.headers)) as response:
            pieces = response.iter_raw()
            next(pieces)
            moment = perf_counter()
            for _ in pieces:
                pass
        return moment

    return work


def _http1(server: str, wire: WireRequest) -> Callable[[], float]:
    transport: Any = TRANSPORT.sync_transport(server, None)
    request = HTTPRequest(method="POST", url=wire.url, headers=dict(wire.headers), body=wire.body)

    def work() -> float:
        reply = transport.open(request, _Opening())
        reply.read()
        moment = perf_counter()
        while reply.read() is not None:
            pass
        reply.close(reuse=True)
        return moment

    return work
