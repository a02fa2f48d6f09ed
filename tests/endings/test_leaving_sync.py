"""Every way to leave a sync stream before its end: the server sees the socket close at once, and nothing warns."""

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

AT_ONCE = 0.1  # seconds; one of three tries is enough, because a busy machine may take its time over one


class LeftError(Exception):
    """What a loop body raises."""


def closed_in_the_loop(stream_of):
    """``close()`` in the loop body, which ends the loop."""
    stream = stream_of()
    moment = None
    for _ in stream:
        assert moment is None, "a closed stream went on"
        moment = time.monotonic()
        stream.close()
    assert stream.response().outcome is Outcome.CANCELLED
    return moment


def closed_in_a_thread(stream_of):
    """``close()`` in another thread, while this one waits for more; the loop ends without an exception."""
    stream = stream_of()
    moments = []

    def close():
        time.sleep(0.05)  # by then the loop waits
        moments.append(time.monotonic())
        stream.close()

    for _ in stream:
        if not moments:
            threading.Thread(target=close).start()
    assert stream.response().content == "One"
    assert stream.response().outcome is Outcome.CANCELLED
    return moments[0]


def left_its_block(stream_of):
    """Leaving the ``with`` block of a stream that a variable still holds."""
    with stream_of() as stream:
        next(iter(stream))
        moment = time.monotonic()
    assert stream.response().outcome is Outcome.CANCELLED
    return moment


def raised_in_its_block(stream_of):
    """An exception in the ``with`` block."""
    with suppress(LeftError), stream_of() as stream:
        for _ in stream:
            moment = time.monotonic()
            raise LeftError
    return moment


def broke_out(stream_of):
    """``break`` out of a loop over a stream that nothing else holds."""
    for _ in stream_of():
        moment = time.monotonic()
        break
    return moment


def broke_out_of_its_text(stream_of):
    """The same with the loop over the pieces of text."""
    for _ in stream_of().text():
        moment = time.monotonic()
        break
    return moment


def raised_in_the_loop(stream_of):
    """An exception in the body of such a loop, caught while its traceback is alive."""
    try:
        for _ in stream_of():
            moment = time.monotonic()
            raise LeftError
    except LeftError:
        return moment


def raised_in_a_callback(stream_of):
    """An exception in a callback."""

    def refuse(_partial):
        moments.append(time.monotonic())
        raise LeftError

    moments = []
    with suppress(LeftError):
        stream_of().on_partial(refuse).response()
    return moments[0]


def let_go(stream_of):
    """The last variable that holds a stream is deleted."""
    stream = stream_of()
    next(iter(stream))
    moment = time.monotonic()
    del stream
    return moment


def closed_a_generator(stream_of):
    """A generator of the user's that loops over a stream is closed."""

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
def test_the_server_sees_the_close_at_once(simulate, way):
    """However a sync stream is left, its socket closes at once, without a warning and without the collector's help."""
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


def test_leaving_the_block_of_an_inference_closes_what_it_opened(simulate):
    """A stream does not outlive the connections of the inference that it came from."""
    simulator = simulate(fault=Stall(after_events=2))
    with Inference.from_connection(simulator.connection) as inference:
        stream = inference.create("Hello", stream=True).stream()
        next(iter(stream))
        moment = time.monotonic()
    assert simulator.wait_for_request().wait_closed(3.0) - moment < 1.0
    stream.close()


@pytest.mark.parametrize("phase", [{"before_headers": True}, {"after_events": 0}, {"after_events": 1}], ids=str)
def test_a_close_in_another_thread_ends_the_wait_for_an_answer(simulate, phase):
    """``close()`` ends a call also while nothing of its answer has come, and the reader's loop ends without an exception."""
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


def test_a_close_in_another_thread_ends_the_wait_between_two_attempts(simulate):
    """``close()`` wakes a call that waits to ask again; nothing more is sent."""
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


def test_a_stream_that_is_never_iterated_sends_nothing(simulate):
    """A stream is asked for when its first partial is; one that is made and dropped leaves no trace."""
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


def test_a_connection_serves_again_after_a_finished_stream(simulate):
    """A stream that was read to its end gives its connection back; the next call does not open another."""
    simulator = simulate()
    with Inference.from_connection(simulator.connection) as inference:
        for _ in range(3):
            inference.create("Hello", stream=True).response()
        assert [request.closed_at for request in simulator.requests] == [None] * 3
    moments = {request.wait_closed() for request in simulator.requests}
    assert max(moments) - min(moments) < 0.01, "there was more than one connection"


def test_a_close_before_headers_ends_a_wait_on_a_used_connection_too(simulate):
    """A connection that served before is shut down as one is that was opened for the call: the wait ends at once."""
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
