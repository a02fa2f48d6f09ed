"""The words with which providers and gateways name the reason that a response ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_core._values.events import Failure, Finish
from polyglot_core._values.response import FinishReason

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["finish_of", "is_known"]

_NO_REASON = frozenset({"", "null", "none", "undefined", "finish_reason_unspecified"})

_WORDS: Mapping[FinishReason, tuple[str, ...]] = {
    FinishReason.STOP: (
        *("stop", "stopped", "eos", "eos_token", "end", "end_turn", "stop_sequence", "stop_token", "stop_words"),
        *("complete", "completed", "done", "finish", "finished", "success", "normal"),
    ),
    FinishReason.LENGTH: (
        *("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "max_new_tokens", "max_length"),
        *("model_length", "token_limit", "model_context_window_exceeded", "context_window_exceeded"),
        *("context_length_exceeded", "context_length"),
    ),
    FinishReason.TOOL_CALLS: ("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"),
    FinishReason.CONTENT_FILTER: (
        *("content_filter", "content_filtered", "filtered", "safety", "moderation", "sensitive", "blocked"),
        *("recitation", "blocklist", "prohibited_content", "spii", "language", "guardrail_intervened", "error_toxic"),
        *("image_safety", "image_prohibited_content", "image_recitation"),
    ),
    FinishReason.REFUSAL: ("refusal",),
    FinishReason.ERROR: ("malformed_function_call", "malformed_tool_call", "unexpected_tool_call"),
    FinishReason.OTHER: ("other", "pause_turn", "compaction"),
}
_REASONS = {word: reason for reason, words in _WORDS.items() for word in words}

_FAILURES = {
    **dict.fromkeys(("insufficient_system_resource", "overloaded", "engine_overloaded"), "overloaded"),
    **dict.fromkeys(
        (
            *("abort", "aborted", "cancel", "cancelled", "canceled", "interrupted", "incomplete", "timeout"),
            *("error", "errored", "failed", "failure", "exception", "network_error", "server_error", "internal_error"),
        ),
        "server_error",
    ),
}
"""Words that name a failure of the provider, with the type of the error."""


def finish_of(
    word: object, words: Mapping[str, FinishReason] | None = None, choice: int = 0
) -> Finish | Failure | None:
    """Return the event for a provider's finish reason: a finish, a failure, or None if the value is no reason.

    Gateways pass on the words of other dialects, so all known words are read in every dialect, whatever their case. A
    word that is not known gives the reason ``other``, which the notes of the response state.

    Args:
        word: The provider's value. Anything but a string, an empty string and ``"null"`` are no reason.
        words: Words of the dialect, in lower case, which take precedence over the known ones.
        choice: Index of the choice.
    """
    if not isinstance(word, str) or (plain := _plain(word)) in _NO_REASON:
        return None
    reason = (words or {}).get(plain) or _REASONS.get(plain)
    if reason is None and plain in _FAILURES:
        return Failure(f"The model stopped: {word}.", code=word, type=_FAILURES[plain])
    return Finish(reason or FinishReason.OTHER, word, choice)


def is_known(word: str) -> bool:
    """Return True if a finish reason is one of the known words."""
    return _plain(word) in _REASONS


def _plain(word: str) -> str:
    return word.strip().lower().replace("-", "_")
