"""A toy dialect, a scripted loopback server, and three ways to run the same test: sync, asyncio and trio."""

from __future__ import annotations

import contextlib
import gc
import importlib
import inspect
import itertools
import json
import os
import random
import socket
import struct
import threading
from collections import deque
from types import SimpleNamespace
from typing import Any, NamedTuple

import anyio
import msgspec
import pytest

from polyglot_core import AsyncInference, Connection, Inference, Retries, register
from polyglot_core._attempt.attempt import Attempt
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._drivers.bound import Driver
from polyglot_core._engine import call, observers
from polyglot_core._values import events
from polyglot_core._values.limits import Timeouts
from polyglot_core.plugin import End, Finish, TextDelta, Usage, WireRequest, hookimpl

_PATIENCE = 5.0  # maximum seconds of any wait in this module


_referrers = []


def pytest_configure():
    """Set no deadline for examples: a busy machine is no failure."""
    import hypothesis  # later, because processes that tests start import this module for the toy dialect

    hypothesis.settings.register_profile("checks", deadline=None)
    hypothesis.settings.load_profile("checks")


def pytest_collection_finish():
    """Leave the collected tests out of garbage collections, each of which would take a tenth of a second.

    What is left out is not found as a referrer either. Hypothesis refuses to manage a generator of random numbers that
    has none, so each gets one.
    """
    generators = [each for each in gc.get_objects() if issubclass(type(each), random.Random)]
    gc.collect()
    gc.freeze()
    _referrers.append(list(generators))


# The toy dialect: a chunk is a JSON list of events, ``[["TextDelta", {"text": "Hi"}], …]``


class Toy:
    """A driver whose chunks are lists of events. Fields of the `WireRequest` are taken from the connection's facts."""

    @hookimpl
    def encode_request(self, connection, request):
        body = {
            "model": request.model,
            "stream": request.stream,
            "messages": [{"role": m.role, "content": m.text} for m in request.messages],
        }
        return WireRequest(
            url=f"{connection.base_url}/answer",
            body=json.dumps({**body, **request.options}).encode(),
            headers={"content-type": "application/json"},
            framing="sse" if request.stream else "whole",
            **connection.facts,
        )

    @hookimpl
    def decode_chunk(self, chunk):
        if chunk.data == b"[DONE]":
            return [End()]
        pairs = msgspec.json.decode(chunk.data, type=list[tuple[str, dict[str, Any]]])
        return [msgspec.convert(fields, getattr(events, name)) for name, fields in pairs]

    @hookimpl
    def extract_usage(self, payload):
        return Usage(input_tokens=payload.get("in"), output_tokens=payload.get("out"), raw=payload)


def _body(*said):
    """Encode events as the payload of a chunk."""
    return json.dumps([[type(event).__name__, msgspec.to_builtins(event)] for event in said]).encode()


def _say(*said):
    """Encode events as one SSE block."""
    return b"data: " + _body(*said) + b"\n\n"


DONE = b"data: [DONE]\n\n"
EVENT_STREAM = {"content-type": "text/event-stream"}


def _driver(module=None, **facts):
    connection = Connection(name="here", driver="toy", model="m", base_url="http://localhost", facts=facts)
    return Driver("toy", module or Toy()).bind(connection)


def _attempt(*, module=None, status=200, headers=None, framing="sse", clocks=None, **wire):
    """Return an attempt whose response has begun."""
    request = WireRequest(url="http://localhost", body=b"", framing=framing, **wire)
    attempt = Attempt(request, _driver(module), clocks or Clocks(Timeouts(), 0.0), "here")
    attempt.begin(status, EVENT_STREAM if headers is None else headers)
    return attempt


def _read(attempt, *pieces, now=0.0):
    """Feed pieces and the end of the body; return the partials."""
    partials = [partial for piece in pieces for partial in attempt.feed(piece, now)]
    return [*partials, *attempt.finish(now)]


def _watch_events(attempt):
    seen = deque()
    attempt.watch_events(seen)
    return seen


@pytest.fixture(scope="session")
def toy():
    """Return the toy dialect, and functions to test an attempt with it."""
    return SimpleNamespace(
        Driver=Toy,
        body=_body,
        say=_say,
        done=DONE,
        bound=_driver,
        attempt=_attempt,
        read=_read,
        watch_events=_watch_events,
        story=(
            _say(TextDelta("Once ")),
            _say(TextDelta("upon ")),
            _say(TextDelta("a time")),
            _say(Finish("stop", "stop")),
        ),
    )


@pytest.fixture
def toy_driver():
    """Register the toy dialect as the driver ``toy``."""
    with register(Toy(), "toy"):
        yield


# The server


class Asked(NamedTuple):
    """A request as the server received it."""

    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Loopback:
    """A server that replies to requests with scripts, in order; the last one serves all further requests.

    A script is a sequence of steps: bytes are sent, a number is a pause in seconds, an event is waited for, ``"close"``
    closes the connection, ``"reset"`` resets it, and ``"hang"`` waits until the client disconnects.
    """

    def __init__(self, *scripts, tls=None):
        self.asked: list[Asked] = []
        self.gone = threading.Event()  # a client disconnected while a script waited
        self.reached = threading.Event()  # a script has reached a step that waits
        self._scripts = iter(itertools.chain(scripts[:-1], itertools.repeat(scripts[-1])))
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._tls = tls
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    @property
    def connections(self):
        return len({asked.connection for asked in self.asked})

    def connection(self, **fields):
        """Return a connection to this server with the toy driver and, by default, without retries."""
        usual = {"name": "here", "driver": "toy", "model": "m", "base_url": self.url, "api_key": "test-key"}
        return Connection(**{**usual, "retries": Retries(max_retries=0), **fields})

    def close(self):
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_PATIENCE)

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        for number in itertools.count():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(_PATIENCE)
            with self._lock:
                self._open.add(sock)
            self._start(self._serve, sock, number)

    def _serve(self, sock, number):
        with contextlib.suppress(OSError), sock, self._spoken(sock) as spoken:
            while (asked := _request_from(spoken, number)) is not None:
                with self._lock:
                    self.asked.append(asked)
                    script = next(self._scripts)
                if not self._play(script, spoken):
                    return

    def _spoken(self, sock):
        """The socket, or TLS over it."""
        if self._tls is None:
            return contextlib.nullcontext(sock)
        wrapped = self._tls.wrap_socket(sock, server_side=True)
        with self._lock:
            self._open.add(wrapped)
        return wrapped

    def _play(self, script, sock):
        """Run the steps; return False if the connection is to be closed."""
        try:
            return all(self._take(step, sock) for step in script)
        except ConnectionError:
            self.gone.set()
            return False

    def _take(self, step, sock):
        """Run one step; return False if the connection is to be closed."""
        if isinstance(step, bytes):
            sock.sendall(step)
            return True
        if step == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if step in {"close", "reset"}:
            return False
        self.reached.set()
        if step == "hang":
            sock.settimeout(_PATIENCE)
            if sock.recv(1):
                return True
            self.gone.set()
            return False
        if isinstance(step, threading.Event):
            return step.wait(_PATIENCE)
        return not self._over.wait(step)


def _request_from(sock, number):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        piece = sock.recv(65536)
        if not piece:  # an interrupted call has written its head alone
            return None
        body += piece
    return Asked(number, method, path, headers, body)


def _head(status=200, content_type="text/event-stream", **headers):
    """Return the head of a response; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type:
        named["content-type"] = content_type
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode()


def _chunk(data):
    """Return one chunk of a chunked body; an empty one ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _plain(body=b"", status=200, content_type="application/json", **headers):
    """Return a whole response with its length."""
    return (_head(status, content_type, content_length=len(body), **headers) + body,)


def _streamed(*pieces, then=(), **headers):
    """Return a chunked response of one chunk per piece; `then` replaces the last chunk."""
    sent = [_chunk(piece) if isinstance(piece, bytes) else piece for piece in pieces]
    return (_head(transfer_encoding="chunked", **headers), *sent, *(then or (_chunk(b""),)))


@pytest.fixture(scope="session")
def http():
    """Return functions that create the server's responses."""
    return SimpleNamespace(head=_head, chunk=_chunk, plain=_plain, streamed=_streamed)


@pytest.fixture
def loopback(toy_driver, monkeypatch):
    """Return a function that starts servers, which are closed at the end. Proxy settings are removed."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.ExitStack() as stack:

        def serve(*scripts, tls=None):
            server = Loopback(*scripts, tls=tls)
            stack.callback(server.close)
            return server

        yield serve


# Sync, asyncio and trio


class Flavour:
    """Runs a test that is written once, with ``await``, with the sync or the async objects."""

    def __init__(self, name):
        self.name = name
        self.Inference = Inference if name == "sync" else AsyncInference

    def run(self, main):
        """Run an async function. With the sync objects it never suspends."""
        if self.name != "sync":
            return anyio.run(main, backend=self.name)
        try:
            main().send(None)
        except StopIteration as stop:
            return stop.value
        pytest.fail("a sync test has waited")

    async def wait(self, result):
        """Return a result, after awaiting it if it is awaitable."""
        return await result if inspect.isawaitable(result) else result

    async def each(self, iterable):
        """Iterate either kind."""
        if hasattr(iterable, "__aiter__"):
            async for item in iterable:
                yield item
        else:
            for item in iterable:
                yield item

    async def all(self, iterable):
        """Return all items of either kind."""
        if hasattr(iterable, "__aiter__"):
            return [item async for item in iterable]
        return list(iterable)

    async def next(self, iterable):
        """Return the next item of either kind."""
        return await anext(aiter(iterable)) if hasattr(iterable, "__aiter__") else next(iter(iterable))

    @contextlib.asynccontextmanager
    async def inside(self, thing):
        """Enter either kind."""
        if hasattr(thing, "__aenter__"):
            async with thing as entered:
                yield entered
        else:
            with thing as entered:
                yield entered


@pytest.fixture(params=["sync", "asyncio", "trio"])
def flavour(request):
    """Return a runner for sync, asyncio or trio."""
    return Flavour(request.param)


@pytest.fixture(autouse=True, scope="session")
def _http_is_imported():
    """Import the HTTP library, so that no test waits for the import under its clocks."""
    importlib.import_module(os.environ.get("POLYGLOT_HTTP") or "httpx")


@pytest.fixture(autouse=True)
def _own_transport(request, monkeypatch):
    """Use httpx in the tests that look into it, also where another transport is installed."""
    if request.node.get_closest_marker("httpx"):
        monkeypatch.setenv("POLYGLOT_TRANSPORT", "httpx")


@pytest.fixture(autouse=True)
def _own_budgets(monkeypatch):
    """Reset the retry budgets, which are kept by origin: a port may be reused by another test."""
    monkeypatch.setattr(call, "_budgets", {})


@pytest.fixture(autouse=True)
def _own_observers(monkeypatch):
    """Leave out the observers of packages that are installed beside core."""
    monkeypatch.setattr(observers, "_load_installed", lambda: None)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch, tmp_path_factory):
    """Hide the configuration and the keys of this machine from the tests."""
    for name in ("POLYGLOT_CONFIG", "POLYGLOT_DEFAULT", "POLYGLOT_DRIVERS", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-config"))
