"""Thinking between tags is taken out of the text, however the text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core._attempt.filters.think_tags import ThinkTags
from polyglot_core._values.events import Finish, Ping, ReasoningDelta, TextDelta


def split(text, size):
    """Thinking and text of `text`, when it comes in pieces of `size` characters."""
    tags = ThinkTags("<think>", "</think>")
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
def test_thinking_at_the_start_is_taken_out(text, thinking, rest, size):
    """Only thinking that the text begins with is thinking, and a tag may be cut anywhere."""
    assert split(text, size) == (thinking, rest)


@given(text=st.text(alphabet="<>/thinka \n", max_size=60), size=st.integers(1, 9))
def test_any_cut_gives_the_same(text, size):
    """How the text is cut changes neither the thinking nor the text."""
    assert split(text, size) == split(text, max(1, len(text)))


class Counted(str):
    """A text that counts the characters of whatever it is joined to, itself with them."""

    __slots__ = ()
    characters = 0

    def __radd__(self, before):
        Counted.characters += len(before) + len(self)
        return before + str(self)


def test_white_space_before_the_text_is_looked_at_once():
    """However much white space comes first and in how many pieces, each piece costs its own length."""
    Counted.characters = 0
    tags = ThinkTags("<think>", "</think>")
    for _ in range(1000):
        assert tags.apply([TextDelta(Counted("\n" * 8))]) == []
    assert Counted.characters == 8000
    assert tags.apply([TextDelta("<thi")]) == []
    assert tags.apply([TextDelta("x")]) == [TextDelta("\n" * 8000 + "<thix")]


def test_white_space_alone_is_the_text():
    """An answer of nothing but white space comes as it was sent, when it is over; what follows is text at once."""
    tags = ThinkTags("<think>", "</think>")
    assert tags.apply([TextDelta(text) for text in (" ", "\n", "\t")]) == []
    assert tags.rest() == [TextDelta(" \n\t")]
    assert tags.rest() == []
    assert tags.apply([TextDelta(" <think>")]) == [TextDelta(" <think>")]


def test_what_was_kept_back_comes_before_the_finish():
    """Text that might have become a tag is handed out when the model is done."""
    tags = ThinkTags("<think>", "</think>")
    assert tags.apply([TextDelta("<thi")]) == []
    assert tags.apply([Finish("stop", "stop")]) == [TextDelta("<thi"), Finish("stop", "stop")]


def test_each_choice_thinks_for_itself():
    """The tags of one choice are not those of another."""
    tags = ThinkTags("<think>", "</think>")
    assert tags.apply([TextDelta("<think>a", 0), TextDelta("b", 1)]) == [
        ReasoningDelta("a", choice=0),
        TextDelta("b", 1),
    ]


def test_what_is_no_text_passes():
    """An empty text says that the choice has begun, and other events have nothing to do with tags."""
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
def test_a_finish_behind_every_text_changes_nothing_but_what_was_kept(texts, thinking, rest):
    """Some servers give a reason with every piece; the thinking goes on, and half a tag is what it is."""
    tags = ThinkTags("<think>", "</think>")
    events = [event for text in texts for event in tags.apply([TextDelta(text), Finish("stop", "stop")])]
    told = ["".join(event.text for event in events if isinstance(event, kind)) for kind in (ReasoningDelta, TextDelta)]
    assert told == [thinking, rest]
