"""Runs each function of polyglot-streams over real sockets: what its readers get, what it holds, and the close.

A row states what its readers should get; every cell is measured.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import json
import tracemalloc
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

import polyglot_streams as streams
from polyglot_core import AsyncInference, Inference
from polyglot_simulator import RawReply, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["ROWS", "STYLES", "Bench", "Cells", "Row", "provider"]

STYLES = ("sync", "asyncio", "trio")
DELTA = ("A line of text." * 68 + "\n") * 16  # 16 KB
DELTAS = [*[DELTA] * 63, "stars", "\n"]
TEXT = "".join(DELTAS)  # 1 MB
_BUFFER = 4
_MOST = 0.4
"""Megabytes above the plain stream, of which core keeps the text for the response, that count as none."""


class Row(NamedTuple):
    """A function, and what its readers should get.

    Attributes:
        name: How it is called.
        apply: Returns the streams of its readers, for a stream and a folder.
        gets: What the readers get, in words.
        texts: The same, as the text of each reader; the response has all that was received.
        in_turn: Whether the readers read one after the other, and not side by side.
    """

    name: str
    apply: Callable[[Any, Path], tuple[Any, ...]]
    gets: str = "all text"
    texts: tuple[str, ...] = (TEXT,)
    in_turn: bool = False


class Cells(NamedTuple):
    """The measured cells of a row in one style: what the readers got, what was held, which ways to leave were seen."""

    gets: str
    holds: str
    closes: str


def _tee(policy: Any) -> Callable[[Any, Path], tuple[Any, ...]]:
    return lambda stream, _: streams.tee(stream, buffer=_BUFFER, policy=policy)


def _shared(stream: Any, _: Path) -> tuple[Any, ...]:
    shared = streams.share(stream, buffer=_BUFFER)
    return shared.join(), shared.join()


PLAIN = Row("plain", lambda stream, _: (stream,))
ROWS = (
    Row("`map`", lambda stream, _: (streams.map(stream, lambda item: item),)),
    Row("`filter`", lambda stream, _: (streams.filter(stream, lambda _: True),)),
    Row("`smooth`", lambda stream, _: (streams.smooth(stream, "line", 0),)),
    Row("`coalesce`", lambda stream, _: (streams.coalesce(stream, 0.0002),)),
    Row(
        "`stop_when`",
        lambda stream, _: (streams.stop_when(stream, "stars"),),
        "up to the match",
        (TEXT.removesuffix("\n"),),
    ),
    Row("`save`, text", lambda stream, folder: (streams.save(stream, folder / "story.txt"),)),
    Row("`save`, events", lambda stream, folder: (streams.save(stream, folder / "story.jsonl", "events"),)),
    Row("`with_heartbeat`", lambda stream, _: (streams.with_heartbeat(stream, 1),)),
    Row("`tee`, wait", _tee("wait"), texts=(TEXT, TEXT)),
    Row("`tee`, drop", _tee("drop"), "all; the last items", (TEXT, "".join(DELTAS[1 - _BUFFER :])), in_turn=True),
    Row("`tee`, fail", _tee("fail"), "all; the first items and an error", (TEXT, DELTA * _BUFFER), in_turn=True),
    Row("`share`", _shared, texts=(TEXT, TEXT)),
    Row("`smooth` of `coalesce`", lambda stream, _: (streams.smooth(streams.coalesce(stream, 0.0002), "line", 0),)),
)


def provider(*, silent: bool) -> Simulator:
    """Return a simulator that sends 1 MB; or only the beginning, and then nothing."""
    chunks = [{"delta": {"content": delta}, "finish_reason": None} for delta in (DELTAS[:3] if silent else DELTAS)]
    chunks += [] if silent else [{"delta": {}, "finish_reason": "stop"}]
    writes = [b"data: " + json.dumps({"choices": [{"index": 0, **chunk}]}).encode() + b"\n\n" for chunk in chunks]
    headers = [("content-type", "text/event-stream")]
    return Simulator(RawReply(writes=writes, headers=headers, end="open" if silent else "chunked"))


class Bench:
    """Measures rows in one style, against the plain stream."""

    def __init__(self, style: str, whole: Simulator, silent: Simulator, folder: Path) -> None:
        self._read = functools.partial(_read if style == "sync" else _read_async(style), simulator=whole, folder=folder)
        self._leave = functools.partial(
            _leave if style == "sync" else _leave_async(style), simulator=silent, folder=folder
        )
        self._read(PLAIN)  # imports
        self._plain = _traced(lambda: self._read(PLAIN))[1]

    def measured(self, row: Row) -> Cells:
        """Return the cells of a row."""
        got, peak = _traced(lambda: self._read(row))
        held = (peak - self._plain) / 1e6
        ways = self._leave(row)
        gets = row.gets if got == [_digest(text) for text in row.texts] else "something else"
        return Cells(gets, "nothing" if held < _MOST else f"{held:.1f} MB", f"{sum(ways)} of {len(ways)} ways")


def _digest(text: str) -> str:
    """Return what stands for a text, so that no reader keeps it."""
    return hashlib.sha256(text.encode()).hexdigest()


def _traced(read: Callable[[], tuple[list[str], int]]) -> tuple[list[str], int]:
    """Return the result of a function that reads, with the memory traced."""
    gc.collect()
    tracemalloc.start()
    try:
        return read()
    finally:
        tracemalloc.stop()


# Sync


def _read(row: Row, simulator: Simulator, folder: Path) -> tuple[list[str], int]:
    """Return what stands for the texts that the readers got, and the peak of the memory that it took."""
    made = row.apply(Inference.from_connection(simulator.connection).stream("Hi."), folder)
    texts = [hashlib.sha256() for _ in made]
    waiting = [(number, iter(stream)) for number, stream in enumerate(made)]
    while waiting:
        number, stream = waiting.pop(0)
        try:
            texts[number].update(next(stream).content_delta.encode())
        except (StopIteration, streams.FellBehind):
            continue
        waiting.insert(0 if row.in_turn else len(waiting), (number, stream))
    peak = tracemalloc.get_traced_memory()[1]  # before the response is joined, which takes as much as the text
    assert made[0].response().content.startswith(TEXT[:-1])
    return [text.hexdigest() for text in texts], peak


def _drop(made: list[Any]) -> None:
    for stream in made:
        next(iter(stream))
    made.clear()
    gc.collect()


def _close(made: list[Any]) -> None:
    for stream in made:
        next(iter(stream))
        stream.close()


def _raise(made: list[Any]) -> None:
    for stream in made:
        with contextlib.suppress(LookupError), stream:
            next(iter(stream))
            raise LookupError


_WAYS = (_drop, _close, _raise)


def _leave(row: Row, simulator: Simulator, folder: Path) -> list[bool]:
    """Return for each way to leave whether the server sees the close, although the source is still held."""
    seen = []
    for way in _WAYS:
        source = Inference.from_connection(simulator.connection).stream("Hi.")
        way(list(row.apply(source, folder)))
        seen.append(simulator.requests[-1].wait_closed() is not None)
    return seen


# Async


def _read_async(backend: str) -> Callable[[Row, Simulator, Path], tuple[list[str], int]]:
    async def read(row: Row, simulator: Simulator, folder: Path) -> tuple[list[str], int]:
        async with AsyncInference.from_connection(simulator.connection) as inference:
            made = row.apply(inference.stream("Hi."), folder)
            texts = [hashlib.sha256() for _ in made]
            waiting = [(number, aiter(stream)) for number, stream in enumerate(made)]
            while waiting:
                number, stream = waiting.pop(0)
                try:
                    texts[number].update((await anext(stream)).content_delta.encode())
                except (StopAsyncIteration, streams.FellBehind):
                    continue
                waiting.insert(0 if row.in_turn else len(waiting), (number, stream))
            peak = tracemalloc.get_traced_memory()[1]  # as above
            assert (await made[0].response()).content.startswith(TEXT[:-1])
            return [text.hexdigest() for text in texts], peak

    return lambda row, simulator, folder: anyio.run(read, row, simulator, folder, backend=backend)


async def _drop_async(made: list[Any]) -> None:
    for stream in made:
        await anext(aiter(stream))
    made.clear()
    del stream
    gc.collect()


async def _close_async(made: list[Any]) -> None:
    for stream in made:
        await anext(aiter(stream))
        await stream.aclose()


async def _raise_async(made: list[Any]) -> None:
    for stream in made:
        with contextlib.suppress(LookupError):
            async with stream:
                await anext(aiter(stream))
                raise LookupError


async def _cancel_async(made: list[Any]) -> None:
    for stream in made:
        with anyio.move_on_after(0.02):
            async for _ in stream:
                pass


_ASYNC_WAYS = (_drop_async, _close_async, _raise_async, _cancel_async)


def _leave_async(backend: str) -> Callable[[Row, Simulator, Path], list[bool]]:
    async def leave(row: Row, simulator: Simulator, folder: Path) -> list[bool]:
        seen = []
        async with AsyncInference.from_connection(simulator.connection) as inference:
            for way in _ASYNC_WAYS:
                source = inference.stream("Hi.")
                await way(list(row.apply(source, folder)))
                request = simulator.requests[-1]
                seen.append(await anyio.to_thread.run_sync(request.wait_closed) is not None)
        return seen

    return lambda row, simulator, folder: anyio.run(leave, row, simulator, folder, backend=backend)
