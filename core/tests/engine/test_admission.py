"""Admission: a package decides when each attempt is sent, and hears how it went."""

from __future__ import annotations

import gc
import threading
import time
import types

import anyio
import pytest

from polyglot_core import AsyncInference, ConfigError, Connection, Inference, Rate, RateLimited, Retries, TimedOut
from polyglot_core._values import entry_points
from polyglot_core.plugin import TextDelta, UsageReport

pytestmark = pytest.mark.http

PATIENCE = 5.0
ASYNC = pytest.mark.parametrize("flavour", ["asyncio", "trio"], indirect=True)
RATE = Rate(requests_per_minute=60)


class Gate:
    """A package that admits requests when `open` is called, and notes what it is told."""

    def __init__(self):
        self.entered, self.told, self.released = [], [], []
        self.ready = False
        self._wakes = []

    def enter(self, request, wake):
        """Queue a request."""
        self.entered.append(request)
        self._wakes.append(wake)
        return types.SimpleNamespace(
            wait=lambda: 0.0 if self.ready else 60.0,
            responded=lambda status, headers: self.told.append((status, headers.get("x-left"))),
            release=lambda error=None, usage=None: self.released.append((error, usage)),
            guard=None,
        )

    def open(self):
        """Let all requests go."""
        self.ready = True
        for wake in self._wakes:
            wake()

    def wait_for(self, what, number=1):
        """Wait until a list of this object has so many items."""
        deadline = time.monotonic() + PATIENCE
        while len(getattr(self, what)) < number:
            assert time.monotonic() < deadline, (what, getattr(self, what))
            time.sleep(0.005)


@pytest.fixture
def gate(monkeypatch):
    """Install a package that admits requests."""
    gate = Gate()
    monkeypatch.setattr(entry_points, "_modules", lambda _group, _allowed: [gate])
    return gate


def later(call):
    """Call a function in another thread, a moment later."""
    timer = threading.Timer(0.05, call)
    timer.start()
    return timer


def test_a_request_waits_until_it_is_admitted(flavour, loopback, http, toy, gate):
    """It is sent when the package wakes it from another thread; the package sees the request, its head and its end."""
    server = loopback(http.streamed(*toy.story, toy.done, **{"x-left": "4"}))
    opened = later(gate.open)

    async def main():
        started = time.monotonic()
        call = flavour.Inference(server.connection(rate=RATE)).create("Hi", stream=True)
        return await flavour.wait(call.text()), time.monotonic() - started

    text, _ = flavour.run(main)
    opened.join()
    asked = gate.entered[0]
    assert (text, len(server.asked)) == ("Once upon a time", 1)
    assert (asked.origin, asked.attempt, asked.request.messages[0].text) == (server.url, 1, "Hi")
    assert asked.connection.rate == RATE
    assert gate.told == [(200, "4")]
    assert [error for error, _ in gate.released] == [None]


def test_each_attempt_is_admitted(flavour, loopback, http, toy, gate):
    """A retry needs a permit of its own; the package hears of the error, its wait and the usage."""
    gate.ready = True
    server = loopback(
        http.plain(b"{}", 429, **{"retry-after": "0.01"}),
        http.plain(toy.body(TextDelta("Once"), UsageReport({"in": 3, "out": 1}))),
    )
    connection = server.connection(rate=RATE, retries=Retries(max_retries=1))

    async def main():
        return await flavour.wait(flavour.Inference(connection).create("Hi").response())

    response = flavour.run(main)
    assert [asked.attempt for asked in gate.entered] == [1, 2]
    (first, _), (second, usage) = gate.released
    assert isinstance(first, RateLimited)
    assert (first.retry_after, second, usage) == (0.01, None, response.usage)


def test_nothing_is_asked_without_a_rate(flavour, loopback, http, toy, gate):
    """A connection without a rate sends its requests at once."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        return await flavour.wait(flavour.Inference(server.connection()).create("Hi", stream=True).text())

    assert flavour.run(main)
    assert gate.entered == []


def test_the_clock_total_ends_the_wait(flavour, loopback, http, gate):
    """The wait counts for `total`; nothing is sent, and the permit is released."""
    server = loopback(http.plain())
    connection = server.connection(rate=RATE)

    async def main():
        with pytest.raises(TimedOut) as caught:
            await flavour.wait(flavour.Inference(connection).create("Hi", timeouts={"total": 0.1}).response())
        return caught.value

    assert flavour.run(main).clock == "total"
    assert (server.asked, len(gate.released)) == ([], 1)


def test_the_wait_is_not_part_of_the_clock_first(flavour, loopback, http, toy, gate):
    """The clock `first` starts when the request was admitted."""
    server = loopback(http.streamed(*toy.story, toy.done))
    opened = threading.Timer(0.4, gate.open)
    opened.start()

    async def main():
        call = flavour.Inference(server.connection(rate=RATE)).create("Hi", stream=True, timeouts={"first": 0.3})
        return await flavour.wait(call.text())

    assert flavour.run(main)
    opened.join()


def test_close_ends_the_wait_of_a_thread(loopback, http, gate):
    """`close` in another thread ends the wait, and releases the permit."""
    server = loopback(http.plain())
    stream = Inference(server.connection(rate=RATE)).stream("Hi")
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    gate.wait_for("entered")
    stream.close()
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert (server.asked, len(gate.released), stream.response().outcome) == ([], 1, "cancelled")


@ASYNC
def test_cancelling_ends_the_wait_of_a_task(flavour, loopback, http, gate):
    """A cancelled task leaves the queue."""
    server = loopback(http.plain())

    async def main():
        with anyio.move_on_after(0.1):
            await AsyncInference(server.connection(rate=RATE)).create("Hi").response()

    flavour.run(main)
    assert (server.asked, len(gate.released)) == ([], 1)


@pytest.mark.parametrize("flavour", ["sync", "asyncio"], indirect=True)
def test_a_wait_in_parts(flavour, loopback, http, toy, gate):
    """`next` with a timeout returns None while the request waits, and the stream afterwards."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        async with flavour.inside(flavour.Inference(server.connection(rate=RATE)).stream("Hi")) as stream:
            assert await flavour.wait(stream.next(timeout=0.05)) is None
            gate.open()
            return (await flavour.wait(stream.response())).content

    assert flavour.run(main) == "Once upon a time"
    assert len(gate.released) == 1


def test_a_permit_of_a_stream_that_is_collected(loopback, http, toy, gate):
    """It is released, in a thread of core's, whether the stream has been read in part or waits in parts."""
    gate.ready = True
    server = loopback(http.streamed(toy.story[0], then=("hang",)))
    stream = Inference(server.connection(rate=RATE)).stream("Hi")
    next(iter(stream))
    del stream
    gc.collect()
    gate.wait_for("released")
    gate.ready = False
    waiting = Inference(server.connection(rate=RATE)).stream("Hi")
    assert waiting.next(timeout=0.02) is None
    del waiting
    gc.collect()
    gate.wait_for("released", 2)


def test_a_stream_that_is_closed_releases_its_permit(loopback, http, toy, gate):
    """A permit counts as long as the connection is in use, and no longer."""
    gate.ready = True
    server = loopback(http.streamed(toy.story[0], then=("hang",)))
    with Inference(server.connection(rate=RATE)).stream("Hi") as stream:
        next(iter(stream))
        assert gate.released == []
    assert len(gate.released) == 1


def test_a_rate_needs_a_package(loopback, http, monkeypatch):
    """Without one, the setting is refused, and the error names the package."""
    monkeypatch.setattr(entry_points, "_modules", lambda _group, _allowed: [])
    with pytest.raises(ConfigError, match="rate of connection 'here' requires the package polyglot-batch"):
        Inference(loopback(http.plain()).connection(rate=RATE))


def test_a_rate_in_the_configuration(tmp_path, toy_driver, gate):
    """A file states a rate as a table, and code overrides single numbers or switches it off."""
    file = tmp_path / "polyglot.toml"
    file.write_text(
        '[connections.here]\ndriver = "toy"\nmodel = "m"\nrate = { requests_per_minute = 300 }\n'
        '[connections.learns]\ndriver = "toy"\nmodel = "m"\nrate = {}\n'
    )

    def rate(name, **overrides):
        return Inference.using(name, config=file, **overrides).connection.rate

    assert rate("here") == Rate(requests_per_minute=300)
    assert rate("here", rate={"concurrency": 4}) == Rate(requests_per_minute=300, concurrency=4)
    assert rate("here", rate=None) is None
    assert rate("learns") == Rate()
    line = "driver=toy,model=m,rate.tokens_per_minute=9000"
    assert Inference.from_dsn(line).connection.rate == Rate(tokens_per_minute=9000)


@pytest.mark.parametrize(
    ("rate", "problem"),
    [
        (
            Rate(requests_per_minute=0),
            "'requests_per_minute' in rate of connection 'c' is 0, and should be a whole number from 1",
        ),
        (Rate(tokens_per_minute=1.5), "'tokens_per_minute' in rate of connection 'c' is not a whole number"),
        (Rate(concurrency=True), "'concurrency' in rate of connection 'c' is of type bool"),
        (4, "rate of connection 'c' is a Rate, or a dict such as {'concurrency': 30}, not int"),
    ],
)
def test_a_rate_that_cannot_be_used(toy_driver, rate, problem):
    """It is refused when the connection is made."""
    with pytest.raises(ConfigError, match=problem):
        Connection(name="c", driver="toy", model="m", rate=rate)
