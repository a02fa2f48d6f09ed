"""Authorization by the driver, interruptions, and closing before any content is received."""

from __future__ import annotations

import threading

import anyio
import httpx
import msgspec
import pytest

from polyglot_core import AsyncInference, ConfigError, Connection, PluginError, ProviderError, Retries, register
from polyglot_core.plugin import TextDelta, hookimpl

pytestmark = pytest.mark.http

STORY = "Once upon a time"
ASYNC = pytest.mark.parametrize("flavour", ["asyncio", "trio"], indirect=True)


@pytest.fixture
def authorizing(toy):
    """The toy driver with credentials of its own; it notes what it was given, and in which thread."""

    class Authorizing(toy.Driver):
        def __init__(self):
            self.seen = []
            self.error = None

        @hookimpl
        def authorize(self, wire, connection):
            self.seen.append((wire.body, connection.name, threading.get_ident()))
            if self.error is not None:
                raise self.error
            return msgspec.structs.replace(wire, headers={**wire.headers, "x-signed": str(len(self.seen))})

    driver = Authorizing()
    with register(driver, "authorizing"):
        yield driver


def test_a_driver_may_authorize(flavour, loopback, http, toy, authorizing):
    """`authorize` sees the encoded body once per attempt, in a thread of its own; core adds no key then."""
    server = loopback(http.plain(b"", 503), http.streamed(*toy.story, toy.done))
    made = server.connection(driver="authorizing", retries=Retries(max_retries=1, initial_backoff=0.01))

    async def main():
        return await flavour.wait(flavour.Inference(made).create("Hi", stream=True).text())

    assert flavour.run(main) == STORY
    assert [asked.headers["x-signed"] for asked in server.asked] == ["1", "2"]
    assert all("authorization" not in asked.headers for asked in server.asked)
    assert [body for body, _, _ in authorizing.seen] == [asked.body for asked in server.asked]
    assert all(thread != threading.get_ident() for _, _, thread in authorizing.seen)


def test_credentials_that_cannot_be_had(flavour, loopback, http, authorizing):
    """What goes wrong in `authorize` is the driver's, and nothing has been sent."""
    server = loopback(http.plain())
    authorizing.error = OSError("no token")

    async def main():
        with pytest.raises(PluginError, match="OSError in authorize: no token") as caught:
            await flavour.wait(flavour.Inference(server.connection(driver="authorizing")).create("Hi").response())
        return caught.value

    error = flavour.run(main)
    assert (error.phase, error.attempts, server.asked) == ("encode", 0, [])


def test_a_key_that_the_provider_repeats(flavour, loopback, http):
    """A key that the provider quotes in its error body is redacted from the error."""
    server = loopback(http.plain(b'{"error": {"message": "Wrong key: test-key!", "code": "test-key"}}', 401))

    async def main():
        with pytest.raises(ProviderError) as caught:
            await flavour.wait(flavour.Inference(server.connection()).create("Hi").response())
        return caught.value

    error = flavour.run(main)
    assert "Wrong key" in error.message
    assert "test-key" not in f"{error} {error!r} {error.args} {error.code}"


@pytest.mark.parametrize(("status", "retryable"), [(408, True), (409, True), (425, True), (400, False), (501, False)])
def test_statuses_that_override_retryable(flavour, loopback, http, status, retryable):
    """Some statuses determine `retryable`, whatever the class of the error."""
    server = loopback(http.plain(b"", status))

    async def main():
        with pytest.raises(ProviderError) as caught:
            await flavour.wait(flavour.Inference(server.connection()).create("Hi").response())
        return caught.value

    assert flavour.run(main).retryable is retryable


@pytest.mark.httpx
def test_a_library_that_is_not_there(flavour, loopback, http, monkeypatch):
    """A wrong `POLYGLOT_HTTP` is named, with the variable."""
    monkeypatch.setenv("POLYGLOT_HTTP", "no_such_library")
    server = loopback(http.plain())

    async def main():
        async with flavour.inside(flavour.Inference(server.connection())) as inference:
            with pytest.raises(
                ConfigError, match="POLYGLOT_HTTP names the HTTP library 'no_such_library'; known are httpx and httpx2"
            ):
                await flavour.wait(inference.create("Hi").response())

    flavour.run(main)


class Interrupted(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that is interrupted after its first piece."""

    def __init__(self, piece, error):
        self.piece, self.error, self.closed = piece, error, False

    def __iter__(self):
        yield self.piece
        raise self.error

    async def __aiter__(self):
        yield self.piece
        raise self.error

    def close(self):
        self.closed = True

    async def aclose(self):
        self.closed = True


@pytest.mark.parametrize("flavour", ["sync", "trio"], indirect=True)
def test_an_interruption_passes(flavour, toy, toy_driver):
    """Ctrl-C passes through untouched; the stream is closed and the content received stays readable."""
    body = Interrupted(toy.story[0], KeyboardInterrupt())
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body)
    )
    connection = Connection(name="here", driver="toy", model="m", base_url="http://localhost")

    async def main():
        client = (httpx.Client if flavour.name == "sync" else httpx.AsyncClient)(transport=transport)
        async with flavour.inside(client):
            stream = flavour.Inference(connection, client).stream("Hi")
            assert (await flavour.next(stream)).content == "Once "
            with pytest.raises(KeyboardInterrupt):
                await flavour.next(stream)
            return await flavour.wait(stream.response())

    response = flavour.run(main)
    assert (response.outcome, response.content) == ("cancelled", "Once ")
    assert body.closed


@ASYNC
@pytest.mark.parametrize("phase", ["headers", "between attempts"])
def test_closing_before_content_is_received(flavour, loopback, http, phase):
    """A task that waits for headers, or between two attempts, ends its loop when another task closes the stream."""
    server = loopback(("hang",) if phase == "headers" else http.plain(b"", 503))
    made = server.connection(retries=Retries(max_retries=5, initial_backoff=30.0))

    async def main():
        stream = AsyncInference(made).stream("Hi")
        seen = []

        async def read():
            seen.extend([partial async for partial in stream])

        with anyio.fail_after(4.0):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                while not server.asked:
                    await anyio.sleep(0.01)
                await anyio.sleep(0.1)
                await stream.close()
        return seen, (await stream.response()).outcome

    assert flavour.run(main) == ([], "cancelled")
    assert phase != "headers" or server.gone.wait(4.0)


@ASYNC
def test_cancelling_a_wait_between_attempts(flavour, loopback, http):
    """Cancelling a task that waits for its next attempt ends the call."""
    server = loopback(http.plain(b"", 503))

    async def main():
        stream = AsyncInference(server.connection(retries=Retries(max_retries=5, initial_backoff=30.0))).stream("Hi")
        with anyio.move_on_after(0.3) as scope:
            await stream.response()
        assert scope.cancelled_caught
        return (await stream.response()).outcome

    assert flavour.run(main) == "cancelled"
    assert len(server.asked) == 1


def test_outcome_of_a_response_is_shown_first(toy):
    """The short ways of a response speak of choice 0, and of nothing where it has none."""
    from polyglot_core.plugin import Finish, ReasoningDelta, RefusalDelta, ToolCallDelta

    said = (ReasoningDelta("hm"), RefusalDelta("no"), ToolCallDelta(0, "1", "f", "{}"), Finish("stop", "end"))
    attempt = toy.attempt()
    toy.read(attempt, toy.say(*said), toy.say(TextDelta("x", 1), Finish("stop", "stop", 1)))
    response = attempt.response
    assert (response.content, response.reasoning_content, response.refusal) == ("", "hm", "no")
    assert ([call.name for call in response.tool_calls], response.finish_reason) == (["f"], "tool_calls")
    assert response.finish_reason_raw == "end"
    only_second = toy.attempt()
    toy.read(only_second, toy.say(TextDelta("x", 1), Finish("stop", "stop", 1)))
    empty = only_second.response
    assert (empty.content, empty.tool_calls, empty.refusal, empty.finish_reason) == ("", (), None, None)
