"""map, filter, reduce, collect and last; what a stream is; and arguments of a wrong type."""

from __future__ import annotations

import pickle

import anyio
import pytest

import polyglot_streams as streams
from polyglot_core import AsyncInference, Inference, Outcome, PartialInferenceResponse, RequestError, StreamError
from polyglot_simulator import Cut, ErrorEvent, Reply, Simulator
from polyglot_streams import collect, last, reduce

from .conftest import STORY, TOLD
from .playing import each_style, play, text_of

pytestmark = pytest.mark.http


def inference(simulator):
    """Return a sync inference."""
    return Inference.from_connection(simulator.connection)


async def upper(partial):
    """Return the new text in capitals, as a coroutine function."""
    await anyio.sleep(0)
    return partial.content_delta.upper()


async def has_text(partial):
    """Return whether a partial has text, as a coroutine function."""
    return bool(partial.content_delta)


@each_style
def test_map(style, story):
    """Check that map emits what the function returns, and that the response is unchanged."""
    played = play(style, story, lambda stream: streams.map(stream, lambda partial: partial.content_delta.upper()))
    assert "".join(played.items) == STORY.upper()
    assert played.response.content == STORY
    assert played.response.outcome is Outcome.FINISHED
    assert played.stopped is None


@each_style
def test_filter(style, story):
    """Check that filter emits the items for which the function is true."""
    played = play(style, story, lambda stream: streams.filter(stream, lambda partial: "o" in partial.content_delta))
    assert played.items
    assert all("o" in partial.content_delta for partial in played.items)
    assert played.response.content == STORY


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_coroutine_functions(backend, story):
    """Check that the functions may be coroutine functions on async streams."""

    async def add(total, partial):
        return total + len(partial.content_delta)

    async def main():
        async with AsyncInference.from_connection(story.connection) as inference:
            assert "".join(await collect(streams.map(inference.stream("Hi."), upper))) == STORY.upper()
            kept = await collect(streams.filter(inference.stream("Hi."), has_text))
            assert text_of(kept) == STORY
            assert await reduce(inference.stream("Hi."), add, 0) == len(STORY)
            assert (await last(inference.stream("Hi."))).content == STORY
            assert await last(streams.filter(inference.stream("Hi."), lambda _: False)) is None

    anyio.run(main, backend=backend)


def test_consumers_of_sync_streams(story):
    """Check what reduce, collect and last return for a sync stream."""
    assert reduce(inference(story).stream("Hi."), lambda total, each: total + len(each.content_delta), 0) == len(STORY)
    assert text_of(collect(inference(story).stream("Hi."))) == STORY
    assert last(inference(story).stream("Hi.")).finish_reason == "stop"
    assert last(streams.filter(inference(story).stream("Hi."), lambda _: False)) is None


def test_coroutine_function_on_sync_stream_is_refused(story):
    """Check that a coroutine function on a sync stream is an error, not a stream of coroutines."""
    with pytest.raises(RequestError, match="coroutine function needs an async stream"):
        list(streams.map(inference(story).stream("Hi."), upper))


@each_style
def test_stop_iteration_of_function_is_no_end(style, story):
    """Check that a StopIteration that a function raises does not end the stream as if it were complete."""

    def stop(_):
        raise StopIteration

    played = play(style, story, lambda stream: streams.map(stream, stop))
    assert type(played.error) is RuntimeError
    assert played.response.outcome is Outcome.CANCELLED


@each_style
@pytest.mark.parametrize("fault", [Cut(after_events=6), ErrorEvent(after_events=6)], ids=["cut", "error event"])
def test_error_passes_with_its_partial(style, fault):
    """Check that the error of the call passes through transforms, with what was received, after what they held."""
    with Simulator(STORY, fault=fault) as simulator:
        played = play(style, simulator, lambda stream: streams.smooth(streams.filter(stream, bool), delay=0))
    assert played.error is not None
    assert played.response is played.error
    assert played.error.partial.content == text_of(played.items) != ""


@each_style
def test_text(style, story):
    """Check that text() has the pieces of text of choice 0."""
    with Simulator(Reply(choices=[Reply("Left."), Reply("Right.")])) as simulator:
        played = play(style, simulator, lambda stream: streams.filter(stream, lambda _: True).text())
    assert "".join(played.items) == "Left."
    assert all(played.items)


@each_style
def test_response_reads_the_rest(style, story):
    """Check that response() reads what the reader has left, through the transforms."""
    seen = []

    class LeaveError(Exception):
        pass

    def leave(_):
        raise LeaveError

    if style == "sync":
        stream = streams.map(inference(story).stream("Hi."), seen.append)
        next(stream)
        assert stream.response().content == STORY
        assert len(seen) > 10
        with pytest.raises(StreamError, match="has ended"):
            iter(stream)
        return

    async def main():
        async with AsyncInference.from_connection(story.connection) as inference:
            stream = streams.map(inference.stream("Hi."), seen.append)
            await anext(stream)
            assert (await stream.response()).content == STORY
            with pytest.raises(StreamError, match="has ended"):
                aiter(stream)

    anyio.run(main, backend=style)
    assert len(seen) > 10


def test_next_waits_for_a_limited_time(endless):
    """Check that next() returns None after its timeout, and that nothing is lost by it."""
    stream = streams.map(inference(endless).stream("Hi."), lambda partial: partial)
    texts = []
    while len(texts) < len(TOLD):
        if (partial := stream.next(timeout=0.002)) is not None:
            texts.append(partial.content_delta)
    assert texts == TOLD
    assert stream.next(timeout=0.01) is stream.next(timeout=0) is None
    with pytest.raises(RequestError, match="timeout"):
        stream.next(timeout=-1)
    stream.close()
    with pytest.raises(StopIteration):
        stream.next(timeout=1)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_next_waits_for_a_limited_time(backend, endless):
    """Check that next() has timeouts on both event loops."""

    async def main():
        async with AsyncInference.from_connection(endless.connection) as inference:
            stream = streams.map(inference.stream("Hi."), lambda partial: partial)
            texts = []
            while len(texts) < len(TOLD):
                if (partial := await stream.next(timeout=0.002)) is not None:
                    texts.append(partial.content_delta)
            assert texts == TOLD
            assert await stream.next(timeout=0.01) is None
            await stream.close()
            with pytest.raises(StopAsyncIteration):
                await stream.next(timeout=1)

    anyio.run(main, backend=backend)


FUNCTIONS = {
    "map": lambda stream: streams.map(stream, str),
    "filter": lambda stream: streams.filter(stream, str),
    "reduce": lambda stream: streams.reduce(stream, max, 0),
    "collect": streams.collect,
    "last": streams.last,
    "smooth": streams.smooth,
    "coalesce": lambda stream: streams.coalesce(stream, 1),
    "stop_when": lambda stream: streams.stop_when(stream, "x"),
    "save": lambda stream: streams.save(stream, "/nowhere/at/all"),
    "tee": streams.tee,
    "share": streams.share,
    "with_heartbeat": lambda stream: streams.with_heartbeat(stream, 1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_stream_is_refused(name, story):
    """Check that something else than a stream is refused, and that a prepared call is told what to do."""
    for other in ([1, 2], "text", None, Inference, open):
        with pytest.raises(RequestError, match=f"{name} takes a stream"):
            FUNCTIONS[name](other)
    with pytest.raises(RequestError, match=r"Call stream\(\) on it first"):
        FUNCTIONS[name](inference(story).create("Hi.", stream=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda stream: streams.map(stream, None), "map takes a function, not NoneType"),
        (lambda stream: streams.filter(stream, 3), "filter takes a function, not int"),
        (lambda stream: streams.reduce(stream, 3, 0), "reduce takes a function, not int"),
        (lambda stream: streams.smooth(stream, by="("), "by is no regular expression"),
        (lambda stream: streams.smooth(stream, by=b"x"), "by must be a regular expression of text"),
        (lambda stream: streams.smooth(stream, delay=-1), "delay must be a number of seconds, 0 or more, not -1"),
        (lambda stream: streams.smooth(stream, delay="1"), "delay must be a number"),
        (lambda stream: streams.coalesce(stream, None), "seconds must be a number"),
        (lambda stream: streams.with_heartbeat(stream, 0), "at least 0.001, not 0"),
        (lambda stream: streams.with_heartbeat(stream, float("nan")), "seconds must be a number"),
        (lambda stream: streams.stop_when(stream, "a*"), "matches the empty text"),
        (lambda stream: streams.stop_when(stream, 3), "stop_when takes a function, not int"),
        (lambda stream: streams.stop_when(stream, "["), "rule is no regular expression"),
        (lambda stream: streams.repeated_ngram(times=1), "times must be an integer, 2 or more, not 1"),
        (lambda stream: streams.repeated_ngram(longest=True), "longest must be an integer, 1 or more, not True"),
        (lambda stream: streams.save(stream, "x", "xml"), "as_ must be one of 'text', 'events', not 'xml'"),
        (lambda stream: streams.tee(stream, 0), "n must be an integer, 1 or more, not 0"),
        (lambda stream: streams.tee(stream, policy="hope"), "policy must be one of 'wait', 'drop', 'fail', not 'hope'"),
        (lambda stream: streams.share(stream, buffer=0), "buffer must be an integer, 1 or more, not 0"),
    ],
)
def test_argument_of_wrong_type_is_refused(call, message, story):
    """Check that each argument of a wrong type is a typed error that says what was expected."""
    with pytest.raises(RequestError, match=message):
        call(inference(story).stream("Hi."))


def test_stream_is_not_copied(story):
    """Check that a stream cannot be pickled, and that its repr has no text."""
    stream = streams.smooth(inference(story).stream("Hi."))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(stream)
    assert repr(stream) == "Stream(Smooth, open)"
    stream.close()
    assert repr(stream) == "Stream(Smooth, closed)"


class Steps:
    """A stream of another package: partials, and something else between them."""

    def __init__(self, stream):
        self._stream = stream
        self.close, self.response = stream.close, stream.response

    def __iter__(self):
        yield from self._stream
        yield "a tool call"


def test_other_items_pass_in_their_place(story, tmp_path):
    """Check that what is no partial passes each transform, after what was held."""
    for transform in (
        lambda stream: streams.smooth(stream, delay=0.0001),
        lambda stream: streams.coalesce(stream, 0.01),
        lambda stream: streams.stop_when(stream, "never"),
        lambda stream: streams.save(stream, tmp_path / "story.txt"),
        lambda stream: streams.with_heartbeat(stream, 5),
        lambda stream: streams.share(stream).join(),
    ):
        *partials, step = transform(Steps(inference(story).stream("Hi.")))
        assert step == "a tool call"
        assert text_of(partials) == STORY
        assert all(isinstance(partial, PartialInferenceResponse) for partial in partials)
