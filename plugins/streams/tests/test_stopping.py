"""stop_when: what ends a stream, what its reader gets, and what the response says."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core import AsyncInference, Inference, Outcome
from polyglot_simulator import Simulator
from polyglot_streams import json_complete, repeated_ngram, smooth, stop_when
from polyglot_streams.stopping import matches

from .conftest import STORY
from .playing import each_style, play, text_of

pytestmark = pytest.mark.http


def ends(rule, *texts):
    """Return the text that a rule lets through, and whether it ended it."""
    passed = ""
    for text in texts:
        if (end := rule.feed(text)) is not None:
            return passed + text[:end], True
        passed += text
    return passed, False


def splits(text, sizes):
    """Return a text in pieces of these sizes, again and again."""
    pieces, start, number = [], 0, 0
    while start < len(text):
        pieces.append(text[start : start + sizes[number % len(sizes)]])
        start += sizes[number % len(sizes)]
        number += 1
    return pieces


each_split = given(st.lists(st.integers(1, 9), min_size=1, max_size=5))


@each_split
def test_regular_expression_in_any_split(sizes):
    """Check that a match is found however the text is split."""
    import re

    assert ends(matches(re.compile("sta[rt]s")), *splits(STORY, sizes)) == (STORY[: STORY.index("stars") + 5], True)
    assert ends(matches(re.compile("comet")), *splits(STORY, sizes)) == (STORY, False)


JSON = 'Here: {"a": ["}", "\\"]", "\\\\"], "b": {"c": [1, [2]]}}'


@each_split
def test_json_in_any_split(sizes):
    """Check that the end of a JSON value is found however the text is split."""
    assert ends(json_complete(), *splits(JSON + " and more {}", sizes)) == (JSON, True)
    assert ends(json_complete(), *splits(JSON[:-1], sizes)) == (JSON[:-1], False)
    assert ends(json_complete(), *splits('No "JSON} here', sizes)) == ('No "JSON} here', False)


@each_split
def test_repetition_in_any_split(sizes):
    """Check that a repeated phrase is found however the text is split, and a text that repeats little is not."""
    phrase = "and then it rained "
    found, ended = ends(repeated_ngram(times=4, longest=8, least=1), *splits(STORY + " " + phrase * 9, sizes))
    assert ended
    assert found.count(phrase.strip()) == 4
    assert ends(repeated_ngram(times=2, longest=8, least=1), *splits(STORY + " ", sizes))[1] is False


def test_repetition_has_a_least_length():
    """Check that a short repetition is no loop, and what the rule says of a long one."""
    assert ends(repeated_ngram(), "ha ha ha ha ha ha ")[1] is False
    rule = repeated_ngram()
    assert ends(rule, "no, never ha " + "ha " * 40) == ("no, never ha " + "ha " * 15, True)
    assert str(rule) == "the model repeated 'ha'"
    rule = repeated_ngram(times=3, least=2)
    assert ends(rule, "a b c a b c a b c a b c") == ("a b c a b c a b c ", True)
    assert str(rule) == "the model repeated 'a b c'"


RULES = {
    "text": (lambda: "stars", "the text matched 'stars'"),
    "predicate": (lambda: lambda partial: "stars" in partial.content, "returned true"),
    "rule": (lambda: matches(__import__("re").compile("stars")), "the text matched 'stars'"),
}


@pytest.mark.parametrize("name", RULES)
@each_style
def test_stop_shows_in_outcome(style, name, story):
    """Check that the reader gets the text up to the stop, and that the response is neither a success nor an error."""
    rule, note = RULES[name]
    played = play(style, story, lambda stream: stop_when(stream, rule()))
    assert played.error is None
    assert text_of(played.items).startswith(STORY[: STORY.index("stars") + 5])
    assert played.items[-1].content == text_of(played.items)
    assert played.response.outcome is Outcome.CANCELLED
    assert played.response.finish_reason is None
    assert played.response.content.startswith(text_of(played.items))
    assert note in played.stopped
    assert played.stopped.startswith("stop_when ended the stream: ")
    assert played.response.notes[-1] == played.stopped
    assert story.requests[-1].wait_closed() is not None


@each_style
def test_rule_that_is_not_met_changes_nothing(style, story):
    """Check that a stream that no rule ends is finished as ever."""
    played = play(style, story, lambda stream: stop_when(stream, "comet"))
    assert text_of(played.items) == STORY
    assert played.response.outcome is Outcome.FINISHED
    assert (played.stopped, played.response.notes) == (None, ())


@each_style
def test_text_within_a_partial_is_cut(style):
    """Check that the last partial ends with the match, and that its content does as well."""
    with Simulator('{"a": 1} That is it.') as simulator:
        played = play(style, simulator, lambda stream: stop_when(smooth(stream, r"\Z.", 0), json_complete()))
    assert text_of(played.items) == played.items[-1].content == '{"a": 1}'
    assert played.response.content.startswith('{"a": 1}')


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_coroutine_function_as_rule(backend, story):
    """Check that a rule may be a coroutine function on an async stream."""

    async def told(partial):
        await anyio.sleep(0)
        return "fox" in partial.content

    async def main():
        async with AsyncInference.from_connection(story.connection) as inference:
            stream = stop_when(inference.stream("Hi."), told)
            items = [partial async for partial in stream]
            assert items[-1].content.endswith("fox")
            assert "told returned true" in (stream.stopped or "")

    anyio.run(main, backend=backend)


def test_stop_flushes_what_follows_it(story):
    """Check that transforms after the stop emit what they hold, and that the note passes through them."""
    source = Inference.from_connection(story.connection).stream("Hi.")
    stream = smooth(stop_when(source, "fo"), delay=0.0001)
    assert text_of(stream) == STORY[: STORY.index("fo") + 2]
    assert stream.stopped is None
    assert stream.response().notes[-1].startswith("stop_when ended the stream")
