"""Which response headers are shown to users, and which of them has the id of the request."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from polyglot_core._values.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_core._wire.messages import WireRequest

__all__ = ["request_id", "telling_headers"]

_IDS = (
    *("x-request-id", "request-id", "*request-id", "*requestid", "*request_id"),
    *("*call-id", "*log-id", "*correlation-id", "*trace-id", "*-ray"),
)
"""Ids of a request: the provider's own first, then those of gateways, then those of what lies between."""

_PATTERNS = (
    *_IDS,
    "apim-*",
    *("*ratelimit*", "*rate-limit*", "*retry-after*", "x-should-retry"),
    *("*processing-ms", "*processing-time", "*response-time", "*latency*", "*upstream-service-time", "server-timing"),
    *("*-model", "*-model-id", "*-region", "*-version", "date"),
)
"""Of many providers: ids of the request, rate limits, the time of processing, and who processed it."""


def telling_headers(headers: Mapping[str, str], wire: WireRequest) -> dict[str, str]:
    """Return the headers that identify the request, state rate limits or times, and those that the request names.

    Args:
        headers: All headers of the response, with lower-case names.
        wire: The request, whose secrets are replaced in the values.
    """
    matches = _pattern(wire.response_headers).fullmatch
    shown = {name: value for name, value in headers.items() if matches(name)}
    for secret in wire.headers.values():
        if isinstance(secret, Secret):
            shown = {name: secret.redacted(value) for name, value in shown.items()}
    return shown


def request_id(headers: Mapping[str, str], wire: WireRequest) -> str | None:
    """Return the id of the request; None if no header has one.

    It is in a header of a usual name, or else in one that the request names in `response_headers` and that ends with
    ``-id``.
    """
    for name in _IDS:
        matches = _pattern_of(name).fullmatch
        if found := next((value for each, value in headers.items() if value and matches(each)), None):
            return found
    named = (name for name in wire.response_headers if name.endswith("-id") and "*" not in name)
    return next((found for name in named if (found := headers.get(name))), None)


@lru_cache(maxsize=64)
def _pattern(more: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_expression, (*_PATTERNS, *more))))


@lru_cache(maxsize=64)
def _pattern_of(name: str) -> re.Pattern[str]:
    return re.compile(_expression(name))


def _expression(name: str) -> str:
    return ".*".join(map(re.escape, name.split("*")))
