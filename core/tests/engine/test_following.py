"""Responses that a follow-up request receives: one attempt over several requests, its failures and its origin."""

from __future__ import annotations

import inspect
import json
import signal
import threading
import time
from types import SimpleNamespace

import msgspec
import pytest
from msgspec.structs import replace

from polyglot_core import (
    Connection,
    PluginError,
    PolyglotError,
    Rate,
    RateLimited,
    Retries,
    StreamError,
    TimedOut,
    Timeouts,
    TransportError,
    Truncated,
    register,
)
from polyglot_core._values import entry_points
from polyglot_core.errors import LimitExceeded, Malformed, NotFound, ServerError
from polyglot_core.plugin import (
    Chunk,
    Failure,
    Finish,
    Follow,
    Ping,
    ResponseStarted,
    Secret,
    TextDelta,
    UsageReport,
    WireRequest,
    hookimpl,
)
from polyglot_core.testing import bind, replay

pytestmark = pytest.mark.http

STORY = "Once upon a time"
SOON = Retries(max_retries=2, initial_backoff=0.01)


def creating(toy):
    """Return the toy dialect with tasks: a member ``follow`` in a chunk leads to the response of another request."""

    class Creating(toy.Driver):
        @hookimpl
        def encode_request(self, connection, request):
            wire = toy.Driver.encode_request(self, connection, request)
            return replace(wire, framing="whole")

        @hookimpl
        def decode_chunk(self, connection, chunk, state):
            if not chunk.data.startswith(b"{"):
                state["chunks"] = [*state.get("chunks", ()), len(chunk.data)]
                return toy.Driver.decode_chunk(self, chunk)
            said = msgspec.json.decode(chunk.data)
            state.update(said)
            events = toy.Driver.decode_chunk(self, Chunk(json.dumps(said.get("events", [])).encode(), b""))
            if "follow" not in said:
                return events
            url = said["follow"] if "://" in said["follow"] else f"{connection.base_url}{said['follow']}"
            headers = {"x-task": state["task"], **said.get("headers", {})}
            framing = said.get("framing", "sse")
            wire = WireRequest(url=url, method="GET", body=b"", headers=headers, framing=framing)
            return [*events, Follow(wire, said.get("after", 0.0))]

    return Creating()


@pytest.fixture(autouse=True)
def _creating(toy):
    with register(creating(toy), "creating"):
        yield


@pytest.fixture
def created(http):
    """Return a function that makes the response to the first request."""

    def make(follow="/tasks/t1", status=201, **fields):
        return http.plain(json.dumps({"task": "t1", "follow": follow, **fields}).encode(), status)

    return make


def linked(server, **fields):
    return server.connection(driver="creating", **fields)


def text_of(flavour, connection, **options):
    async def main():
        return await flavour.wait(flavour.Inference(connection).create("Hi", stream=True, **options).response())

    return flavour.run(main)


def error_of(flavour, connection, kind=PolyglotError, **options):
    with pytest.raises(kind) as caught:
        text_of(flavour, connection, **options)
    return caught.value


def paths(server):
    return [(asked.method, asked.path) for asked in server.asked]


FIRST, SECOND = ("POST", "/answer"), ("GET", "/tasks/t1")


def test_response_of_the_follow_up_request(flavour, loopback, http, toy, created):
    """The key, the connection's headers and the decoder's state are those of the first request; it is one attempt."""
    server = loopback(created(), http.streamed(*toy.story, toy.done))
    connection = linked(server, headers={"x-mine": "1"})
    seen = []

    async def main():
        stream = flavour.Inference(connection, observers=[seen.append]).create("Hi", stream=True).stream()
        deltas = [partial.content_delta for partial in await flavour.all(stream)]
        return deltas, await flavour.wait(stream.response())

    deltas, response = flavour.run(main)
    assert "".join(deltas) == response.content == STORY
    assert (response.outcome, response.failed_attempts) == ("finished", ())
    assert paths(server) == [FIRST, SECOND]
    assert [asked.headers["authorization"] for asked in server.asked] == ["Bearer test-key"] * 2
    assert [asked.headers["x-mine"] for asked in server.asked] == ["1", "1"]
    assert server.asked[1].headers["x-task"] == "t1"
    assert server.connections == 1
    names = [type(event).__name__ for event in seen]
    assert names == ["CallStarted", "AttemptStarted", "FirstEvent", "CallEnded"]
    assert (seen[-1].attempts, seen[-1].error) == (1, None)


def test_plain_response_of_the_follow_up_request(flavour, loopback, http, toy, created):
    """A whole body may follow a whole body."""
    body = toy.body(TextDelta(STORY), Finish("stop", "stop"))
    server = loopback(created(framing="whole"), http.plain(body))

    async def main():
        return await flavour.wait(flavour.Inference(linked(server)).create("Hi").text())

    assert flavour.run(main) == STORY
    assert server.connections == 1


def test_follow_within_a_stream_keeps_what_was_received(flavour, loopback, http, toy, created):
    """Content, usage and the decoder's state of a first stream are kept, and the rest of it is not read."""
    first = [toy.say(TextDelta("Once ")), toy.say(UsageReport({"in": 3}))]
    follow = b"data: " + json.dumps({"task": "t1", "follow": "/tasks/t1"}).encode() + b"\n\n"
    server = loopback(
        created("/one"), http.streamed(*first, follow, toy.say(TextDelta("ignored"))), http.streamed(*toy.story[1:])
    )
    response = text_of(flavour, linked(server))
    assert (response.content, response.usage.input_tokens) == (STORY, 3)
    assert paths(server) == [FIRST, ("GET", "/one"), SECOND]


def test_polling_with_a_pause(flavour, loopback, http, toy, created):
    """`after` is waited for, and polls do not count as attempts."""
    waiting = created(framing="whole", after=0.01, status=200)
    body = json.dumps({"events": json.loads(toy.body(TextDelta(STORY), Finish("stop", "stop")))}).encode()
    server = loopback(waiting, waiting, waiting, waiting, http.plain(body))
    response = text_of(flavour, linked(server))
    assert (response.content, len(server.asked), response.failed_attempts) == (STORY, 5, ())


def test_pause_after_content_is_longer_than_the_clock_idle(flavour, loopback, http, toy, created):
    """No read is in progress in the pause, so that `idle` does not run, and the request is not sent early."""
    seconds = 1.0
    first = http.streamed(toy.story[0], toy.say(TextDelta("so ")), follow_event(after=seconds))
    server = loopback(created("/one"), first, http.streamed(*toy.story, toy.done))
    connection = linked(server, timeouts=Timeouts(idle=seconds / 2))
    moments = []

    async def main():
        stream = flavour.Inference(connection).create("Hi", stream=True).stream()
        async for partial in flavour.each(stream):
            moments.append((time.perf_counter(), partial.content_delta))

    flavour.run(main)
    begun = next(moment for moment, delta in moments if delta == "so ")
    assert moments[-1][0] - begun >= seconds


def test_events_before_the_follow_up_request_are_emitted(flavour, loopback, http, toy, created):
    """Id and model of the first response count, and its pings are emitted at once."""
    events = json.loads(toy.body(ResponseStarted("r1", "m1"), Ping()))
    server = loopback(created(events=events), http.streamed(*toy.story))

    async def main():
        stream = flavour.Inference(linked(server)).create("Hi", stream=True).stream()
        events = [type(event).__name__ for event in await flavour.all(stream.events())]
        return events, await flavour.wait(stream.response())

    names, response = flavour.run(main)
    assert names[0] == "Ping"
    assert "Follow" not in names
    assert (response.id, response.model, response.content) == ("r1", "m1", STORY)


@pytest.mark.parametrize(("status", "kind"), [(404, NotFound), (429, RateLimited), (500, ServerError)])
def test_error_status_of_the_follow_up_request(flavour, loopback, http, created, status, kind):
    """The error is classified as usual; retries repeat the follow-up request alone, so that nothing is paid twice."""
    server = loopback(created(), http.plain(b'{"error": {"message": "No."}}', status))
    error = error_of(flavour, linked(server, retries=SOON), kind)
    assert (error.status, error.phase, error.message[:3]) == (status, "headers", "No.")
    repeated = 0 if status == 404 else 2
    assert paths(server) == [FIRST, *[SECOND] * (1 + repeated)]
    assert error.attempts == 1 + repeated


def test_retry_of_the_follow_up_request(flavour, loopback, http, toy, created):
    """The retry is a further attempt with id, model and decoder's state as they were before the one that failed."""
    events = json.loads(toy.body(ResponseStarted("r1", "m1")))
    held = toy.say(Ping())
    server = loopback(
        created(events=events), http.plain(b"", 503), http.streamed(held, then=("close",)), http.streamed(*toy.story)
    )
    response = text_of(flavour, linked(server, retries=SOON))
    assert (response.content, response.id, response.model) == (STORY, "r1", "m1")
    assert [failed.error for failed in response.failed_attempts] == ["Overloaded", "TransportError"]
    assert paths(server) == [FIRST, *[SECOND] * 3]


def test_failure_of_the_task_begins_a_new_one(flavour, loopback, http, toy, created):
    """Where the provider reports in its response that the task has failed, a retry sends the first request."""
    failed = toy.say(Failure("Busy.", type="overloaded_error"))
    server = loopback(created(), http.streamed(failed), created("/tasks/t2"), http.streamed(*toy.story))
    assert text_of(flavour, linked(server, retries=SOON)).content == STORY
    assert paths(server) == [FIRST, SECOND, FIRST, ("GET", "/tasks/t2")]


def test_refused_connection_of_the_follow_up_request(flavour, loopback, created, unused_port):
    """The error names the address, and the first request is not repeated."""
    server = loopback(created(f"http://127.0.0.1:{unused_port}/tasks/t1"))
    error = error_of(flavour, linked(server, retries=SOON), TransportError)
    assert (error.attempts, len(server.asked)) == (3, 1)


@pytest.fixture
def unused_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize("resume", [None, "restart"])
def test_follow_up_response_that_is_cut(flavour, loopback, http, toy, created, resume):
    """A cut after content raises, with what was received; a restart repeats the follow-up request alone."""
    server = loopback(created(), http.streamed(*toy.story[:2], then=("close",)), http.streamed(*toy.story))
    if resume is None:
        error = error_of(flavour, linked(server, retries=SOON), TransportError)
        assert (error.partial.content, error.partial.outcome) == ("Once upon ", "failed")
        assert paths(server) == [FIRST, SECOND]
    else:
        assert text_of(flavour, linked(server, retries=SOON), resume=resume).content == STORY
        assert paths(server) == [FIRST, SECOND, SECOND]


@pytest.mark.parametrize("received", [0, 1], ids=["nothing", "a part"])
def test_finish_before_the_follow_up_request_completes_no_response_that_is_cut(
    flavour, loopback, http, toy, created, received
):
    """What the follow-up request receives is a part of the response, whatever was received before it."""
    finished = json.loads(toy.body(Finish("stop", "stop")))
    server = loopback(created(events=finished), http.streamed(*toy.story[:received], then=("close",)))
    error = error_of(flavour, linked(server), retries=0)
    assert isinstance(error, TransportError)
    assert (error.partial.outcome, error.partial.content) == ("failed", "Once " * received)


@pytest.mark.parametrize("ending", ["end of the body", "clock"])
def test_finish_before_a_follow_up_request_without_a_response(flavour, loopback, http, toy, created, ending):
    """An empty body is truncated; a clock that runs out is `idle`, and not `grace`, and ends no response well."""
    finished = json.loads(toy.body(Finish("stop", "stop")))
    server = loopback(created(events=finished), http.streamed(then=("hang",) if ending == "clock" else ()))
    connection = linked(server, timeouts=Timeouts(idle=0.3, grace=60.0))
    error = error_of(flavour, connection, retries=0)
    assert isinstance(error, TimedOut if ending == "clock" else Truncated)


def test_finish_before_the_follow_up_request_counts(flavour, loopback, http, toy, created):
    """If the response is received to its end."""
    finished = json.loads(toy.body(Finish("length", "length")))
    server = loopback(created(events=finished), http.streamed(*toy.story[:3]))
    response = text_of(flavour, linked(server))
    assert (response.content, response.outcome, response.finish_reason) == (STORY, "finished", "length")


def test_cut_between_the_two_responses(flavour, loopback, http, toy, created):
    """A first response that breaks before it has led to another is no complete response."""
    server = loopback((http.head(201, "application/json", content_length=99), b'{"task"', "reset"))
    error = error_of(flavour, linked(server), TransportError)
    assert error.partial.outcome == "failed"
    empty = loopback(created("/one"), http.streamed(toy.say(ResponseStarted("r1"))))
    error = error_of(flavour, linked(empty), Truncated)
    assert (error.partial.outcome, error.partial.id) == ("truncated", "r1")


def test_endless_follow_up_requests(flavour, loopback, http, created, monkeypatch):
    """An attempt has a maximum number of follow-up requests."""
    monkeypatch.setattr("polyglot_core._attempt.attempt._MOST_FOLLOWED", 20)
    server = loopback(created(framing="whole", status=200))
    error = error_of(flavour, linked(server), LimitExceeded)
    assert "more than 20 follow-up requests" in error.message
    assert (len(server.asked), server.connections) == (21, 1)


def test_other_origin_gets_no_key(flavour, loopback, http, toy, created):
    """Neither the key nor headers of the connection are sent to another origin; the driver's own headers are."""
    other = loopback(http.streamed(*toy.story))
    server = loopback(created(f"{other.url}/tasks/t1"))
    response = text_of(flavour, linked(server, headers={"x-mine": Secret("mine")}))
    assert response.content == STORY
    (asked,) = other.asked
    assert asked.headers["x-task"] == "t1"
    assert not {"authorization", "x-mine"} & set(asked.headers)
    assert "test-key" not in str(asked)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/tasks", "uses plain HTTP to a remote host"),
        ("ftp://example.com/tasks", "must be an absolute http or https URL"),
        ("http://[::1/tasks", "is not a URL"),
    ],
)
def test_address_that_cannot_be_followed(flavour, loopback, http, created, url, why):
    """An address of the provider's is checked as a base URL is; the first request is not repeated for it."""
    server = loopback(created(url))
    error = error_of(flavour, linked(server, retries=SOON), Malformed)
    assert why in error.message
    assert (error.partial.outcome, len(server.asked)) == ("failed", 1)


def test_authorization_of_the_follow_up_request(flavour, loopback, http, toy, created):
    """`authorize` is called for a follow-up request to the same origin, and not for one to another."""

    class Signing(type(creating(toy))):
        @hookimpl
        def authorize(self, wire):
            return replace(wire, headers={**wire.headers, "x-signed": Secret(wire.url.rpartition("/")[2])})

    other = loopback(http.streamed(*toy.story))
    server = loopback(created(framing="whole"), created(f"{other.url}/elsewhere"))
    with register(Signing(), "signing"):
        assert text_of(flavour, linked(server).with_changes(driver="signing")).content == STORY
    assert [asked.headers["x-signed"] for asked in server.asked] == ["answer", "t1"]
    assert "x-signed" not in other.asked[0].headers


def test_clocks_span_all_requests(flavour, loopback, http, created):
    """`first` and `total` run over the pauses and the requests of an attempt, and end a pause."""
    server = loopback(created(after=3000.0))
    for timeouts, clock in ((Timeouts(first=0.1), "first"), (Timeouts(total=0.1), "total")):
        error = error_of(flavour, linked(server, timeouts=timeouts), TimedOut)
        assert (error.clock, error.partial.outcome) == (clock, "timed_out")
    hanging = loopback(created(), ("hang",))
    assert error_of(flavour, linked(hanging, timeouts=Timeouts(first=0.2)), TimedOut).clock == "first"


def test_close_between_two_responses(flavour, loopback, http, created):
    """`close` ends the wait for a follow-up response; nothing more is sent."""
    server = loopback(created(events=[["TextDelta", {"text": "Once"}]], after=3000.0))

    async def main():
        async with flavour.inside(flavour.Inference(linked(server)).create("Hi", stream=True).stream()) as stream:
            first = await flavour.next(stream)
            await flavour.wait(stream.close())
            return first.content, await flavour.wait(stream.response())

    content, response = flavour.run(main)
    assert (content, response.content, response.outcome) == ("Once", "Once", "cancelled")
    assert paths(server) == [FIRST]


def test_close_in_another_thread_ends_the_pause(loopback, created, http, flavour):
    """A thread that waits before a follow-up request is woken."""
    server = loopback(created(events=[["TextDelta", {"text": "Once"}]], after=3000.0))
    if flavour.name != "sync":
        pytest.skip("threads")
    stream = flavour.Inference(linked(server)).create("Hi", stream=True).stream()
    next(iter(stream))
    threading.Timer(0.05, stream.close).start()
    assert list(stream) == []
    assert stream.response().outcome == "cancelled"


def test_next_with_a_timeout_over_two_responses(flavour, loopback, http, toy, created):
    """Waiting in parts loses nothing of either response."""
    if flavour.name == "trio":
        pytest.skip("not possible in trio")
    server = loopback(created(after=0.05), http.streamed(toy.story[0], 0.05, *toy.story[1:]))

    async def main():
        stream = flavour.Inference(linked(server)).create("Hi", stream=True).stream()
        texts = []
        while True:
            try:
                partial = await flavour.wait(stream.next(timeout=0.01))
            except (StopIteration, StopAsyncIteration):
                return texts
            if partial is not None:
                texts.append(partial.content_delta)

    assert "".join(flavour.run(main)) == STORY


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (
            lambda wire: [Follow(wire), TextDelta("no")],
            "returned Follow from decode_chunk, which is not an event, or not the last one",
        ),
        (lambda _: [Follow("http://localhost")], "returned str from decode_chunk instead of a WireRequest"),
        (lambda wire: [Follow(wire, -1.0)], "after=-1.0"),
        (lambda wire: [Follow(wire, float("nan"))], "after=nan"),
        (lambda wire: [Follow(replace(wire, framing="csv"))], "framing='csv'"),
    ],
)
def test_follow_that_violates_the_contract(toy, events, why):
    """The error is the driver's, and names what is wrong."""

    class Wrong(toy.Driver):
        @hookimpl
        def decode_chunk(self, chunk):
            return events(WireRequest(url="http://localhost/1", body=b""))

    driver = bind(Wrong(), Connection(name="x", driver="x", base_url="http://localhost"))
    wire = WireRequest(url="http://localhost", body=b"", framing="whole")
    error = replay(driver, wire, [b"{}"]).error
    assert isinstance(error, PluginError)
    assert why in error.message


def test_permit_is_held_over_all_requests_of_an_attempt(flavour, loopback, http, toy, created, monkeypatch):
    """A package that admits requests gives one permit for an attempt, and sees the head of each response."""
    entered, heads, released = [], [], []

    def enter(request, _):
        entered.append(request)
        return SimpleNamespace(
            wait=lambda: 0.0,
            responded=lambda status, _: heads.append(status),
            release=lambda error=None, usage=None: released.append((error, usage)),
            guard=None,
        )

    monkeypatch.setattr(entry_points, "_modules", lambda *_: [SimpleNamespace(enter=enter)])
    server = loopback(created(), http.streamed(toy.say(UsageReport({"in": 1})), *toy.story))
    response = text_of(flavour, linked(server, rate=Rate(concurrency=1)))
    assert (len(entered), heads) == (1, [201, 200])
    assert released == [(None, response.usage)]


@pytest.fixture
def interruptible():
    """Let SIGINT raise KeyboardInterrupt, also where the tests were started in the background, which ignores it."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


def test_interruption_between_two_responses(loopback, http, created, flavour, interruptible):
    """Ctrl-C in the pause ends the call: the next read raises, and the follow-up request is not sent."""
    if flavour.name != "sync":
        pytest.skip("a signal interrupts a thread")
    server = loopback(created(events=[["TextDelta", {"text": "Once"}]], after=3000.0))
    stream = flavour.Inference(linked(server)).create("Hi", stream=True).stream()
    next(iter(stream))
    main = threading.main_thread().ident

    def interrupt():
        while not stream._pump._backoff:  # until the pause
            time.sleep(0.005)
        signal.pthread_kill(main, signal.SIGINT)

    timer = threading.Thread(target=interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        next(iter(stream))
    timer.join()
    with pytest.raises(StreamError, match="interrupted"):
        next(iter(stream))
    assert (stream.response().outcome, paths(server)) == ("cancelled", [FIRST])


def test_repaired_response_keeps_the_state_of_the_first(flavour, loopback, http, toy, created):
    """A whole body that is repaired is decoded again with the state as it was before, and not with an empty one."""

    class Counting(type(creating(toy))):
        @hookimpl
        def decode_chunk(self, connection, chunk, state):
            events = super().decode_chunk(connection, chunk, state)
            return events if isinstance(events[-1], Follow) else [TextDelta(state["task"]), *events[1:]]

    body = toy.body(TextDelta("a\nb"), Finish("stop", "stop")).replace(rb"\n", b"\n")  # a raw line break is no JSON
    server = loopback(created(framing="whole"), http.plain(body))
    with register(Counting(), "counting"):
        response = text_of(flavour, linked(server).with_changes(driver="counting"))
    assert response.content == "t1"
    assert response.notes


def test_state_that_cannot_be_copied(toy, flavour, loopback, created, http):
    """What a driver keeps must be copied for a retry; the error is the driver's."""

    class Locking(type(creating(toy))):
        @hookimpl
        def decode_chunk(self, connection, chunk, state):
            state["lock"] = threading.Lock()
            return super().decode_chunk(connection, chunk, state)

    server = loopback(created())
    with register(Locking(), "locking"):
        error = error_of(flavour, linked(server).with_changes(driver="locking"), PluginError)
    assert "TypeError in decode_chunk" in error.message


def test_replay_without_a_socket(toy):
    """The harness passes follow-up requests to a function, and is truncated without one."""
    driver = bind(creating(toy), Connection(name="x", driver="x", base_url="http://localhost"))
    wire = WireRequest(url="http://localhost", body=b"", framing="whole")
    body, requests = b'{"task": "t1", "follow": "/tasks/t1"}', []
    seen = replay(driver, wire, [body], respond=lambda request: requests.append(request) or toy.story)
    assert (seen.response.content, seen.error) == (STORY, None)
    assert [request.url for request in requests] == ["http://localhost/tasks/t1"]
    assert isinstance(replay(driver, wire, [body]).error, Truncated)


def follow_event(**fields):
    """Return an event of a stream that leads to a follow-up request."""
    return b"data: " + json.dumps({"task": "t1", "follow": "/tasks/t1", **fields}).encode() + b"\n\n"


class Noted:
    """A transport, or a reply, that notes which replies are drained."""

    def __init__(self, inner, drained):
        self._inner, self._drained = inner, drained

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def open(self, request, opening, /):
        return self._opened(self._inner.open(request, opening), request)

    def _opened(self, reply, request):
        if not inspect.isawaitable(reply):
            return Noted(reply, [self._drained, request.url])
        return self._awaited(reply, request)

    async def _awaited(self, reply, request):
        return self._opened(await reply, request)

    def drain(self, seconds, /):
        self._drained[0].append(self._drained[1])
        return self._inner.drain(seconds)


class Noting:
    """The layer with this transport."""

    name, under = "noting", None

    def __init__(self):
        self.drained = []

    def wrap(self, _, below, /):
        return Noted(below()[1], self.drained)

    wrap_async = wrap


def test_response_that_is_continued_is_not_drained(flavour, loopback, http, toy, created):
    """A cache keeps what is drained, as a complete response, and would return it to each later poll."""
    layer = Noting()
    server = loopback(created("/one"), http.streamed(follow_event()), http.streamed(*toy.story, toy.done))
    assert text_of(flavour, linked(server, transport=layer)).content == STORY
    assert [url.removeprefix(server.url) for url in layer.drained] == ["/tasks/t1"]


def test_end_beside_a_follow_up_request_ends_nothing(flavour, loopback, http, toy, created):
    """A first response may have an end of its own."""
    server = loopback(created(events=[["End", {}]]), http.streamed(*toy.story))
    assert text_of(flavour, linked(server)).content == STORY


def test_state_of_a_retry_is_that_before_the_follow_up_request(flavour, loopback, http, toy, created):
    """What the response that failed has added is not there, and what the first one has kept is."""

    class Keeping(type(creating(toy))):
        @hookimpl
        def decode_chunk(self, connection, chunk, state):
            events = super().decode_chunk(connection, chunk, state)
            if isinstance(events[-1], TextDelta):
                return [TextDelta(f"{state['task']}: {len(state['chunks'])}")]
            return events

    server = loopback(
        created(), http.streamed(toy.say(Ping()), then=("close",)), http.streamed(toy.story[0], toy.story[-1])
    )
    with register(Keeping(), "keeping"):
        response = text_of(flavour, linked(server, retries=SOON).with_changes(driver="keeping"))
    assert (response.content, len(response.failed_attempts)) == ("t1: 1", 1)


def test_restart_after_content_before_the_follow_up_request(flavour, loopback, http, toy, created):
    """A follow-up request alone would not return the content of the first response, so a restart sends both."""
    first = created(events=[["TextDelta", {"text": "Once "}]])
    server = loopback(first, http.plain(b"", 500), first, http.streamed(*toy.story[1:]))
    assert text_of(flavour, linked(server, retries=SOON), resume="restart").content == STORY
    assert paths(server) == [FIRST, SECOND] * 2
