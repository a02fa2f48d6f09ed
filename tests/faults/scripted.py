"""A server on loopback that follows a script byte by byte, for faults that a conforming HTTP server cannot produce."""

from __future__ import annotations

import itertools
import socket
import ssl
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

__all__ = ["CHUNKED", "Asked", "Script", "ScriptedServer", "Step", "chunk", "head", "plain"]

Step = bytes | float | Literal["close", "reset", "hang"]
"""Bytes are sent and a number is a pause in seconds; then the server closes, resets, or waits for the client to go."""

Script = Sequence[Step]

CHUNKED = {"transfer_encoding": "chunked"}
_PATIENCE = 5.0  # seconds; the longest wait here
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def head(status: int = 200, content_type: str | None = "text/event-stream", **headers: str) -> bytes:
    """Return the head of a response; header names are given with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named |= {"content-type": content_type} if content_type else {}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} -\r\n{lines}\r\n".encode()


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def plain(
    body: bytes = b"", status: int = 200, content_type: str | None = "text/event-stream", **headers: str
) -> bytes:
    """Return a complete response with its content length."""
    return head(status, content_type, content_length=str(len(body)), **headers) + body


class Asked:
    """A request as received by the server.

    Attributes:
        connection: Number of the connection that it came on, from 0.
        method: HTTP method.
        target: What follows it.
        headers: Names in lower case, and values.
        body: The body.
        closed_at: When the client was seen to have closed the connection, by `time.monotonic`.
    """

    def __init__(self, connection: int, request: bytes, body: bytes) -> None:
        first, *lines = request.decode("latin-1").split("\r\n")
        self.connection = connection
        self.method, self.target, _ = first.split(" ")
        self.headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
        self.body = body
        self.closed_at: float | None = None
        self._closed = threading.Event()

    def __repr__(self) -> str:
        return f"<Asked {self.method} {self.target} on connection {self.connection}>"

    def mark_closed(self) -> None:
        """Record that the client has closed the connection."""
        self.closed_at = time.monotonic()
        self._closed.set()

    def wait_closed(self, timeout: float = 5.0) -> float | None:
        """Wait up to `timeout` seconds for the client to close the connection, and return `closed_at`."""
        self._closed.wait(timeout)
        return self.closed_at


class ScriptedServer:
    """Serves each request with the next script; the last one serves all that follow.

    Args:
        scripts: What is done for the first request, for the second, and so on.
        tls: What to speak TLS with; None for none.

    Attributes:
        requests: What was asked, in order.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Asked] = []
        self._tls = tls
        self._scripts = itertools.chain(scripts[:-1], itertools.repeat(scripts[-1]))
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def base_url(self) -> str:
        """Return the base URL of the server."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}/v1"

    def close(self) -> None:
        """Close all sockets and wait for the threads."""
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            waiting = list(self._open)
        for sock in waiting:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_PATIENCE)

    def __repr__(self) -> str:
        return f"<ScriptedServer {self.base_url}, {len(self.requests)} requests>"

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        for number in itertools.count():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, sock, number)

    def _serve(self, sock: socket.socket, number: int) -> None:
        asked: list[Asked] = []
        with suppress(OSError), sock:
            sock.settimeout(_PATIENCE)
            with self._lock:
                self._open.add(sock)
            with self._secured(sock) as secured:
                self._talk(secured, number, asked)
        with self._lock:
            self._open.discard(sock)

    def _secured(self, sock: socket.socket) -> socket.socket:
        return sock if self._tls is None else self._tls.wrap_socket(sock, server_side=True)

    def _talk(self, sock: socket.socket, number: int, asked: list[Asked]) -> None:
        try:
            while (request := _request_from(sock, number)) is not None:
                asked.append(request)
                with self._lock:
                    self.requests.append(request)
                    script = next(self._scripts)
                if not all(self._take(step, sock) for step in script):
                    return
        except TimeoutError:  # the client is still connected; the server closes, so that the test ends
            return
        except OSError:
            pass
        for request in asked:
            request.mark_closed()

    def _take(self, step: Step, sock: socket.socket) -> bool:
        """Perform one step; return False if the server has closed the connection."""
        if isinstance(step, bytes):
            sock.sendall(step)
            return True
        if step == "hang":
            if sock.recv(1):
                return True
            raise ConnectionResetError
        if step == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if step == "close":  # and leave it to the client to close its side
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
            raise ConnectionResetError
        return step != "reset" and not self._over.wait(float(step))


def _request_from(sock: socket.socket, number: int) -> Asked | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return None
        data += piece
    request, _, body = data.partition(b"\r\n\r\n")
    asked = Asked(number, request, b"")
    while len(body) < int(asked.headers.get("content-length", 0)):
        piece = sock.recv(65536)
        if not piece:  # the client closed the connection in the middle of its request
            return None
        body += piece
    asked.body = body
    return asked
