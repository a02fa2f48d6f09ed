"""`StreamResponse` behind a real server, read by a real client."""

from __future__ import annotations

import json
import socket

import anyio
import httpx
import pytest

from polyglot_core import AsyncInference
from polyglot_simulator import Cut, ErrorEvent, Simulator, SlowHeaders, Stall, Status
from polyglot_streams import Replays, StreamResponse

from .serving import Server, events_in, read_until, reading, stands_still, text_of, wait_for

WORDS = "Once upon a time there was a stream."


class App:
    """An ASGI application that responds with a stream of the simulator, with the options that a test sets."""

    def __init__(self, simulator):
        self.inference = AsyncInference.from_connection(simulator.connection)
        self.options = {}
        self.wrap = lambda stream: stream

    async def __call__(self, scope, receive, send):
        stream = self.wrap(self.inference.create("Tell a story.").stream())
        await StreamResponse(stream, **self.options)(scope, receive, send)


@pytest.fixture
def serve():
    """Starts a simulator and a server in front of it."""
    running = []

    def start(*args, **options):
        simulator = Simulator(*args, **options).start()
        app = App(simulator)
        server = Server(app).__enter__()
        running.extend((server, simulator))
        return app, server.url, simulator

    yield start
    for each in running:
        each.close() if isinstance(each, Simulator) else each.__exit__()


def test_a_client_reads_events_with_ids_and_an_end(serve):
    """The texts of the events are the response, their ids count up, and the last one states the outcome."""
    app, url, simulator = serve(WORDS)
    response = httpx.get(url)
    events = events_in(response.content)
    key = events[0].id.partition(".")[0]
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.content.startswith(f"id: {key}.0\nretry: ".encode())
    assert text_of(events) == WORDS
    assert [event.id for event in events] == [f"{key}.{n}" for n in (*range(1, len(events)), "end")]
    assert events[-2].data == {"type": "partial", "finish_reason": "stop"}
    assert events[-1].data["outcome"] == "finished"
    assert events[-1].data["usage"]["output_tokens"] > 0


def test_text_is_sent_as_it_is_received(serve):
    """An event is with the client while the provider has not sent the next one."""
    app, url, simulator = serve(WORDS, fault=Stall(after_events=3))
    with reading(url) as response:
        pieces = response.iter_bytes()  # which closes the connection when it is dropped
        assert text_of(events_in(read_until(pieces, b" upon"))) == "Once upon"
        assert simulator.requests[0].closed_at is None


@pytest.mark.parametrize("shape", ["partials", "openai", "text"])
def test_a_disconnect_closes_the_request_to_the_provider(serve, shape):
    """A client that disconnects while the provider is silent ends the provider's request within a tenth of a second."""
    app, url, simulator = serve(WORDS, fault=Stall(after_events=3))
    app.options = {"shape": shape}
    with reading(url) as response:
        pieces = response.iter_bytes()
        read_until(pieces, b" upon")
        assert simulator.requests[0].closed_at is None
    assert simulator.requests[0].wait_closed(5)


def test_a_disconnect_before_the_provider_responds_closes_the_request(serve):
    """The response begins at once, and a disconnect before the provider's headers ends the request."""
    app, url, simulator = serve(WORDS, fault=SlowHeaders(20))
    with reading(url) as response:
        pieces = response.iter_bytes()
        assert next(pieces)
        simulator.wait_for_request()
        assert simulator.requests[0].closed_at is None
    assert simulator.requests[0].wait_closed(5)


@pytest.mark.parametrize(
    ("fault", "error", "outcome"),
    [
        (Cut(after_events=4), "Truncated", "truncated"),
        (ErrorEvent(after_events=4), "ServerError", "failed"),
        (Status(401, body='{"error": {"message": "Bad key test-key", "type": "x"}}'), "AuthenticationError", "failed"),
        (Status(429, headers={"retry-after": "7"}), "RateLimited", "failed"),
    ],
    ids=["cut", "error event", "key", "rate"],
)
def test_an_error_is_an_event(serve, fault, error, outcome):
    """An error is the last event, with its class and outcome, without the provider's text, and no end follows."""
    app, url, simulator = serve(WORDS, fault=fault)
    events = events_in(httpx.get(url).content)
    last = events[-1].data
    assert (last["type"], last["error"], last["outcome"]) == ("error", error, outcome)
    assert last.get("retry_after") == (7.0 if error == "RateLimited" else None)
    assert not any(event.data["type"] == "end" for event in events)
    assert WORDS.startswith(text_of(events))
    assert "test-key" not in json.dumps(last)
    assert "127.0.0.1" not in json.dumps(last)


def test_an_application_chooses_the_message_of_an_error(serve):
    """`describe` returns the message that readers get."""
    app, url, simulator = serve(WORDS, fault=Status(500))
    app.options = {"describe": lambda error: f"Sorry: {error.status}"}
    assert events_in(httpx.get(url).content)[-1].data["message"] == "Sorry: 500"


def test_an_exception_of_the_application_is_an_event_and_is_raised(serve, caplog):
    """A bug in a transform ends the response with an error without its text, and the server logs it."""

    class Broken:
        def __init__(self, stream):
            self.close, self.response, self.partials = stream.close, stream.response, aiter(stream)

        def __aiter__(self):
            return self

        async def __anext__(self):
            if (await anext(self.partials)).content_delta == " a":
                raise KeyError("a secret")
            return await anext(self.partials)

    app, url, simulator = serve(WORDS)
    app.wrap = Broken
    with reading(url) as response, pytest.raises(httpx.RemoteProtocolError):
        received = b""
        for piece in response.iter_raw():
            received += piece
    last = events_in(received)[-1].data
    assert (last["type"], last["error"]) == ("error", "PolyglotError")
    assert "secret" not in received.decode()
    assert simulator.requests[0].wait_closed(5)
    assert "a secret" in caplog.text


class Counted:
    """A stream that counts the partials that were read."""

    def __init__(self, stream):
        self.close, self.response, self.stream = stream.close, stream.response, stream
        self.count = 0

    async def __aiter__(self):
        async for partial in self.stream:
            self.count += 1
            yield partial


def slow_client(url):
    """Return a connection that has sent a request and reads nothing, with small buffers."""
    client = socket.socket()
    client.settimeout(10)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    client.connect(("127.0.0.1", int(url.rpartition(":")[2])))
    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return client


@pytest.mark.parametrize("replays", [None, Replays()], ids=["direct", "kept"])
def test_a_slow_client_makes_the_provider_wait(serve, replays):
    """While the client does not read, nothing is read from the provider; when it does, it gets everything."""
    app, url, simulator = serve("word " * 8_000)
    streams = []
    app.wrap = lambda stream: streams.append(Counted(stream)) or streams[-1]
    app.options = {"replays": replays}
    with slow_client(url) as client:
        wait_for(lambda: streams and streams[0].count)
        assert stands_still(lambda: streams[0].count) < 7_000
        received = []
        while part := client.recv(1 << 20):
            received.append(part)
    assert b'"outcome":"finished"' in b"".join(received)
    assert streams[0].count > 8_000


def test_a_slow_client_that_leaves_closes_the_request(serve):
    """A disconnect while the server waits for its client ends the provider's request."""
    app, url, simulator = serve("word " * 8_000)
    streams = []
    app.wrap = lambda stream: streams.append(Counted(stream)) or streams[-1]
    with slow_client(url):
        wait_for(lambda: streams and streams[0].count)
        assert stands_still(lambda: streams[0].count) < 7_000
    assert simulator.requests[0].wait_closed(5)


# --- servers that are not uvicorn --------------------------------------------------------------------------------------


class Caller:
    """A server of ASGI that calls an application once.

    Attributes:
        sent: The messages that the application has sent.
        body: The body so far.
    """

    def __init__(self, leaves_at=b"", raises=None, headers=()):
        self.sent, self.body = [], b""
        self.leaves_at, self.raises = leaves_at, raises
        self.scope = {"type": "http", "method": "GET", "headers": list(headers)}

    async def receive(self):
        while not self.leaves_at or self.leaves_at not in self.body:
            await anyio.sleep(0.002)
        return {"type": "http.disconnect"}

    async def send(self, message):
        if self.raises and self.raises[0] in self.body:
            raise self.raises[1]
        self.sent.append(message)
        self.body += message.get("body", b"")

    def run(self, backend, simulator, **options):
        async def main():
            inference = AsyncInference.from_connection(simulator.connection)
            await StreamResponse(inference.create("Hi.").stream(), **options)(self.scope, self.receive, self.send)

        anyio.run(main, backend=backend)
        return self


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("replays", [None, Replays(seconds=0.01)], ids=["direct", "kept"])
def test_a_response_is_sent_and_left_on_both_event_loops(backend, replays):
    """The whole response is sent, with pings while the provider is silent; a disconnect closes the request."""
    faults = [Stall(after_events=3, seconds=0.2), Stall(after_events=3)]
    with Simulator(WORDS, faults=faults) as simulator:
        whole = Caller().run(backend, simulator, replays=replays, ping=0.03)
        assert whole.sent[0]["status"] == 200
        assert not whole.sent[-1].get("more_body")
        assert text_of(events_in(whole.body)) == WORDS
        assert b": ping\n\n" in whole.body
        left = Caller(leaves_at=b" upon").run(backend, simulator, replays=replays)
        assert text_of(events_in(left.body)) == "Once upon"
        assert simulator.requests[1].wait_closed(5)


@pytest.mark.parametrize("shape", ["partials", "text"])
def test_a_server_that_raises_for_a_client_that_left_is_understood(shape):
    """Some servers raise an OSError from ``send`` after a disconnect. It closes the request and is not raised."""
    with Simulator(WORDS, fault=Stall(after_events=4)) as simulator:
        Caller(raises=(b" upon", ConnectionResetError())).run("asyncio", simulator, shape=shape)
        assert simulator.requests[0].wait_closed(5)


def test_what_else_a_server_raises_passes():
    """An error of the server that is no disconnect is raised, and the request is closed."""
    with Simulator(WORDS, fault=Stall(after_events=4)) as simulator:
        with pytest.raises(ZeroDivisionError):
            Caller(raises=(b" upon", ZeroDivisionError())).run("asyncio", simulator)
        assert simulator.requests[0].wait_closed(5)


@pytest.mark.parametrize("after", ["abc.end", "abc.3"])
def test_an_id_may_be_passed(after):
    """`last_event_id` takes the place of the header: the last id gets a 204, an unknown one an error event."""
    with Simulator(WORDS) as simulator:
        caller = Caller(headers=[(b"last-event-id", b"other.1")]).run("asyncio", simulator, last_event_id=after)
        assert caller.sent[0]["status"] == (204 if after == "abc.end" else 200)
        assert [event.data["error"] for event in events_in(caller.body)] == ["NotKept"] * (after == "abc.3")
        assert not simulator.requests
