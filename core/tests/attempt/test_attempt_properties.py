"""Properties of every stream, split, cut or damaged anywhere."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_core._values.response import Outcome
from polyglot_core.errors import PolyglotError, Truncated
from polyglot_core.plugin import (
    Citation,
    End,
    Finish,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    ResponseStarted,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)

texts = st.text(st.characters(codec="utf-8"), max_size=8)
choices = st.integers(0, 1)
contents = st.one_of(
    st.builds(TextDelta, texts, choices),
    st.builds(ReasoningDelta, texts, choice=choices),
    st.builds(RefusalDelta, texts, choices),
    st.builds(ToolCallDelta, st.integers(0, 1), st.sampled_from(["1", "2", None]), st.just("f"), texts, choice=choices),
    st.builds(Citation, st.just({"url": "x"}), choices),
    st.builds(Ping),
    st.builds(ResponseStarted, texts, texts),
    st.builds(UsageReport, st.just({"in": 1})),
)
bodies = st.lists(st.lists(contents, min_size=1, max_size=3), max_size=8)


def valid_stream(toy, body, *, end):
    """Return the blocks and bytes of a stream in which two choices begin and finish, with or without an `End`."""
    begun = [toy.say(TextDelta("a", 0)), toy.say(TextDelta("b", 1))]
    finished = [toy.say(Finish("stop", "stop", 1)), toy.say(Finish("length", "max", 0))]
    blocks = [*begun, *(toy.say(*events) for events in body), *finished, toy.say(UsageReport({"in": 2, "out": 3}))]
    return blocks, b"".join(blocks) + (toy.say(End()) if end else b"")


def outcome(toy, pieces):
    """Return everything that a caller receives: each partial as a dict, and the response."""
    attempt = toy.attempt()
    partials = [partial.to_dict() for partial in toy.read(attempt, *pieces)]
    return partials, attempt.response.to_dict()


@given(body=bodies, end=st.booleans(), data=st.data())
def test_any_split_has_the_same_result(toy, body, end, data):
    """Partials and response depend on the bytes, and not on how they are split."""
    _, stream = valid_stream(toy, body, end=end)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[start:stop] for start, stop in zip([0, *places], [*places, len(stream)], strict=True)]
    assert outcome(toy, pieces) == outcome(toy, [stream])


@given(body=bodies)
@settings(max_examples=20)
def test_byte_by_byte_has_the_same_result(toy, body):
    """A stream that is received byte by byte is the same stream."""
    _, stream = valid_stream(toy, body, end=True)
    assert outcome(toy, [stream[place : place + 1] for place in range(len(stream))]) == outcome(toy, [stream])


@given(body=bodies, end=st.booleans(), data=st.data())
def test_any_prefix_is_truncated_or_finished(toy, body, end, data):
    """A stream cut anywhere is `Truncated`, unless every choice had its finish before.

    The line breaks after the last finish may be missing: an event at the end is read without them.
    """
    blocks, stream = valid_stream(toy, body, end=end)
    place = data.draw(st.integers(0, len(stream)))
    done = place >= len(b"".join(blocks[:-1]).rstrip(b"\n"))
    attempt = toy.attempt()
    if done:
        toy.read(attempt, stream[:place])
        assert attempt.outcome is Outcome.FINISHED
        return
    with contextlib.suppress(Truncated):
        toy.read(attempt, stream[:place])
    assert attempt.outcome is Outcome.TRUNCATED


@given(body=bodies, data=st.data())
def test_content_of_a_prefix_is_a_prefix(toy, body, data):
    """The content of a cut stream is the beginning of the whole, for every choice."""
    _, stream = valid_stream(toy, body, end=True)
    whole, cut = toy.attempt(), toy.attempt()
    toy.read(whole, stream)
    with contextlib.suppress(Truncated):
        toy.read(cut, stream[: data.draw(st.integers(0, len(stream)))])
    for before, after in zip(cut.response.choices, whole.response.choices, strict=False):
        assert after.content.startswith(before.content)
        assert after.reasoning_content.startswith(before.reasoning_content)


@given(body=bodies, data=st.data())
def test_flipped_bits_raise_only_our_errors(toy, body, data):
    """A damaged stream has a result or an error of our own, and nothing else."""
    _, stream = valid_stream(toy, body, end=data.draw(st.booleans()))
    damaged = bytearray(stream)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    attempt = toy.attempt()
    with contextlib.suppress(PolyglotError):
        toy.read(attempt, bytes(damaged))
    assert attempt.ended


@given(data=st.binary(max_size=200), status=st.sampled_from([200, 204, 301, 401, 500]), whole=st.booleans())
def test_garbage_raises_only_our_errors(toy, data, status, whole):
    """Any bytes, under any status, have a result or an error of our own."""
    attempt = toy.attempt(status=status, headers={}, framing="whole" if whole else "sse", flush_at_eof=True)
    try:
        toy.read(attempt, data)
    except PolyglotError as error:
        assert error.partial is not None
        assert str(error).isprintable()
    assert attempt.ended
