"""Clocks that run out over real sockets, and those that must not."""

from __future__ import annotations

import functools
import socket
import threading
import time

import anyio
import pytest

from polyglot_core import AsyncInference, Inference, TimedOut
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._http import watchdog
from polyglot_core._http.watchdog import Watch, shut_down
from polyglot_core._values.limits import Timeouts
from polyglot_core.plugin import Finish, TextDelta

pytestmark = pytest.mark.http

OFF = {"first": None, "idle": None, "silence": None, "grace": None}
LATE = 4.0  # seconds that a clock may be late on a busy machine, and yet before the server gives up
HELD = 5.0  # seconds after which the server gives up


@pytest.fixture
def telling(loopback, http, toy, flavour):
    """Makes a stream whose server sends pieces and pauses, under the given clocks."""

    def tell(*pieces, head_after=0.0, **clocks):
        head, *rest = http.streamed(*pieces, then=("hang",))
        server = loopback((head_after, head, *rest))
        return flavour.Inference(server.connection()).stream("Hi", timeouts={**OFF, **clocks})

    return tell


def ending(flavour, stream, *, pause=0.0):
    """Read a stream to its end; return the error and the seconds that it took after the last partial."""

    async def main():
        moment = time.perf_counter()
        with pytest.raises(TimedOut) as caught:
            async for _ in flavour.each(stream):
                time.sleep(pause)
                moment = time.perf_counter()
        return caught.value, time.perf_counter() - moment

    return flavour.run(main)


@pytest.mark.parametrize("head_after", [0.0, 0.1])
@pytest.mark.parametrize("clock", ["first", "total"])
def test_clocks_before_the_first_event(flavour, telling, clock, head_after):
    """`first` and `total` run out on time if headers are received, at once or late, and then nothing."""
    error, seconds = ending(flavour, telling(head_after=head_after, **{clock: 0.3}))
    assert error.clock == clock
    assert 0.29 <= seconds <= 0.3 + LATE
    assert error.partial.outcome == "timed_out"


@pytest.mark.parametrize("clock", ["first", "total"])
def test_clocks_before_the_headers(flavour, loopback, clock):
    """`first` and `total` run out on time if not even headers are received."""
    stream = flavour.Inference(loopback(("hang",)).connection()).stream("Hi", timeouts={**OFF, clock: 0.3})
    error, seconds = ending(flavour, stream)
    assert error.clock == clock
    assert 0.29 <= seconds <= 0.3 + LATE


@pytest.mark.parametrize("pause", [0.0, 0.05], ids=["reading", "pausing"])
@pytest.mark.parametrize("clock", ["idle", "silence", "total"])
def test_clocks_of_a_running_stream(flavour, telling, toy, clock, pause):
    """A clock of a running stream fires on time and not before, whether or not the caller pauses."""
    error, seconds = ending(flavour, telling(*toy.story[:2], **{clock: 0.3}), pause=pause)
    assert error.clock == clock
    assert error.partial.content == "Once upon "
    expected = 0.3 - (2 * pause if clock == "total" else 0.0)
    early = 0.15 if clock == "total" else 0.05  # the call began before this test could look at the time
    assert expected - early <= seconds <= expected + LATE


def test_comments_do_not_reset_idle(flavour, telling, toy):
    """A server that trickles comments resets `silence`, and not `idle`."""
    trickle = [step for _ in range(40) for step in (0.03, b": ping\n\n")]
    error, seconds = ending(flavour, telling(toy.story[0], *trickle, idle=0.4, silence=0.25))
    assert error.clock == "idle"
    assert 0.35 <= seconds <= 0.4 + LATE


def test_empty_deltas_do_not_reset_idle(flavour, telling, toy):
    """Empty pieces of text that keep the connection alive do not reset `idle`."""
    trickle = [step for _ in range(40) for step in (0.03, toy.say(TextDelta("")))]
    error, _ = ending(flavour, telling(toy.story[0], *trickle, idle=0.3))
    assert error.clock == "idle"


def test_events_reset_idle(flavour, telling, toy):
    """A stream of timely events continues beyond the length of its clocks."""
    slow = [step for _ in range(6) for step in (0.08, toy.say(TextDelta("x")))]
    stream = telling(*slow, 0.0, toy.say(Finish("stop", "stop")), toy.done, idle=0.45, silence=0.45, first=0.45)

    async def main():
        return await flavour.all(stream)

    assert flavour.run(main)[-1].content == "xxxxxx"


def test_slow_consumer_is_not_timed_out(flavour, telling, toy):
    """A caller that takes longer between two partials than the clocks allow loses nothing."""
    stream = telling(*toy.story, toy.done, idle=0.3, silence=0.3, first=2.0)

    async def main():
        seen = []
        async for partial in flavour.each(stream):
            time.sleep(0.35 if len(seen) < 2 else 0)  # behind the first partial, and between two others
            seen.append(partial.content)
        return seen

    assert flavour.run(main)[-1] == "Once upon a time"


def test_grace_ends_a_finished_stream(flavour, telling, toy):
    """After the finish, `grace` ends the wait for further events, and the stream is finished."""
    stream = telling(*toy.story, grace=0.3)

    async def main():
        started = time.perf_counter()
        partials = await flavour.all(stream)
        return partials, await flavour.wait(stream.response()), time.perf_counter() - started

    partials, response, seconds = flavour.run(main)
    assert partials[-1].finish_reason == "stop"
    assert response.outcome == "finished"
    assert 0.29 <= seconds <= 0.3 + LATE


def test_streams_have_their_own_clocks(loopback, http, toy):
    """Two concurrent streams time out each by its own clock."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)))
    inference = Inference(server.connection())
    took = {}

    def read(idle):
        started = time.perf_counter()
        with pytest.raises(TimedOut):
            list(inference.stream("Hi", timeouts={**OFF, "idle": idle}))
        took[idle] = time.perf_counter() - started

    threads = [threading.Thread(target=read, args=(idle,)) for idle in (1.2, 0.2, 0.7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HELD)
    assert list(took) == [0.2, 0.7, 1.2]
    assert all(idle - 0.01 <= seconds for idle, seconds in took.items())


# The thread itself


class Fake:
    """A watch that is looked at in its own way."""

    over = False

    def __init__(self, look):
        self.look = look


@pytest.fixture
def thread(monkeypatch):
    """A watchdog of the test's own."""
    made = watchdog._WatchdogThread()
    monkeypatch.setattr(watchdog, "_thread", made)
    return made


@pytest.fixture
def pair():
    """A connected pair of sockets."""
    left, right = socket.socketpair()
    with left, right:
        left.settimeout(HELD)
        yield left, right


def reading(seconds):
    """Clocks of a read that waits and is due after some seconds."""
    now = time.perf_counter()
    clocks = Clocks(Timeouts(first=seconds), now)
    clocks.asked = now + 1e-6
    return clocks


def test_waiting_read_is_ended(thread, pair):
    """When a clock runs out, the socket is shut down, the read returns nothing, and the watch names the clock."""
    started = time.perf_counter()
    watch = Watch(functools.partial(shut_down, pair[0]), reading(0.2))
    watch.arm()
    assert pair[0].recv(1) == b""
    assert 0.19 <= time.perf_counter() - started <= 0.2 + LATE
    assert watch.fired == "first"


def test_stopped_watch_never_fires(thread, pair):
    """After `stop`, the socket is not touched."""
    watch = Watch(functools.partial(shut_down, pair[0]), reading(0.1))
    watch.arm()
    watch.stop()
    pair[0].settimeout(0.3)
    with pytest.raises(TimeoutError):
        pair[0].recv(1)
    assert watch.fired is None
    assert not thread.watches


def test_clock_without_a_waiting_read_does_not_fire(thread, pair):
    """A clock that runs out while no read waits does not touch the socket until one does."""
    clocks = reading(0.1)
    clocks.asked = clocks.waited
    watch = Watch(functools.partial(shut_down, pair[0]), clocks)
    watch.arm()
    time.sleep(0.3)
    assert watch.fired is None
    clocks.asked = clocks.waited + 1.0
    assert pair[0].recv(1) == b""
    assert watch.fired == "first"


def test_watch_added_during_a_check_is_not_lost(thread, pair):
    """A stream that begins while the thread checks the others is watched too."""
    looking, go_on = threading.Event(), threading.Event()

    def look(now, *, late):
        looking.set()
        go_on.wait(HELD)
        return float("inf")

    thread.add(Fake(look), time.perf_counter())
    assert looking.wait(HELD)
    watch = Watch(functools.partial(shut_down, pair[0]), reading(0.3))
    arming = threading.Thread(target=watch.arm)
    arming.start()
    time.sleep(0.1)
    go_on.set()
    arming.join(HELD)
    assert pair[0].recv(1) == b""
    assert watch.fired == "first"


def test_watch_without_a_clock_starts_no_thread(thread, pair):
    """If no clock can run out, there is no thread."""
    clocks = Clocks(Timeouts(first=None), 0.0)
    Watch(functools.partial(shut_down, pair[0]), clocks).arm()
    assert thread._thread is None


@pytest.mark.parametrize("closed", [False, True])
def test_shutting_down_a_closed_socket_does_nothing(pair, closed):
    """Shutting down works from outside, and does nothing on a closed socket."""
    if closed:
        pair[0].close()
    shut_down(pair[0])
    shut_down(pair[0])
    shut_down(object())
    assert pair[1].recv(1) == b""


def test_there_is_one_watchdog_thread(loopback, http, toy):
    """However many streams run, there is one watchdog."""
    server = loopback(http.streamed(*toy.story, toy.done))
    inference = Inference(server.connection())
    before = set(threading.enumerate())
    for _ in range(5):
        list(inference.stream("Hi"))
    assert sum(thread.name == "polyglot-watchdog" for thread in set(threading.enumerate()) - before) <= 1


def test_finished_stream_is_not_watched(flavour, loopback, http, toy):
    """When a stream has ended, the watchdog keeps nothing of it."""
    server = loopback(http.streamed(*toy.story, toy.done))

    def watched():
        return sum(isinstance(watch, Watch) for watch in watchdog._thread.watches)

    before = watched()

    async def main():
        await flavour.all(flavour.Inference(server.connection()).stream("Hi"))

    flavour.run(main)
    assert watched() <= before


# The process is late, not the provider


@pytest.mark.parametrize("clock", ["first", "idle", "silence", "total"])
def test_clock_does_not_fire_while_data_waits(clock):
    """A clock that ran out while data waits to be read is checked again, except `total`."""
    waits, ended = [True], []
    clocks = Clocks(Timeouts(**{**OFF, "total": None, clock: 1.0}), 0.0)
    if clock in {"idle", "silence"}:
        clocks.meaning = 0.0
    clocks.asked = 0.5
    watch = Watch(lambda: ended.append(1), clocks, lambda: waits[0])
    for now in (2.0, 2.1, 60.0):
        watch.look(now)
    assert bool(ended) == (clock == "total")
    waits[0] = False
    watch.look(60.1)
    assert watch.fired == clock


def test_late_watchdog_excuses_each_moment_once():
    """If this thread woke late, the reader gets another moment; only once for one moment."""
    ended = []
    clocks = Clocks(Timeouts(**{**OFF, "first": 1.0}), 0.0)
    clocks.asked = 0.5
    watch = Watch(lambda: ended.append(1), clocks)
    assert watch.look(9.0, late=True) < 9.5
    assert not ended
    watch.look(9.1, late=True)
    assert ended


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("when", ["head", "body"])
def test_blocked_event_loop_is_not_the_providers_fault(loopback, http, toy, backend, when):
    """Another task blocks the event loop for longer than every clock, while the response arrives."""
    head, *rest = http.streamed(*toy.story, toy.done)
    script = (0.5, head, *rest) if when == "head" else (head, rest[0], 0.5, *rest[1:])
    server = loopback(script)
    stream = AsyncInference(server.connection()).stream(
        "Hi", timeouts={**OFF, "first": 1.0, "idle": 1.0, "silence": 1.0}
    )
    responses = []

    async def read():
        responses.append(await stream.response())

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.sleep(0.25)
            time.sleep(2.0)

    anyio.run(main, backend=backend)
    assert responses[0].outcome == "finished"
