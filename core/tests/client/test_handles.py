"""What `create` returns, and its stream: sent once, read once, ended in exactly one way; sync, asyncio and trio alike."""

from __future__ import annotations

import threading
import time

import pytest

from polyglot_core import ConfigError, Message, ProviderError, RequestError, Retries, StreamError, Tool, Truncated
from polyglot_core.errors import Malformed, Overloaded, TimedOut, TransportError
from polyglot_core.plugin import End, Failure, Finish, Ping, ResponseStarted, TextDelta, UsageReport

pytestmark = pytest.mark.http

STORY = "Once upon a time"


@pytest.fixture
def story(loopback, http, toy):
    """A server that sends a story: as a stream, or as a plain response if no stream is requested."""
    return loopback(http.streamed(*toy.story, toy.done))


@pytest.fixture
def plain(loopback, http, toy):
    """A server that sends a plain response."""
    return loopback(http.plain(toy.body(ResponseStarted("1", "m-1"), TextDelta(STORY), Finish("stop", "stop"))))


def created(flavour, server, **asked):
    return flavour.Inference(server.connection()).create("Hi", **asked)


# Sent once


def test_nothing_is_sent_before_the_first_read(flavour, story):
    """Preparing a call, and its stream, sends nothing."""

    async def main():
        handle = created(flavour, story, stream=True)
        handle.stream()
        repr(handle), repr(handle.stream())
        assert story.asked == []

    flavour.run(main)


def test_a_call_is_sent_once(flavour, story):
    """One request is sent, however often and in whichever way the response is read."""

    async def main():
        handle = created(flavour, story, stream=True)
        first = await flavour.wait(handle.response())
        again = await flavour.wait(handle.response())
        assert first == again
        assert await flavour.wait(handle.text()) == STORY
        assert await flavour.wait(handle.stream().response()) == first
        assert await flavour.wait(handle.stream().final()) == first
        assert handle.stream() is handle.stream()
        return first

    response = flavour.run(main)
    assert (response.content, response.outcome, response.connection) == (STORY, "finished", "here")
    assert len(story.asked) == 1


def test_every_create_is_a_call_of_its_own(flavour, story):
    """Two handles are two requests."""

    async def main():
        inference = flavour.Inference(story.connection())
        for _ in range(2):
            await flavour.wait(inference.create("Hi", stream=True).response())

    flavour.run(main)
    assert len(story.asked) == 2


def test_a_stream_is_iterated(flavour, story):
    """A loop over the stream gives the partials, the last with the finish reason; then the response is there."""

    async def main():
        stream = created(flavour, story).stream()
        partials = await flavour.all(stream)
        return partials, await flavour.wait(stream.response())

    partials, response = flavour.run(main)
    assert [partial.content for partial in partials] == ["Once ", "Once upon ", STORY, STORY]
    assert partials[-1].finish_reason == response.finish_reason == "stop"
    assert response.timing.first_event <= response.timing.duration


@pytest.mark.parametrize(
    ("asked", "streamed"),
    [
        ({}, False),
        ({"options": {"stream": True}}, True),
        ({"options": {"stream": False}}, False),
        ({"stream": True}, True),
        ({"stream": False, "options": {"stream": True}}, False),
        ({"stream": True, "options": {"stream": False}}, True),
    ],
)
def test_stream_argument_and_option(flavour, story, plain, asked, streamed):
    """`response()` requests a stream if the option is set; an explicit `stream` overrides it."""
    server = story if streamed else plain

    async def main():
        return await flavour.wait(created(flavour, server, **asked).response())

    assert flavour.run(main).content == STORY
    assert server.asked[0].json["stream"] is streamed


def test_connection_option_requests_streams(flavour, story):
    """`stream` among the connection's options holds for its calls."""

    async def main():
        inference = flavour.Inference(story.connection(options={"stream": True, "seed": 1, "top_k": 1}))
        await flavour.wait(inference.create("Hi", options={"seed": 2}).response())

    flavour.run(main)
    sent = story.asked[0].json
    assert (sent["stream"], sent["seed"], sent["top_k"]) == (True, 2, 1)


def test_stream_method_requests_a_stream(flavour, story):
    """`stream()` requests a stream whatever the option is."""

    async def main():
        await flavour.all(created(flavour, story, stream=False).stream())

    flavour.run(main)
    assert story.asked[0].json["stream"] is True


def test_plain_response_that_was_read_has_no_events(flavour, plain):
    """`events()` raises instead of yielding none; the partials stay available."""

    async def main():
        pending = flavour.Inference(plain.connection()).create("Hi")
        await flavour.wait(pending.response())
        with pytest.raises(StreamError, match="its events were not kept"):
            pending.stream().events()
        return await flavour.all(pending.stream())

    assert flavour.run(main)[-1].content == STORY


def test_plain_response_can_be_iterated_after_reading(flavour, plain):
    """After a plain `response()`, the stream yields the partials of that response once, and nothing is sent."""

    async def main():
        handle = created(flavour, plain)
        response = await flavour.wait(handle.response())
        partials = await flavour.all(handle.stream())
        with pytest.raises(StreamError):
            await flavour.all(handle.stream())
        assert await flavour.wait(handle.response()) == response
        return partials

    partials = flavour.run(main)
    assert [partial.content for partial in partials] == [STORY, STORY]
    assert partials[-1].finish_reason == "stop"
    assert len(plain.asked) == 1


def test_the_key_is_sent_in_its_header(flavour, story):
    """The key is sent in the header that the connection names; its headers override the driver's."""

    async def main():
        connection = story.connection(
            auth_header="x-key", auth_scheme="", headers={"x-team": "a", "Content-Type": "x/y"}
        )
        await flavour.wait(flavour.Inference(connection).create("Hi", stream=True).response())

    flavour.run(main)
    headers = story.asked[0].headers
    assert (headers["x-key"], headers["x-team"], headers["content-type"]) == ("test-key", "a", "x/y")
    assert "authorization" not in headers


# Read once


def test_a_loop_goes_on_where_the_last_stopped(flavour, story):
    """Leaving a loop keeps the stream; the next loop, or `response()`, goes on without repeating anything."""

    async def main():
        stream = created(flavour, story).stream()
        seen = [(await flavour.next(stream)).content_delta for _ in range(2)]
        rest = [partial.content_delta for partial in await flavour.all(stream)]
        return seen, rest, await flavour.wait(stream.response())

    seen, rest, response = flavour.run(main)
    assert (seen, rest) == (["Once ", "upon "], ["a time", ""])
    assert response.content == STORY


def test_a_response_drains_the_rest(flavour, story):
    """`response()` after a part of the loop reads the rest and has the whole."""
    called = []

    async def main():
        stream = created(flavour, story).stream().on_partial(lambda partial: called.append(partial.content_delta))
        await flavour.next(stream)
        return await flavour.wait(stream.response())

    assert flavour.run(main).content == STORY
    assert called == ["Once ", "upon ", "a time", ""]


@pytest.mark.parametrize("how", ["partials", "text", "events", "response"])
def test_an_ended_stream_is_not_replayed(flavour, story, how):
    """A second loop over a stream that was read to its end is an error that names `response()`."""

    async def main():
        stream = created(flavour, story).stream()
        if how == "response":
            await flavour.wait(stream.response())
        else:
            await flavour.all(stream if how == "partials" else getattr(stream, how)())
        for again in (lambda: stream, stream.text, stream.events):
            with pytest.raises(StreamError, match=r"in response\(\)"):
                await flavour.all(again())
        return await flavour.wait(stream.response())

    assert flavour.run(main).content == STORY
    assert len(story.asked) == 1


def test_an_exhausted_iterator_stays_so(flavour, story):
    """An iterator that has ended gives nothing more, and raises nothing."""

    async def main():
        stream = created(flavour, story).stream()
        iterator = aiter(stream) if flavour.name != "sync" else iter(stream)
        await flavour.all(iterator)
        assert await flavour.all(iterator) == []

    flavour.run(main)


def test_text_is_the_text_of_choice_0(flavour, loopback, http, toy):
    """`text()` yields the text of the first choice in pieces, none of them empty."""
    said = (
        TextDelta("a"),
        TextDelta("x", 1),
        UsageReport({}),
        TextDelta("b"),
        Finish("stop", "s", 0),
        Finish("stop", "s", 1),
    )
    server = loopback(http.streamed(*(toy.say(event) for event in said), toy.done))

    async def main():
        return await flavour.all(created(flavour, server).stream().text())

    assert flavour.run(main) == ["a", "b"]


def test_events_are_what_partials_are_made_of(flavour, loopback, http, toy):
    """`events()` gives every event in order, and the stream has then been read."""
    said = [ResponseStarted("1", "m"), TextDelta("a"), UsageReport({"in": 1}), Ping(), Finish("stop", "stop"), End()]
    server = loopback(http.streamed(*(toy.say(event) for event in said)))

    async def main():
        stream = created(flavour, server).stream()
        events = await flavour.all(stream.events())
        return events, await flavour.wait(stream.response())

    events, response = flavour.run(main)
    assert events == said
    assert (response.content, response.usage.input_tokens) == ("a", 1)


def test_a_ping_is_handed_on_when_it_comes(flavour, loopback, http, toy):
    """A ping is emitted at once, before any content is received."""
    seen = threading.Event()  # the server waits for it, with a limit
    server = loopback(http.streamed(toy.say(Ping()), toy.say(ResponseStarted("1")), seen, *toy.story, toy.done))

    async def main():
        stream = created(flavour, server).stream()
        first = await flavour.next(stream.events())
        seen.set()
        return first, (await flavour.wait(stream.response())).content

    assert flavour.run(main) == (Ping(), STORY)


def test_events_before_an_error_come_before_it(flavour, loopback, http, toy):
    """Events received before an error are emitted before it is raised."""
    said = [TextDelta("a"), UsageReport({"in": 1}), Ping()]
    server = loopback(http.streamed(*(toy.say(event) for event in said), toy.say(Failure("No."))))

    async def main():
        seen = []
        with pytest.raises(ProviderError, match="No"):
            async for event in flavour.each(created(flavour, server).stream().events()):
                seen.append(event)
        return seen

    assert flavour.run(main) == said


def test_events_do_not_get_in_the_way_of_partials(flavour, loopback, http, toy):
    """After some events have been taken, loops and `response()` continue as if no events had been read."""
    said = [ResponseStarted("1"), TextDelta("a"), UsageReport({}), TextDelta("b"), Finish("stop", "stop")]
    server = loopback(http.streamed(*(toy.say(event) for event in said), toy.done))

    async def main():
        stream = created(flavour, server).stream()
        assert await flavour.next(stream.events()) == ResponseStarted("1")
        partials = await flavour.all(stream)
        response = await flavour.wait(stream.response())
        other = created(flavour, server).stream()
        other.events()
        assert (await flavour.wait(other.response())).content == "ab"
        return partials, response

    partials, response = flavour.run(main)
    assert response.content == "ab"
    assert partials[-1].content == "ab"


def test_a_callback_sees_every_partial(flavour, story):
    """`on_partial` is called with each partial before it is handed out, whatever drives the stream."""
    seen = []

    async def main():
        handle = created(flavour, story, stream=True)
        stream = handle.stream().on_partial(seen.append)
        assert stream is handle.stream()
        first = await flavour.next(stream)
        assert seen == [first]
        await flavour.wait(handle.response())

    flavour.run(main)
    assert [partial.content_delta for partial in seen] == ["Once ", "upon ", "a time", ""]


def test_what_a_callback_raises_comes_out(flavour, story):
    """An exception in a callback is the caller's own, and the stream can be closed after it."""

    def callback(partial):
        raise ZeroDivisionError

    async def main():
        stream = created(flavour, story).stream().on_partial(callback)
        with pytest.raises(ZeroDivisionError):
            await flavour.wait(stream.response())
        await flavour.wait(stream.close())
        return await flavour.wait(stream.response())

    assert flavour.run(main).outcome == "cancelled"


# Closed


@pytest.mark.parametrize("read", [0, 1, 2])
def test_a_closed_stream_has_what_had_come(flavour, loopback, http, toy, read):
    """A closed stream ends its loops quietly, and the outcome of its response is `cancelled`."""
    server = loopback(http.streamed(*toy.story[:2], then=("hang",)))

    async def main():
        stream = created(flavour, server).stream()
        for _ in range(read):
            await flavour.next(stream)
        await flavour.wait(stream.close())
        await flavour.wait(stream.close())
        assert await flavour.all(stream) == []
        return await flavour.wait(stream.response())

    response = flavour.run(main)
    assert (response.outcome, response.content) == ("cancelled", "Once upon "[: 5 * read])
    assert len(server.asked) == bool(read)


def test_leaving_with_closes(flavour, loopback, http, toy):
    """Leaving ``with`` closes the stream, and the server sees it go."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)))

    async def main():
        async with flavour.inside(created(flavour, server).stream()) as stream:
            await flavour.next(stream)
        return await flavour.wait(stream.response())

    assert flavour.run(main).outcome == "cancelled"
    assert server.gone.wait(4.0)


def test_closing_an_ended_stream_changes_nothing(flavour, story):
    """A stream that has finished stays finished."""

    async def main():
        stream = created(flavour, story).stream()
        await flavour.all(stream)
        await flavour.wait(stream.close())
        return await flavour.wait(stream.response())

    assert flavour.run(main).outcome == "finished"


def test_a_callback_may_close_the_stream(flavour, loopback, http, toy):
    """A callback may close the stream that it is called for."""
    server = loopback(http.streamed(*toy.story, then=("hang",)))

    async def main():
        stream = created(flavour, server).stream()
        seen = []
        async for partial in flavour.each(stream):
            seen.append(partial)
            await flavour.wait(stream.close())
        return seen, await flavour.wait(stream.response())

    seen, response = flavour.run(main)
    assert len(seen) == 1
    assert response.outcome == "cancelled"


# Failed


def test_a_failed_call_raises_the_same_error_again(flavour, loopback, http, toy):
    """Each way of reading the response of a failed call raises the same error, and nothing is sent again."""
    server = loopback(http.plain(b'{"error": {"message": "No."}}', 500))

    async def main():
        handle = created(flavour, server)
        found = []
        for again in (handle.response, handle.text, handle.response, handle.stream().final):
            with pytest.raises(ProviderError) as caught:
                await flavour.wait(again())
            found.append(caught.value)
        with pytest.raises(StreamError, match="ended"):
            await flavour.all(handle.stream())
        return found

    first, *others = flavour.run(main)
    assert all(other is first for other in others)
    assert (first.connection, first.provider, first.model, first.attempts) == ("here", "toy", "m", 1)
    assert first.elapsed > 0
    assert len(server.asked) == 1


@pytest.mark.parametrize("then", [("close",), ("reset",)])
def test_a_cut_stream_raises_with_what_had_come(flavour, loopback, http, toy, then):
    """A stream that breaks in the middle raises, and the error has the partial."""
    server = loopback(http.streamed(*toy.story[:2], 0.05, then=then))

    async def main():
        seen = []
        stream = created(flavour, server).stream()
        with pytest.raises(TransportError) as caught:
            async for partial in flavour.each(stream):
                seen.append(partial.content)
        return seen, caught.value

    seen, error = flavour.run(main)
    assert seen == ["Once ", "Once upon "]
    assert (error.partial.content, error.partial.outcome, error.phase) == ("Once upon ", "failed", "stream")


def test_a_clean_end_without_a_finish_is_truncated(flavour, loopback, http, toy):
    """A body that ends in order, and before the model was done, is `Truncated`."""
    server = loopback(http.streamed(*toy.story[:2]))

    async def main():
        with pytest.raises(Truncated) as caught:
            await flavour.wait(created(flavour, server, stream=True).response())
        return caught.value

    assert flavour.run(main).partial.outcome == "truncated"


def test_a_break_after_the_end_is_none(flavour, loopback, http, toy):
    """After the provider's last word, the socket may do what it likes."""
    server = loopback(http.streamed(*toy.story, toy.done, then=("reset",)))

    async def main():
        return await flavour.wait(created(flavour, server, stream=True).response())

    assert flavour.run(main).outcome == "finished"


def test_connection_refused(flavour, loopback, http):
    """A server that is not there is a `TransportError` that names it, and nothing was sent."""
    server = loopback(http.plain())
    server.close()

    async def main():
        with pytest.raises(TransportError, match=r"No connection to 127\.0\.0\.1:\d+") as caught:
            await flavour.wait(created(flavour, server).response())
        return caught.value

    error = flavour.run(main)
    assert (error.phase, error.retryable, error.attempts) == ("connect", True, 1)
    assert error.__cause__ is not None


@pytest.mark.parametrize(
    ("asked", "kind", "part"),
    [
        ({"messages": []}, RequestError, "no messages"),
        ({"messages": [5]}, RequestError, "not int"),
        ({"messages": [{"content": "x"}]}, RequestError, "requires a role"),
        ({"messages": "Hi", "timeouts": {"idel": 1}}, ConfigError, "idle"),
        ({"messages": "Hi", "timeouts": "30"}, ConfigError, "timeouts"),
    ],
)
def test_invalid_arguments_fail_when_prepared(flavour, story, asked, kind, part):
    """Invalid arguments are reported by `create`."""
    with pytest.raises(kind, match=part):
        flavour.Inference(story.connection()).create(**asked)


def test_no_model(flavour, story):
    """A call without a model is an error; a call with one needs none in the connection."""
    inference = flavour.Inference(story.connection(model=None))
    with pytest.raises(ConfigError, match="has no model"):
        inference.create("Hi")
    assert inference.create("Hi", model="n").request.model == "n"


def test_an_unknown_driver(flavour, story):
    """A connection whose driver is not there is an error that names what is."""
    with pytest.raises(ConfigError, match=r"'toi', which is not installed \(did you mean 'toy'\?\)\."):
        flavour.Inference.from_connection(story.connection(driver="toi"))


def test_request_reaches_the_driver(flavour, story):
    """All arguments of a call reach the driver."""
    tool = Tool("sum")
    handle = flavour.Inference(story.connection()).create(
        ["Hi", Message(role="assistant", content="Ho"), {"role": "user", "content": "Hu", "odd": 1}],
        model="n",
        tools=[tool],
        tool_choice="auto",
        response_format={"type": "json_object"},
        extra={"a": 1},
    )
    request = handle.request
    assert request.messages == (
        Message(role="user", content="Hi"),
        Message(role="assistant", content="Ho"),
        Message(role="user", content="Hu", extra={"odd": 1}),
    )
    assert (request.model, request.tools, request.tool_choice) == ("n", (tool,), "auto")
    assert (request.response_format, request.extra) == ("json", {"a": 1})


# Sent again


BUSY = b'{"error": {"message": "Busy."}}'


@pytest.mark.parametrize(
    "first",
    ["status", "reset", "held", "inside", "empty"],
)
def test_retry_before_content_is_received(flavour, loopback, http, toy, first):
    """A failed attempt is retried until content is received, and nothing of it is emitted."""
    attempts = {
        "status": http.plain(BUSY, 503),
        "reset": ("reset",),
        "held": http.streamed(toy.say(ResponseStarted("old"), UsageReport({"in": 9})), then=("close",)),
        "inside": http.streamed(toy.say(Failure("Busy.", status=503))),
        "empty": http.streamed(),
    }
    server = loopback(attempts[first], attempts[first], http.streamed(*toy.story, toy.done))

    async def main():
        retries = Retries(max_retries=2, initial_backoff=0.01)
        stream = flavour.Inference(server.connection(retries=retries)).stream("Hi")
        events = await flavour.all(stream.events())
        return events, await flavour.wait(stream.response())

    events, response = flavour.run(main)
    assert (response.content, response.id, response.usage) == (STORY, None, None)
    assert ResponseStarted("old") not in events
    assert len(server.asked) == 3
    assert len({asked.body for asked in server.asked}) == 1


def test_no_retry_after_content_is_received(flavour, loopback, http, toy):
    """Once content has reached the caller, the request is not retried."""
    server = loopback(http.streamed(toy.story[0], then=("close",)))

    async def main():
        stream = flavour.Inference(server.connection(retries=Retries(max_retries=3, initial_backoff=0.01))).stream("Hi")
        with pytest.raises(TransportError) as caught:
            await flavour.all(stream)
        return caught.value

    assert flavour.run(main).attempts == 1
    assert len(server.asked) == 1


def test_retries_come_to_an_end(flavour, loopback, http):
    """After the last attempt the error is raised with the number of attempts."""
    server = loopback(http.plain(BUSY, 503))

    async def main():
        inference = flavour.Inference(server.connection(retries=Retries(max_retries=2, initial_backoff=0.01)))
        with pytest.raises(Overloaded, match="Busy") as caught:
            await flavour.wait(inference.create("Hi").response())
        return caught.value

    error = flavour.run(main)
    assert (error.attempts, error.status) == (3, 503)
    assert len(server.asked) == 3


def test_retry_after_is_kept(flavour, loopback, http, toy):
    """A wait that the provider requests is kept; one beyond `max_retry_after` ends the call."""
    server = loopback(
        http.plain(BUSY, 503, retry_after="0.2"),
        http.streamed(*toy.story, toy.done),
        http.plain(BUSY, 503, retry_after="99"),
    )

    async def main():
        inference = flavour.Inference(
            server.connection(retries=Retries(max_retries=1, initial_backoff=0.0, max_retry_after=5.0))
        )
        started = time.perf_counter()
        await flavour.wait(inference.create("Hi", stream=True).response())
        seconds = time.perf_counter() - started
        with pytest.raises(Overloaded) as caught:
            await flavour.wait(inference.create("Hi", stream=True).response())
        return seconds, caught.value

    seconds, error = flavour.run(main)
    assert seconds >= 0.2
    assert (error.retry_after, error.attempts) == (99.0, 1)


def test_total_counts_the_waits(flavour, loopback, http):
    """A wait that would go beyond `total` is not begun."""
    server = loopback(http.plain(BUSY, 503))

    async def main():
        inference = flavour.Inference(server.connection(retries=Retries(max_retries=5, initial_backoff=8.0)))
        started = time.perf_counter()
        with pytest.raises(Overloaded):
            await flavour.wait(inference.create("Hi", timeouts={"total": 1.0}).response())
        return time.perf_counter() - started

    assert flavour.run(main) < 4.0


def test_total_counts_over_all_attempts(flavour, loopback, http):
    """Another attempt does not begin `total` anew: it runs out between two attempts, or within one."""
    server = loopback(http.plain(BUSY, 503))

    async def main():
        retries = Retries(max_retries=60, initial_backoff=0.1, max_retry_after=0.1, budget=35)
        inference = flavour.Inference(server.connection(retries=retries))
        with pytest.raises((Overloaded, TimedOut)) as caught:
            await flavour.wait(inference.create("Hi", timeouts={"total": 1.2}).response())
        return caught.value

    error = flavour.run(main)
    assert isinstance(error, Overloaded) or error.clock == "total"
    assert error.elapsed >= 0.3
    assert 1 < error.attempts < 36  # as many as the budget pays for, if `total` began anew


# The inference


def test_an_inference_may_own_its_connections(flavour, story):
    """Used with ``with``, an inference closes its connections at the end."""

    async def main():
        async with flavour.inside(flavour.Inference(story.connection())) as inference:
            for _ in range(3):
                assert await flavour.wait(inference.create("Hi", stream=True).text()) == STORY

    flavour.run(main)
    assert (len(story.asked), story.connections) == (3, 1)


def test_a_stream_shortcut(flavour, story):
    """`stream(…)` is `create(…).stream()`."""

    async def main():
        return await flavour.all(flavour.Inference(story.connection()).stream("Hi", model="n").text())

    assert "".join(flavour.run(main)) == STORY
    assert story.asked[0].json["model"] == "n"


def test_a_name_is_enough(flavour, story, tmp_path):
    """`using` takes a name, a file and overrides."""
    file = tmp_path / "polyglot.toml"
    file.write_text(f"[connections.mine]\ndriver = 'toy'\nbase_url = '{story.url}'\n")

    async def main():
        inference = flavour.Inference.using("mine", config=file, model="m")
        return await flavour.wait(inference.create("Hi", stream=True).text())

    assert flavour.run(main) == STORY


def test_everything_reads_well(flavour, story):
    """What users hold has a short repr."""

    async def main():
        inference = flavour.Inference(story.connection())
        handle = inference.create("Hi", stream=True)
        prefix = "" if flavour.name == "sync" else "Async"
        assert repr(inference) == f"{prefix}Inference('here')"
        assert repr(handle) == f"{prefix}PendingInference(model='m', stream=True, sent=False)"
        await flavour.wait(handle.response())
        assert repr(handle) == f"{prefix}PendingInference(model='m', stream=True, sent=True)"
        assert repr(handle.stream()) == f"{prefix}InferenceStream(model='m', outcome='finished')"

    flavour.run(main)


def test_unreadable_data(flavour, loopback, http, toy):
    """A chunk that cannot be read ends the call with a partial, and the connection is not reused."""
    server = loopback(http.streamed(toy.story[0], b"data: {cut\n\n", *toy.story), http.streamed(*toy.story, toy.done))

    async def main():
        async with flavour.inside(flavour.Inference(server.connection())) as inference:
            with pytest.raises(Malformed) as caught:
                await flavour.wait(inference.create("Hi", stream=True).response())
            await flavour.wait(inference.create("Hi", stream=True).response())
        return caught.value

    assert flavour.run(main).partial.content == "Once "
    assert server.connections == 2
