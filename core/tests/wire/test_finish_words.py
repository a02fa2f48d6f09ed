"""The words for the end of a response, of all dialects."""

from __future__ import annotations

import pytest

from polyglot_core._wire.finish_words import finish_of
from polyglot_core.plugin import Failure, Finish, FinishReason

WORDS = {
    FinishReason.STOP: (
        "stop",
        "STOP",
        "eos",
        "eos_token",
        "end_turn",
        "endTurn",
        "stop-sequence",
        "COMPLETE",
        "FINISH_REASON_STOP",
        ["stop"],
    ),
    FinishReason.LENGTH: (
        "length",
        "MAX_TOKENS",
        "maxTokens",
        "model_context_window_exceeded",
        "context_length_exceeded",
    ),
    FinishReason.TOOL_CALLS: ("tool_calls", "toolUse", "function_call", {"type": "tool_use"}),
    FinishReason.CONTENT_FILTER: ("content_filter", "SPII", "PROHIBITED_CONTENT", "BLOCKLIST", "content filter"),
    FinishReason.REFUSAL: ("refusal",),
    FinishReason.OTHER: ("a_new_word",),
}


@pytest.mark.parametrize(("reason", "word"), [(reason, word) for reason, words in WORDS.items() for word in words])
def test_words_of_all_dialects(reason, word):
    """Check the reason, in any case and spelling, and that the provider's word is kept."""
    finish = finish_of(word, choice=2)
    raw = word if isinstance(word, str) else "stop" if isinstance(word, list) else "tool_use"
    assert finish == Finish(reason, raw, 2)


@pytest.mark.parametrize("word", ["all said", "All-Said", "all_said"])
def test_words_of_a_dialect_are_as_it_writes_them_or_in_lower_case(word):
    """Check a driver's own words, of which known ones have another meaning."""
    for words in ({word: FinishReason.STOP}, {"all_said": FinishReason.STOP}):
        assert finish_of(word, words) == Finish(FinishReason.STOP, word)
    assert finish_of("stop", {"stop": FinishReason.LENGTH}) == Finish(FinishReason.LENGTH, "stop")


@pytest.mark.parametrize("word", ["", " ", "null", "None", "NULL", None, False, 0, [], {}, [[]], [None]])
def test_values_that_are_no_reason(word):
    """Check that the response goes on."""
    assert finish_of(word) is None


@pytest.mark.parametrize(
    "word", ["abort", "error", "network_error", "cancelled", "ERROR", "timeout", "failed", "engine_error", "errorLimit"]
)
def test_failures(word):
    """Check that such a word is the provider's failure, which names it."""
    failure = finish_of(word)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.type) == (word, "server_error")
    assert word in failure.message


def test_words_of_the_dialect_take_precedence():
    """Check that a dialect may give a known word another meaning."""
    assert finish_of("ERROR", {"error": FinishReason.ERROR}) == Finish("error", "ERROR")
