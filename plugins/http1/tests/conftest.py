"""A server of scripted bytes, and both transports behind one interface."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from dataclasses import dataclass, field

import pytest

from polyglot_core.plugin import HTTPRequest
from polyglot_http1.package import TRANSPORT

PATIENCE = 20.0
"""Seconds that anything may take at most."""


class Server:
    """Answers each request of each connection with the next script: bytes, seconds to wait, events, or "close".

    Attributes:
        asked: Head and body of each request.
        connections: Number of connections.
        gone: Set when a client has closed a connection whose script waits.
    """

    def __init__(self, scripts, context=None):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._scripts = list(scripts)
        self._context = context
        self._lock = threading.Lock()
        self.asked = []
        self.connections = 0
        self.gone = threading.Event()
        self.over = threading.Event()
        self.url = f"http{'s' if context else ''}://localhost:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with contextlib.suppress(OSError, ValueError), sock:
            if self._context:
                sock = self._context.wrap_socket(sock, server_side=True)
            with sock, sock.makefile("rb") as file:
                while self._respond(sock, file):
                    pass

    def _respond(self, sock, file):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (line := file.readline()):
                return False
            head += line
        with self._lock:
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        if script and script[0] == "refuse":  # without reading the body
            sock.sendall(script[1])
            self.over.wait(PATIENCE)
            return False
        size = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        self.asked.append((head, file.read(size)))
        return all(self._step(sock, step) for step in script)

    def _step(self, sock, step):
        if isinstance(step, bytes):
            sock.sendall(step)
        elif isinstance(step, float):
            self.over.wait(step)
        elif isinstance(step, threading.Event):
            step.wait(PATIENCE)
        elif step == "hang":
            sock.settimeout(PATIENCE)
            with contextlib.suppress(ConnectionResetError):
                sock.recv(1)
            self.gone.set()
            return False
        else:
            return False
        return True

    def close(self):
        self.over.set()
        self._listener.close()


@dataclass
class Opening:
    """The wait for a response, as core would pass it."""

    connect: float | None = PATIENCE
    resend: bool = True
    ended: bool = False
    sends: int = 0
    end: object = None
    began: threading.Event = field(default_factory=threading.Event)

    def on_abort(self, end):
        self.end = end
        self.began.set()
        if self.ended:
            end()

    def send(self, connection):
        self.sends += 1
        self.on_abort(connection.abort)

    def abort(self):
        self.ended = True
        if self.end is not None:
            self.end()


class Sync:
    """The transport for threads."""

    name = "sync"

    def run(self, main):
        return asyncio.run(main())  # nothing in it waits for the loop

    def transport(self, url, ca=None):
        return TRANSPORT.sync_transport(url, ca)

    async def wait(self, value):
        return value

    async def close(self, transport):
        transport.close()


class Async:
    """The transport for asyncio."""

    name = "asyncio"

    def run(self, main):
        return asyncio.run(main())

    def transport(self, url, ca=None):
        return TRANSPORT.async_transport(url, ca)

    async def wait(self, value):
        async with asyncio.timeout(PATIENCE):
            return await value

    async def close(self, transport):
        await transport.close()


class User:
    """Uses a transport as core does."""

    def __init__(self, flavour, url, ca=None):
        self.flavour = flavour
        self.transport = flavour.transport(url, ca)
        self.url = url

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.flavour.close(self.transport)

    async def open(self, opening=None, body=b"{}", path="/v1"):
        request = HTTPRequest("POST", self.url + path, {"a": "b"}, body)
        return await self.flavour.wait(self.transport.open(request, opening or Opening()))

    async def read(self, reply):
        """Return all of the body."""
        pieces = []
        while (piece := await self.flavour.wait(reply.read())) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    async def close(self, reply, *, reuse=True):
        closing = reply.close(reuse=reuse)
        if closing is not None:
            await closing

    async def ask(self, opening=None, **request):
        """Return status and body of a response, whose connection becomes idle."""
        reply = await self.open(opening, **request)
        try:
            return reply.status, await self.read(reply)
        finally:
            await self.close(reply)


@pytest.fixture(params=[Sync, Async], ids=lambda kind: kind.name)
def flavour(request):
    """Either transport."""
    return request.param()


@pytest.fixture
def serve():
    """Return a function that starts a server."""
    servers = []

    def start(*scripts, context=None):
        servers.append(Server(scripts, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
