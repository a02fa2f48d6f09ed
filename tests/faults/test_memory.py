"""Streams leave nothing behind: no memory, no thread, no socket, however many there were."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import tracemalloc

import pytest

from polyglot_core import AsyncInference, Inference
from polyglot_simulator import Simulator

from .stage import STYLES

STREAMS = 200


def ask_sync(connection, count):
    """So many streams, read to their ends."""
    with Inference.from_connection(connection) as inference:
        for _ in range(count):
            assert inference.create("Hello", stream=True).response().content == "One two three"


def ask_async(connection, count):
    """The same, on an event loop."""

    async def main():
        async with AsyncInference.from_connection(connection) as inference:
            for _ in range(count):
                assert (await inference.create("Hello", stream=True).response()).content == "One two three"

    asyncio.run(main())


@pytest.mark.parametrize("style", STYLES)
def test_many_streams_leave_nothing_behind(style):
    """After many streams the process holds no more memory and no more threads than after a few."""
    ask = {"sync": ask_sync, "async": ask_async}[style]
    with Simulator("One two three") as simulator:
        ask(simulator.connection, 20)
        threads = threading.active_count()
        tracemalloc.start()
        ask(simulator.connection, STREAMS)
        simulator._requests.clear()  # which it keeps on purpose
        kept = what_stays(500 * STREAMS)  # the objects of one stream take thousands of bytes
        tracemalloc.stop()
        assert threading.active_count() <= threads
        assert kept < 500 * STREAMS


def what_stays(enough):
    """Bytes that are still held when the simulator's thread has let its connections go, or at once if they are few."""
    for _ in range(100):
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        if kept < enough:
            break
        time.sleep(0.02)
    return kept
