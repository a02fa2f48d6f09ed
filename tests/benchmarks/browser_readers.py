"""Many readers of one web server: how late an event is at its reader, and what a reader costs in memory and CPU time.

From the checkout's folder, in an environment with core, the openai driver, polyglot-streams, the simulator and uvicorn::

    python tests/benchmarks/browser_readers.py [--readers N] [--rate N] [--seconds N] [--rounds N]

Three processes on loopback: a provider, which puts the time into every piece of text; a web server, uvicorn with one
process; and the readers. Every reader has a response of its own. An event is late by the time from its writing at the
provider to its arrival at the reader; those before all readers have begun are not counted. Lateness is that of the
round with the lowest p99, because other work on the machine only adds to it.

The first row is the least that an application does by hand: iterate, encode, yield, without ids, pings, errors or an
end. The last line is the time from a client's disconnect to the close of the provider's connection, while the provider
is silent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import re
import shlex
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any, NamedTuple

import uvicorn

from polyglot_core import AsyncInference, Connection
from polyglot_simulator import Simulator, Stall
from polyglot_streams import Replays, StreamResponse

BY_HAND, DIRECT, KEPT = "by hand", "StreamResponse", "StreamResponse, kept"
_TIME = re.compile(rb" (\d+\.\d+)\"")
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
_TICK = os.sysconf("SC_CLK_TCK")


def provider(parent: Any, rate: float, seconds: float) -> None:
    """Serve streams whose pieces of text are the time at which they are written."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_HEAD)
        begun = perf_counter()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + number / rate - perf_counter()))
            writer.write(_chunk({"content": f" {perf_counter():.6f}"}, None))
        writer.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
        await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
        parent.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def _chunk(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: %b\n\n" % json.dumps({"id": "c", "choices": [choice]}).encode()


def site(parent: Any, upstream: str, kind: str) -> None:
    """Serve responses with uvicorn."""
    connection = Connection(name="p", driver="openai", model="m", base_url=upstream, api_key="test-key")
    inference = AsyncInference.from_connection(connection)
    replays = Replays() if kind == KEPT else None

    async def app(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        stream = inference.create("Hi.").stream()
        if kind != BY_HAND:
            await StreamResponse(stream, replays=replays)(scope, receive, send)
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for partial in stream:
            data = b"data: %b\n\n" % json.dumps({"content_delta": partial.content_delta}).encode()
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def run() -> None:
        config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off", backlog=1000)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        parent.send(server.servers[0].sockets[0].getsockname()[1])
        await serving

    asyncio.run(run())


@contextmanager
def process(target: Callable[..., None], *args: object) -> Iterator[tuple[int, int]]:
    """Start a process, yield its port and its id, and end it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=target, args=(there, *args), daemon=True)
    child.start()
    try:
        yield here.recv(), child.pid or 0
    finally:
        child.terminate()
        child.join()


async def _pieces(port: int) -> AsyncIterator[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    while data := await reader.read(65536):
        yield data
    writer.close()


async def read_all(port: int, readers: int, peak: Callable[[], None]) -> tuple[list[float], int]:
    """Read with all readers at once, which connect within a second.

    Returns:
        By how many seconds each event was late that was sent once all readers had begun, and the number of all events.
    """
    sent: list[tuple[float, float]] = []
    begun: list[float] = []

    async def read(number: int) -> None:
        await asyncio.sleep(number / readers)
        first = True
        async for data in _pieces(port):
            now = perf_counter()
            for text in _TIME.findall(data):
                sent.append((float(text), now - float(text)))
                if first:
                    first = False
                    begun.append(now)

    async def watch() -> None:
        while True:
            peak()
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*map(read, range(readers)))
    watching.cancel()
    return sorted(late for moment, late in sent if moment >= max(begun)), len(sent)


def memory(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


class Measured(NamedTuple):
    """One round: seconds by which events were late in ascending order, kB of memory a reader, CPU µs an event."""

    late: list[float]
    memory: float
    cpu: float

    def part(self, part: float) -> float:
        """Return the milliseconds within which a part of the events arrived."""
        return self.late[min(int(len(self.late) * part), len(self.late) - 1)] * 1000


def measure(kind: str, asked: argparse.Namespace) -> Measured:
    """Run one round."""
    with (
        process(provider, asked.rate, asked.seconds) as (upstream, _),
        process(site, f"http://127.0.0.1:{upstream}/v1", kind) as (port, pid),
    ):
        asyncio.run(read_all(port, 1, lambda: None))  # imports, first connections
        peaks = [before := memory(pid)]
        begun = cpu(pid)
        late, count = asyncio.run(read_all(port, asked.readers, lambda: peaks.append(memory(pid))))
        spent = cpu(pid) - begun
    return Measured(late, (max(peaks) - before) / asked.readers * 1000, spent / count * 1e6)


def row(kind: str, rounds: list[Measured]) -> tuple[str, ...]:
    """Return a row: lateness of the round that was disturbed least, and medians of the rest."""
    best = min(rounds, key=lambda each: each.part(0.99))
    numbers = (
        best.part(0.5),
        best.part(0.99),
        best.part(1),
        median(r.memory for r in rounds),
        median(r.cpu for r in rounds),
    )
    return (
        kind,
        str(len(best.late)),
        *(f"{number:.{digits}f}" for number, digits in zip(numbers, (1, 1, 1, 0, 0), strict=True)),
    )


def disconnects(count: int) -> list[float]:
    """Return the seconds from a disconnect of a client to that of the provider's connection, in ascending order."""
    with (
        Simulator("Once upon a time", fault=Stall(after_events=3)) as simulator,
        process(site, simulator.base_url, DIRECT) as (port, _),
    ):
        taken = []
        for number in range(count):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
                received = b""
                while b" upon" not in received:
                    received += client.recv(65536)
                left = monotonic()
            taken.append(simulator.requests[number].wait_closed() - left)
    return sorted(taken)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Lateness, memory and CPU time of many readers of one process.")
    parser.add_argument("--readers", type=int, default=200, help="readers at once; default: %(default)s")
    parser.add_argument("--rate", type=float, default=10.0, help="events a second of each; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each response; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="rounds in turns; default: %(default)s")
    asked = parser.parse_args()
    machine = f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} CPUs, {sys.platform}"
    print(f"command: python {shlex.join(sys.argv)}\n{machine}; load {os.getloadavg()[0]:.1f}\n")
    head = ("", "events", "late p50 ms", "p99 ms", "max ms", "kB a reader", "CPU µs an event")
    kinds = (BY_HAND, DIRECT, KEPT)
    rounds = [{kind: measure(kind, asked) for kind in kinds} for _ in range(asked.rounds)]
    for line in (head, *(row(kind, [each[kind] for each in rounds]) for kind in kinds)):
        print(f"  {line[0]:<22}" + "".join(f"{cell:>16}" for cell in line[1:]), flush=True)
    taken = disconnects(50)
    print(
        f"\n  50 disconnects: median {taken[25] * 1000:.1f} ms, max {taken[-1] * 1000:.1f} ms to the provider's close"
    )


if __name__ == "__main__":
    main()
