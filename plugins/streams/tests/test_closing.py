"""Whichever way a reader leaves a transformed stream, the server sees the close, and no thread or task is left."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
import threading

import anyio
import pytest

import polyglot_streams as streams
from polyglot_core import AsyncInference, Inference, Outcome, StreamError
from polyglot_streams import coalesce, save, share, smooth, stop_when, tee, with_heartbeat

from .playing import each_style

pytestmark = [pytest.mark.http, pytest.mark.usefixtures("no_threads_left")]

STYLES = ("asyncio", "trio")
TRANSFORMS = {
    "map": lambda stream, folder: streams.map(stream, lambda item: item),
    "filter": lambda stream, folder: streams.filter(stream, bool),
    "smooth": lambda stream, folder: smooth(stream, delay=0.0001),
    "coalesce": lambda stream, folder: coalesce(stream, 0.0001),
    "stop_when": lambda stream, folder: stop_when(stream, "never"),
    "save": lambda stream, folder: save(stream, folder / "story.txt"),
    "with_heartbeat": lambda stream, folder: with_heartbeat(stream, 0.01),
    "tee": lambda stream, folder: tee(stream, 1)[0],
    "share": lambda stream, folder: share(stream).join(),
    "two": lambda stream, folder: with_heartbeat(smooth(stream, delay=0.0001), 0.01),
}
each_transform = pytest.mark.parametrize("name", TRANSFORMS)


class LeaveError(Exception):
    """Raised by a reader."""


def closed(simulator):
    """Return whether the server saw the close of the last request."""
    return simulator.requests[-1].wait_closed(5) is not None


def has_text(item):
    """Return whether an item is a partial with text, and not a heartbeat before the response."""
    return bool(item.content)


# Sync


def leave_by_break(stream):
    for item in stream:
        if has_text(item):
            break


def leave_by_generator(stream):
    def reading():
        yield from stream

    reader = reading()
    next(filter(has_text, reader))
    reader.close()


def leave_by_close(stream):
    next(filter(has_text, stream))
    stream.close()
    assert stream.response().outcome is Outcome.CANCELLED


def leave_by_with(stream):
    with pytest.raises(LeaveError), stream:
        next(filter(has_text, stream))
        raise LeaveError


def leave_by_thread(stream):
    next(filter(has_text, stream))
    thread = threading.Timer(0.01, stream.close)
    thread.start()
    for _ in stream:
        pass
    thread.join()


SYNC_WAYS = [leave_by_break, leave_by_generator, leave_by_close, leave_by_with, leave_by_thread]


@each_transform
@pytest.mark.parametrize("leave", SYNC_WAYS, ids=lambda leave: leave.__name__)
def test_sync_reader_closes_connection(name, leave, endless, tmp_path):
    """Check that the server sees the close when a sync reader leaves."""
    source = Inference.from_connection(endless.connection).stream("Hello.")
    leave(TRANSFORMS[name](source, tmp_path))
    gc.collect()
    assert closed(endless)
    assert source.response().outcome is Outcome.CANCELLED


# Async


async def first(stream):
    async for item in stream:
        if has_text(item):
            break


async def leave_async_by_break(stream):
    await first(stream)


async def leave_async_by_close(stream):
    await first(stream)
    await stream.aclose()
    assert (await stream.response()).outcome is Outcome.CANCELLED


async def leave_async_by_with(stream):
    with pytest.raises(LeaveError):
        async with stream:
            await first(stream)
            raise LeaveError


async def leave_async_by_cancellation(stream):
    await first(stream)
    with anyio.move_on_after(0.02) as scope:
        async for _ in stream:
            pass
    assert scope.cancelled_caught
    with pytest.raises(StreamError, match="interrupted"):
        await anext(stream)


async def leave_async_by_task(stream):
    async def close():
        await anyio.sleep(0.01)
        await stream.close()

    await first(stream)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close)
        async for _ in stream:
            pass


ASYNC_WAYS = [
    leave_async_by_break,
    leave_async_by_close,
    leave_async_by_with,
    leave_async_by_cancellation,
    leave_async_by_task,
]
PAIRS = [
    (name, leave, STYLES[number % 2]) for number, (name, leave) in enumerate(itertools.product(TRANSFORMS, ASYNC_WAYS))
] + [(name, leave, style) for name in ("with_heartbeat", "two", "tee") for leave in ASYNC_WAYS for style in STYLES]


@pytest.mark.parametrize(
    ("name", "leave", "style"), dict.fromkeys(PAIRS), ids=lambda value: getattr(value, "__name__", value)
)
def test_async_reader_closes_connection(name, leave, style, endless, tmp_path):
    """Check that the server sees the close when an async reader leaves."""

    async def main():
        async with AsyncInference.from_connection(endless.connection) as inference:
            source = inference.stream("Hello.")
            await leave(TRANSFORMS[name](source, tmp_path))
            gc.collect()
            assert await anyio.to_thread.run_sync(closed, endless)
            assert (await source.response()).outcome is Outcome.CANCELLED

    anyio.run(main, backend=style)


# The caller's functions


def fail(item):
    raise LeaveError


async def fail_async(item):
    raise LeaveError


@pytest.mark.parametrize("function", [streams.map, streams.filter, stop_when])
@each_style
def test_exception_of_function_closes_connection(style, function, endless):
    """Check that what a function of the caller raises closes the connection, and that a later read raises."""
    if style == "sync":
        stream = function(Inference.from_connection(endless.connection).stream("Hello."), fail)
        with pytest.raises(LeaveError):
            next(stream)
        with pytest.raises(StreamError, match="interrupted"):
            next(stream)
        assert stream.response().outcome is Outcome.CANCELLED
        assert closed(endless)
        return

    async def main():
        async with AsyncInference.from_connection(endless.connection) as inference:
            for each in (fail, fail_async):
                stream = function(inference.stream("Hello."), each)
                with pytest.raises(LeaveError):
                    await anext(stream)
                with pytest.raises(StreamError, match="interrupted"):
                    await anext(stream)
                assert (await stream.response()).outcome is Outcome.CANCELLED
                assert await anyio.to_thread.run_sync(closed, endless)

    anyio.run(main, backend=style)


def test_event_loop_ends_while_read_is_pending(endless):
    """Check that a loop that ends with a pending read ends the read."""

    async def main():
        inference = AsyncInference.from_connection(endless.connection)
        stream = with_heartbeat(inference.stream("Hello."), 0.005)
        async for item in stream:
            if not item.content_delta and item.content:
                return stream
        return None

    for style in STYLES:
        kept = anyio.run(main, backend=style)
        assert closed(endless)
        del kept
        gc.collect()


def test_stream_is_closed_by_its_own_function(endless):
    """Check that a function may close the stream that calls it."""
    made = []
    stream = streams.map(Inference.from_connection(endless.connection).stream("Hello."), lambda _: made[0].close())
    made.append(stream)
    assert list(stream) == []
    assert closed(endless)


def test_second_reader_is_refused(endless):
    """Check that a second thread that reads a stream gets an error, and the first one its items."""
    stream = with_heartbeat(Inference.from_connection(endless.connection).stream("Hello."), 60)
    thread = threading.Thread(target=lambda: list(stream))
    thread.start()
    while not stream._reading.locked():
        pass
    with pytest.raises(StreamError, match="Another thread"):
        next(stream)
    stream.close()
    thread.join(5)


@pytest.mark.skipif(sys.platform == "win32", reason="a signal does not end the wait there")
@pytest.mark.parametrize("name", ["map", "with_heartbeat", "smooth", "tee"])
def test_keyboard_interrupt_closes_connection(name, endless, tmp_path):
    """Check that an interruption of a reader that waits closes the connection, and leaves no thread."""
    stream = TRANSFORMS[name](Inference.from_connection(endless.connection).stream("Hello."), tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in a background job
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            for item in stream:
                if item.content and not timer.is_alive() and not timer.finished.is_set():
                    timer.start()
        with pytest.raises(StreamError, match="interrupted"):
            next(stream)
    finally:
        signal.signal(signal.SIGINT, before)
    assert closed(endless)


def test_close_ends_a_delay(story):
    """Check that a close wakes a reader that waits for the moment of the next piece."""
    stream = smooth(Inference.from_connection(story.connection).stream("Hello."), delay=600)
    threading.Timer(0.1, stream.close).start()
    assert len(list(stream)) == 1


@pytest.mark.parametrize("backend", STYLES)
def test_async_close_ends_a_delay(backend, story):
    """Check the same for tasks."""

    async def main():
        async with AsyncInference.from_connection(story.connection) as inference:
            stream = smooth(inference.stream("Hello."), delay=600)

            async def close():
                await anyio.sleep(0.1)
                await stream.close()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(close)
                return [item async for item in stream]

    assert len(anyio.run(main, backend=backend)) == 1
