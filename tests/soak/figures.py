"""The figures of a soak: what a process holds at one moment, how streams ended, and what of that should not be."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from polyglot_core._http import watchdog

from .descriptors import open_descriptors, open_sockets, resident_kib
from .kinds import KINDS, Ending, Kind, broken_promise
from .styles import Style

_SECONDS_TO_SETTLE = 20.0  # on a busy machine; what leaks is waited for that long, all else not
_LISTED = 10  # broken promises that a report shows

# What a process may gain and still count as flat. Interpreters fill caches, and allocators keep what they had.
BLOCKS = 3_000
BLOCKS_PER_STREAM = 0.25
KIB = 6 * 1024
KIB_PER_STREAM = 0.2


class Moment(NamedTuple):
    """The resources of the process at one moment, after a garbage collection.

    Attributes:
        name: Which moment it is.
        streams: Streams so far.
        resident: Memory in use, in KiB.
        blocks: Blocks of memory that the interpreter has allocated.
        objects: Objects that the garbage collector knows.
        descriptors: Open file descriptors.
        sockets: Those of them that are sockets.
        tasks: Tasks beside those that there are when nothing is going on.
        threads: Threads, the main one and the watchdog's included, but not those that trio keeps for later use.
        watches: Reads that the watchdog looks after.
        garbage: Objects that cannot be collected.
    """

    name: str
    streams: int
    resident: int
    blocks: int
    objects: int
    descriptors: int
    sockets: int
    tasks: int
    threads: int
    watches: int
    garbage: int


def watches() -> int:
    """Return how many reads the watchdog watches."""
    return sum(isinstance(watch, watchdog.Watch) for watch in list(watchdog._thread.watches))


def moment(name: str, streams: int, tasks: int = 0) -> Moment:
    """Measure the resources of the process now."""
    for _ in range(3):
        gc.collect()
    return Moment(
        name=name,
        streams=streams,
        resident=resident_kib(),
        blocks=sys.getallocatedblocks(),
        objects=len(gc.get_objects()),
        descriptors=open_descriptors(),
        sockets=open_sockets(),
        tasks=tasks,
        threads=sum(not thread.name.startswith("Trio thread") for thread in threading.enumerate()),
        watches=watches(),
        garbage=len(gc.garbage),
    )


async def settled(name: str, streams: int, style: Style, tasks: int) -> Moment:
    """Measure the resources of the process once the tasks that close dropped streams have run.

    `tasks` is how many there are when nothing is going on.
    """
    end = time.monotonic() + _SECONDS_TO_SETTLE
    gc.collect()
    while (style.tasks() > tasks or watches()) and time.monotonic() < end:
        await style.sleep(0.02)
    await style.sleep(0.02)
    return moment(name, streams, style.tasks() - tasks)


class Count:
    """How the streams of one kind ended.

    Attributes:
        streams: How many there were.
        kept: How many ended as promised.
        broken: What was wrong with the others, and how often.
    """

    def __init__(self) -> None:
        self.streams = self.kept = 0
        self.broken: Counter[str] = Counter()


class Figures:
    """All figures of one soak.

    Attributes:
        style: Name of the style.
        counts: By kind.
        moments: In the order in which they were taken: ``start``; ``begun``, in the event loop; ``warm``, after streams
            enough to have imported and allocated all that there is; ``first few`` of those in a row, when their
            connections are there; ``in a row``, after each thousand; ``at once``; ``over``, after the event loop. At
            ``warm`` and ``at once`` all connections are closed.
        at_once: Streams that ran at the same time.
        most_at_once: Sockets that were open when the streams that ran at the same time had all begun.
        left_at_server: Connections that the server still held after the last stream.
        missing: Streams that were not begun, because time was up.
        seconds: How long it took.
    """

    def __init__(self, style: str) -> None:
        self.style = style
        self.counts = {kind.name: Count() for kind in KINDS}
        self.moments: list[Moment] = []
        self.at_once = 0
        self.most_at_once = 0
        self.left_at_server = 0
        self.missing = 0
        self.seconds = 0.0
        self._lock = threading.Lock()

    @property
    def streams(self) -> int:
        """Return the number of streams so far."""
        return sum(count.streams for count in self.counts.values())

    @property
    def faults(self) -> int:
        """Those of them that were anything but an answer read to its end."""
        return sum(self.counts[kind.name].streams for kind in KINDS if not kind.healthy)

    def count(self, kind: Kind, ending: Ending, driver: str) -> None:
        """Count a finished stream of `driver`; safe in any thread."""
        count = self.counts[kind.name]
        wrong = broken_promise(kind, ending)
        with self._lock:
            count.streams += 1
            if wrong is None:
                count.kept += 1
            else:
                count.broken[f"{driver}: {wrong}"] += 1

    def at(self, name: str) -> Moment:
        """Return the last moment of this name."""
        return next(each for each in reversed(self.moments) if each.name == name)

    def problems(self) -> list[str]:
        """Return the problems found."""
        return [*self._broken(), *self._left(), *self._grown()]

    def _broken(self) -> Iterator[str]:
        listed = [
            f"{name}: {times} times: {wrong}"
            for name, count in self.counts.items()
            for wrong, times in count.broken.most_common()
        ]
        yield from listed[:_LISTED]
        if len(listed) > _LISTED:
            yield f"and {len(listed) - _LISTED} more of that sort"
        if self.missing:
            yield f"{self.missing} streams were not begun in time"

    def _left(self) -> Iterator[str]:
        start, begun, closed, over = (self.at(name) for name in ("start", "begun", "at once", "over"))
        for what, left in {
            "sockets": over.sockets - start.sockets,
            "file descriptors": over.descriptors - start.descriptors,
            "sockets, before the event loop ended,": closed.sockets - begun.sockets,
            "file descriptors, before the event loop ended,": closed.descriptors - begun.descriptors,
            "tasks": closed.tasks,
            "watches": closed.watches,
            "threads beside the watchdog's": over.threads - start.threads - 1,
            "objects that cannot be collected": over.garbage,
            "connections that the server still holds": self.left_at_server,
        }.items():
            if left > 0:
                yield f"{left} {what} were left"

    def _grown(self) -> Iterator[str]:
        # Two moments are compared at which equally many connections are open.
        for first, last in (("first few", "in a row"), ("warm", "at once")):
            before, after = self.at(first), self.at(last)
            streams = after.streams - before.streams
            for what, grown, most in (
                ("blocks of memory", after.blocks - before.blocks, BLOCKS + BLOCKS_PER_STREAM * streams),
                ("KiB of memory", after.resident - before.resident, KIB + KIB_PER_STREAM * streams),
            ):
                if grown > most:
                    yield f"{grown} {what} were gained over {streams} streams; {most:.0f} would be flat"
