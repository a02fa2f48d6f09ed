"""Many requests at the same time, some of them over kept connections."""

from __future__ import annotations

import importlib
import itertools
import os
import threading
import time

import anyio
import pytest

from polyglot_core._http import httpx_options
from polyglot_core.plugin import Finish, TextDelta

pytestmark = pytest.mark.http

PATIENCE = 20.0  # seconds
FEW, MANY = 3, 12


@pytest.fixture
def core():
    """The library of connections below the HTTP library of this run."""
    return importlib.import_module(os.environ.get("POLYGLOT_HTTP", "httpx").replace("httpx", "httpcore"))


@pytest.fixture
def refusals(core, monkeypatch):
    """The refusals by connections that were busy with another request, as they happen."""
    refused = []

    class Refusal(core.ConnectionNotAvailable):
        def __init__(self, *args):
            refused.append(args)
            super().__init__(*args)

    for folder, module in itertools.product(("_sync", "_async"), ("http11", "connection_pool")):
        monkeypatch.setattr(f"{core.__name__}.{folder}.{module}.ConnectionNotAvailable", Refusal)
    return refused


@pytest.fixture
def begin_together(core, monkeypatch):
    """Lets a number of requests of threads begin only when each of them has been assigned a connection."""
    handle = core.HTTPConnection.handle_request

    def arrange(count):
        barrier, numbers = threading.Barrier(count), itertools.count()

        def begin(connection, request):
            if next(numbers) < count:
                barrier.wait(PATIENCE)
            return handle(connection, request)

        monkeypatch.setattr(core.HTTPConnection, "handle_request", begin)

    return arrange


class Burst:
    """Calls made at the same time: the server responds when all have reached it."""

    def __init__(self, count, reply):
        self.count = count
        self._go_on = threading.Event()
        self.scripts = [(self._go_on, *reply)] * count

    async def make(self, flavour, inference, server):
        """Make the calls; return their texts."""
        wanted = len(server.asked) + self.count
        if flavour.name == "sync":
            return self._in_threads(inference, server, wanted)
        texts = []

        async def call():
            texts.append(await inference.create("Hi").text())

        async with anyio.create_task_group() as group:
            for _ in range(self.count):
                group.start_soon(call)
            with anyio.fail_after(PATIENCE):
                while len(server.asked) < wanted:
                    await anyio.sleep(0.005)
            self._go_on.set()
        return texts

    def _in_threads(self, inference, server, wanted):
        texts = []
        threads = [
            threading.Thread(target=lambda: texts.append(inference.create("Hi").text())) for _ in range(self.count)
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + PATIENCE
        while len(server.asked) < wanted and time.monotonic() < end:
            time.sleep(0.005)
        self._go_on.set()
        for thread in threads:
            thread.join(PATIENCE)
        return texts


@pytest.fixture
def bursts(flavour, loopback, http, toy, monkeypatch):
    """Makes one burst after another, and returns how many connections there were after each."""
    monkeypatch.setattr("polyglot_core._http.httpx_progress._MOMENT", 0.0)  # nothing is sent again

    def run(*counts, between=lambda _: None):
        reply = http.plain(toy.body(TextDelta("one"), Finish("stop", "stop")))
        made = [Burst(count, reply) for count in counts]
        server = loopback(*(script for burst in made for script in burst.scripts))

        async def main():
            connections = []
            inference = flavour.Inference(server.connection())
            async with flavour.inside(inference):
                for burst in made:
                    between(burst.count)
                    assert await burst.make(flavour, inference, server) == ["one"] * burst.count
                    connections.append(server.connections)
            return connections

        return flavour.run(main)

    return run


@pytest.mark.parametrize("counts", [(FEW, MANY), (1, MANY), (MANY, MANY), (MANY, FEW)], ids=str)
def test_each_request_has_a_connection_of_its_own(bursts, refusals, begin_together, counts):
    """A kept connection is assigned to one request; the others open theirs at once."""
    assert bursts(*counts, between=begin_together) == [counts[0], max(counts)]
    assert refusals == []


@pytest.mark.httpx
def test_surplus_connections_are_closed(bursts, monkeypatch):
    """After a burst the maximum of idle connections is kept, and not more."""
    monkeypatch.setattr(httpx_options, "_KEEPALIVE_CONNECTIONS", FEW)
    assert bursts(MANY, MANY) == [MANY, 2 * MANY - FEW]
