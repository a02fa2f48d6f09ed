"""Requests that stop the provider's work: when one is sent, once and for two seconds at most, and when none is."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import time
from types import SimpleNamespace

import anyio
import msgspec
import pytest
from msgspec.structs import replace

from polyglot_core import PolyglotError, Rate, register
from polyglot_core._engine import call
from polyglot_core._values import entry_points
from polyglot_core.plugin import Failure, Follow, TextDelta, WireRequest, hookimpl

pytestmark = pytest.mark.http

PATIENCE = 60.0
CANCELLED = ("POST", "/tasks/t1/cancel")


def working(toy):
    """Return the toy dialect with tasks, which a request cancels."""

    class Working(toy.Driver):
        @hookimpl
        def encode_request(self, connection, request):
            return replace(toy.Driver.encode_request(self, connection, request), framing="whole")

        @hookimpl
        def decode_chunk(self, connection, chunk, state):
            if not chunk.data.startswith(b"{"):
                return toy.Driver.decode_chunk(self, chunk)
            state.update(msgspec.json.decode(chunk.data))
            return [Follow(WireRequest(url=f"{connection.base_url}/tasks/t1", method="GET", body=b""))]

        @hookimpl
        def encode_cancel(self, connection, state):
            if "broken" in state:
                raise ValueError(state["broken"])
            if "task" not in state:
                return None
            url = f"{state.get('at', connection.base_url)}/tasks/{state['task']}/cancel"
            return WireRequest(url=url, body=b"{}", framing="whole")

    return Working()


@pytest.fixture(autouse=True)
def _working(toy):
    with register(working(toy), "working"):
        yield


@pytest.fixture
def task(http, toy):
    """Return scripts of a task that emits a piece of text and then waits, with fields of the first response."""

    def make(**fields):
        created = http.plain(json.dumps({"task": "t1", **fields}).encode(), 201)
        return created, http.streamed(toy.story[0], then=("hang",))

    return make


def linked(server, **fields):
    return server.connection(**{"driver": "working", **fields})


def stream_of(flavour, server, **fields):
    return flavour.Inference(linked(server, **fields)).create("Hi", stream=True).stream()


def cancels(server):
    """Return the requests to cancel that the server received."""
    return [asked for asked in server.asked if asked.path.endswith("/cancel")]


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_leaving_the_block_cancels_the_work(flavour, loopback, http, task, caplog):
    """The request has the key, is sent once for several closings, and its connection is not kept."""
    server = loopback(*task(), http.plain(b"", 204))

    async def main():
        async with flavour.inside(stream_of(flavour, server)) as stream:
            await flavour.next(stream)
            await flavour.wait(stream.close())
        await flavour.wait(stream.close())
        return await flavour.wait(stream.response())

    response = flavour.run(main)
    assert (response.content, response.outcome) == ("Once ", "cancelled")
    (asked,) = cancels(server)
    assert (asked.method, asked.path) == CANCELLED
    assert asked.headers["authorization"] == "Bearer test-key"
    assert warnings(caplog) == []


def test_error_or_interruption_in_the_block(flavour, loopback, http, task):
    """An exception of the block's, Ctrl-C included, passes through, and the work is cancelled."""
    for error in (ValueError("mine"), KeyboardInterrupt()):
        server = loopback(*task(), http.plain(b"", 204))

        async def main(server=server, error=error):
            async with flavour.inside(stream_of(flavour, server)) as stream:
                await flavour.next(stream)
                raise error

        with pytest.raises(type(error)):
            flavour.run(main)
        assert len(cancels(server)) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_task_cancels_the_work(loopback, http, task, backend):
    """A cancelled task sends the request shielded from its cancellation."""
    from polyglot_core import AsyncInference

    server = loopback(*task(), http.plain(b"", 204))

    async def main():
        received = anyio.Event()

        async def read():
            async with AsyncInference(linked(server)).create("Hi", stream=True).stream() as stream:
                async for _ in stream:
                    received.set()

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await received.wait()
            group.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert len(cancels(server)) == 1


def test_cancellation_of_asyncio(loopback, http, task):
    """The same for asyncio's own cancellation."""
    from polyglot_core import AsyncInference

    server = loopback(*task(), http.plain(b"", 204))

    async def main():
        async with AsyncInference(linked(server)).create("Hi", stream=True).stream() as stream:
            await anext(aiter(stream))
            async with asyncio.timeout(0.05):
                await anext(aiter(stream))

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert len(cancels(server)) == 1


def test_nothing_is_cancelled_after_the_end(flavour, loopback, http, toy, task):
    """Nothing is sent after a complete response, and after a failure that the provider has reported."""
    created, _ = task()
    complete = http.streamed(*toy.story, toy.done)
    failed = http.streamed(toy.say(Failure("Broken.", type="api_error")))
    finished = http.streamed(*toy.story, then=("hang",))  # the end is missing
    for script in (complete, failed, finished):
        server = loopback(created, script)

        async def main(server=server):
            async with flavour.inside(stream_of(flavour, server, timeouts={"grace": 0.1})) as stream:
                while not (await flavour.next(stream)).finish_reason:
                    pass

        try:
            flavour.run(main)
        except PolyglotError as error:
            assert error.message == "Broken."
        assert cancels(server) == []


def test_nothing_is_cancelled_without_work(flavour, loopback, http, task):
    """Nothing is sent before the first request, and while the driver knows no task."""
    server = loopback((http.head(201, "application/json", content_length=9), "hang"))

    async def main():
        async with flavour.inside(stream_of(flavour, server)):
            pass
        async with flavour.inside(
            flavour.Inference(linked(server, timeouts={"first": 0.1})).create("Hi").stream()
        ) as s:
            with pytest.raises(PolyglotError):
                await flavour.next(s)

    flavour.run(main)
    assert len(server.asked) == 1


def test_work_whose_response_is_not_received_is_cancelled(flavour, loopback, http, task):
    """A follow-up request that fails leaves work behind, which leaving the block cancels."""
    created, _ = task()
    server = loopback(created, http.plain(b"", 500), http.plain(b"", 204))

    async def main():
        async with flavour.inside(stream_of(flavour, server)) as stream:
            await flavour.next(stream)

    with pytest.raises(PolyglotError):
        flavour.run(main)
    assert len(cancels(server)) == 1


def test_failed_request_is_logged(flavour, loopback, http, task, caplog):
    """An error status, a broken hook and a refused connection are logged without the key, and not raised."""
    for fields, reason in (
        ({}, "500"),
        ({"broken": "test-key"}, "PluginError"),
        ({"at": "http://127.0.0.1:9"}, "TransportError"),
    ):
        server = loopback(*task(**fields), http.plain(b"test-key", 500))

        async def main(server=server):
            async with flavour.inside(stream_of(flavour, server)) as stream:
                await flavour.next(stream)

        caplog.clear()
        flavour.run(main)
        assert warnings(caplog) == [f"The provider's work was not cancelled: {reason}."]


def test_request_without_a_response_ends(flavour, loopback, task, monkeypatch, caplog):
    """A request that hangs delays the closing by the limit at most."""
    monkeypatch.setattr(call, "CANCEL_SECONDS", 0.2)
    server = loopback(*task(), ("hang",))

    async def main():
        async with flavour.inside(stream_of(flavour, server)) as stream:
            await flavour.next(stream)
            began = time.monotonic()
            await flavour.wait(stream.close())
            return time.monotonic() - began

    assert flavour.run(main) >= 0.2
    assert warnings(caplog) == ["The provider's work was not cancelled: TimedOut."]
    assert len(cancels(server)) == 1


def test_closed_generator_sends_nothing(flavour, loopback, http, task):
    """A generator may be closed by the garbage collector, which must not wait for a request."""
    server = loopback(*task(), http.plain(b"", 204))

    async def main():
        if flavour.name == "sync":

            def pieces():
                with stream_of(flavour, server) as stream:
                    for partial in stream:
                        yield partial.content_delta

            generator = pieces()
            assert next(generator) == "Once "
            del generator
            gc.collect()
        else:

            async def pieces():
                async with stream_of(flavour, server) as stream:
                    async for partial in stream:
                        yield partial.content_delta

            generator = pieces()
            assert await anext(generator) == "Once "
            await generator.aclose()

    flavour.run(main)
    assert server.gone.wait(PATIENCE)
    assert cancels(server) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_process_sends_nothing(loopback, http, task, flavour):
    """The work belongs to the process that has begun it."""
    if flavour.name != "sync":
        pytest.skip("one is enough")
    server = loopback(*task(), http.plain(b"", 204))
    with stream_of(flavour, server) as stream:
        next(iter(stream))
        if (child := os.fork()) == 0:
            stream.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert cancels(server) == []
    assert len(cancels(server)) == 1


def test_work_of_a_driver_without_follow_up_requests(flavour, loopback, http, toy):
    """The hook is called for each driver that has it, with the request and the state of the attempt."""
    server = loopback(http.streamed(toy.say(TextDelta("Once")), then=("hang",)), http.plain(b"", 204))

    class Identified(toy.Driver):
        @hookimpl
        def decode_chunk(self, chunk, state):
            state["id"] = "r1"
            return toy.Driver.decode_chunk(self, chunk)

        @hookimpl
        def encode_cancel(self, connection, request, state):
            return WireRequest(url=f"{connection.base_url}/{request.model}/{state['id']}/cancel", body=b"")

    async def main():
        async with flavour.inside(stream_of(flavour, server, driver="identified")) as stream:
            await flavour.next(stream)

    with register(Identified(), "identified"):
        flavour.run(main)
    assert [asked.path for asked in cancels(server)] == ["/m/r1/cancel"]


def test_request_needs_no_permit(flavour, loopback, http, task, monkeypatch):
    """A rate limits inferences: the request that cancels one does not wait for it."""
    entered = []

    def enter(request, _):
        entered.append(request)
        return SimpleNamespace(wait=lambda: 0.0, responded=lambda *_: None, release=lambda *_: None, guard=None)

    monkeypatch.setattr(entry_points, "_modules", lambda *_: [SimpleNamespace(enter=enter)])
    server = loopback(*task(), http.plain(b"", 204))

    async def main():
        async with flavour.inside(stream_of(flavour, server, rate=Rate(concurrency=1))) as stream:
            await flavour.next(stream)

    flavour.run(main)
    assert (len(entered), len(cancels(server))) == (1, 1)
