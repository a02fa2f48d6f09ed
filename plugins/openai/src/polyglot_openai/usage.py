"""Token counts, under whichever of the dialect's names a place gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from polyglot_core.plugin import Usage

__all__ = ["at", "read_usage"]

_INPUT = ("prompt_tokens",)
_OUTPUT = ("completion_tokens",)
_TOTAL = ("total_tokens",)
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
    """Read a usage object; what is no number counts as unknown.

    Cached tokens are inside the prompt's. Reasoning is inside the completion's tokens, unless the total proves that a
    place counts it beside them.
    """
    prompt, completion, total = _count(payload, _INPUT), _count(payload, _OUTPUT), _count(payload, _TOTAL)
    reasoning = _count(payload, _REASONING)
    beside = bool(reasoning) and completion is not None and total == (prompt or 0) + completion + (reasoning or 0)
    return Usage(
        input_tokens=prompt,
        output_tokens=(completion or 0) + (reasoning or 0) if beside else completion,
        cache_read_tokens=_count(payload, _CACHE_READ),
        cache_write_tokens=_count(payload, _CACHE_WRITE),
        reasoning_tokens=reasoning,
        raw=payload,
    )


def at(payload: object, place: str) -> object:
    """What stands at a place such as ``a.b`` or ``a.0.b``; None where there is nothing."""
    for name in place.split("."):
        if isinstance(payload, Mapping):
            payload = payload.get(name)
        elif isinstance(payload, list) and name.isdecimal() and int(name) < len(payload):
            payload = payload[int(name)]
        else:
            return None
    return payload


def _count(payload: Mapping[str, Any], places: tuple[str, ...]) -> int | None:
    values = (at(payload, place) for place in places)
    return next((int(value) for value in values if _is_count(value)), None)


def _is_count(value: Any) -> TypeGuard[int | float]:  # noqa: ANN401 (any JSON value)
    return type(value) is int or (type(value) is float and value.is_integer())
