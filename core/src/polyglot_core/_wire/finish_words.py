"""The words with which providers and gateways name the reason that a response ended."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from polyglot_core._values.events import Failure, Finish
from polyglot_core._values.response import FinishReason

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["finish_of", "is_known"]

_NO_REASON = frozenset({"", "null", "none", "nil", "undefined", "unspecified", "finish_reason_unspecified"})

_WORDS: Mapping[FinishReason, str] = {
    FinishReason.STOP: """
        stop stopped eos eos_token end end_turn stop_sequence stop_token stop_words end_of_text end_of_turn
        end_of_sequence eot stop_string stop_criteria matched_stop complete completed done finish finished success
        normal
    """,
    FinishReason.LENGTH: """
        length max_tokens max_output_tokens max_completion_tokens max_new_tokens max_length model_length token_limit
        model_context_window_exceeded context_window_exceeded context_length_exceeded context_length max_context_length
        max_token tokens_limit truncated length_limit max_seq_len output_limit limit
    """,
    FinishReason.TOOL_CALLS: "tool_calls tool_call tool_use tools function_call function_calls function",
    FinishReason.CONTENT_FILTER: """
        content_filter content_filtered filtered safety moderation sensitive blocked recitation blocklist
        prohibited_content spii language guardrail_intervened error_toxic image_safety image_prohibited_content
        image_recitation content_policy policy_violation content_policy_violation prohibited violation risk model_armor
        censored unsafe
    """,
    FinishReason.REFUSAL: "refusal",
    FinishReason.ERROR: "malformed_function_call malformed_tool_call unexpected_tool_call",
    FinishReason.OTHER: "other pause_turn compaction",
}
_PREFIX = "finish_reason_"  # of enumerations in protocol buffers
_ERROR = "error"
_DEEPEST = 3  # lists and objects around a word
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_REASONS = {word: reason for reason, words in _WORDS.items() for word in words.split()}

_FAILURE_WORDS = {
    "overloaded": "insufficient_system_resource overloaded engine_overloaded",
    "server_error": """
        killed disconnect disconnected unavailable preempted timed_out network internal_server_error system_error
        model_error abort aborted cancel cancelled canceled interrupted incomplete timeout error errored failed failure
        exception network_error server_error internal_error
    """,
}
_FAILURES = {word: kind for kind, words in _FAILURE_WORDS.items() for word in words.split()}
"""Words that name a failure of the provider, with the type of the error."""


def finish_of(
    word: object, words: Mapping[str, FinishReason] | None = None, choice: int = 0
) -> Finish | Failure | None:
    """Return the event for a provider's finish reason: a finish, a failure, or None if the value is no reason.

    Gateways pass on the words of other dialects, so all known words are read in every dialect, whatever their case. A
    word that is not known gives the reason ``other``, which the notes of the response state; one with "error" in it is
    a failure.

    Args:
        word: The provider's value: a string, or a list or an object with one. Anything else, an empty string and
            ``"null"`` are no reason.
        words: Words of the dialect, which take precedence over the known ones: as it writes them, or in lower case with
            underscores.
        choice: Index of the choice.
    """
    word = _text_of(word)
    if (plain := _plain(word)) in _NO_REASON:
        return None
    reason = (words or {}).get(word) or (words or {}).get(plain) or _REASONS.get(plain)
    failure = _FAILURES.get(plain) or ("server_error" if _ERROR in plain.split("_") else None)
    if reason is None and failure is not None:
        return Failure(f"The model stopped: {word}.", code=word, type=failure)
    return Finish(reason or FinishReason.OTHER, word, choice)


def is_known(word: str) -> bool:
    """Return True if a finish reason is one of the known words."""
    return _plain(word) in _REASONS


def _plain(word: str) -> str:
    plain = _CAPITAL.sub("_", word.strip()).lower().replace("-", "_").replace(" ", "_")
    return plain.removeprefix(_PREFIX)


def _text_of(word: object) -> str:
    """Return the word in a finish reason that some servers send in a list or an object; empty if there is none."""
    for _ in range(_DEEPEST):
        if isinstance(word, list):
            word = word[0] if word else ""
        elif isinstance(word, dict):
            word = next((word[name] for name in ("type", "reason", "finish_reason", "name") if word.get(name)), "")
    return word if isinstance(word, str) else ""
