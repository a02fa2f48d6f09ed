"""Tokens and waits."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_core.errors import ConfigError
from polyglot_simulator import Pace, Simulator
from polyglot_simulator.contents import tokens
from polyglot_simulator.pace import paced
from polyglot_simulator.steps import Send, Wait


@settings(max_examples=50)
@given(st.text())
def test_tokens_join_to_the_text(text):
    """Nothing is lost, whatever the script."""
    assert "".join(tokens(text)) == text
    assert "" not in tokens(text)


def test_tokens_are_about_as_long_as_words():
    """A token is a word with the space before it, a mark, or a part of a long word."""
    assert tokens("Hello, world!  It's\n") == ["Hello", ",", " world", "!", "  It", "'", "s", "\n"]
    assert tokens("Donaudampfschiff") == ["Donaudampfsc", "hiff"]


def test_first_delay_stands_before_the_first_event_and_waits_before_the_later_tokens():
    """Role, finish and end signal are no tokens and wait for nothing."""
    role, one, two, end = Send(b"role"), Send(b"1", token=True), Send(b"2", token=True), Send(b"end")
    steps = list(paced([role, one, two, end], Pace(tokens_per_second=4, first_delay=2)))
    assert steps == [Wait(2), role, one, Wait(0.25), two, end]


def test_no_pace_means_no_wait():
    """By default everything is sent at once."""
    sends = [Send(b"1", token=True), Send(b"2", token=True)]
    assert list(paced(sends, Pace())) == sends


def test_jitter_is_bounded_and_the_same_for_the_same_seed():
    """Uneven, within its part of the wait, and repeatable."""

    def waits(seed):
        return list(itertools.islice(Pace(tokens_per_second=10, jitter=0.5, seed=seed).waits(), 50))

    assert waits(1) == waits(1)
    assert waits(1) != waits(2)
    assert all(0.05 <= wait <= 0.15 for wait in waits(1))
    assert len(set(waits(1))) > 1


def test_plain_response_takes_as_long_as_a_stream(call):
    """No byte of a plain response is sent before its last token would be."""
    with Simulator("one two", pace=Pace(first_delay=60)) as simulator:
        assert call(simulator).ask(stream=False).hear(0.3) == (b"", "silence")


@pytest.mark.parametrize("numbers", [{"tokens_per_second": 0}, {"first_delay": -1}, {"jitter": 1.5}])
def test_pace_out_of_range_is_refused(numbers):
    """The error names the number."""
    with pytest.raises(ConfigError, match=next(iter(numbers))):
        Pace(**numbers)
