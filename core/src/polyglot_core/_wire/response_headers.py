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
    shown = {name: headers[name] for name in _shown(tuple(headers), wire.response_headers)}
    together = "\n".join(shown.values())  # usually none has a secret, which is seen at once
    for secret in wire.headers.values():
        if isinstance(secret, Secret) and secret.redacted(together) != together:
            shown = {name: secret.redacted(value) for name, value in shown.items()}
    return shown


def request_id(headers: Mapping[str, str], wire: WireRequest) -> str | None:
    """Return the id of the request; None if no header has one.

    It is in a header of a usual name, or else in one that the request names in `response_headers` and that ends with
    ``-id``.
    """
    return next((found for name in _ids(tuple(headers), wire.response_headers) if (found := headers.get(name))), None)


# Responses of one server have the same names, so they are sorted out once.


@lru_cache(maxsize=256)
def _shown(names: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    matches = _pattern(more).fullmatch
    return tuple(name for name in names if matches(name))


@lru_cache(maxsize=256)
def _ids(names: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    usual = [name for each in _IDS for name in names if _pattern_of(each).fullmatch(name)]
    return (*usual, *(name for name in more if name.endswith("-id") and "*" not in name))


@lru_cache(maxsize=64)
def _pattern(more: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_expression, (*_PATTERNS, *more))))


@lru_cache(maxsize=64)
def _pattern_of(name: str) -> re.Pattern[str]:
    return re.compile(_expression(name))


def _expression(name: str) -> str:
    return ".*".join(map(re.escape, name.split("*")))
