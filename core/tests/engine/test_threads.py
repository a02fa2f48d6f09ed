"""Streams shared by threads and tasks, streams that are dropped, and forks."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import anyio
import pytest

from polyglot_core import AsyncInference, Inference, Retries, StreamError, TimedOut
from polyglot_core._engine.call import Call
from polyglot_core.errors import PolyglotError

pytestmark = pytest.mark.http

PATIENCE = 5.0
ASYNC = pytest.mark.parametrize("flavour", ["asyncio", "trio"], indirect=True)


@pytest.fixture
def held(loopback, http, toy):
    """A server that sends a piece of a story and then waits until its client disconnects."""
    return loopback(http.streamed(toy.story[0], then=("hang",)))


@pytest.fixture
def story(loopback, http, toy):
    """A server that streams a story."""
    return loopback(http.streamed(*toy.story, toy.done))


class Reader(threading.Thread):
    """Reads a stream in a thread of its own."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.seen, self.error = stream, [], None
        self.first = threading.Event()
        self.start()

    def run(self):
        try:
            for partial in self.stream:
                self.seen.append(partial.content)
                self.first.set()
        except PolyglotError as error:
            self.error = error


def test_closing_from_another_thread_wakes_the_reader(held):
    """A reader that waits ends its loop without an exception when another thread closes the stream."""
    stream = Inference(held.connection()).stream("Hi")
    reader = Reader(stream)
    assert reader.first.wait(PATIENCE)
    time.sleep(0.05)
    started = time.perf_counter()
    stream.close()
    reader.join(PATIENCE)
    assert time.perf_counter() - started < 1.0
    assert (reader.error, reader.seen) == (None, ["Once "])
    assert stream.response().outcome == "cancelled"
    assert held.gone.wait(4.0)


def test_a_second_reader_while_a_response_begins(story, monkeypatch):
    """It gets an error of its own; the first reader receives everything."""
    began, go_on = threading.Event(), threading.Event()
    responded = Call.responded

    def slow(*given):
        began.set()
        assert go_on.wait(PATIENCE)
        responded(*given)

    monkeypatch.setattr(Call, "responded", slow)
    stream = Inference(story.connection()).stream("Hi")
    first = Reader(stream)
    assert began.wait(PATIENCE)
    second = Reader(stream)
    second.join(PATIENCE)
    go_on.set()
    first.join(PATIENCE)
    assert "another thread" in str(second.error)
    assert (first.error, first.seen[-1]) == (None, "Once upon a time")


def test_closing_wakes_all_that_wait_between_attempts(loopback, http):
    """Two threads may wait for the next attempt of a call."""
    server = loopback(http.plain(b"", 503))
    stream = Inference(server.connection(retries=Retries(max_retries=3, initial_backoff=30.0))).stream("Hi")
    readers = [Reader(stream)]
    time.sleep(0.2)
    readers.append(Reader(stream))
    time.sleep(0.1)
    stream.close()
    for reader in readers:
        reader.join(PATIENCE)
    assert not any(reader.is_alive() for reader in readers)


def test_closing_wakes_a_wait_between_attempts(loopback, http):
    """A call that waits for its next attempt ends at once when it is closed."""
    server = loopback(http.plain(b"", 503))
    stream = Inference(server.connection(retries=Retries(max_retries=3, initial_backoff=30.0))).stream("Hi")
    reader = Reader(stream)
    time.sleep(0.2)
    stream.close()
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert (reader.error, reader.seen, len(server.asked)) == (None, [], 1)


def test_second_reader_is_rejected(loopback, http, toy):
    """A second thread that reads gets a `StreamError`, and the first goes on to the end."""
    go_on = threading.Event()
    server = loopback(http.streamed(toy.story[0], go_on, *toy.story[1:], toy.done))
    stream = Inference(server.connection()).stream("Hi")
    reader = Reader(stream)
    assert reader.first.wait(PATIENCE)
    time.sleep(0.05)
    for _ in range(2):
        with pytest.raises(StreamError, match="one reader"):
            next(iter(stream))
    go_on.set()
    reader.join(PATIENCE)
    assert reader.error is None
    assert reader.seen[-1] == "Once upon a time"
    assert stream.response().outcome == "finished"


def test_a_second_reader_before_the_headers(loopback, http, toy):
    """A second thread gets an error while the first still waits for the headers."""
    go_on = threading.Event()
    server = loopback((go_on, *http.streamed(*toy.story, toy.done)))
    stream = Inference(server.connection()).stream("Hi")
    reader = Reader(stream)
    assert server.reached.wait(PATIENCE)
    with pytest.raises(StreamError, match="one reader"):
        next(iter(stream))
    go_on.set()
    reader.join(PATIENCE)
    assert (reader.error, reader.seen[-1]) == (None, "Once upon a time")


def test_a_second_reader_leaves_the_clocks_alone(held):
    """After a second reader got its error, the first one's clocks still run out."""
    stream = Inference(held.connection()).stream("Hi", timeouts={"idle": 0.5})
    reader = Reader(stream)
    assert reader.first.wait(PATIENCE)
    time.sleep(0.05)
    with pytest.raises(StreamError):
        next(iter(stream))
    reader.join(2.0)
    assert isinstance(reader.error, TimedOut)


@ASYNC
def test_second_task_is_rejected(loopback, http, toy, flavour):
    """A second task that reads gets a `StreamError`, and the first continues."""
    go_on = threading.Event()
    server = loopback(http.streamed(toy.story[0], go_on, *toy.story[1:], toy.done))
    seen = []

    async def main():
        stream = AsyncInference(server.connection()).stream("Hi")

        async def read():
            seen.extend([partial.content async for partial in stream])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            while not server.reached.is_set():
                await anyio.sleep(0.01)
            await anyio.sleep(0.05)
            with pytest.raises(StreamError, match="one reader"):
                await anext(aiter(stream))
            go_on.set()

    flavour.run(main)
    assert seen[-1] == "Once upon a time"


@ASYNC
def test_closing_from_another_task(held, flavour):
    """A task that reads ends its loop without an exception when another task closes the stream."""

    async def main():
        stream = AsyncInference(held.connection()).stream("Hi")
        seen = []

        async def read():
            seen.extend([partial.content async for partial in stream])

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                while not held.reached.is_set():
                    await anyio.sleep(0.01)
                await anyio.sleep(0.05)
                await stream.close()
        return (await stream.response()).outcome

    assert flavour.run(main) == "cancelled"
    assert held.gone.wait(4.0)


@ASYNC
@pytest.mark.parametrize("phase", ["headers", "body"])
def test_cancelling_the_task_closes(loopback, http, toy, flavour, phase):
    """Cancelling the task that reads closes the connection, in every phase, and passes the cancellation on."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)) if phase == "body" else ("hang",))

    async def main():
        stream = AsyncInference(server.connection()).stream("Hi")
        with anyio.move_on_after(0.3) as scope:
            async for _ in stream:
                pass
        assert scope.cancelled_caught
        return (await stream.response()).outcome

    assert flavour.run(main) == "cancelled"
    assert server.gone.wait(4.0)


def test_sixteen_threads_share_an_inference(loopback, http, toy):
    """One inference serves many threads at once, and each gets its own complete response."""
    server = loopback(http.streamed(*toy.story, 0.01, toy.done))
    inference = Inference(server.connection())
    found, errors = [], []

    def ask():
        try:
            found.extend(inference.create("Hi", stream=True).text() for _ in range(5))
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert found == ["Once upon a time"] * 80
    assert len(server.asked) == 80


def test_two_loops_share_an_inference(story):
    """One async inference serves one event loop after another."""
    inference = AsyncInference(story.connection())

    async def main():
        first = await inference.create("Hi", stream=True).text()
        return first, await inference.create("Hi", stream=True).text()

    for _ in range(2):
        assert asyncio.run(main()) == ("Once upon a time",) * 2
    assert (len(story.asked), story.connections) == (4, 2)


def test_loops_of_several_threads_share_an_inference(story):
    """One async inference serves several event loops at the same time."""
    inference = AsyncInference(story.connection())
    found = []

    def run():
        found.append(asyncio.run(_text(inference)))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == ["Once upon a time"] * 4


async def _text(inference):
    return await inference.create("Hi", stream=True).text()


# Let go


@pytest.mark.parametrize("held_by", ["stream", "iterator"])
def test_letting_a_stream_go_closes_it(held, held_by):
    """A stream without references closes its connection at once, without the garbage collector."""
    gc.disable()
    try:
        stream = Inference(held.connection()).stream("Hi")
        thing = stream if held_by == "stream" else iter(stream)
        del stream
        next(iter(thing))
        assert not held.gone.is_set()
        del thing
        assert held.gone.wait(4.0)
    finally:
        gc.enable()


@ASYNC
def test_letting_an_async_stream_go_closes_it(held, flavour):
    """An async stream's socket is shut down as soon as it is dropped, even if the event loop is busy."""

    async def main():
        stream = AsyncInference(held.connection()).stream("Hi")
        await anext(aiter(stream))
        del stream
        return held.gone.wait(4.0)  # blocks the loop on purpose

    gc.disable()
    try:
        assert flavour.run(main)
    finally:
        gc.enable()


@ASYNC
def test_dropped_stream_leaves_its_loop_in_order(loopback, http, toy, flavour):
    """After a stream was dropped, the same inference serves the next call."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)), http.streamed(*toy.story, toy.done))

    async def main():
        inference = AsyncInference(server.connection())
        await anext(aiter(inference.stream("Hi")))
        await anyio.sleep(0.05)
        return await inference.create("Hi", stream=True).text()

    assert flavour.run(main) == "Once upon a time"


def test_a_handle_holds_its_stream(held):
    """As long as the handle is held, so is the stream; letting both go closes it."""
    handle = Inference(held.connection()).create("Hi")
    next(iter(handle.stream()))
    assert not held.gone.wait(0.2)
    del handle
    assert held.gone.wait(4.0)


@pytest.mark.parametrize("read", ["none", "some", "all", "response", "text", "events", "callback", "closed"])
def test_no_cycle_leads_from_a_stream_to_itself(flavour, story, read):
    """A stream dies with its last reference, in every state, without the garbage collector."""

    async def main():
        stream = flavour.Inference(story.connection()).stream("Hi")
        if read == "callback":
            stream.on_partial(lambda partial: None)
        if read in {"some", "callback", "closed"}:
            await flavour.next(stream)
        if read == "closed":
            await flavour.wait(stream.close())
        if read == "all":
            await flavour.all(stream)
        if read == "response":
            await flavour.wait(stream.response())
        if read in {"text", "events"}:
            await flavour.next(getattr(stream, read)())
        found = weakref.ref(stream), weakref.ref(stream._pump)
        del stream
        return [reference() for reference in found]

    gc.collect()
    gc.disable()
    try:
        assert flavour.run(main) == [None, None]
    finally:
        gc.enable()


def test_a_partial_does_not_hold_its_stream(held):
    """A kept partial keeps its text alive and not the connection."""
    partial = next(iter(Inference(held.connection()).stream("Hi")))
    assert held.gone.wait(4.0)
    assert partial.content == "Once "


# Forks


FORKING = """
    import gc, os, sys
    from polyglot_core import Connection, Inference, register

    sys.path.insert(0, {tests!r})
    import conftest

    register(conftest.Toy(), "toy")
    def connection(url):
        return Connection(name="here", driver="toy", model="m", base_url=url)

    def in_child(act):
        pid = os.fork()
        if pid == 0:
            try:
                act()
                os._exit(0)
            except BaseException as error:
                print(repr(error), flush=True)
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def run_forking(script, *servers):
    """Run a script that forks, in a process of its own."""
    folder = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
    text = textwrap.dedent(FORKING.format(tests=folder)) + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", text, *(server.url for server in servers)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")


@needs_fork
def test_a_child_opens_connections_of_its_own(story):
    """A forked child does not write to its parent's connections, though it uses the parent's inference."""
    run_forking(
        """
        inference = Inference(connection(sys.argv[1]))
        ask = lambda: inference.create("Hi", stream=True).text()
        assert ask() == ask() == "Once upon a time"
        in_child(lambda: [ask(), ask(), inference.close()])
        assert ask() == "Once upon a time"
        """,
        story,
    )
    assert [asked.connection for asked in story.asked] == [0, 0, 1, 1, 0]


@needs_fork
def test_a_child_leaves_its_parents_stream_alone(loopback, http, toy):
    """A stream that a child releases or closes continues in its parent."""
    server = loopback(http.streamed(toy.story[0], 0.5, *toy.story[1:], toy.done))
    out = run_forking(
        """
        for how in ("drop", "close", "exit"):
            stream = Inference(connection(sys.argv[1])).stream("Hi")
            next(iter(stream))

            def act():
                global stream
                if how == "close":
                    stream.close()
                if how == "drop":
                    stream = None
                    gc.collect()

            in_child(act)
            print(how, stream.response().content, flush=True)
        """,
        server,
    )
    assert out.splitlines() == [f"{how} Once upon a time" for how in ("drop", "close", "exit")]


@needs_fork
def test_clocks_run_in_a_child(loopback, http, toy):
    """A child has a watchdog of its own."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)))
    out = run_forking(
        """
        from polyglot_core import TimedOut
        inference = Inference(connection(sys.argv[1]))

        def time_out():
            try:
                list(inference.stream("Hi", timeouts={"idle": 0.2}))
            except TimedOut as error:
                print(error.clock, flush=True)

        time_out()
        in_child(time_out)
        """,
        server,
    )
    assert out.split() == ["idle", "idle"]
