"""A server in a process of its own that sends one prepared stream for every request, in one of four ways."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from replay import request_size

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["Plan", "serving"]

_COALESCED = 16 * 1024  # bytes of an HTTP chunk
_ZEROS = b"0" * 8  # see `bodies.STAMP`


class Plan(NamedTuple):
    """What is sent.

    Attributes:
        content_type: Content type of the stream.
        events: The bytes of each event.
        way: ``burst``: one HTTP chunk for each event, all at once. ``coalesced``: HTTP chunks of 16 KiB that begin
            and end anywhere. ``paced``: one HTTP chunk and one write for each event.
        rate: Events a second, if they are paced.
        certificate: Files of a certificate and its key for TLS; None for plain TCP.
    """

    content_type: str
    events: tuple[bytes, ...]
    way: str = "burst"
    rate: float = 0.0
    certificate: str | None = None


@contextmanager
def serving(plan: Plan) -> Iterator[str]:
    """Start the server, yield scheme, host and port, and stop it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(plan, there), daemon=True)
    process.start()
    try:
        yield f"{'https' if plan.certificate else 'http'}://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def _serve(plan: Plan, parent: Connection) -> None:
    asyncio.run(_listen(plan, parent))


async def _listen(plan: Plan, parent: Connection) -> None:
    tls = None
    if plan.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(plan.certificate)
    loop, prepared = asyncio.get_running_loop(), _prepared(plan)
    server = await loop.create_server(lambda: _Response(plan, prepared), "127.0.0.1", 0, ssl=tls, backlog=4096)
    parent.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _prepared(plan: Plan) -> bytes:
    """Return the head, and the body unless it is paced."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {plan.content_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    body = b"".join(plan.events)
    chunks = {
        "burst": plan.events,
        "coalesced": [body[start : start + _COALESCED] for start in range(0, len(body), _COALESCED)],
        "paced": (),
    }[plan.way]
    return b"".join([head, *map(_chunk, chunks), b"" if plan.way == "paced" else _chunk(b"")])


def _stamp() -> bytes:
    return b"%08d" % (time.monotonic_ns() // 1000 % 10**8)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class _Response(asyncio.Protocol):
    """Answers each request on a connection."""

    def __init__(self, plan: Plan, prepared: bytes) -> None:
        self._plan, self._prepared = plan, prepared
        self._received = b""
        self._pacing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._pacing is not None:
            self._pacing.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if (size := request_size(self._received)) is not None and len(self._received) >= size:
            self._received = self._received[size:]
            self._transport.write(self._prepared)
            if self._plan.way == "paced":
                self._pacing = asyncio.ensure_future(self._pace())

    async def _pace(self) -> None:
        wait = 1 / self._plan.rate
        due = time.monotonic() + random.uniform(0, wait)
        for event in self._plan.events:
            if (left := due - time.monotonic()) > 0:
                await asyncio.sleep(left)
            self._transport.write(_chunk(event.replace(_ZEROS, _stamp())))
            due += wait
        self._transport.write(_chunk(b""))
