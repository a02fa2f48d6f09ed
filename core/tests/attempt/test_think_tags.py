"""Thinking between tags is extracted from the text, however the text is split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core._attempt.filters.pipeline import Pipeline
from polyglot_core._attempt.filters.think_tags import ThinkTags
from polyglot_core._values.events import Finish, Ping, ReasoningDelta, TextDelta
from polyglot_core._wire.messages import Chunk


def split(text, size, opening="<think>"):
    """Return the thinking and the text of `text`, received in pieces of `size` characters."""
    tags = ThinkTags(opening, "</think>")
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    events = [event for piece in pieces for event in tags.apply([TextDelta(piece)])]
    events += tags.rest()
    thinking = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    return thinking, "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("text", "thinking", "rest"),
    [
        ("<think>hm</think>\n\nHello", "hm", "Hello"),
        ("  <think>hm</think>Hello", "hm", "Hello"),
        ("Hello <think>no</think>", "", "Hello <think>no</think>"),
        ("<think>a</thin</think>b", "a</thin", "b"),
        ("<think>never closed", "never closed", ""),
        ("<thi", "", "<thi"),
        ("<b>bold</b>", "", "<b>bold</b>"),
        ("", "", ""),
    ],
)
def test_thinking_at_the_start_is_extracted(text, thinking, rest, size):
    """Only a tag at the beginning of the text counts, and it may be split anywhere."""
    assert split(text, size) == (thinking, rest)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("text", "thinking", "rest"),
    [
        ("hm</think>\n\nHello", "hm", "Hello"),
        (" \n hm</think>Hello", " \n hm", "Hello"),
        ("<think>hm</think>Hello", "hm", "Hello"),
        ("a</thin</think>b </think>", "a</thin", "b </think>"),
        ("never closed", "never closed", ""),
        ("</think>Hello", "", "Hello"),
        ("<thi", "<thi", ""),
        ("  ", "  ", ""),
        ("", "", ""),
    ],
)
def test_thinking_that_has_begun(text, thinking, rest, size):
    """With an empty opening tag all is thinking up to the closing tag, and a repeated opening tag is dropped."""
    assert split(text, size, opening="") == (thinking, rest)


def test_thinking_that_has_begun_in_each_choice():
    """Each choice has a thinking of its own, and an empty text at its beginning stays."""
    tags = ThinkTags("", "</think>")
    said = [TextDelta("", 1), TextDelta("a</think>b", 1), TextDelta("c", 0), Finish("stop", "stop", 0)]
    events = tags.apply(said) + tags.rest()
    assert [(type(event).__name__, event.choice) for event in events] == [
        ("TextDelta", 1),
        ("ReasoningDelta", 1),
        ("TextDelta", 1),
        ("ReasoningDelta", 0),
        ("Finish", 0),
    ]


def test_resumed_response_is_not_thinking_again(toy):
    """After a prefill the thinking is over, as the text before the resume point proves."""
    pipeline = Pipeline(toy.bound(), {}, ("", "</think>"), "Once upon")
    (event,) = pipeline.decode(Chunk(toy.body(TextDelta(" a time")), b""))
    assert event == TextDelta(" a time")


@given(text=st.text(alphabet="<>/thinka \n", max_size=60), size=st.integers(1, 9))
def test_any_split_has_the_same_result(text, size):
    """The split of the text changes neither the thinking nor the text."""
    assert split(text, size) == split(text, max(1, len(text)))


class Counted(str):
    """A text that counts the characters of all texts that it is joined to, and its own."""

    __slots__ = ()
    characters = 0

    def __radd__(self, before):
        Counted.characters += len(before) + len(self)
        return before + str(self)


def test_leading_white_space_is_examined_once():
    """Each piece of leading white space costs its own length, however many there are."""
    Counted.characters = 0
    tags = ThinkTags("<think>", "</think>")
    for _ in range(1000):
        assert tags.apply([TextDelta(Counted("\n" * 8))]) == []
    assert Counted.characters == 8000
    assert tags.apply([TextDelta("<thi")]) == []
    assert tags.apply([TextDelta("x")]) == [TextDelta("\n" * 8000 + "<thix")]


def test_white_space_alone_is_text():
    """A text of white space alone is returned unchanged at its end; what follows it is text at once."""
    tags = ThinkTags("<think>", "</think>")
    assert tags.apply([TextDelta(text) for text in (" ", "\n", "\t")]) == []
    assert tags.rest() == [TextDelta(" \n\t")]
    assert tags.rest() == []
    assert tags.apply([TextDelta(" <think>")]) == [TextDelta(" <think>")]


def test_kept_text_precedes_the_finish():
    """Text that might have become a tag is returned before the finish."""
    tags = ThinkTags("<think>", "</think>")
    assert tags.apply([TextDelta("<thi")]) == []
    assert tags.apply([Finish("stop", "stop")]) == [TextDelta("<thi"), Finish("stop", "stop")]


def test_tags_are_tracked_by_choice():
    """The tags of one choice do not affect another."""
    tags = ThinkTags("<think>", "</think>")
    assert tags.apply([TextDelta("<think>a", 0), TextDelta("b", 1)]) == [
        ReasoningDelta("a", choice=0),
        TextDelta("b", 1),
    ]


def test_other_events_pass():
    """An empty text begins a choice, and other events are not affected by tags."""
    events = [TextDelta(""), ReasoningDelta("r"), TextDelta("a"), TextDelta(""), Ping()]
    assert ThinkTags("<think>", "</think>").apply(events) == events


@pytest.mark.parametrize(
    ("texts", "thinking", "rest"),
    [
        (["<think>a", "b</think>", "c"], "ab", "c"),
        (["<think>a</thi", "nk>b"], "a</think>b", ""),
        (["<thi", "nk>a"], "", "<think>a"),
        (["<thi", "<think>a"], "", "<thi<think>a"),
        (["a", "<think>b"], "", "a<think>b"),
    ],
)
def test_finish_after_every_text(texts, thinking, rest):
    """Some servers send a finish with every piece; thinking continues after it, but half a tag becomes text."""
    tags = ThinkTags("<think>", "</think>")
    events = [event for text in texts for event in tags.apply([TextDelta(text), Finish("stop", "stop")])]
    found = ["".join(event.text for event in events if isinstance(event, kind)) for kind in (ReasoningDelta, TextDelta)]
    assert found == [thinking, rest]
