"""Any text in any split, any two transforms, left anywhere: nothing is lost, and nothing stays open."""

from __future__ import annotations

import gc
import json
import threading

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polyglot_streams as streams
from polyglot_core import AsyncInference, Inference, Outcome
from polyglot_simulator import RawReply, Simulator

from .playing import text_of

pytestmark = pytest.mark.http

TRANSFORMS = {
    "map": lambda stream, folder: streams.map(stream, lambda partial: partial),
    "filter": lambda stream, folder: streams.filter(stream, lambda partial: True),
    "smooth words": lambda stream, folder: streams.smooth(stream, delay=0),
    "smooth lines": lambda stream, folder: streams.smooth(stream, "line", 0.0002),
    "coalesce": lambda stream, folder: streams.coalesce(stream, 0.0005),
    "stop_when": lambda stream, folder: streams.stop_when(stream, "STOP"),
    "save": lambda stream, folder: streams.save(stream, folder / "story"),
    "with_heartbeat": lambda stream, folder: streams.with_heartbeat(stream, 0.001),
    "tee": lambda stream, folder: streams.tee(stream, 1)[0],
    "share": lambda stream, folder: streams.share(stream).join(),
}
names = st.sampled_from(sorted(TRANSFORMS))
texts = st.text(st.characters(codec="utf-8") | st.sampled_from(" \n星"), min_size=1, max_size=60)
deltas = st.lists(texts, min_size=1, max_size=12)
styles = st.sampled_from(["sync", "asyncio", "trio"])
few = settings(max_examples=40)


def chunk(delta, finish=None):
    """Return one event of a chat completion."""
    choice = {"index": 0, "delta": {"content": delta}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


@pytest.fixture(scope="module")
def provider():
    """A simulator that replies with the deltas that it was last given, and may stay silent at the end."""
    given = {"deltas": [], "silent": False}

    def reply(_):
        writes = [chunk(delta) for delta in given["deltas"]]
        end = [] if given["silent"] else [chunk("", "stop"), b"data: [DONE]\n\n"]
        headers = [("content-type", "text/event-stream")]
        return RawReply(writes=[*writes, *end], headers=headers, end="open" if given["silent"] else "chunked")

    with Simulator(reply) as simulator:
        simulator.given = given
        yield simulator


def chain(first, second, folder):
    """Return a function that applies two transforms; a file of the second has another name than one of the first."""
    (folder / "second").mkdir(exist_ok=True)
    return lambda stream: TRANSFORMS[second](TRANSFORMS[first](stream, folder), folder / "second")


def read(style, simulator, transform, most):
    """Read at most so many items of a transformed stream, and leave it. Return the items and the response."""
    items = []

    if style == "sync":
        with transform(Inference.from_connection(simulator.connection).stream("Hi.")) as stream:
            for item in stream:
                items.append(item)
                if len(items) == most:
                    break
        return items, stream.response()

    async def main():
        async with AsyncInference.from_connection(simulator.connection) as inference:
            async with transform(inference.stream("Hi.")) as stream:
                async for item in stream:
                    items.append(item)
                    if len(items) == most:
                        break
            return items, await stream.response()

    return anyio.run(main, backend=style)


@few
@given(style=styles, first=names, second=names, deltas=deltas)
def test_two_transforms_lose_nothing(style, first, second, deltas, provider, tmp_path_factory):
    """Check that the text is the same after any two transforms, at every partial, for any text in any split."""
    provider.given.update(deltas=deltas, silent=False)
    folder = tmp_path_factory.mktemp("story", numbered=True)
    items, response = read(style, provider, chain(first, second, folder), -1)
    text = "".join(deltas)
    assert text_of(items) == text == response.content == items[-1].content
    so_far = ""
    for item in items:
        so_far += item.content_delta
        assert item.content == so_far
    assert response.outcome is Outcome.FINISHED
    for name, path in ((first, folder / "story"), (second, folder / "second" / "story")):
        assert name != "save" or path.read_bytes().decode() == text


@few
@given(style=styles, first=names, second=names, deltas=deltas, most=st.integers(1, 12))
def test_two_transforms_are_left_anywhere(style, first, second, deltas, most, provider, tmp_path_factory):
    """Check that a reader that leaves after any item closes the connection, and keeps what it has received."""
    provider.given.update(deltas=deltas, silent=True)
    folder = tmp_path_factory.mktemp("story", numbered=True)
    transform = chain(first, second, folder)

    before = len(provider.requests)
    items, response = read_until_silent(style, provider, transform, most)
    assert "".join(deltas).startswith(text_of(items))
    assert response.content.startswith(text_of(items))
    assert response.outcome is Outcome.CANCELLED
    assert None not in [request.wait_closed() for request in provider.requests[before:]]  # none if it left at once
    for name, path in ((first, folder / "story"), (second, folder / "second" / "story")):
        assert name != "save" or not path.exists()
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name == "polyglot-streams" and not ends(thread)]


def ends(thread):
    """Return whether a thread ends."""
    thread.join(5)
    return not thread.is_alive()


def read_until_silent(style, simulator, transform, most):
    """Read at most so many items, or until none is received for a while, and leave by a close or a cancellation."""
    items = []

    if style == "sync":
        with transform(Inference.from_connection(simulator.connection).stream("Hi.")) as stream:
            while len(items) < most and (item := stream.next(timeout=0.02)) is not None:
                items.append(item)
        return items, stream.response()

    async def main():
        async with AsyncInference.from_connection(simulator.connection) as inference:
            stream = transform(inference.stream("Hi."))
            with anyio.move_on_after(0.03 if most % 2 else 5):
                while len(items) < most and (most % 2 or (item := await stream.next(timeout=0.02)) is not None):
                    items.append(await anext(stream) if most % 2 else item)
            await stream.close()
            return items, await stream.response()

    return anyio.run(main, backend=style)
