"""A server in a separate process that sends the same bytes for every request, as fast as the socket accepts them."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(events: Sequence[bytes]) -> bytes:
    """Return a complete HTTP response with one HTTP chunk for each event, as from servers that flush after each."""
    return b"".join([_HEAD, *(b"%x\r\n%b\r\n" % (len(event), event) for event in events), b"0\r\n\r\n"])


@contextmanager
def replaying(answer: bytes) -> Iterator[str]:
    """Start the server, yield its base URL, and stop it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(answer, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def _serve(answer: bytes, parent: Connection) -> None:
    """Serve every connection; a client reuses its own for all of its requests."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        parent.send(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            Thread(target=_answer_all, args=(connection, answer), daemon=True).start()


def _answer_all(connection: socket.socket, answer: bytes) -> None:
    received = b""
    while True:
        while (size := request_size(received)) is None or len(received) < size:
            data = connection.recv(65536)
            if not data:
                connection.close()
                return
            received += data
        received = received[size:]
        connection.sendall(answer)


def request_size(received: bytes) -> int | None:
    """Return the size of the request in bytes; None until its head is complete."""
    head, end, _ = received.partition(b"\r\n\r\n")
    if not end:
        return None
    lines = head.lower().split(b"\r\n")
    length = next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
    return len(head) + len(end) + length
