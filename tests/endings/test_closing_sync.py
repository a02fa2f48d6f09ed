"""Every way to leave a sync stream early: the server sees the socket close at once, and nothing warns."""

from __future__ import annotations

import gc
import threading
import time
from contextlib import suppress

import pytest

from polyglot_core import Inference, Outcome, Retries
from polyglot_simulator import Stall, Status

from .calling import PATIENCE

pytestmark = pytest.mark.http

AT_ONCE = 0.1  # seconds; one of three tries is enough, because a busy machine may delay one


class LeftError(Exception):
    """Raised by a loop body."""


def closed_in_the_loop(stream_of):
    """Call ``close()`` in the loop body, which ends the loop."""
    stream = stream_of()
    moment = None
    for _ in stream:
        assert moment is None, "a closed stream went on"
        moment = time.monotonic()
        stream.close()
    assert stream.response().outcome is Outcome.CANCELLED
    return moment


def closed_in_a_thread(stream_of):
    """Call ``close()`` in another thread during a read; the loop ends without an exception."""
    stream = stream_of()
    moments = []

    def close():
        time.sleep(0.05)  # by then the loop waits for the next event
        moments.append(time.monotonic())
        stream.close()

    for _ in stream:
        if not moments:
            threading.Thread(target=close).start()
    assert stream.response().content == "One"
    assert stream.response().outcome is Outcome.CANCELLED
    return moments[0]


def left_its_block(stream_of):
    """Exit the ``with`` block of a stream that a variable still references."""
    with stream_of() as stream:
        next(iter(stream))
        moment = time.monotonic()
    assert stream.response().outcome is Outcome.CANCELLED
    return moment


def raised_in_its_block(stream_of):
    """Raise in the ``with`` block."""
    with suppress(LeftError), stream_of() as stream:
        for _ in stream:
            moment = time.monotonic()
            raise LeftError
    return moment


def broke_out(stream_of):
    """Break out of a loop over a stream without other references."""
    for _ in stream_of():
        moment = time.monotonic()
        break
    return moment


def broke_out_of_its_text(stream_of):
    """Break out of a loop over the pieces of text."""
    for _ in stream_of().text():
        moment = time.monotonic()
        break
    return moment


def raised_in_the_loop(stream_of):
    """Raise in the body of such a loop, caught while its traceback is alive."""
    try:
        for _ in stream_of():
            moment = time.monotonic()
            raise LeftError
    except LeftError:
        return moment


def raised_in_a_callback(stream_of):
    """Raise in a callback."""

    def refuse(_partial):
        moments.append(time.monotonic())
        raise LeftError

    moments = []
    with suppress(LeftError):
        stream_of().on_partial(refuse).response()
    return moments[0]


def let_go(stream_of):
    """Delete the last reference to a stream."""
    stream = stream_of()
    next(iter(stream))
    moment = time.monotonic()
    del stream
    return moment


def closed_a_generator(stream_of):
    """Close a generator of the user's that loops over a stream."""

    def texts():
        for partial in stream_of():
            yield partial.content_delta

    pieces = texts()
    next(pieces)
    moment = time.monotonic()
    pieces.close()
    return moment


WAYS = [
    closed_in_the_loop,
    closed_in_a_thread,
    left_its_block,
    raised_in_its_block,
    broke_out,
    broke_out_of_its_text,
    raised_in_the_loop,
    raised_in_a_callback,
    let_go,
    closed_a_generator,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_server_sees_close_at_once(simulate, way):
    """Close the socket at once in every way to leave a sync stream, without a warning or the garbage collector."""
    simulator = simulate(fault=Stall(after_events=2))
    gc.disable()
    try:
        assert any(delay_of(simulator, way, number) < AT_ONCE for number in (1, 2, 3))
    finally:
        gc.enable()
        gc.collect()


def delay_of(simulator, way, number):
    with Inference.from_connection(simulator.connection) as inference:
        moment = way(lambda: inference.create("Hello", timeouts=PATIENCE).stream())
        closed = simulator.wait_for_request(number).wait_closed(3.0)
    assert closed is not None, "the socket stayed open"
    return closed - moment


def test_inference_exit_closes_streams(simulate):
    """Close a stream together with the connections of its inference."""
    simulator = simulate(fault=Stall(after_events=2))
    with Inference.from_connection(simulator.connection) as inference:
        stream = inference.create("Hello", stream=True).stream()
        next(iter(stream))
        moment = time.monotonic()
    assert simulator.wait_for_request().wait_closed(3.0) - moment < 1.0
    stream.close()


@pytest.mark.parametrize("phase", [{"before_headers": True}, {"after_events": 0}, {"after_events": 1}], ids=str)
def test_close_in_other_thread_ends_wait_for_response(simulate, phase):
    """End a call by ``close()`` before anything of its response is received; the reader's loop ends normally."""
    simulator = simulate(fault=Stall(**phase))
    with Inference.from_connection(simulator.connection) as inference:
        stream = inference.create("Hello", timeouts=PATIENCE).stream()
        closing = threading.Timer(0.2, stream.close)
        begun = time.monotonic()
        closing.start()
        assert list(stream) == []
        assert time.monotonic() - begun < 2.0
        assert simulator.wait_for_request().wait_closed(3.0) is not None
        closing.join()
    assert stream.response().outcome is Outcome.CANCELLED


def test_close_in_other_thread_ends_backoff(simulate):
    """End the backoff of a call by ``close()``, without another request."""
    simulator = simulate(fault=Status(503))
    connection = simulator.connection.with_changes(retries=Retries(max_retries=3, initial_backoff=5.0))
    with Inference.from_connection(connection) as inference:
        stream = inference.create("Hello").stream()
        closing = threading.Timer(0.2, stream.close)
        begun = time.monotonic()
        closing.start()
        assert list(stream) == []
        assert 0.15 < time.monotonic() - begun < 2.0
        closing.join()
    assert len(simulator.requests) == 1
    assert stream.response().outcome is Outcome.CANCELLED


def test_unread_stream_sends_nothing(simulate):
    """Send nothing for a stream that is created and dropped without being iterated."""
    simulator = simulate()
    with Inference.from_connection(simulator.connection) as inference:
        inference.create("Hello").stream()
        with inference.create("Hello").stream():
            pass
        closed = inference.create("Hello").stream()
        closed.close()
        assert list(closed) == []
        assert closed.response().outcome is Outcome.CANCELLED
    assert simulator.requests == []


def test_connection_is_reused_after_finished_stream(simulate):
    """Return the connection of a finished stream to the pool; the next call reuses it."""
    simulator = simulate()
    with Inference.from_connection(simulator.connection) as inference:
        for _ in range(3):
            inference.create("Hello", stream=True).response()
        assert [request.closed_at for request in simulator.requests] == [None] * 3
    moments = {request.wait_closed() for request in simulator.requests}
    assert max(moments) - min(moments) < 0.01, "there was more than one connection"


def test_close_before_headers_ends_wait_on_reused_connection(simulate):
    """Shut down a reused connection like a new one: the wait for headers ends at once."""
    simulator = simulate(faults=[None, Stall(before_headers=True)])
    with Inference.from_connection(simulator.connection) as inference:
        inference.create("Hello", stream=True).response()
        stream = inference.create("Hello", timeouts={"first": 60.0}).stream()
        closing = threading.Timer(0.3, stream.close)
        closing.start()
        begun = time.monotonic()
        assert list(stream) == []
        assert time.monotonic() - begun < 10.0
        closing.join()
    assert stream.response().outcome is Outcome.CANCELLED
    assert len(simulator.requests) == 2
