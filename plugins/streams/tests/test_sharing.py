"""tee and share: what each reader gets, in threads and in tasks, under each policy."""

from __future__ import annotations

import gc
import threading

import anyio
import pytest

from polyglot_core import AsyncInference, Inference, Outcome, StreamError
from polyglot_simulator import Cut, Pace, Reply, Simulator, ToolCall
from polyglot_streams import FellBehind, collect, share, smooth, tee, with_heartbeat
from polyglot_streams import map as mapped

from .conftest import STORY, TOLD
from .playing import text_of

pytestmark = [pytest.mark.http, pytest.mark.usefixtures("no_threads_left")]

BACKENDS = ("asyncio", "trio")
each_backend = pytest.mark.parametrize("backend", BACKENDS)


def source(simulator, **more):
    """Return a sync stream."""
    return Inference.from_connection(simulator.connection).stream("Hi.", **more)


def in_threads(*functions):
    """Run functions in threads of their own, and return their results."""
    results = {}

    def run(number, function):
        try:
            results[number] = function()
        except Exception as error:  # noqa: BLE001 (it is looked at by the test)
            results[number] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return [results[number] for number in range(len(functions))]


def in_tasks(backend, simulator, work):
    """Run `work` with an async stream, and return its result."""

    async def main():
        async with AsyncInference.from_connection(simulator.connection) as inference:
            return await work(inference.stream("Hi."))

    return anyio.run(main, backend=backend)


async def side_by_side(*functions):
    """Run coroutine functions as tasks, and return their results."""
    results = {}

    async def run(number, function):
        try:
            results[number] = await function()
        except Exception as error:  # noqa: BLE001 (it is looked at by the test)
            results[number] = error

    async with anyio.create_task_group() as tasks:
        for number, function in enumerate(functions):
            tasks.start_soon(run, number, function)
    return [results[number] for number in range(len(functions))]


def test_tee_one_after_the_other(story):
    """Check that one thread may read the streams one after the other within the buffer."""
    first, second = tee(source(story))
    assert text_of(first) == text_of(second) == STORY
    assert first.response().outcome is second.response().outcome is Outcome.FINISHED


@pytest.mark.parametrize("buffer", [1, 2, 100])
def test_tee_in_threads(buffer, story):
    """Check that threads get the same partials, whichever is faster."""
    first, second, third = tee(source(story), 3, buffer=buffer)
    got = in_threads(
        lambda: list(first), lambda: list(smooth(second, delay=0.0005)), lambda: list(mapped(third, lambda item: item))
    )
    assert text_of(got[0]) == text_of(got[1]) == text_of(got[2]) == STORY
    assert [id(item) for item in got[0]] == [id(item) for item in got[2]]


@each_backend
@pytest.mark.parametrize("buffer", [1, 100])
def test_tee_in_tasks(backend, buffer, story):
    """Check that tasks get the same partials, whichever is faster."""

    async def work(stream):
        first, second = tee(stream, buffer=buffer)
        return await side_by_side(lambda: collect(first), lambda: collect(smooth(second, delay=0.0005)))

    got = in_tasks(backend, story, work)
    assert text_of(got[0]) == text_of(got[1]) == STORY


def test_wait_of_one_thread_for_itself_is_refused(story):
    """Check that a thread that would wait for itself gets an error, and the other stream continues."""
    first, second = tee(source(story), buffer=3)
    next(second)
    with pytest.raises(FellBehind, match="the same thread or task"):
        list(first)
    assert len(list(second)) > 10


@each_backend
def test_wait_of_one_task_for_itself_is_refused(backend, story):
    """Check the same for a task."""

    async def work(stream):
        first, second = tee(stream, buffer=3)
        await anext(second)
        with pytest.raises(FellBehind, match="the same thread or task"):
            await collect(first)
        return len(await collect(second))

    assert in_tasks(backend, story, work) > 10


def test_wait_for_unread_stream_ends(story, monkeypatch):
    """Check that a stream without a reader does not stop the others for ever."""
    monkeypatch.setattr("polyglot_streams.hub._PATIENCE", 0.05)
    first, second = tee(source(story), buffer=3)
    with pytest.raises(FellBehind, match="has no reader"):
        list(first)
    assert len(list(second)) > 10


def test_drop_counts_what_is_lost(story):
    """Check that a slow reader loses its oldest partials, counts them, and still has all text in the content."""
    first, second = tee(source(story), buffer=4, policy="drop")
    items = list(first)
    late = list(second)
    assert text_of(items) == STORY
    assert (first.dropped, second.dropped) == (0, len(items) - 4)
    assert [id(item) for item in late] == [id(item) for item in items[-4:]]
    assert late[0].content.endswith(late[0].content_delta)
    assert late[-1].content == STORY


@each_backend
def test_fail_tells_who_fell_behind(backend, story):
    """Check that a slow reader gets what its buffer holds and then an error, and the fast one everything."""
    first, second = tee(source(story), buffer=4, policy="fail")
    items = list(first)
    got = []
    with pytest.raises(FellBehind, match="fell behind by more than 4 items") as caught:
        got.extend(second)
    assert [id(item) for item in got] == [id(item) for item in items[:4]]
    with pytest.raises(FellBehind) as again:
        next(second)
    assert again.value is caught.value

    async def work(stream):
        first, second = tee(stream, buffer=4, policy="fail")
        assert text_of(await collect(first)) == STORY
        assert second.dropped == 0
        with pytest.raises(FellBehind):
            await collect(second)

    in_tasks(backend, story, work)


def test_error_passes_to_every_reader():
    """Check that each reader gets the items and then the error of the call."""
    with Simulator(STORY, fault=Cut(after_events=6)) as simulator:
        for stream in tee(source(simulator)):
            with pytest.raises(StreamError) as caught:
                list(stream)
            assert caught.value.partial.content


def test_reader_that_leaves_takes_nothing_from_others(endless):
    """Check that the connection is open while a reader is left, and closed with the last one."""
    stream = source(endless)
    first, second = tee(stream)
    next(first)
    first.close()
    next(second)
    with pytest.raises(StreamError, match="others still read"):
        first.response()
    assert endless.requests[-1].closed_at is None
    second.close()
    assert endless.requests[-1].wait_closed() is not None
    assert stream.response().outcome is Outcome.CANCELLED
    assert first.response().outcome is Outcome.CANCELLED


@pytest.mark.parametrize("leave", ["close", "drop"])
def test_last_reader_that_is_dropped_closes(leave, endless):
    """Check that readers that are dropped have left."""
    stream = source(endless)
    first, second = tee(stream, 2)
    next(first), next(second)
    if leave == "close":
        first.close()
    del first, second
    gc.collect()
    assert endless.requests[-1].wait_closed() is not None


def test_close_by_another_thread_wakes_its_reader_alone(endless):
    """Check that a reader that waits is woken by its own close, and the other one still waits."""
    first, second = tee(source(endless))
    assert [next(first).content_delta for _ in TOLD] == TOLD
    threading.Timer(0.05, first.close).start()
    assert list(first) == []
    assert endless.requests[-1].closed_at is None
    assert [next(second).content_delta for _ in TOLD] == TOLD
    assert second.next(timeout=0.01) is None
    second.close()


@each_backend
def test_cancelled_reader_takes_nothing_from_others(backend, story):
    """Check that a task that is cancelled while it waits does not end the stream of the others."""

    async def work(stream):
        first, second = tee(stream)
        with anyio.CancelScope() as scope:
            async for _ in first:
                scope.cancel()
        return text_of(await collect(second))

    with Simulator(STORY, pace=Pace(first_delay=0.05)) as simulator:

        async def early(stream):
            first, second = tee(stream)
            with anyio.move_on_after(0.01):
                await anext(first)
            return text_of(await collect(second))

        assert in_tasks(backend, simulator, early) == STORY
    assert in_tasks(backend, story, work) == STORY


def test_heartbeat_of_one_reader(endless):
    """Check that transforms of one reader do not touch the other."""
    first, second = tee(source(endless))
    beats = with_heartbeat(first, 0.005)
    while (beat := next(beats)).content_delta or beat.content != "".join(TOLD):
        pass
    assert next(second).content
    beats.close()
    second.close()


def test_late_joiner(story):
    """Check that a reader gets what was received so far as one partial, and what follows."""
    shared = share(source(story))
    first = shared.join()
    early = [next(first) for _ in range(8)]
    second = shared.join()
    so_far = next(second)
    assert so_far.content_delta == so_far.content == text_of(early) != ""
    assert so_far.content + text_of(second) == STORY
    assert text_of([*early, *first]) == STORY
    third = shared.join()
    (everything,) = third
    assert (everything.content_delta, everything.finish_reason) == (STORY, "stop")
    assert third.response().content == STORY


def test_late_joiner_of_choices_and_tool_calls():
    """Check that a late reader gets one partial for each choice, with reasoning, refusal and tool calls."""
    reply = Reply("See: ", reasoning="Hm.", tool_calls=[ToolCall("weather", {"city": "Oslo"})])
    with Simulator(Reply(choices=[reply, Reply(refusal="I will not.")])) as simulator:
        shared = share(source(simulator))
        list(shared.join())
        late = {partial.choice: partial for partial in shared.join()}
    assert (late[0].content_delta, late[0].reasoning_delta) == ("See: ", "Hm.")
    assert late[0].tool_calls[0].arguments == {"city": "Oslo"}
    assert late[1].refusal_delta == "I will not."


def test_shared_stream_outlives_its_readers(endless):
    """Check that a reader that leaves closes nothing, and that closing the shared stream ends all readers."""
    with share(source(endless)) as shared:
        first = shared.join()
        next(first)
        first.close()
        assert endless.requests[-1].closed_at is None
        second = shared.join()
        assert next(second).content
    assert endless.requests[-1].wait_closed() is not None
    assert text_of(second) is not None
    assert second.response().outcome is Outcome.CANCELLED
    assert list(shared.join())


@each_backend
def test_async_late_joiner(backend, story, endless):
    """Check late readers in tasks, after an error too, and the close of a shared stream."""

    async def work(stream):
        async with share(stream) as shared:
            first = shared.join()
            early = [await anext(first) for _ in range(8)]
            second = shared.join()
            got = await side_by_side(lambda: collect(first), lambda: collect(second))
            assert text_of([*early, *got[0]]) == STORY == text_of(got[1])
            assert got[1][0].content_delta == text_of(early)
            assert text_of(await collect(shared.join())) == STORY

    async def left(stream):
        async with share(stream) as shared:
            await anext(shared.join())
            gc.collect()
            assert (await anext(shared.join())).content is not None
            assert endless.requests[-1].closed_at is None
        assert await anyio.to_thread.run_sync(endless.requests[-1].wait_closed)

    async def dropped(stream):
        shared = share(stream)
        reader = shared.join()
        await anext(reader)
        del shared, reader
        gc.collect()
        assert await anyio.to_thread.run_sync(endless.requests[-1].wait_closed)

    in_tasks(backend, story, work)
    in_tasks(backend, endless, left)
    in_tasks(backend, endless, dropped)


def test_late_joiner_of_a_failed_stream():
    """Check that a reader that joins after an error gets what was received, and the error."""
    with Simulator(STORY, fault=Cut(after_events=6)) as simulator:
        shared = share(source(simulator))
        with pytest.raises(StreamError):
            list(shared.join())
        late = shared.join()
        assert next(late).content_delta
        with pytest.raises(StreamError):
            next(late)


def test_shared_stream_is_closed_when_dropped(endless):
    """Check that the connection is closed when the shared stream and its readers are dropped."""
    stream = source(endless)
    shared = share(stream)
    reader = shared.join()
    next(reader)
    del shared
    gc.collect()
    assert endless.requests[-1].closed_at is None
    del reader
    gc.collect()
    assert endless.requests[-1].wait_closed() is not None
