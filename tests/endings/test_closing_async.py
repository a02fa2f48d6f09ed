"""Every way to leave an async stream early: the server sees the socket close at once, and nothing warns."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from contextlib import suppress

import pytest

from polyglot_core import AsyncInference, Outcome, Retries
from polyglot_simulator import Stall, Status

from .calling import PATIENCE

pytestmark = pytest.mark.http

AT_ONCE = 0.1  # seconds; one of three tries is enough, because a busy machine may delay one


class LeftError(Exception):
    """Raised by a loop body."""


async def closed_in_the_loop(stream_of):
    """Call ``close()`` in the loop body, which ends the loop."""
    stream = stream_of()
    moment = None
    async for _ in stream:
        assert moment is None, "a closed stream went on"
        moment = time.monotonic()
        await stream.close()
    assert (await stream.response()).outcome is Outcome.CANCELLED
    return moment


async def closed_in_a_task(stream_of):
    """Call ``close()`` in another task during a read; the loop ends without an exception."""
    stream = stream_of()
    moments = []

    async def close():
        await asyncio.sleep(0.05)  # by then the loop waits for the next event
        moments.append(time.monotonic())
        await stream.aclose()

    closing = None
    async for _ in stream:
        closing = closing or asyncio.create_task(close())
    await closing
    assert (await stream.response()).content == "One"
    assert (await stream.response()).outcome is Outcome.CANCELLED
    return moments[0]


async def left_its_block(stream_of):
    """Exit the ``async with`` block of a stream that a variable still references."""
    async with stream_of() as stream:
        await anext(aiter(stream))
        moment = time.monotonic()
    assert (await stream.response()).outcome is Outcome.CANCELLED
    return moment


async def raised_in_its_block(stream_of):
    """Raise in the ``async with`` block."""
    with suppress(LeftError):
        async with stream_of() as stream:
            async for _ in stream:
                moment = time.monotonic()
                raise LeftError
    return moment


async def broke_out(stream_of):
    """Break out of a loop over a stream without other references."""
    async for _ in stream_of():
        moment = time.monotonic()
        break
    return moment


async def raised_in_the_loop(stream_of):
    """Raise in the body of such a loop, caught while its traceback is alive."""
    try:
        async for _ in stream_of():
            moment = time.monotonic()
            raise LeftError
    except LeftError:
        return moment


async def raised_in_a_callback(stream_of):
    """Raise in a callback."""

    def refuse(_partial):
        moments.append(time.monotonic())
        raise LeftError

    moments = []
    with suppress(LeftError):
        await stream_of().on_partial(refuse).response()
    return moments[0]


async def let_go(stream_of):
    """Delete the last reference to a stream."""
    stream = stream_of()
    await anext(aiter(stream))
    moment = time.monotonic()
    del stream
    return moment


async def cancelled(stream_of):
    """Cancel the reading task while it waits; it receives the cancellation itself."""
    stream = stream_of()
    begun = asyncio.Event()

    async def read():
        async for _ in stream:
            begun.set()

    reading = asyncio.create_task(read())
    await begun.wait()
    await asyncio.sleep(0.02)
    moment = time.monotonic()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await stream.response()).content == "One"
    assert (await stream.response()).outcome is Outcome.CANCELLED
    return moment


async def timed_out_around(stream_of):
    """Set the user's own timeout around the loop; it raises ``TimeoutError`` and not `TimedOut`."""
    stream = stream_of()
    with pytest.raises(TimeoutError) as raised:
        async with asyncio.timeout(0.1) as scope:
            async for _ in stream:
                pass
    moment = scope.when()
    assert type(raised.value) is TimeoutError
    assert (await stream.response()).outcome is Outcome.CANCELLED
    return moment


async def failed_beside(stream_of):
    """Fail another task of the same group."""
    moments = []

    async def read():
        async for _ in stream_of():
            pass

    async def fail():
        await asyncio.sleep(0.1)
        moments.append(time.monotonic())
        raise LeftError

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            group.create_task(fail())
    return moments[0]


WAYS = [
    closed_in_the_loop,
    closed_in_a_task,
    left_its_block,
    raised_in_its_block,
    broke_out,
    raised_in_the_loop,
    raised_in_a_callback,
    let_go,
    cancelled,
    timed_out_around,
    failed_beside,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_server_sees_close_at_once(simulate, way):
    """Close the socket at once in every way to leave an async stream, without a warning or the garbage collector."""
    simulator = simulate(fault=Stall(after_events=2))
    gc.disable()
    try:
        assert any(asyncio.run(delay_of(simulator, way, number)) < AT_ONCE for number in (1, 2, 3))
    finally:
        gc.enable()
        gc.collect()


async def delay_of(simulator, way, number):
    async with AsyncInference.from_connection(simulator.connection) as inference:
        moment = await way(lambda: inference.create("Hello", timeouts=PATIENCE).stream())
        closed = await asyncio.to_thread(simulator.wait_for_request(number).wait_closed, 3.0)
    assert closed is not None, "the socket stayed open"
    return closed - moment


@pytest.mark.parametrize("phase", [{"before_headers": True}, {"after_events": 0}, {"after_events": 1}], ids=str)
@pytest.mark.parametrize("how", ["close", "cancel"])
def test_wait_for_response_can_be_ended(simulate, phase, how):
    """End a call by ``close()`` in another task or by cancellation before anything of its response is received."""
    simulator = simulate(fault=Stall(**phase))

    async def main():
        async with AsyncInference.from_connection(simulator.connection) as inference:
            stream = inference.create("Hello", timeouts=PATIENCE).stream()
            reading = asyncio.create_task(read_all(stream))
            await asyncio.to_thread(simulator.wait_for_request)
            await asyncio.sleep(0.05)
            moment = time.monotonic()
            await end(stream, reading, how)
            closed = await asyncio.to_thread(simulator.requests[0].wait_closed, 3.0)
            assert closed is not None, "the socket stayed open"
            assert closed - moment < 1.0
            assert (await stream.response()).outcome is Outcome.CANCELLED

    asyncio.run(main())


async def read_all(stream):
    return [partial async for partial in stream]


async def end(stream, reading, how):
    if how == "close":
        await stream.close()
        assert await reading == []
    else:
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


@pytest.mark.parametrize("how", ["close", "cancel"])
def test_backoff_can_be_ended(simulate, how):
    """End the backoff of a call by ``close()`` or cancellation, without another request."""
    simulator = simulate(fault=Status(503))
    connection = simulator.connection.with_changes(retries=Retries(max_retries=3, initial_backoff=5.0))

    async def main():
        async with AsyncInference.from_connection(connection) as inference:
            stream = inference.create("Hello").stream()
            reading = asyncio.create_task(read_all(stream))
            await asyncio.to_thread(simulator.wait_for_request)
            await asyncio.sleep(0.1)
            assert not reading.done(), "there was no wait"
            await asyncio.wait_for(end(stream, reading, how), 2.0)
            assert (await stream.response()).outcome is Outcome.CANCELLED

    asyncio.run(main())
    assert len(simulator.requests) == 1


def test_stream_can_be_closed_from_thread(simulate):
    """Close a stream from a thread that schedules the close on its loop."""
    simulator = simulate(fault=Stall(after_events=2))

    async def main():
        async with AsyncInference.from_connection(simulator.connection) as inference:
            stream = inference.create("Hello").stream()
            loop = asyncio.get_running_loop()
            closing = threading.Timer(0.1, lambda: asyncio.run_coroutine_threadsafe(stream.close(), loop).result(2.0))
            closing.start()
            assert [partial.content async for partial in stream] == ["One"]
            await asyncio.to_thread(closing.join)

    asyncio.run(main())
    assert simulator.requests[0].wait_closed(3.0) is not None


def test_loop_can_end_with_open_stream(simulate):
    """Leave no open socket and no warning if an event loop ends with a stream open."""
    simulator = simulate(fault=Stall(after_events=2))
    held = []

    async def main():
        stream = AsyncInference.from_connection(simulator.connection).create("Hello").stream()
        await anext(aiter(stream))
        held.append(stream)

    asyncio.run(main())
    assert simulator.requests[0].wait_closed(3.0) is not None
    held.clear()
    gc.collect()


def test_unread_stream_sends_nothing(simulate):
    """Send nothing for a stream that is created and dropped without being iterated."""
    simulator = simulate()

    async def main():
        async with AsyncInference.from_connection(simulator.connection) as inference:
            inference.create("Hello").stream()
            async with inference.create("Hello").stream():
                pass
            closed = inference.create("Hello").stream()
            await closed.close()
            assert await read_all(closed) == []
            assert (await closed.response()).outcome is Outcome.CANCELLED

    asyncio.run(main())
    assert simulator.requests == []
