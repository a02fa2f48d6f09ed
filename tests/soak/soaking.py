"""The soak itself: many streams one after the other, many at the same time, and a look at what is left of them."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from .descriptors import open_sockets
from .figures import Figures, moment, settled
from .kinds import Ending, Kind, mixed
from .serving import Provider, prompt
from .styles import Gate, OpenGate, Style
from .ways import Call, take

Progress = Callable[[int], object]

_A_FEW = 20  # streams after which the connections of a row are there


class Plan(NamedTuple):
    """What a soak is to do.

    Attributes:
        streams: Streams one after the other.
        at_once: Streams at the same time.
        warm: Streams one after the other before the first look at the memory.
        seconds: After so many no further stream is begun.
        every: Streams between two looks at the memory.
    """

    streams: int
    at_once: int
    warm: int
    seconds: float
    every: int = 1000


def soak(plan: Plan, style: Style, provider: Provider, show: Progress = lambda _: None) -> Figures:
    """Run the plan and return its figures."""
    figures = Figures(style.name)
    figures.at_once = plan.at_once
    begun = time.monotonic()
    figures.moments.append(moment("start", 0))
    style.run(partial(_Soak(plan, style, provider, figures, show).run))
    figures.moments.append(moment("over", figures.streams))
    figures.left_at_server = provider.open_connections()
    figures.seconds = time.monotonic() - begun
    return figures


async def stream(style: Style, inference: Any, kind: Kind, number: int, gate: Gate | None = None) -> Ending:
    """Make call `number`, of this kind, and tell how it ended."""
    create = partial(inference.create, prompt(kind.name, number), **kind.asked)
    return await take(kind, Call(style, create, gate or OpenGate()))


class _Soak:
    def __init__(self, plan: Plan, style: Style, provider: Provider, figures: Figures, show: Progress) -> None:
        self._plan = plan
        self._style = style
        self._provider = provider
        self._figures = figures
        self._show = show
        self._until = time.monotonic() + plan.seconds
        self._numbers = itertools.count(1)
        self._drivers = itertools.cycle(provider.drivers)
        self._inferences: dict[tuple[str, str], Any] = {}
        self._tasks = 0

    async def run(self) -> None:
        self._tasks = self._style.tasks()
        await self._look("begun")
        async with self._asking():
            # What a first stream imports, and what as many at once take from the system and keep, is no growth.
            await self._in_a_row(self._plan.warm)
            await self._at_once()
        await self._look("warm")
        async with self._asking():
            await self._in_a_row(_A_FEW)
            await self._look("first few")
            for count in _slices(self._plan.streams, self._plan.every):
                await self._in_a_row(count)
                await self._look("in a row")
        async with self._asking():
            await self._at_once()
        await self._look("at once")

    @asynccontextmanager
    async def _asking(self) -> AsyncGenerator[None]:
        """Have inferences for every connection, which own what they open."""
        async with AsyncExitStack() as scope:
            for place, connection in self._provider.connections.items():
                self._inferences[place] = await scope.enter_async_context(self._style.inference(connection))
            yield
        self._inferences.clear()

    async def _in_a_row(self, count: int) -> None:
        for kind in mixed(count, seed=self._figures.streams):
            if time.monotonic() > self._until:
                self._figures.missing += 1
                continue
            await self._stream(kind, next(self._numbers), self._driver_for(kind))
            self._show(self._figures.streams)

    async def _at_once(self) -> None:
        gate = self._style.gate(self._plan.at_once, self._note_sockets)
        await self._style.at_once(
            [
                partial(self._stream, kind, next(self._numbers), self._driver_for(kind), gate)
                for kind in mixed(self._plan.at_once, seed=self._figures.streams)
            ]
        )
        self._show(self._figures.streams)

    async def _stream(self, kind: Kind, number: int, driver: str, gate: Gate | None = None) -> None:
        ending = await stream(self._style, self._inferences[kind.place, driver], kind, number, gate)
        self._figures.count(kind, ending, driver)

    def _driver_for(self, kind: Kind) -> str:
        """The next driver in turn that this kind is asked of."""
        return next(driver for driver in self._drivers if driver not in kind.without)

    def _note_sockets(self) -> None:
        self._figures.most_at_once = max(self._figures.most_at_once, open_sockets())

    async def _look(self, name: str) -> None:
        self._figures.moments.append(await settled(name, self._figures.streams, self._style, self._tasks))


def _slices(count: int, size: int) -> list[int]:
    """`count` cut into sizes of at most `size`; one of none where there is nothing to cut."""
    return [min(size, count - start) for start in range(0, count, size)] or [0]


# What is left to the exit of the interpreter

_held: list[Any] = []


def leave_open(style: Style, provider: Provider) -> None:
    """Make two calls over the process's own connections, in a further event loop, and close nothing.

    One leaves a connection that could serve again. The other is a stream that is still held, half read, when the
    interpreter exits; neither is anything to complain about then.
    """
    style.run(partial(_leave_open, style, provider))


async def _leave_open(style: Style, provider: Provider) -> None:
    inference = style.inference(provider.connections["provider", provider.drivers[0]])
    await inference.create(prompt("finished", 0), stream=True).response()
    stream = inference.create(prompt("left by with", 0)).stream()
    async for _ in stream:
        break
    _held.append(stream)
