"""`next` with a timeout, reads that are cancelled, and callbacks: sync, asyncio and trio alike where they can be."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import math
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback

import anyio
import pytest

from polyglot_core import AsyncInference, Connection, Inference, RequestError, Retries, StreamError
from polyglot_core.errors import Overloaded, TimedOut, Truncated
from polyglot_core.plugin import Finish, Ping, ResponseStarted, TextDelta, hookimpl

pytestmark = pytest.mark.http

STORY = "Once upon a time"
PATIENCE = 20.0  # seconds, for what happens at once on an idle machine
SHORT = 0.02  # seconds, after which nothing was received
NEXT = pytest.mark.parametrize("flavour", ["sync", "asyncio"], indirect=True)
ASYNC = pytest.mark.parametrize("flavour", ["asyncio", "trio"], indirect=True)
STOPS = (StopIteration, StopAsyncIteration)


async def following(flavour, stream, timeout=SHORT):
    """The next partial; None at the end."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if (partial := await flavour.wait(stream.next(timeout=timeout))) is not None:
                return partial
        except STOPS:
            return None
    pytest.fail("nothing was received")


async def rest(flavour, stream, timeout=SHORT):
    """Every partial until the end."""
    partials = []
    while (partial := await following(flavour, stream, timeout)) is not None:
        partials.append(partial)
    return partials


def texts(partials):
    return [partial.content_delta for partial in partials]


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name == "polyglot-read"]


def settled(condition):
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    return condition()


@pytest.fixture
def gates():
    """Events that a server waits for; all set at the end."""
    made = [threading.Event() for _ in range(3)]
    yield made
    for gate in made:
        gate.set()


def story_with_gates(http, toy, gates, where):
    """A response that waits somewhere until a gate opens."""
    head, *pieces = http.streamed(*toy.story, toy.done)
    steps = {
        "before the headers": (gates[0], head, *pieces),
        "before the first piece": (head, gates[0], *pieces),
        "between pieces": (head, pieces[0], gates[0], *pieces[1:]),
        "within a piece": (head, pieces[0], pieces[1][:9], gates[0], pieces[1][9:], *pieces[2:]),
        "before the end": (head, *pieces[:4], gates[0], *pieces[4:]),
    }
    return steps[where]


# A timeout loses nothing


@NEXT
@pytest.mark.parametrize(
    "where",
    ["before the headers", "before the first piece", "between pieces", "within a piece", "before the end"],
)
@pytest.mark.parametrize("after", ["next", "loop", "text", "events", "response"])
def test_nothing_is_lost_by_a_timeout(flavour, loopback, http, toy, gates, where, after):
    """Wherever the response pauses, `next` returns None, and whatever reads on gets the whole response."""
    server = loopback(story_with_gates(http, toy, gates, where))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi")
        seen = []
        while (partial := await flavour.wait(stream.next(timeout=0.3))) is not None:
            seen.append(partial)
        assert await flavour.wait(stream.next(timeout=0)) is None
        gates[0].set()
        if after == "next":
            seen += await rest(flavour, stream)
        elif after == "loop":
            seen += await flavour.all(stream)
        elif after == "events":
            await flavour.all(stream.events())
        elif after == "text":
            assert "".join(texts(seen) + await flavour.all(stream.text())) == STORY
        if after in {"next", "loop"}:
            assert texts(seen) == ["Once ", "upon ", "a time", ""]
        return await flavour.wait(stream.response())

    response = flavour.run(main)
    assert (response.content, response.outcome) == (STORY, "finished")
    assert len(server.asked) == 1


@NEXT
def test_next_reads_like_a_loop(flavour, loopback, http, toy):
    """Without a timeout, and where nothing has to be waited for, `next` gives what a loop gives, then its end."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi")
        partials = [await flavour.wait(stream.next()) for _ in range(4)]
        for _ in range(2):
            with pytest.raises(STOPS):
                await flavour.wait(stream.next(timeout=1))
        return partials, await flavour.wait(stream.response())

    partials, response = flavour.run(main)
    assert texts(partials) == ["Once ", "upon ", "a time", ""]
    assert response.content == STORY


@NEXT
def test_polling_gets_what_was_received(flavour, loopback, http, toy):
    """A timeout of 0 gives every partial that has been received."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi")
        return await rest(flavour, stream, timeout=0)

    assert texts(flavour.run(main)) == ["Once ", "upon ", "a time", ""]


@NEXT
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_next_waits_for_a_backoff(flavour, loopback, http, toy, streamed):
    """`next` returns None during the wait for a further request, which is sent once; its seam is reported once."""
    body = toy.body(ResponseStarted("1", "m-1"), TextDelta(STORY), Finish("stop", "stop"))
    server = loopback(http.plain(b"", 503), http.streamed(*toy.story, toy.done) if streamed else http.plain(body))
    made = server.connection(retries=Retries(max_retries=1, initial_backoff=0.5))
    seams = []

    async def main():
        pending = flavour.Inference(made).create("Hi", stream=streamed).on_seam(seams.append)
        stream = pending._started(streamed=streamed)
        missed = 0
        while await flavour.wait(stream.next(timeout=SHORT)) is None:
            missed += 1
        assert missed
        return await flavour.wait(pending.response())

    response = flavour.run(main)
    assert (response.content, response.outcome) == (STORY, "finished")
    assert (len(server.asked), [seam.how for seam in seams]) == (2, ["retry"])


@NEXT
def test_next_after_a_plain_response(flavour, loopback, http, toy):
    """`next` gives the partials of a plain response that was read."""
    server = loopback(http.plain(toy.body(ResponseStarted("1", "m-1"), TextDelta(STORY), Finish("stop", "stop"))))

    async def main():
        pending = flavour.Inference(server.connection()).create("Hi")
        await flavour.wait(pending.response())
        return await rest(flavour, pending.stream())

    assert texts(flavour.run(main)) == [STORY, ""]


@NEXT
def test_clocks_run_during_timeouts(flavour, loopback, http, toy):
    """The call's own clocks end it while the caller waits in parts."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi", timeouts={"idle": 0.2})
        assert (await following(flavour, stream)).content == "Once "
        with pytest.raises(TimedOut) as caught:
            await following(flavour, stream)
        with pytest.raises(TimedOut):
            await flavour.wait(stream.next(timeout=1))
        return caught.value

    error = flavour.run(main)
    assert (error.clock, error.partial.content) == ("idle", "Once ")
    assert server.gone.wait(PATIENCE)


@NEXT
@pytest.mark.parametrize(("script", "error"), [("status", Overloaded), ("cut", Truncated)])
def test_errors_pass_through_next(flavour, loopback, http, toy, script, error):
    """`next` raises the error of the call, after what was received before it."""
    server = loopback(http.plain(b"", 503) if script == "status" else http.streamed(toy.story[0]))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi")
        with pytest.raises(error):
            await rest(flavour, stream)
        with pytest.raises(error):
            await flavour.wait(stream.next())
        with pytest.raises(error):
            await flavour.wait(stream.response())

    flavour.run(main)


@NEXT
@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, "1", True, [1]], ids=repr)
def test_timeouts_are_checked(flavour, loopback, http, toy, timeout):
    """What is not a number of seconds is refused, and nothing is sent."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi")
        with pytest.raises(RequestError, match="timeout must be a number of seconds, 0 or more"):
            await flavour.wait(stream.next(timeout=timeout))
        assert server.asked == []
        return await flavour.wait(stream.response())

    assert flavour.run(main).content == STORY


@NEXT
@pytest.mark.parametrize("timeout", [1, math.inf, 1e12, pytest.param(10**400, id="10**400")], ids=repr)
def test_long_timeouts(flavour, loopback, http, toy, timeout):
    """Any other number is accepted."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        return await rest(flavour, flavour.Inference(server.connection()).stream("Hi"), timeout)

    assert texts(flavour.run(main))[-1] == ""


@pytest.mark.parametrize("flavour", ["trio"], indirect=True)
def test_trio_is_refused(flavour, loopback, http, toy):
    """In trio a timeout is refused before anything is sent; without one `next` works."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi")
        with pytest.raises(RequestError, match="works on asyncio only"):
            await stream.next(timeout=1)
        assert server.asked == []
        return [(await stream.next()).content_delta for _ in range(4)]

    assert flavour.run(main) == ["Once ", "upon ", "a time", ""]


@NEXT
def test_callbacks_see_what_next_returns(flavour, loopback, http, toy):
    """`on_partial` is called with each partial once, in the thread of the caller."""
    server = loopback(http.streamed(*toy.story, toy.done))
    seen = []

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi")
        stream.on_partial(lambda partial: seen.append((partial.content_delta, threading.get_ident())))
        await rest(flavour, stream)

    flavour.run(main)
    assert seen == [(text, threading.get_ident()) for text in ("Once ", "upon ", "a time", "")]


@NEXT
def test_events_beside_next(flavour, loopback, http, toy, gates):
    """Events that were received during `next` are emitted by an iterator of events that exists."""
    server = loopback(http.streamed(toy.say(Ping()), toy.story[0], gates[0], *toy.story[1:], toy.done))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi")
        events = stream.events()
        assert (await following(flavour, stream)).content == "Once "
        assert await flavour.wait(stream.next(timeout=SHORT)) is None
        gates[0].set()
        return [type(event).__name__ for event in await flavour.all(events)]

    assert flavour.run(main) == ["Ping", "TextDelta", "TextDelta", "TextDelta", "Finish", "End"]


# Ends of a stream whose read is in the background


@NEXT
@pytest.mark.parametrize("phase", ["headers", "body", "backoff"])
@pytest.mark.parametrize("how", ["close", "with", "drop"])
def test_nothing_stays_behind(flavour, loopback, http, toy, phase, how):
    """A stream that is closed or dropped after a timeout closes its connection and leaves no thread and no task."""
    script = {
        "headers": ("hang",),
        "body": http.streamed(toy.story[0], then=("hang",)),
        "backoff": http.plain(b"", 503),
    }
    server = loopback(script[phase])
    made = server.connection(retries=Retries(max_retries=1, initial_backoff=30.0))

    async def main():
        tasks = len(asyncio.all_tasks()) if flavour.name == "asyncio" else 0
        stream = flavour.Inference(made).stream("Hi")
        if phase == "body":
            await following(flavour, stream)
        while not server.asked or await flavour.wait(stream.next(timeout=SHORT)) is not None:
            await flavour.wait(stream.next(timeout=SHORT))
        outcome = "cancelled"
        if how == "close":
            await flavour.wait(stream.close())
            outcome = (await flavour.wait(stream.response())).outcome
            with pytest.raises(STOPS):
                await flavour.wait(stream.next(timeout=1))
        elif how == "with":
            async with flavour.inside(stream):
                pass
            outcome = (await flavour.wait(stream.response())).outcome
        del stream
        gc.collect()
        end = time.monotonic() + PATIENCE
        if flavour.name == "asyncio":
            while len(asyncio.all_tasks()) > tasks and time.monotonic() < end:
                await asyncio.sleep(0.01)
            assert len(asyncio.all_tasks()) == tasks
        return outcome

    assert flavour.run(main) == "cancelled"
    assert phase == "backoff" or server.gone.wait(PATIENCE)
    assert settled(lambda: not reading_threads())


def test_abandoned_streams_async(loopback, http, toy):
    """Streams that are dropped while a task reads leave no task and no open connection."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)))

    async def main():
        inference = AsyncInference(server.connection())
        before = len(asyncio.all_tasks())
        for _ in range(4):
            streams = [inference.stream("Hi") for _ in range(50)]
            await asyncio.gather(*(stream.next(timeout=PATIENCE) for stream in streams))
            assert await asyncio.gather(*(stream.next(timeout=0) for stream in streams)) == [None] * 50
            streams.clear()
            gc.collect()
            end = time.monotonic() + PATIENCE
            while len(asyncio.all_tasks()) > before and time.monotonic() < end:
                await asyncio.sleep(0.01)
        return len(asyncio.all_tasks()) - before

    assert asyncio.run(main()) == 0


def test_abandoned_streams(loopback, http, toy):
    """Streams that are dropped while a thread reads leave no thread and no open connection."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)))
    inference = Inference(server.connection())
    for _ in range(4):
        streams = [inference.stream("Hi") for _ in range(50)]
        for stream in streams:
            assert stream.next(timeout=PATIENCE).content == "Once "
            assert stream.next(timeout=0) is None
        del stream
        streams.clear()
        assert settled(lambda: not reading_threads())


@NEXT
def test_closing_elsewhere_ends_next(flavour, loopback, http, toy):
    """`close()` in another thread or task ends a `next` that waits."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi")
        await following(flavour, stream)
        if flavour.name == "sync":
            timer = threading.Timer(0.1, stream.close)
            timer.start()
        else:
            closing = asyncio.get_running_loop().call_later(0.1, lambda: asyncio.ensure_future(stream.close()))
            assert closing
        with pytest.raises(STOPS):
            await flavour.wait(stream.next(timeout=PATIENCE))
        return (await flavour.wait(stream.response())).outcome

    assert flavour.run(main) == "cancelled"
    assert server.gone.wait(PATIENCE)


def test_a_second_reader_of_next(loopback, http, toy, gates):
    """A second thread that reads meanwhile gets an error, and the first one continues."""
    server = loopback(http.streamed(toy.story[0], gates[0], *toy.story[1:], toy.done))
    stream = Inference(server.connection()).stream("Hi")
    assert stream.next().content == "Once "
    seen = []
    first = threading.Thread(target=lambda: seen.append(stream.next(timeout=PATIENCE)))
    first.start()
    assert settled(lambda: reading_threads())
    with pytest.raises(StreamError, match="another thread or task"):
        settled(lambda: stream.next(timeout=0))
    gates[0].set()
    first.join(PATIENCE)
    assert seen[0].content_delta == "upon "
    assert stream.response().content == STORY


# Interruptions


@pytest.mark.parametrize("limit", ["wait_for", "timeout", "anyio", "cancel"])
@pytest.mark.parametrize("timeout", [None, PATIENCE], ids=["no timeout", "timeout"])
@pytest.mark.parametrize("where", ["before the headers", "between pieces"])
def test_cancelling_next_loses_nothing(loopback, http, toy, gates, limit, timeout, where):
    """On asyncio a caller may cancel the wait for `next` itself, and the next read gets what was received."""
    server = loopback(story_with_gates(http, toy, gates, where))

    async def main():
        stream = AsyncInference(server.connection()).stream("Hi")
        before = [await stream.next()] if where == "between pieces" else []
        if limit == "wait_for":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stream.next(timeout=timeout), SHORT)
        elif limit == "timeout":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SHORT):
                    await stream.next(timeout=timeout)
        elif limit == "anyio":
            with anyio.move_on_after(SHORT) as scope:
                await stream.next(timeout=timeout)
            assert scope.cancelled_caught
        else:
            task = asyncio.ensure_future(stream.next(timeout=timeout))
            await asyncio.sleep(SHORT)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        gates[0].set()
        return texts([*before, *await rest(Flavours.asyncio, stream)]), await stream.response()

    seen, response = asyncio.run(main())
    assert (seen, response.content, response.outcome) == (["Once ", "upon ", "a time", ""], STORY, "finished")
    assert len(server.asked) == 1


class Flavours:
    """For helpers that take a flavour."""

    class asyncio:  # noqa: N801 (a name of a flavour)
        @staticmethod
        async def wait(result):
            return await result if inspect.isawaitable(result) else result


NAMED = r"cancelled or interrupted.*`await stream\.next\(timeout=s\)`"


@ASYNC
@pytest.mark.parametrize("phase", ["headers", "body"])
@pytest.mark.parametrize("read", ["loop", "text", "events", "response"])
def test_a_cancelled_read_never_ends_silently(flavour, loopback, http, toy, phase, read):
    """A cancelled read closes the connection at once, and every later read raises an error that names `next`."""
    server = loopback(("hang",) if phase == "headers" else http.streamed(toy.story[0], then=("hang",)))
    received = "" if phase == "headers" else "Once "

    async def main():
        pending = AsyncInference(server.connection()).create("Hi", stream=True)
        stream = pending.stream()
        if phase == "body":
            await stream.next()
        with anyio.move_on_after(0.3) as scope:
            if read == "response":
                await stream.response()
            else:
                await anext(aiter(stream) if read == "loop" else getattr(stream, read)())
        assert scope.cancelled_caught
        assert await anyio.to_thread.run_sync(server.gone.wait, PATIENCE)
        for again in (lambda: anext(aiter(stream)), stream.next, lambda: anext(stream.text()), pending.text) * 2:
            with pytest.raises(StreamError, match=NAMED) as caught:
                await again()
            assert (caught.value.partial.content, caught.value.partial.outcome) == (received, "cancelled")
        with pytest.raises(StreamError, match=NAMED):
            [event async for event in stream.events()]
        await stream.close()
        with pytest.raises(StreamError, match=NAMED):
            [partial async for partial in stream]
        return await stream.response()

    response = flavour.run(main)
    assert (response.outcome, response.content) == ("cancelled", received)


def test_wait_for_a_partial(loopback, http, toy):
    """`asyncio.wait_for(anext(stream))` is a cancelled read, and so is a cancelled task."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)))

    async def main():
        stream = AsyncInference(server.connection()).stream("Hi")
        iterator = aiter(stream)
        await anext(iterator)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(iterator), SHORT)
        for _ in range(2):
            with pytest.raises(StreamError, match=NAMED):
                await anext(iterator)

    asyncio.run(main())


class Alarm(Exception):
    """What a signal handler raises."""


class BaseAlarm(BaseException):
    """Likewise, and no error."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an alarm")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, BaseAlarm, Alarm, TimeoutError], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("phase", ["headers", "body"])
@pytest.mark.parametrize("read", ["loop", "next", "response"])
def test_a_signal_ends_a_read(loopback, http, toy, kind, phase, read):
    """What a signal handler raises passes to the caller, ends the call without a retry, and later reads raise."""
    server = loopback(("hang",) if phase == "headers" else http.streamed(toy.story[0], then=("hang",)))
    made = server.connection(retries=Retries(max_retries=3, initial_backoff=0.01))
    stream = Inference(made).stream("Hi", resume="restart")
    raised = kind("rang")

    def ring(*_):
        raise raised

    before = signal.signal(signal.SIGALRM, ring)
    try:
        if phase == "body":
            next(iter(stream))
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(kind) as caught:
            {"loop": lambda: list(stream), "next": lambda: stream.next(timeout=PATIENCE), "response": stream.response}[
                read
            ]()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert caught.value is raised
    assert "test-key" not in frames_of(raised)
    assert server.gone.wait(PATIENCE)
    with pytest.raises(StreamError, match=NAMED):
        list(stream)
    with pytest.raises(StreamError, match=NAMED):
        stream.next(timeout=1)
    assert (stream.response().outcome, len(server.asked)) == ("cancelled", 1)
    assert settled(lambda: not reading_threads())


def frames_of(error, seen=None):
    """The locals of every frame of an exception and its chain that is not a test's, as text."""
    seen = set() if seen is None else seen
    if error is None or id(error) in seen:
        return ""
    seen.add(id(error))
    shown = [
        f"{frame.f_code.co_name} {name}={value!r}"
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "test" not in frame.f_code.co_filename
        for name, value in list(frame.f_locals.items())
    ]
    return "\n".join([*shown, frames_of(error.__cause__, seen), frames_of(error.__context__, seen)])


@ASYNC
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 12])
def test_cancellations_show_no_key(flavour, loopback, http, toy, steps):
    """Wherever a task is cancelled, no frame of the exception holds the key."""
    head, *pieces = http.streamed(*toy.story, toy.done)
    server = loopback((head, 0.05, *pieces))

    async def main():
        inference = AsyncInference(server.connection())
        caught = []

        async def call():
            try:
                await inference.create("Hi", stream=True).text()
            except BaseException as error:
                caught.append(frames_of(error))
                raise

        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        return caught

    caught = flavour.run(main)
    assert caught
    assert not any("test-key" in shown for shown in caught)


# Callbacks


def plain_story(http, toy):
    return http.plain(toy.body(ResponseStarted("1", "m-1"), TextDelta(STORY), Finish("stop", "stop")))


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_every_callback_is_called(flavour, loopback, http, toy, streamed):
    """Several callbacks are called in their order; none replaces another."""
    server = loopback(http.plain(b"", 503), http.streamed(*toy.story, toy.done) if streamed else plain_story(http, toy))
    made = server.connection(retries=Retries(max_retries=1, initial_backoff=0.01))
    seen = []

    async def main():
        pending = flavour.Inference(made).create("Hi", stream=streamed)
        pending.on_seam(lambda _: seen.append("seam 1")).on_seam(lambda _: seen.append("seam 2"))
        stream = pending._started(streamed=streamed)
        pending.on_seam(lambda _: seen.append("seam 3"))
        stream.on_seam(lambda _: seen.append("seam 4"))
        stream.on_partial(lambda partial: seen.append(("a", partial.content_delta)))
        stream.on_partial(lambda partial: seen.append(("b", partial.content_delta)))
        await flavour.wait(pending.response())

    flavour.run(main)
    assert seen[:4] == ["seam 1", "seam 2", "seam 3", "seam 4"]
    pieces = ["Once ", "upon ", "a time", ""] if streamed else [STORY, ""]
    assert seen[4:] == [(name, piece) for piece in pieces for name in "ab"]


@pytest.mark.parametrize("read", ["loop", "text", "events", "response", "next"])
@pytest.mark.parametrize("error", [ZeroDivisionError, RequestError("Mine.", phase="encode")], ids=["theirs", "ours"])
def test_a_callback_that_raises_closes(flavour, loopback, http, toy, read, error):
    """What `on_partial` raises passes to the caller; the connection is closed, and the outcome is `cancelled`."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)))
    called = []

    def refuse(_partial):
        raise error

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi")
        stream.on_partial(called.append).on_partial(refuse).on_partial(called.append)
        with pytest.raises(ZeroDivisionError if error is ZeroDivisionError else RequestError):
            if read in {"response", "next"}:
                await flavour.wait(getattr(stream, read)())
            else:
                await flavour.all(stream if read == "loop" else getattr(stream, read)())
        assert await flavour.all(stream) == []
        return await flavour.wait(stream.response())

    response = flavour.run(main)
    assert (response.outcome, response.content, len(called)) == ("cancelled", "Once ", 1)
    assert server.gone.wait(PATIENCE)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_a_seam_callback_that_raises_closes(flavour, loopback, http, streamed):
    """What `on_seam` raises passes to the caller, no further request is sent, and the outcome is `cancelled`."""
    server = loopback(http.plain(b"", 503))
    made = server.connection(retries=Retries(max_retries=3, initial_backoff=0.01))

    def refuse(_seam):
        raise ZeroDivisionError

    async def main():
        pending = flavour.Inference(made).create("Hi", stream=streamed).on_seam(refuse)
        with pytest.raises(ZeroDivisionError):
            await flavour.wait(pending.response())
        return await flavour.wait(pending.response())

    assert flavour.run(main).outcome == "cancelled"
    assert len(server.asked) == 1


def test_a_callback_that_raises_stop_iteration(flavour, loopback, http, toy):
    """A StopIteration of a callback does not end the loop as if the response were complete."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi").on_partial(lambda _: next(iter(())))
        with pytest.raises(RuntimeError, match="on_partial raised StopIteration"):
            await flavour.all(stream)

    flavour.run(main)


async def coroutine_function(_):
    """What nothing would await."""


class Callable:
    async def __call__(self, _):
        """What nothing would await."""


@pytest.mark.parametrize("method", ["on_partial", "on_seam", "pending"])
@pytest.mark.parametrize(
    ("callback", "says"),
    [
        (coroutine_function, "a coroutine would not be awaited"),
        (functools.partial(coroutine_function), "a coroutine would not be awaited"),
        (Callable(), "a coroutine would not be awaited"),
        (None, "takes a function, not NoneType"),
    ],
    ids=["function", "partial", "object", "None"],
)
def test_callbacks_are_checked(flavour, toy_driver, method, callback, says):
    """A coroutine function, or what cannot be called, is refused."""
    connection = Connection(name="here", driver="toy", model="m", base_url="http://localhost", api_key="k")
    pending = flavour.Inference(connection).create("Hi")
    register = pending.on_seam if method == "pending" else getattr(pending.stream(), method)
    with pytest.raises(RequestError, match=says):
        register(callback)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_callback_that_returns_a_coroutine(flavour, loopback, http, toy):
    """A coroutine that a callback returns is refused as well."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi").on_partial(lambda it: coroutine_function(it))
        with pytest.raises(RequestError, match="a coroutine would not be awaited"):
            await flavour.wait(stream.response())

    flavour.run(main)


# Imports


@pytest.mark.httpx
@pytest.mark.parametrize("mode", ["sync", "asyncio", "trio"])
def test_no_clock_runs_during_imports(loopback, http, toy, mode):
    """In a fresh process, everything that the first call imports is imported before its clocks start."""
    server = loopback(http.streamed(*toy.story, toy.done))
    code = f"""
        import sys
        import anyio
        from polyglot_core import AsyncInference, Connection, Inference, register
        from polyglot_core._engine.call import Call

        begun = []

        def encode(call):
            begun.append(set(sys.modules))
            return original(call)

        original, Call.encode = Call.encode, encode
        sys.path.insert(0, {str(__file__).rpartition("/client")[0]!r})
        import conftest

        connection = Connection(name="x", driver="toy", model="m", base_url={server.url!r}, api_key="k")
        imported = any(name in sys.modules for name in ("httpcore", "httpcore2"))
        with register(conftest.Toy(), "toy"):
            if {mode!r} == "sync":
                response = Inference(connection).stream("Hi").response()
            else:
                async def main():
                    return await AsyncInference(connection).stream("Hi").response()

                response = anyio.run(main, backend={mode!r})
        assert response.content == {STORY!r}
        late = {{name for name in set(sys.modules) - begun[0] if not name.startswith("polyglot")}}
        print(sorted(late), imported)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=120
    )
    assert result.stdout.strip() == "[] False", result.stderr


def test_imports_of_a_driver_are_left_out(toy, loopback, http, tmp_path, monkeypatch):
    """The time in which a driver imports modules counts in no clock and in no timing."""
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(1.5)\n")
    monkeypatch.syspath_prepend(tmp_path)

    class Late(toy.Driver):
        @hookimpl
        def encode_request(self, connection, request):
            import slow_to_import  # noqa: F401

            return super().encode_request(connection, request)

    from polyglot_core import register

    server = loopback(http.streamed(*toy.story, toy.done))
    with register(Late(), "late"):
        begun = time.perf_counter()
        response = Inference(server.connection(driver="late")).create("Hi", stream=True).response()
        took = time.perf_counter() - begun
    assert response.timing.duration <= took - 1.5
