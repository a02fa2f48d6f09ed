"""Interruptions and cancellations at any moment: no later call waits for ever, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import dis
import gc
import importlib
import os
import random
import sys
import threading
import time
import traceback

import pytest

from polyglot_core import AsyncInference, Inference, PolyglotError, Retries, TransportError
from polyglot_core._http import httpx_replies, watchdog

pytestmark = pytest.mark.http

PATIENCE = 10.0  # seconds; what waits longer waits for ever
CLOCKS = {"first": 4.0, "idle": 4.0, "total": 5.0, "connect": 4.0}
POINTS = 160  # moments at which a call is interrupted, spread over all of it
STORY = "Once upon a time"


class Interruption(BaseException):
    """What a signal handler raises."""


class Interrupting:
    """Raises after a number of the moments at which the interpreter runs signal handlers in this thread.

    Those are the beginning of a function in Python, and the return from one in C that was called by a call; not the
    entering of a ``with`` whose context manager is in C. No signal is needed, so that each moment has its turn.
    """

    def __init__(self, point=None, within=""):
        self.point, self.within, self.seen, self.raised = point, within, 0, False

    def __enter__(self):
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _look(self, frame, event, _argument):
        if not frame.f_code.co_filename.endswith(self.within):
            return
        if event == "c_return" or (event == "call" and not _is_inlined(frame)):
            self.seen += 1
            if self.seen == self.point:
                sys.setprofile(None)
                self.raised = True
                raise Interruption


# CPython 3.11 sometimes confuses its stack where a profile function raises in a call that it inlines: it then raises this
# TypeError ("'traceback' object is not callable") in place of the interruption.
INTERRUPTIONS = (Interruption, TypeError) if sys.version_info < (3, 12) else (Interruption,)


def _is_inlined(frame):
    """Whether a function is called by an attribute or an index: CPython 3.11 confuses its stack if that is interrupted."""
    caller = frame.f_back
    return caller is not None and dis.opname[caller.f_code.co_code[caller.f_lasti]] in {"LOAD_ATTR", "BINARY_SUBSCR"}


def in_thread(work):
    """What some work returns; a failure where it waits for ever."""
    box = []
    thread = threading.Thread(target=lambda: box.append(work()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if thread.is_alive():
        pytest.fail("It waits for ever:\n" + "".join(traceback.format_stack(sys._current_frames()[thread.ident])))
    return box[0] if box else None


@pytest.fixture
def library():
    """The HTTP library of this run."""
    return importlib.import_module(os.environ.get("POLYGLOT_HTTP", "httpx"))


@pytest.fixture
def unraisable(monkeypatch):
    """An interruption within a finalizer is lost, and one right after a connect leaves a socket to the collector."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    yield
    gc.collect()


def call(inference):
    return inference.create("Hi", stream=True, timeouts=CLOCKS).text()


def interrupted_call(inference, point=None, within=""):
    """Make a call that is interrupted; return how many moments there were, and whether the interruption was raised."""
    moments = Interrupting(point, within)
    with contextlib.suppress(Interruption, PolyglotError), moments:  # an error where it was lost in a finalizer
        call(inference)
    return moments


def settled(count):
    """Whether something becomes none, once the watchdog's thread has had its turn."""
    end = time.monotonic() + PATIENCE
    while count() and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    return not count()


@pytest.mark.httpx
@pytest.mark.parametrize("theirs", [False, True], ids=["ours", "theirs"])
@pytest.mark.parametrize("kept", [True, False], ids=["kept connection", "new connection"])
@pytest.mark.usefixtures("unraisable")
def test_an_interruption_at_any_moment(loopback, http, toy, library, kept, theirs):
    """Whenever a call is interrupted, the next one works, also in another thread, and nothing is left of the first."""
    more = {} if kept else {"connection": "close"}
    server = loopback(http.streamed(*toy.story, toy.done, **more))
    client = library.Client(limits=library.Limits(max_connections=3)) if theirs else None
    inference = Inference(server.connection(), client)
    inference.__enter__()
    assert call(inference) == call(inference) == STORY
    moments = in_thread(lambda: interrupted_call(inference)).seen
    assert moments > POINTS
    watches, held = set(watchdog._thread.watches), set(httpx_replies._held)
    raised = 0
    for point in range(1, moments, max(1, moments // POINTS)):
        raised += in_thread(lambda point=point: interrupted_call(inference, point)).raised
        assert in_thread(lambda: call(inference)) == STORY, f"after an interruption at moment {point} of {moments}"
    assert raised > POINTS // 2
    assert settled(lambda: set(watchdog._thread.watches) - watches)
    assert settled(lambda: set(httpx_replies._held) - held)
    (pool,) = inference._pools._pools.values()
    assert settled(lambda: pool._transport._kept.transport._pool._requests)
    assert all(connection.is_idle() for connection in pool._transport._kept.transport._pool.connections)
    inference.close()


@pytest.mark.usefixtures("unraisable")
def test_clocks_run_on_after_interruptions(loopback, http, toy):
    """Whenever a watch is armed or stopped under an interruption, later calls still time out."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)))
    inference = Inference(server.connection())

    def timed_out():
        with pytest.raises(PolyglotError) as caught:
            inference.create("Hi", stream=True, timeouts={"idle": 0.02}).text()
        return type(caught.value).__name__

    def arm_and_stop(point):
        watch = watchdog.Watch(lambda: None, watchdog_clocks())
        moments = Interrupting(point)
        with contextlib.suppress(*INTERRUPTIONS), moments:
            watch.arm()
            watch.stop()
        watch.stop()
        return moments.seen

    assert in_thread(timed_out) == "TimedOut"
    moments = in_thread(lambda: arm_and_stop(None))
    for point in range(1, moments + 1):
        in_thread(lambda point=point: arm_and_stop(point))
        assert in_thread(timed_out) == "TimedOut", f"after an interruption at moment {point} of {moments}"


@pytest.mark.usefixtures("unraisable")
def test_interruption_under_the_cookie_lock(loopback, http, toy, library):
    """Release the standard library's lock under which a user's client reads cookies."""
    server = loopback(http.streamed(*toy.story, toy.done, set_cookie="a=b"))
    with library.Client() as client:
        inference = Inference(server.connection(), client)
        assert call(inference) == STORY
        moments = in_thread(lambda: interrupted_call(inference, within="cookiejar.py")).seen
        assert moments
        for point in range(1, moments + 1):
            in_thread(lambda point=point: interrupted_call(inference, point, within="cookiejar.py"))
            assert in_thread(lambda: call(inference)) == STORY, f"after an interruption at moment {point} of {moments}"


def watchdog_clocks():
    from polyglot_core._attempt.clocks import Clocks
    from polyglot_core._values.connection import Timeouts

    return Clocks(Timeouts(first=0.001), time.perf_counter())


@pytest.mark.usefixtures("unraisable")
def test_other_threads_go_on_while_one_is_interrupted(loopback, http, toy):
    """Threads whose calls share the pool of a call that is interrupted finish theirs, or send them anew."""
    server = loopback(http.streamed(*toy.story, toy.done))
    retries = Retries(max_retries=3, initial_backoff=0.01)  # a request may be on a connection that is just being closed
    inference = Inference(server.connection(retries=retries))
    assert call(inference) == STORY
    moments = in_thread(lambda: interrupted_call(inference)).seen
    over, texts = threading.Event(), []

    def go_on():
        while not over.is_set():
            texts.append(call(inference))

    others = [threading.Thread(target=go_on, daemon=True) for _ in range(3)]
    for other in others:
        other.start()
    for point in range(1, moments, max(1, moments // 60)):
        in_thread(lambda point=point: interrupted_call(inference, point))
    over.set()
    for other in others:
        other.join(PATIENCE)
    assert not any(other.is_alive() for other in others)
    assert set(texts) == {STORY}


@pytest.mark.httpx
@pytest.mark.parametrize("theirs", [False, True], ids=["ours", "theirs"])
def test_cancellations_leave_no_connection_in_use(loopback, http, toy, library, theirs):
    """However many calls are cancelled, the client counts none of their connections as in use."""
    head, *pieces = http.streamed(*toy.story, toy.done)
    server = loopback((head, pieces[0], 0.005, *pieces[1:]))
    chance = random.Random(7)

    async def main():
        client = library.AsyncClient(limits=library.Limits(max_connections=5)) if theirs else None
        inference = AsyncInference(server.connection(), client)
        loop = asyncio.get_running_loop()
        for _ in range(12):
            tasks = [asyncio.ensure_future(inference.create("Hi", stream=True).text()) for _ in range(25)]
            for task in tasks:
                loop.call_later(chance.random() * 0.1, task.cancel)
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert outcome == STORY or isinstance(outcome, (asyncio.CancelledError, TransportError))
        pools = await inference._source.pools()
        (pool,) = pools._pools.values()
        inner = pool._transport._kept.transport._pool
        end = time.monotonic() + PATIENCE
        while not all(connection.is_idle() for connection in inner.connections) and time.monotonic() < end:
            await asyncio.sleep(0.02)
        stuck = [connection.info() for connection in inner.connections if not connection.is_idle()]
        assert (stuck, inner._requests) == ([], [])
        assert await inference.create("Hi", stream=True).text() == STORY
        if client is not None:
            await client.aclose()

    asyncio.run(main())
