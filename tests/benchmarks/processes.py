"""Measurements that take a process for each: lateness, growth, concurrency, bursts."""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from bodies import Body, body_of
from clients import FLOOR, Client, clients_for
from serving import Plan, serving

__all__ = ["burst", "concurrency", "growth", "lateness"]

_Row = dict[str, Any]
_RATE = 500.0  # events a second, of one stream
_SLOW = 20.0  # events a second, of each of many streams
_SECONDS = 5
_FACTORS = (1, 10, 100, 1000)  # of a stream of some thousand pieces
_SHORT = 10  # pieces of a stream of a burst


def lateness(asked: argparse.Namespace) -> Iterator[_Row]:
    """Yield the time from the server's write of a delta to the caller's loop, at 500 a second."""
    body = body_of("openai", "text", int(_RATE * _SECONDS), stamped=True)
    plan = Plan(body.content_type, body.events, "paced", _RATE, asked.certificate)
    with serving(plan) as server:
        for name in _names(body, floor=False):
            late = _apart(_late, body, server, asked.ca, name)
            yield {"client": name, **_quantiles(late)}


def _late(client: Client) -> list[float]:
    late: list[float] = []

    _read(client, lambda piece: late.append(_since(piece)))
    return late


def _since(stamp: str) -> float:
    """Return the milliseconds since the server has sent a piece, which holds the time."""
    return (time.monotonic_ns() // 1000 - int(stamp)) % 10**8 / 1000


def growth(asked: argparse.Namespace) -> Iterator[_Row]:
    """Yield the CPU time of a piece and the memory of a process, by the length of a stream."""
    for factor in _FACTORS:
        body = body_of("openai", "text", 1000).times(factor)
        plan = Plan(body.content_type, body.events, certificate=asked.certificate)
        with serving(plan) as server:
            for name in _names(body):
                used, memory = _apart(_used, body, server, asked.ca, name)
                yield {"pieces": body.pieces, "client": name, "µs": round(used / body.pieces * 1e6, 2), "MB": memory}


def _used(client: Client) -> tuple[float, float]:
    begun = process_time()
    _read(client, lambda _: None)
    return process_time() - begun, _megabytes()


def concurrency(asked: argparse.Namespace) -> Iterator[_Row]:
    """Yield the CPU time, lateness and memory of many streams at a time, each of 20 deltas a second, in one event loop."""
    for number in sorted({min(100, asked.streams), min(300, asked.streams), asked.streams}):
        # Streams of a second longer than it takes to open all of them.
        body = body_of("openai", "text", int(_SLOW * (_SECONDS + number / 500)), stamped=True)
        plan = Plan(body.content_type, body.events, "paced", _SLOW, asked.certificate)
        with serving(plan) as server:
            for name in _names(body, floor=False, styles=(True,)):
                late, percent, complete, memory = _apart(_many, body, server, asked.ca, name, number)
                shown = {"streams": number, "client": name, "complete": complete, "CPU %": percent}
                yield {**shown, **_quantiles(late), "MB": memory}


def _many(client: Client, number: int) -> tuple[list[float], int, int, float]:
    late: list[float] = []

    def take(piece: str) -> None:
        late.append(_since(piece))

    async def read_all() -> int:
        ended = await asyncio.gather(*(client.read_async(take) for _ in range(number)), return_exceptions=True)
        return sum(not isinstance(each, BaseException) for each in ended)

    begun, used = perf_counter(), process_time()
    complete = asyncio.run(read_all())
    percent = round((process_time() - used) / (perf_counter() - begun) * 100)
    return late, percent, complete, _megabytes()


def burst(asked: argparse.Namespace) -> Iterator[_Row]:
    """Yield the time until the last of many calls that start at once has its first piece, on new and kept connections."""
    body = body_of("openai", "text", _SHORT)
    for number in sorted({min(100, asked.streams), asked.streams}):
        with serving(Plan(body.content_type, body.events, certificate=asked.certificate)) as server:
            for name in _names(body, floor=False, styles=(True,)):
                cold, warm = _apart(_twice, body, server, asked.ca, name, number)
                shown = {"calls": number, "client": name, "new ms": round(cold * 1e3), "kept ms": round(warm * 1e3)}
                yield {**shown, "ratio": round(warm / cold, 2)}


def _twice(client: Client, number: int) -> tuple[float, float]:
    async def once() -> float:
        firsts: list[float] = []

        async def one() -> None:
            own: list[float] = []
            await client.read_async(lambda _: own or own.append(perf_counter()))
            firsts.append(own[0])

        begun = perf_counter()
        await asyncio.gather(*(one() for _ in range(number)))
        return max(firsts) - begun

    async def both() -> tuple[float, float]:
        await client.read_async(lambda _: None)  # imports, and one connection
        return await once(), await once()

    return asyncio.run(both())


# A process for each measurement


def _names(body: Body, *, floor: bool = True, styles: Sequence[bool] = (False, True)) -> list[str]:
    made = clients_for(body, "http://127.0.0.1:1", styles=tuple(styles))
    return [client.name for client in made if floor or not client.name.startswith(FLOOR)]


def _apart(measure: Any, body: Body, server: str, ca: str | None, name: str, *more: Any) -> Any:
    """Return what `measure` returns in a new process, for the client of this name."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    light = body._replace(events=body.events[:1])  # memory is measured there
    process = context.Process(target=_measured, args=(there, measure, light, server, ca, name, more))
    process.start()
    there.close()
    try:
        return here.recv()
    finally:
        process.join()


def _measured(parent: Any, measure: Any, body: Body, server: str, ca: str | None, name: str, more: Any) -> None:
    client = next(each for each in clients_for(body, server, ca) if each.name == name)
    parent.send(measure(client, *more))


def _read(client: Client, take: Any) -> None:
    if client.is_async:
        asyncio.run(client.read_async(take))  # type: ignore[arg-type]  # a coroutine
    else:
        client.read(take)


def _quantiles(late: list[float]) -> _Row:
    ordered = sorted(late)
    return {"p50 ms": round(ordered[len(ordered) // 2], 2), "p99 ms": round(ordered[len(ordered) * 99 // 100], 2)}


def _megabytes() -> float:
    """Return the most memory that this process has used; getrusage would count its parent's before the exec."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024, 1)
