"""Token counts, under the names that the dialect's endpoints use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import Usage, json_access

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_usage"]

_CACHE_READ = (
    "prompt_tokens_details.cached_tokens",
    "prompt_cache_hit_tokens",
    "cache_read_input_tokens",
    "cached_input_tokens",
    "cached_tokens",
)
_CACHE_WRITE = ("prompt_tokens_details.cache_write_tokens", "cache_creation_input_tokens")
_REASONING = ("completion_tokens_details.reasoning_tokens", "reasoning_tokens")


def read_usage(payload: Mapping[str, Any]) -> Usage:
    """Read a usage object. A value that is not a number counts as unknown.

    Cached tokens are included in the prompt's. Reasoning tokens are included in the completion's, unless the total
    proves that the endpoint counts them separately.
    """
    prompt, completion, total = (
        json_access.number(payload, f"{name}_tokens") for name in ("prompt", "completion", "total")
    )
    reasoning = json_access.number(payload, *_REASONING)
    beside = bool(reasoning) and completion is not None and total == (prompt or 0) + completion + (reasoning or 0)
    return Usage(
        input_tokens=prompt,
        output_tokens=(completion or 0) + (reasoning or 0) if beside else completion,
        cache_read_tokens=json_access.number(payload, *_CACHE_READ),
        cache_write_tokens=json_access.number(payload, *_CACHE_WRITE),
        reasoning_tokens=reasoning,
        raw=payload,
    )
