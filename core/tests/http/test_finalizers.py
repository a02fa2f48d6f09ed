"""Streams that are closed, collected or cancelled at awkward moments, in this thread or by another one."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time

import httpx
import msgspec
import pytest

from polyglot_core import AsyncInference, Inference, PluginError, PolyglotError, Retries, TimedOut, Timeouts, register
from polyglot_core._engine import flows
from polyglot_core._http import httpx_replies, watchdog
from polyglot_core.errors import TransportError, Truncated
from polyglot_core.plugin import Finish, TextDelta, hookimpl

pytestmark = pytest.mark.http

PATIENCE = 5.0
ASYNC = pytest.mark.parametrize("flavour", ["asyncio", "trio"], indirect=True)
STORY = "Once upon a time"


@pytest.fixture
def held(loopback, http, toy):
    """A server that tells a piece of a story and then waits until its client goes."""
    return loopback(http.streamed(toy.story[0], then=("hang",)))


def in_thread(work):
    """Run something in a thread; whether it came to its end."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return not thread.is_alive()


# Collected


@pytest.mark.httpx
def test_collection_takes_no_lock(held):
    """The garbage collector may run in a thread that holds the lock of the client's pool."""
    inference = Inference(held.connection())
    inference.__enter__()

    def collect():
        stream = inference.stream("Hi")
        next(iter(stream))
        cycle = [stream]
        cycle.append(cycle)
        (pool,) = inference._pools._pools.values()
        del stream, cycle
        with pool._transport._kept.transport._pool._optional_thread_lock:
            gc.collect()

    gc.collect()
    assert in_thread(collect)
    assert held.gone.wait(PATIENCE)
    inference.close()


def test_collection_waits_for_no_timer(held):
    """The watchdog's thread may wait for the lock of a client's pool while a stream is collected under that lock."""
    waits, go_on = threading.Event(), threading.Event()

    def wait():
        waits.set()
        go_on.wait(2 * PATIENCE)
        return False

    stream = Inference(held.connection()).stream("Hi")
    next(iter(stream))
    watchdog.Timer(0.01, wait).start()
    assert waits.wait(PATIENCE)

    def collect():
        nonlocal stream
        del stream
        gc.collect()

    try:
        assert in_thread(collect)
    finally:
        go_on.set()
    assert held.gone.wait(PATIENCE)


@pytest.mark.httpx
def test_collected_stream_releases_its_connection(held):
    """After a stream was collected, the client no longer counts its connection."""
    with Inference(held.connection()) as inference:
        stream = inference.stream("Hi")
        next(iter(stream))
        (pool,) = inference._pools._pools.values()
        assert len(pool._transport._kept.transport._pool.connections) == 1
        del stream
        gc.collect()
        deadline = time.monotonic() + PATIENCE
        while pool._transport._kept.transport._pool.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        assert pool._transport._kept.transport._pool.connections == []


# Closed by another thread


@pytest.mark.httpx
def test_collected_stream_without_clocks_releases_its_connection(loopback, http, toy, monkeypatch):
    """The watchdog's thread closes a collected stream also if no clock of the process is set."""
    monkeypatch.setattr(watchdog, "_thread", watchdog._WatchdogThread())
    server = loopback(http.streamed(toy.story[0], then=("hang",)))
    clocks = Timeouts(connect=None, first=None, idle=None, silence=None, grace=None)
    inference = Inference(server.connection(timeouts=clocks))
    stream = inference.stream("Hi")
    next(iter(stream))
    held = len(httpx_replies._held)
    del stream
    gc.collect()
    deadline = time.monotonic() + PATIENCE
    while len(httpx_replies._held) >= held and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(httpx_replies._held) == held - 1


def test_close_between_reads_keeps_the_content(loopback, http, toy):
    """When another thread closes a stream, the content received stays, nothing else is emitted, and nothing is retried."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(60):
            pieces = [toy.say(TextDelta("x")) for _ in range(60)]
            server = loopback(http.streamed(*pieces, then=("hang",)))
            stream = Inference(server.connection()).stream("Hi")
            seen, failed = [], []

            def read(stream=stream, seen=seen, failed=failed):
                try:
                    seen.extend(partial.content_delta for partial in stream)
                except BaseException as error:  # noqa: BLE001 (whatever it is)
                    failed.append(error)

            reader = threading.Thread(target=read)
            reader.start()
            while not seen and reader.is_alive():
                pass
            closers = [threading.Thread(target=stream.close) for _ in range(3)]
            for closer in closers:
                closer.start()
            for thread in (*closers, reader):
                thread.join(PATIENCE)
            assert failed == []
            assert stream.response().outcome == "cancelled"
            assert stream.response().content == "".join(seen) or stream.response().content.startswith("x")
            assert len(server.asked) == 1
            server.close()
    finally:
        sys.setswitchinterval(interval)


def test_closed_call_sends_nothing(held):
    """A reader whose exchange was taken by another thread does not send the request again."""
    stream = Inference(held.connection()).stream("Hi")
    next(iter(stream))
    pump = stream._pump
    stream.close()
    pump.call.attempt.state = type(pump.call.attempt.state).COMMITTED  # as the reader saw it before
    flows.run(pump._step())
    assert len(held.asked) == 1
    assert stream.response().content == "Once "


def test_finished_watch_is_not_armed_again(held):
    """A reader that was slower than the thread which closed its stream does not arm the watch again."""
    stream = Inference(held.connection()).stream("Hi")
    next(iter(stream))
    watch = stream._pump._exchange._watch
    stream.close()
    watch.arm()
    assert watch not in watchdog._thread.watches


def test_closing_an_inference_wakes_its_readers(held):
    """Closing the connections under a reading thread ends its wait, and the content received is kept."""
    inference = Inference(held.connection())
    inference.__enter__()
    stream = inference.stream("Hi")
    ended = []

    def read():
        try:
            list(stream)
        except PolyglotError as error:
            ended.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert held.reached.wait(PATIENCE)
    time.sleep(0.1)
    inference.close()
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert isinstance(ended[0], (TransportError, Truncated))
    assert ended[0].partial.content == "Once "


@pytest.mark.httpx
@pytest.mark.parametrize("late", [False, True], ids=["before their end", "while they end"])
def test_streams_beside_an_interrupted_one_leave_no_connection(loopback, http, toy, late):
    """After an interruption the pool is replaced; responses in flight are received whole, and their sockets closed."""
    server = loopback((*http.streamed(*toy.story, toy.done), "hang"))
    with Inference(server.connection()) as inference:
        streams = [inference.stream("Hi") for _ in range(3)]
        for stream in streams:
            next(iter(stream))
        (pool,) = inference._pools._pools.values()
        kept = pool._transport._kept
        inner = kept.transport._pool

        def idle_ones_closed():
            done = threading.Event()
            watchdog.close_later(done.set)  # behind them
            return done.wait(PATIENCE)

        if late:  # the check whether a connection can be kept is made before the interruption, the closing after it
            reply = streams[0]._pump._exchange._reply
            release = reply._release
            reply._release = lambda **how: (release(**how), kept.abandon(), idle_ones_closed())[0]
        else:
            streams[0]._pump._exchange._interrupted = True  # as Ctrl-C within a read leaves it
            streams[0].close()
            assert kept.abandoned
            assert idle_ones_closed()
        assert [stream.response().content for stream in streams[not late :]] == [STORY] * (2 + late)
        end = time.monotonic() + PATIENCE
        while (left := [each for each in inner._connections if not each.is_closed()]) and time.monotonic() < end:
            time.sleep(0.01)
        assert not left


def test_closing_an_inference_wakes_waits_for_headers(loopback):
    """The same holds before a response has begun."""
    server = loopback(("hang",))
    inference = Inference(server.connection())
    inference.__enter__()
    ended = []

    def ask():
        try:
            inference.create("Hi").response()
        except PolyglotError as error:
            ended.append(error)

    reader = threading.Thread(target=ask)
    reader.start()
    assert server.reached.wait(PATIENCE)
    inference.close()
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert isinstance(ended[0], TransportError)


def test_threads_share_one_request_of_a_call(loopback, http, toy):
    """Threads that take the response of one call at the same time share its one request."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(40):
            pending = Inference(loopback(http.streamed(*toy.story, toy.done)).connection()).create("Hi")
            barrier, streams = threading.Barrier(4), []

            def start(pending=pending, barrier=barrier, streams=streams):
                barrier.wait()
                streams.append(pending.stream())

            threads = [threading.Thread(target=start) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            assert {id(stream) for stream in streams} == {id(streams[0])}
    finally:
        sys.setswitchinterval(interval)


# Cancelled


def test_cancellation_while_closing_releases_the_connection(held):
    """A task that is cancelled while its stream closes leaves no connection of the client in use."""

    async def main():
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1), timeout=2.0) as client:
            for _ in range(3):
                stream = AsyncInference(held.connection(), client).stream("Hi")
                await anext(aiter(stream))
                closing = asyncio.create_task(stream.close())
                await asyncio.sleep(0)
                closing.cancel()
                await asyncio.gather(closing, return_exceptions=True)
                await asyncio.sleep(0.05)

    asyncio.run(main())
    assert len(held.asked) == 3


# Authorizing


@pytest.fixture
def slow(toy):
    """The toy driver, whose credentials take their time."""

    class Slow(toy.Driver):
        go_on = threading.Event()

        @hookimpl
        def authorize(self, wire):
            self.go_on.wait(PATIENCE)
            return msgspec.structs.replace(wire, headers={**wire.headers, "x-signed": "yes"})

    driver = Slow()
    with register(driver, "slow"):
        yield driver
    driver.go_on.set()


@pytest.mark.parametrize("clock", ["total", "first"])
def test_clocks_bound_the_wait_for_credentials(flavour, loopback, http, slow, clock):
    """A token endpoint that does not respond is bounded by the clocks."""
    server = loopback(http.plain())

    async def main():
        with pytest.raises(TimedOut) as caught:
            await flavour.wait(
                flavour.Inference(server.connection(driver="slow", retries=Retries(max_retries=0)))
                .create("Hi", timeouts={clock: 0.2})
                .response()
            )
        return caught.value

    error = flavour.run(main)
    assert (error.clock, error.phase, server.asked) == (clock, "encode", [])
    assert (error.partial.outcome, error.partial.content) == ("timed_out", "")
    assert error.elapsed < PATIENCE - 1


def test_failing_credentials_after_a_broken_attempt_fail_the_call(flavour, loopback, http, toy, slow):
    """The content of the first attempt is kept, and the outcome is failed, not cancelled."""
    slow.go_on.set()
    server = loopback(http.streamed(toy.story[0]))
    asked = []

    class Once(type(slow)):
        @hookimpl
        def authorize(self, wire):
            asked.append(wire)
            if len(asked) > 1:
                raise OSError("no token")
            return wire

    async def main():
        inference = flavour.Inference(
            server.connection(driver="once", retries=Retries(max_retries=1, initial_backoff=0.01))
        )
        with pytest.raises(PluginError) as caught:
            await flavour.wait(inference.create("Hi", stream=True, resume="restart").response())
        return caught.value

    with register(Once(), "once"):
        error = flavour.run(main)
    assert (error.partial.outcome, error.partial.content) == ("failed", "Once ")


def test_close_ends_the_wait_for_credentials(loopback, http, slow):
    """Another thread closes a call whose driver is obtaining credentials, and nothing is sent."""
    server = loopback(http.plain())
    stream = Inference(server.connection(driver="slow")).stream("Hi")
    partials = []
    reader = threading.Thread(target=lambda: partials.extend(stream))
    reader.start()
    time.sleep(0.1)
    stream.close()
    reader.join(PATIENCE - 1)
    assert not reader.is_alive()
    assert (partials, server.asked, stream.response().outcome) == ([], [], "cancelled")


# The watchdog


def test_huge_clock_does_not_stop_the_watchdog(held, loopback, http, toy):
    """No lock can wait for that long; the clocks of other calls still run."""
    long = Inference(held.connection()).stream("Hi", timeouts={"first": 1e9, "idle": 1e9, "silence": 1e9})
    next(iter(long))
    other = loopback(http.streamed(toy.story[0], then=("hang",)))
    with pytest.raises(TimedOut):
        list(Inference(other.connection()).stream("Hi", timeouts={"idle": 0.3}))
    long.close()


def test_dead_watchdog_is_restarted(monkeypatch):
    """Whatever ended its thread, the next watch starts another."""
    made = watchdog._WatchdogThread()
    monkeypatch.setattr(watchdog, "_thread", made)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    looked = threading.Event()

    class Fake:
        over = False

        def __init__(self, look):
            self.look = look

    def die(_now, *, late):
        raise SystemExit

    dying = Fake(die)
    made.add(dying, 0.0)
    deadline = time.monotonic() + PATIENCE
    while (made._thread is None or made._thread.is_alive()) and time.monotonic() < deadline:
        time.sleep(0.01)
    made.drop(dying)
    made.add(Fake(lambda _now, *, late: looked.set() or float("inf")), 0.0)
    assert looked.wait(PATIENCE)


EXITING = """
import threading, time
from polyglot_core._http import httpx_replies, watchdog
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._values.connection import Timeouts

class Held:
    def __init__(self):
        self.watch = watchdog.Watch(print, Clocks(Timeouts(), time.perf_counter()))
        self.watch.arm()

    def __del__(self, close_later=watchdog.close_later):
        self.watch.stop()
        close_later(print)

held = Held()
holder = threading.Thread(target=watchdog._thread._ending.acquire)
holder.start()
holder.join()
print("One")
"""


def test_exit_does_not_wait_for_the_watchdog():
    """A thread that is stopped at interpreter exit may hold the lock; streams collected then do not need it."""
    run = subprocess.run([sys.executable, "-c", EXITING], capture_output=True, text=True, timeout=20, check=False)
    assert (run.returncode, run.stdout) == (0, "One\n")


# Several answers


def test_missing_choice_is_truncated(flavour, loopback, http, toy):
    """Of three choices requested one was received: the end of the body without an end mark is a truncation."""
    server = loopback(http.streamed(toy.say(TextDelta("a")), toy.say(Finish("stop", "stop"))))

    async def main():
        inference = flavour.Inference(server.connection(retries=Retries(max_retries=0)))
        with pytest.raises(Truncated) as caught:
            await flavour.wait(inference.create("Hi", stream=True, options={"n": 3}).response())
        return caught.value

    assert flavour.run(main).partial.content == "a"


def test_all_choices_finish(flavour, loopback, http, toy):
    """As many choices as requested, each with its finish, or fewer with the provider's own end mark."""
    both = [toy.say(TextDelta("ab"[index], choice=index), Finish("stop", "stop", choice=index)) for index in (0, 1)]
    for script in (both, [both[0], toy.done]):
        server = loopback(http.streamed(*script))

        async def main(server=server):
            inference = flavour.Inference(server.connection())
            return await flavour.wait(inference.create("Hi", stream=True, options={"n": 2}).response())

        assert flavour.run(main).outcome == "finished"
