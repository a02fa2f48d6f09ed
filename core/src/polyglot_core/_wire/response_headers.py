"""Which response headers are shown to users."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from polyglot_core._values.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_core._wire.messages import WireRequest

__all__ = ["telling_headers"]

_PATTERNS = (
    *("*request-id", "*requestid", "*request_id", "*correlation-id", "*trace-id", "*call-id", "cf-ray", "apim-*"),
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


@lru_cache(maxsize=64)
def _pattern(more: tuple[str, ...]) -> re.Pattern[str]:
    alternatives = (".*".join(map(re.escape, pattern.split("*"))) for pattern in (*_PATTERNS, *more))
    return re.compile("|".join(alternatives))
