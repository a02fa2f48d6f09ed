"""Any number of streams leaves no memory, thread or socket behind."""

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

STREAMS = 100


def ask_sync(connection, count):
    """Read `count` streams to their ends."""
    with Inference.from_connection(connection) as inference:
        for _ in range(count):
            assert inference.create("Hello", stream=True).response().content == "One two three"


def ask_async(connection, count):
    """Read `count` streams to their ends on an event loop."""

    async def main():
        async with AsyncInference.from_connection(connection) as inference:
            for _ in range(count):
                assert (await inference.create("Hello", stream=True).response()).content == "One two three"

    asyncio.run(main())


@pytest.mark.parametrize("style", STYLES)
def test_many_streams_leak_nothing(style):
    """Check that many streams leave no more memory and threads than a few."""
    ask = {"sync": ask_sync, "async": ask_async}[style]
    with Simulator("One two three") as simulator:
        ask(simulator.connection, 20)
        threads = threading.active_count()
        tracemalloc.start()
        ask(simulator.connection, STREAMS)
        simulator._requests.clear()  # which are kept on purpose
        kept = bytes_kept(500 * STREAMS)  # the objects of one stream take thousands of bytes
        tracemalloc.stop()
        assert threading.active_count() <= threads
        assert kept < 500 * STREAMS


def bytes_kept(enough):
    """Return the bytes still allocated once the simulator's thread has closed its connections, or at once if they are few."""
    for _ in range(100):
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        if kept < enough:
            break
        time.sleep(0.02)
    return kept
