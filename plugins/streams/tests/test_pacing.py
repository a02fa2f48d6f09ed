"""smooth, coalesce and with_heartbeat: which pieces, when, and what they show."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
import trio

from polyglot_core import AsyncInference, FinishReason, Inference
from polyglot_core.errors import RequestError
from polyglot_simulator import Pace, RawReply, Reply, Simulator
from polyglot_streams import coalesce, collect, smooth, with_heartbeat
from polyglot_streams.pacing import Coalesce, Heartbeat, Smooth, boundary

from .conftest import STORY, TOLD
from .playing import each_style, play, text_of

pytestmark = pytest.mark.http


def partials_of(*deltas):
    """Return the partials of a response whose text is received in pieces."""
    writes = [b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % delta.encode() for delta in deltas]
    with Simulator(
        RawReply(writes=[*writes, b"data: [DONE]\n\n"], headers=[("content-type", "text/event-stream")])
    ) as simulator:
        partials = iter(Inference.from_connection(simulator.connection).stream("Hi."))
        return [next(partials) for _ in deltas]


@pytest.mark.parametrize(
    ("by", "text", "pieces"),
    [
        ("word", "One two  three", ["One", " two", "  three"]),
        ("word", "One\n\n two ", ["One", "\n\n two", " "]),
        ("word", "Ça va bien", ["Ça", " va", " bien"]),
        ("word", "他们 go 在", ["他", "们", " go", " 在"]),
        ("word", "abc星d", ["abc", "星", "d"]),
        ("word", "", []),
        ("line", "One\ntwo\n\nthree", ["One\n", "two\n", "\n", "three"]),
        (r"[.!?]\s", "One. Two! Three", ["One. ", "Two! ", "Three"]),
        (r"x*", "axb", ["axb"]),
    ],
)
def test_smooth_cuts_at_boundaries(by, text, pieces):
    """Check that the pieces are the same, however the text is received."""
    for size in (1, 2, 3, 100):
        stage = Smooth(boundary(by), 0)
        deltas = [text[start : start + size] for start in range(0, len(text), size)]
        emitted = [
            piece
            for partial in partials_of(*(d.replace("\n", "\\n") for d in deltas))
            for piece in stage.feed(partial, 0)
        ]
        emitted += stage.flush(0)
        if by != "x*":
            assert [piece.content_delta for piece in emitted] == pieces
        assert text_of(emitted) == text
        for number, piece in enumerate(emitted):
            assert piece.content == text_of(emitted[: number + 1])


def test_smooth_waits_between_pieces():
    """Check the moments at which pieces are emitted, and that nothing is read while some are left."""
    (partial,) = partials_of("One two three four ")
    stage = Smooth(boundary("word"), 0.5)
    assert text_of(stage.feed(partial, 10.0)) == "One"
    assert (stage.full, stage.deadline) == (True, 10.5)
    assert text_of(stage.wake(10.4)) == ""
    assert text_of(stage.wake(10.5)) == " two"
    assert text_of(stage.wake(11.5)) == " three"
    assert text_of(stage.wake(12.0)) == " four"
    assert (stage.full, stage.deadline) == (False, None)
    assert text_of(stage.flush(12.1)) == ""
    assert text_of(stage.wake(12.5)) == " "


def test_smooth_holds_a_bounded_text():
    """Check that a text without a boundary is emitted, and not held for ever."""
    stage = Smooth(boundary("word"), 0)
    emitted = [text_of(stage.feed(partial, 0)) for partial in partials_of("x" * 600, "y" * 600, "z")]
    assert [len(text) for text in emitted] == [0, 1200, 0]
    assert text_of(stage.flush(0)) == "z"


@each_style
def test_smooth(style, story):
    """Check that a smoothed stream has the same text in words, and takes the time of its delays."""
    started = time.perf_counter()
    played = play(style, story, lambda stream: smooth(stream, delay=0.002))
    assert text_of(played.items) == STORY == played.response.content
    assert [item.content_delta.strip() for item in played.items if item.content_delta] == STORY.split()
    assert played.items[-1].finish_reason is FinishReason.STOP
    assert time.perf_counter() - started > 0.002 * (len(STORY.split()) - 1)


@each_style
def test_other_content_passes_in_its_place(style):
    """Check that reasoning, tool calls and several choices pass all three transforms in order."""
    from polyglot_simulator import ToolCall

    reply = Reply("Let me see. ", reasoning="Which city?", tool_calls=[ToolCall("weather", {"city": "Oslo"})])
    with Simulator(Reply(choices=[reply, Reply("Hello you.")])) as simulator:
        plain = play(style, simulator, lambda stream: coalesce(stream, 0))
        for transform in (
            lambda stream: smooth(stream, delay=0),
            lambda stream: coalesce(stream, 0.01),
            lambda stream: with_heartbeat(stream, 5),
            lambda stream: smooth(coalesce(stream, 0.01), "line", 0),
        ):
            played = play(style, simulator, transform)
            assert played.error is None
            for choice, text in ((0, "Let me see. "), (1, "Hello you.")):
                items = [item for item in played.items if item.choice == choice]
                assert text_of(items) == text == items[-1].content
                assert [item.finish_reason for item in items if item.finish_reason] == [items[-1].finish_reason]
                assert "".join(item.reasoning_delta for item in items) == ("Which city?" if choice == 0 else "")
            assert items[-1].usage == plain.items[-1].usage
            last = [item for item in played.items if item.choice == 0][-1]
            assert last.tool_calls == played.response.tool_calls
            assert last.arguments(0) == {"city": "Oslo"}
            assert played.response.content == plain.response.content


def test_coalesce_joins_within_a_window():
    """Check that the first partial is emitted at once, and what follows at the end of the window."""
    partials = partials_of("a", "b", "c", "d")
    stage = Coalesce(1.0)
    assert text_of(stage.feed(partials[0], 5.0)) == "a"
    assert text_of(stage.feed(partials[1], 5.1)) == ""
    assert text_of(stage.feed(partials[2], 5.2)) == ""
    assert stage.deadline == 6.0
    (joined,) = stage.wake(6.0)
    assert (joined.content_delta, joined.content, joined.raw) == ("bc", "abc", partials[1].raw + partials[2].raw)
    assert stage.deadline is None
    assert text_of(stage.feed(partials[3], 8.0)) == "d"


@each_style
def test_coalesce(style):
    """Check that a coalesced stream has fewer partials with the same text."""
    with Simulator(STORY, pace=Pace(tokens_per_second=400)) as simulator:
        plain = play(style, simulator, lambda stream: coalesce(stream, 0))
        played = play(style, simulator, lambda stream: coalesce(stream, 0.03))
    assert text_of(played.items) == text_of(plain.items) == STORY
    assert len(played.items) <= len(plain.items)
    assert played.items[-1].content == STORY


@each_style
def test_heartbeat(style, endless):
    """Check that a silent stream has heartbeats before and after its partials, each with the text so far."""

    class LeaveError(Exception):
        pass

    def leave(item):
        if item.content and not item.content_delta:
            raise LeaveError

    played = play(style, endless, lambda stream: with_heartbeat(stream, 0.002), leave)
    assert type(played.error) is LeaveError
    beat = played.items[-1]
    assert beat.content == text_of(played.items)
    assert "".join(TOLD).startswith(beat.content)
    assert beat.finish_reason is None


@each_style
def test_heartbeat_before_anything_is_received(style):
    """Check what a partial has before the response begins."""
    with Simulator("One.", pace=Pace(first_delay=0.1)) as simulator:
        played = play(style, simulator, lambda stream: with_heartbeat(stream, 0.01))
    beat = played.items[0]
    assert (beat.content, beat.tool_calls, beat.usage, beat.data) == ("", (), None, None)
    assert beat.arguments() is None
    assert beat.choice == 0
    assert beat.to_dict()["content"] == ""
    assert text_of(played.items) == "One."
    assert played.items[-1].finish_reason is FinishReason.STOP


def test_heartbeats_come_at_their_deadlines():
    """Check that a partial defers the next heartbeat."""
    (partial,) = partials_of("a")
    stage = Heartbeat(2.0, 0.0)
    assert stage.deadline == 2.0
    stage.feed(partial, 1.5)
    assert stage.deadline == 3.5
    (beat,) = stage.wake(3.5)
    assert (beat.content, beat.content_delta, stage.deadline) == ("a", "", 5.5)
    stage.flush(4.0)
    assert stage.deadline is None


def test_heartbeats_need_one_thread():
    """Check that many deadlines and many partials are served by one thread."""
    import threading

    started = []
    real = threading.Thread.start

    def start(thread):
        started.append(thread.name)
        real(thread)

    with Simulator("word " * 40, pace=Pace(tokens_per_second=400)) as simulator:
        stream = Inference.from_connection(simulator.connection).stream("Hi.")
        threading.Thread.start = start
        try:
            items = list(with_heartbeat(stream, 0.001))
        finally:
            threading.Thread.start = real
    assert text_of(items).split() == ["word"] * 40
    assert started.count("polyglot-streams") == 1
    assert started.count("polyglot-read") == 0


def test_heartbeats_need_one_task(story):
    """Check the same for tasks of both event loops."""
    started = []

    async def main():
        async with AsyncInference.from_connection(story.connection) as inference:
            await collect(inference.stream("Hi."))
            started.clear()
            assert text_of(await collect(with_heartbeat(inference.stream("Hi."), 0.001))) == STORY

    async def counted():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, work, **more: started.append(work) or asyncio.Task(work, loop=loop, **more))
        await main()

    class Counter(trio.abc.Instrument):
        def task_spawned(self, task):
            if "streams" in task.name:
                started.append(task)

    asyncio.run(counted())
    assert len([work for work in started if "Reader" in repr(work)]) == 1
    trio.run(main, instruments=[Counter()])
    assert len(started) == 1


@pytest.mark.parametrize("by", ["words", "sentence"])
def test_a_plain_word_is_no_boundary(story, by):
    """It is most likely a misspelt name; as a pattern it is given compiled."""
    with pytest.raises(RequestError, match="'word', 'line' or a regular expression"):
        smooth(Inference.from_connection(story.connection).stream("Hi"), by=by)
    with smooth(Inference.from_connection(story.connection).stream("Hi"), by=re.compile(by), delay=0) as stream:
        assert "".join(partial.content_delta for partial in stream)
