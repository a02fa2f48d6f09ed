"""Observers: which events they are called with, on every way in which a call ends, and where they run."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import anyio
import pytest

from polyglot_core import (
    AttemptFailed,
    AttemptStarted,
    CallEnded,
    CallStarted,
    ConfigError,
    FirstEvent,
    Inference,
    Outcome,
    PluginError,
    PolyglotError,
    RequestError,
    Retries,
    observe,
)
from polyglot_core._engine import observers
from polyglot_core.events import Seam
from polyglot_core.plugin import TextDelta

pytestmark = pytest.mark.http

PATIENCE = 5.0
LOAD_INSTALLED = observers._load_installed
ASYNC = pytest.mark.parametrize("flavour", ["asyncio", "trio"], indirect=True)
STARTED = [CallStarted, AttemptStarted, FirstEvent]


class Seen(list):
    """An observer that keeps its events, and the names of the threads that it was called in."""

    def __init__(self):
        super().__init__()
        self.threads = []

    def __call__(self, event):
        self.threads.append(threading.current_thread().name)
        self.append(event)

    __hash__ = object.__hash__

    @property
    def kinds(self):
        return [type(event) for event in self]

    def ended(self):
        """Return the one `CallEnded`, which may be reported by another thread; check that there is one start."""
        deadline = time.monotonic() + PATIENCE
        while CallEnded not in self.kinds and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.02)  # a second one would come now
        assert (self.kinds.count(CallStarted), self.kinds.count(CallEnded)) == (1, 1)
        assert len({event.call_id for event in self}) == 1
        assert self.kinds[0] is CallStarted
        assert self.kinds[-1] is CallEnded
        return self[-1]


@pytest.fixture
def seen():
    """Observe all calls of the process."""
    seen = Seen()
    remove = observe(seen)
    yield seen
    remove()


@pytest.fixture
def held(loopback, http, toy):
    """A server that sends a piece of a story and then waits until its client disconnects."""
    return loopback(http.streamed(toy.story[0], then=("hang",)))


# The ways in which a call ends


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_a_call_that_finishes(flavour, loopback, http, toy, seen, streamed):
    """A call reports its start, its attempt, the first content and its end, in the thread that reads it."""
    body = toy.body(TextDelta("Once"))
    server = loopback(http.streamed(*toy.story, toy.done) if streamed else http.plain(body))

    async def main():
        return await flavour.wait(flavour.Inference(server.connection()).create("Hi", stream=streamed).response())

    response = flavour.run(main)
    ended = seen.ended()
    assert seen.kinds == [*STARTED, CallEnded]
    assert set(seen.threads) == {threading.current_thread().name}
    started, attempt, first = seen[:3]
    assert (started.connection, started.driver, started.model, started.stream) == ("here", "toy", "m", streamed)
    assert (started.origin, attempt.attempt, first.attempt) == (server.url, 1, 1)
    assert (ended.outcome, ended.error, ended.attempts, ended.usage) == ("finished", None, 1, response.usage)
    assert ended.timing == response.timing
    assert first.seconds == ended.timing.first_event
    assert len(ended.chunk_gaps) == (len(toy.story) if streamed else 0)


ERROR = b'{"error": {"message": "The prompt was: secret words.", "code": "no_such_model"}}'


@pytest.mark.parametrize(
    ("script", "options", "outcome", "error", "kinds"),
    [
        ("error", {}, "failed", "NotFound", [CallStarted, AttemptStarted, AttemptFailed, CallEnded]),
        ("hang", {"timeouts": {"first": 0.1}}, "timed_out", "TimedOut", None),
        ("cut", {}, "truncated", "Truncated", [*STARTED, AttemptFailed, CallEnded]),
        ("cut", {"on_truncated": "mark"}, "truncated", None, [*STARTED, AttemptFailed, CallEnded]),
        ("reset", {}, "failed", "TransportError", [*STARTED, AttemptFailed, CallEnded]),
    ],
    ids=["failed", "timed out", "truncated", "marked", "broken"],
)
def test_a_call_that_fails(flavour, loopback, http, toy, seen, script, options, outcome, error, kinds):
    """A call that fails reports the attempt that failed, and how it ended."""
    scripts = {
        "error": http.plain(ERROR, 404, x_request_id="req-1"),
        "hang": http.streamed(then=("hang",)),
        "cut": http.streamed(toy.story[0]),
        "reset": http.streamed(toy.story[0], then=(0.1, "reset")),
    }
    server = loopback(scripts[script])

    async def main():
        with contextlib.suppress(PolyglotError):
            await flavour.wait(flavour.Inference(server.connection()).create("Hi", stream=True, **options).response())

    flavour.run(main)
    ended = seen.ended()
    failed = next(event for event in seen if type(event) is AttemptFailed)
    assert (ended.outcome, ended.error) == (outcome, error)
    assert seen.kinds == (kinds or [CallStarted, AttemptStarted, AttemptFailed, CallEnded])
    assert (failed.error, failed.how, failed.attempt) == (error or "Truncated", None, 1)
    assert ended.timing.duration > 0
    if script == "error":
        assert (failed.status, failed.code, failed.request_id) == (404, "no_such_model", "req-1")
        assert ended.request_id == "req-1"
        assert "secret words" not in repr(list(seen))


def test_a_request_that_cannot_be_encoded(flavour, loopback, http, toy, seen):
    """An attempt that fails before its request is sent is one too."""
    server = loopback(http.plain())

    async def main():
        inference = flavour.Inference(server.connection())
        with pytest.raises(RequestError):
            await flavour.wait(inference.create("Hi", stream=True, resume="prefill").response())

    flavour.run(main)
    ended = seen.ended()
    assert (ended.outcome, ended.error, ended.attempts) == ("failed", "RequestError", 0)
    assert seen.kinds == [CallStarted, CallEnded]


def test_retries_and_fallbacks(flavour, loopback, http, toy, seen):
    """Every attempt reports where it goes and what follows it; observers of a fallback are not called."""
    first, second = loopback(http.plain(b"", 503)), loopback(http.streamed(*toy.story, toy.done))
    not_called = Seen()
    other = second.connection(name="there", model="n", observers=[not_called])
    made = first.connection(retries=Retries(max_retries=1, initial_backoff=0.01), fallbacks=[other])

    async def main():
        return await flavour.wait(flavour.Inference(made).create("Hi", stream=True).response())

    response = flavour.run(main)
    ended = seen.ended()
    failed = [event for event in seen if type(event) is AttemptFailed]
    assert [(event.how, event.attempt, event.status, event.connection) for event in failed] == [
        ("retry", 1, 503, "here"),
        ("fallback", 2, 503, "here"),
    ]
    assert failed[0].wait == response.failed_attempts[0].wait > 0
    assert (ended.outcome, ended.attempts, ended.connection, ended.model) == ("finished", 3, "there", "n")
    assert not_called == []


def test_a_resumed_response(flavour, loopback, http, toy, seen):
    """Each attempt that receives content reports the first of it."""
    server = loopback(http.streamed(toy.story[0]), http.streamed(*toy.story, toy.done))
    made = server.connection(retries=Retries(max_retries=1, initial_backoff=0.01))

    async def main():
        seams = []
        call = flavour.Inference(made).create("Hi", stream=True, resume="restart").on_seam(seams.append)
        await flavour.wait(call.response())
        return seams

    (seam,) = flavour.run(main)
    ended = seen.ended()
    assert seen.kinds == [*STARTED, AttemptFailed, AttemptStarted, FirstEvent, CallEnded]
    assert (seen[3].how, seen[3].error, seen[3].wait) == (seam.how, seam.error, seam.wait)
    assert [seen[2].attempt, seen[5].attempt, ended.attempts] == [1, 2, 2]


def test_on_seam_is_an_observer(flavour, loopback, http, toy, seen):
    """A function of `on_seam` is called at the moment of the event, also one that is registered during the stream."""
    server = loopback(http.streamed(toy.story[0]), http.streamed(*toy.story, toy.done))
    made = server.connection(retries=Retries(max_retries=1, initial_backoff=0.01))
    order = []

    def quoting(event):
        order.append(event)

    quoting.wants_content = True

    async def main():
        stream = flavour.Inference(made, observers=[quoting]).create("Hi", stream=True, resume="restart").stream()
        await flavour.next(stream)
        await flavour.wait(stream.on_seam(order.append).response())

    flavour.run(main)
    index, seam = next((index, event) for index, event in enumerate(order) if isinstance(event, Seam))
    assert type(order[index - 1]) is AttemptFailed
    assert order[index - 1].seam == seam
    assert type(order[index + 1]) is AttemptStarted
    assert [event.seam for event in seen if type(event) is AttemptFailed] == [None]


def test_on_seam_without_other_observers(flavour, loopback, http, toy, monkeypatch):
    """It is called although nothing else observes the call, and no matter when it is registered."""
    monkeypatch.setattr(observers, "_process", {})
    monkeypatch.setattr(observers, "_load_installed", lambda: None)
    server = loopback(http.streamed(toy.story[0]), http.streamed(toy.story[0]), http.streamed(*toy.story, toy.done))
    made = server.connection(retries=Retries(max_retries=2, initial_backoff=0.01))
    before, during = [], []

    async def main():
        stream = flavour.Inference(made).create("Hi", stream=True, resume="restart").on_seam(before.append).stream()
        await flavour.next(stream)
        await flavour.wait(stream.on_seam(during.append).response())

    flavour.run(main)
    assert [seam.how for seam in before] == ["restart", "restart"]
    assert during == before


def test_a_stream_that_is_closed(flavour, held, seen):
    """The end of a stream that is left and closed is reported once, by a thread of its own."""

    async def main():
        stream = flavour.Inference(held.connection()).stream("Hi")
        async with flavour.inside(stream):
            await flavour.next(stream)
        await flavour.wait(stream.close())

    flavour.run(main)
    ended = seen.ended()
    assert (ended.outcome, ended.error, ended.attempts) == ("cancelled", None, 1)
    assert seen.kinds == [*STARTED, CallEnded]
    assert set(seen.threads[:-1]) == {threading.current_thread().name}
    assert seen.threads[-1] == "polyglot-observers"


def test_a_stream_that_is_collected(flavour, held, seen):
    """The end of a stream without a reference to it is reported by a thread of its own."""

    async def main():
        stream = flavour.Inference(held.connection()).stream("Hi")
        await flavour.next(stream)
        del stream
        gc.collect()

    flavour.run(main)
    assert seen.ended().outcome == "cancelled"
    assert seen.threads[-1] == "polyglot-observers"


def test_a_stream_that_has_ended_and_is_collected(loopback, http, toy, seen):
    """A stream that is dropped after its last partial has finished."""
    server = loopback(http.streamed(*toy.story, toy.done))
    stream = iter(Inference(server.connection()).stream("Hi"))
    while next(stream).finish_reason is None:
        pass
    del stream
    gc.collect()
    assert seen.ended().outcome in {"finished", "cancelled"}  # the end of the stream may have been read or not


@ASYNC
def test_a_cancelled_task(flavour, held, seen):
    """The end of a call whose task is cancelled is reported."""

    async def main():
        with anyio.move_on_after(0.2):
            await flavour.Inference(held.connection()).create("Hi", stream=True).response()

    flavour.run(main)
    assert seen.ended().outcome == "cancelled"


def test_an_interrupted_read(held, seen):
    """The end of a call that an interruption ends is reported."""
    stream = Inference(held.connection()).stream("Hi")

    def interrupt(_partial):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream.on_partial(interrupt).response()
    assert seen.ended().outcome == "cancelled"


def test_a_stream_that_another_thread_closes(held, seen):
    """A reader that waits wakes, and the end is reported once."""
    stream = Inference(held.connection()).stream("Hi")
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    assert held.reached.wait(PATIENCE)
    for _ in range(3):
        stream.close()
    reader.join(PATIENCE)
    assert seen.ended().outcome == "cancelled"


@pytest.mark.parametrize("flavour", ["sync", "asyncio"], indirect=True)
def test_waits_in_parts(flavour, loopback, http, toy, seen):
    """A request that is sent in the background reports to the same observers, in order."""
    go = threading.Event()
    server = loopback(http.streamed(go, *toy.story, toy.done))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi")
        assert await flavour.wait(stream.next(timeout=0.05)) is None
        go.set()
        await flavour.wait(stream.response())

    flavour.run(main)
    assert seen.ended().outcome == "finished"
    assert seen.kinds == [*STARTED, CallEnded]


def test_a_call_that_is_not_sent(flavour, loopback, http, seen):
    """A call that was created, or closed before its first read, reports nothing; neither does a list of models."""
    server = loopback(http.plain())

    async def main():
        inference = flavour.Inference(server.connection())
        inference.create("Hi")
        stream = inference.stream("Hi")
        await flavour.wait(stream.close())
        with pytest.raises(RequestError):
            await flavour.wait(inference.models())

    flavour.run(main)
    gc.collect()
    time.sleep(0.05)
    assert (seen, server.asked) == ([], [])


# Where observers run


def test_a_generator_that_is_collected_under_a_lock(held, seen):
    """An observer may take a lock that the thread holds in which a finalizer closes the stream."""
    lock = threading.Lock()

    def taking(_event):
        with lock:
            pass

    remove = observe(taking)

    def pieces():
        with Inference(held.connection()).stream("Hi") as stream:
            yield from stream.text()

    generator = pieces()
    next(generator)
    with lock:
        del generator
        gc.collect()
    assert seen.ended().outcome == "cancelled"
    remove()


def test_an_observer_that_waits_does_not_delay_clocks(held, loopback, http):
    """The thread that ends calls is not the one that watches clocks: an observer may make a call itself."""
    errors = []

    def calling(event):
        if type(event) is CallEnded and event.outcome is Outcome.CANCELLED:
            try:
                Inference(held.connection()).create("Hi", stream=True, timeouts={"total": 0.2}).response()
            except PolyglotError as error:
                errors.append(error)

    stream = Inference(held.connection(), observers=[calling]).stream("Hi")
    next(iter(stream))
    stream.close()
    deadline = time.monotonic() + PATIENCE
    while not errors and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [type(error).__name__ for error in errors] == ["TimedOut"]


def test_a_call_is_freed_without_the_collector(loopback, http, toy, seen):
    """Nothing that observes a call keeps it, or makes a cycle of it, once it has ended."""
    server = loopback(http.streamed(*toy.story, toy.done))
    gc.collect()
    gc.disable()
    try:
        stream = Inference(server.connection()).stream("Hi")
        call = weakref.ref(stream._pump.call)
        stream.response()
        del stream
        assert call() is None
    finally:
        gc.enable()
    assert observers._open == {}


SCRIPT = """
    import os, sys, time
    from polyglot_core import CallEnded, Connection, Inference, observe, register
    sys.path.insert(0, {tests!r})
    import conftest

    def show(event):
        print(os.getpid() == parent, type(event).__name__, getattr(event, "outcome", ""), flush=True)

    parent = os.getpid()
    observe(show)
    registered = register(conftest.Toy(), "toy")
    connection = Connection(name="x", driver="toy", model="m", base_url={url!r}, api_key="k")
    stream = Inference(connection).stream("Hi")
    next(iter(stream))
"""


def run_script(server, more=""):
    """Run a script that has begun to read a stream; return what it prints."""
    tests = str(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120 (a folder for sys.path)
    code = textwrap.dedent(SCRIPT.format(tests=tests, url=server.url)) + textwrap.dedent(more)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout.split("\n")[:-1]


def test_a_process_that_exits(held):
    """A stream that is left open when the process exits reports its end."""
    assert run_script(held) == [
        "True CallStarted ",
        "True AttemptStarted ",
        "True FirstEvent ",
        "True CallEnded cancelled",
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child(held):
    """A child reports its own calls, and nothing of those of its parent."""
    more = """
        child = os.fork()
        if child == 0:
            stream.close()
            time.sleep(0.2)
            del stream
            with Inference(connection).stream("Hi") as own:
                next(iter(own))
            time.sleep(0.2)
            sys.exit(0)
        os.waitpid(child, 0)
    """
    lines = run_script(held, more)
    assert [line for line in lines if line.startswith("False")] == [
        "False CallStarted ",
        "False AttemptStarted ",
        "False FirstEvent ",
        "False CallEnded cancelled",
    ]
    assert lines[-1] == "True CallEnded cancelled"
    assert len(lines) == 8


# Several observers, and what they raise


def test_where_observers_are_registered(flavour, loopback, http, toy, seen, monkeypatch, tmp_path):
    """A call has the observers of its connection, of its inference and of the process, each once, by name or not."""
    server = loopback(http.streamed(*toy.story, toy.done))
    (tmp_path / "acme_watching.py").write_text("events = []\n\ndef watch(event):\n    events.append(event)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    one, two = Seen(), Seen()
    made = server.connection(observers=["acme_watching:watch", one, seen])

    async def main():
        inference = flavour.Inference(made, observers=[two, one])
        await flavour.wait(inference.create("Hi", stream=True).response())
        await flavour.wait(flavour.Inference(made.with_changes(observers=())).create("Hi", stream=True).response())

    flavour.run(main)
    assert one.kinds == two.kinds == [*STARTED, CallEnded]
    assert [type(event) for event in sys.modules.pop("acme_watching").events] == one.kinds
    assert seen.kinds == [*STARTED, CallEnded] * 2


def test_an_observer_that_is_removed(loopback, http, toy):
    """An observer is called until it is unregistered, which can be done twice."""
    server = loopback(http.streamed(*toy.story, toy.done))
    seen = Seen()
    remove = observe(seen)
    inference = Inference(server.connection())
    inference.create("Hi", stream=True).text()
    remove()
    remove()
    inference.create("Hi", stream=True).text()
    assert seen.kinds == [*STARTED, CallEnded]


def test_calls_without_observers(loopback, http, toy, monkeypatch):
    """Without observers a call reports nothing, and is not kept until its end."""
    monkeypatch.setattr(observers, "_process", {})
    monkeypatch.setattr(observers, "_load_installed", lambda: None)  # a package with one may be installed
    server = loopback(http.streamed(*toy.story, toy.done))
    stream = Inference(server.connection()).stream("Hi")
    assert not stream._pump.call.record.observers
    stream.response()
    assert "observers" not in repr(observers._open)


def test_an_observer_that_raises(flavour, loopback, http, toy, seen, caplog):
    """What an observer raises is logged once, and neither ends the call nor the others' events."""
    server = loopback(http.streamed(*toy.story, toy.done))

    def broken(event):
        msg = f"no {type(event).__name__}"
        raise StopIteration(msg)

    async def main():
        inference = flavour.Inference(server.connection(observers=[broken]))
        return [await flavour.wait(inference.create("Hi", stream=True).text()) for _ in range(2)]

    assert flavour.run(main) == ["Once upon a time"] * 2
    assert seen.kinds == [*STARTED, CallEnded] * 2
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert (record.name, "raised StopIteration" in record.getMessage()) == ("polyglot_core.engine", True)
    assert record.exc_info is not None


@pytest.mark.parametrize("kind", [CallStarted, AttemptStarted, FirstEvent, AttemptFailed, CallEnded])
def test_an_observer_that_interrupts(flavour, loopback, http, toy, seen, kind):
    """An exception that is no error, such as KeyboardInterrupt, passes on, and the call ends."""
    server = loopback(http.streamed(toy.story[0]))

    def interrupting(event):
        if type(event) is kind:
            raise KeyboardInterrupt

    async def main():
        await flavour.wait(
            flavour.Inference(server.connection(), observers=[interrupting]).create("Hi", stream=True).response()
        )

    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)):
        flavour.run(main)
    if kind is CallStarted:  # the process's observers come after the inference's, and did not hear of the start
        time.sleep(0.05)
        assert seen.kinds in ([], [CallEnded])
    elif kind is not CallEnded:
        assert seen.ended().outcome in {"cancelled", "truncated"}


def test_what_is_no_observer(loopback, http):
    """Anything that cannot be called, and a coroutine function, is refused; so is a name that nothing has."""
    server = loopback(http.plain())

    async def waiting(event):
        pass

    for wrong in (3, waiting):
        with pytest.raises(RequestError, match="An observer takes a"):
            observe(wrong)
        with pytest.raises(RequestError, match="An observer takes a"):
            Inference(server.connection(), observers=[wrong])
    for name in ("acme_nowhere", "acme_nowhere:watch"):
        with pytest.raises(PluginError, match="'acme_nowhere"):
            Inference(server.connection(observers=[name]))
    with pytest.raises(PluginError, match=r"has no attribute 'dump_s', .*\(did you mean 'dumps'\?\)"):
        Inference(server.connection(observers=["json:dump_s"]))
    for wrong in (print, "json:dumps", 3):
        with pytest.raises(ConfigError, match="should be a list of functions"):
            Inference(server.connection(), observers=wrong)
        with pytest.raises(ConfigError, match="should be a list of functions"):
            server.connection(observers=wrong)


def test_observers_that_want_content(flavour, loopback, http, toy, seen):
    """Only an observer that asks for it is given the request and the response."""
    server = loopback(http.streamed(*toy.story, toy.done))

    class Reading(Seen):
        wants_content = True

    reading = Reading()

    async def main():
        inference = flavour.Inference(server.connection(observers=[reading]))
        return await flavour.wait(inference.create("Tell me.", stream=True).response())

    response = flavour.run(main)
    assert reading[0].request.messages[0].text == "Tell me."
    assert reading[-1].response == response
    assert (seen[0].request, seen[-1].response) == (None, None)
    assert "Tell me" not in repr(seen)
    assert "Once" not in repr(seen)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution with observers. What was loaded of it is forgotten at the end."""
    before = dict(observers._process)
    monkeypatch.setattr(observers, "_load_installed", LOAD_INSTALLED)
    LOAD_INSTALLED.cache_clear()

    def put(*entries):
        info = tmp_path / "polyglot_watching-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: polyglot-watching\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[polyglot.observers]\n" + "\n".join(entries) + "\n")
        (tmp_path / "acme_installed.py").write_text("events = []\nwatch = events.append\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()

    yield put
    observers._process.clear()
    observers._process.update(before)
    LOAD_INSTALLED.cache_clear()
    sys.modules.pop("acme_installed", None)


def test_observers_that_want_no_call(flavour, loopback, http, toy, seen):
    """One whose attribute is false when a call starts is not called for it; one whose property raises is."""

    class Choosy(Seen):
        wanted = False

        @property
        def wants_call(self):
            if self.wanted is None:
                raise ValueError
            return self.wanted

    choosy = Choosy()
    server = loopback(http.streamed(*toy.story, toy.done))
    inference = flavour.Inference(server.connection(observers=[choosy, seen]))

    async def main():
        for wanted in (False, True, False, None):
            choosy.wanted = not wanted
            stream = inference.stream("Hi")
            choosy.wanted = wanted  # it counts at the start, which is the first read
            await flavour.wait(stream.response())

    flavour.run(main)
    assert [type(event) for event in choosy] == 2 * [*STARTED, CallEnded]
    assert len(seen) == 4 * 4


def test_an_observer_of_an_installed_package(flavour, loopback, http, toy, install, caplog):
    """It is called with the events of all calls; one that cannot be loaded is logged, once, and nothing else."""
    server = loopback(http.streamed(*toy.story, toy.done))
    install("watching = acme_installed:watch", "broken = acme_nowhere:watch", "nothing = acme_installed:nothing")

    async def main():
        for made in (server.connection(), server.connection(observers=["watching"])):  # named as well: called once
            await flavour.wait(flavour.Inference(made).create("Hi", stream=True).text())

    flavour.run(main)
    kinds = [type(event) for event in sys.modules["acme_installed"].events]
    assert kinds == [*STARTED, CallEnded] * 2
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text.partition(": ")[0] for text in warned] == [
        "The installed observer 'broken' cannot be used",
        "The installed observer 'nothing' cannot be used",
    ]


@pytest.mark.parametrize(("allowed", "loaded"), [("polyglot-watching", True), ("watching", True), ("toy", False)])
def test_the_allow_list_holds_for_observers(loopback, http, install, monkeypatch, allowed, loaded):
    """No module of a package that the allow list leaves out is imported."""
    install("watching = acme_installed:watch")
    monkeypatch.setenv("POLYGLOT_DRIVERS", allowed)
    Inference(loopback(http.plain()).connection())
    assert ("acme_installed" in sys.modules) == loaded
