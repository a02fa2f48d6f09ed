"""Rate limits as providers state them in the headers of a response. The spellings are a table."""

from __future__ import annotations

import email.utils
import math
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["SPELLINGS", "Reading", "Spelling", "readings"]


class Spelling(NamedTuple):
    """How a limit is spelt.

    Attributes:
        name: Names of the headers, where ``*`` stands for ``limit``, ``remaining`` and ``reset``.
        counts: What is counted.
        period: Seconds of the window, where no header states when it ends.
        providers: Who spells it so.
    """

    name: str
    counts: Literal["requests", "tokens"]
    period: float
    providers: str


_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0

SPELLINGS = (
    Spelling(
        "x-ratelimit-*-requests", "requests", _MINUTE, "OpenAI, Azure, xAI, Groq (a day), Fireworks, DeepSeek gateways"
    ),
    Spelling("x-ratelimit-*-tokens", "tokens", _MINUTE, "OpenAI, Azure, xAI, Groq"),
    Spelling("anthropic-ratelimit-requests-*", "requests", _MINUTE, "Anthropic"),
    Spelling("anthropic-ratelimit-tokens-*", "tokens", _MINUTE, "Anthropic: the most restrictive limit in force"),
    Spelling("x-ratelimit-*-requests-minute", "requests", _MINUTE, "Cerebras"),
    Spelling("x-ratelimit-*-requests-hour", "requests", _HOUR, "Cerebras"),
    Spelling("x-ratelimit-*-requests-day", "requests", _DAY, "Cerebras, SambaNova"),
    Spelling("x-ratelimit-*-tokens-minute", "tokens", _MINUTE, "Cerebras, Mistral"),
    Spelling("x-ratelimit-*-tokens-hour", "tokens", _HOUR, "Cerebras"),
    Spelling("x-ratelimit-*-tokens-day", "tokens", _DAY, "Cerebras"),
    Spelling("x-ratelimit-*-req-minute", "requests", _MINUTE, "Mistral"),
    Spelling("x-ratelimit-*-minute", "requests", _MINUTE, "gateways of Kong"),
    Spelling("ratelimitbysize-*", "tokens", _MINUTE, "Mistral, older"),
    Spelling("x-ratelimitbysize-*-minute", "tokens", _MINUTE, "Mistral, older"),
    Spelling("x-tokenlimit-*", "tokens", _MINUTE, "Together"),
    Spelling("x-ratelimit-*", "requests", _MINUTE, "Together, OpenRouter"),
    Spelling("ratelimit-*", "requests", _MINUTE, "gateways, by the draft of the IETF"),
)


class Reading(NamedTuple):
    """One limit as a response stated it.

    Attributes:
        spelling: The limit.
        limit: Requests or tokens in a window.
        remaining: How many of them are left.
        reset: Seconds until all of them are there again.
    """

    spelling: Spelling
    limit: float
    remaining: float
    reset: float


def readings(headers: Mapping[str, str]) -> Iterator[Reading]:
    """Yield the limits that the headers of a response state. The names of headers are in lower case.

    A limit counts if its remainder can be read. A reset is a number of seconds, a duration such as ``1m30s`` or
    ``12ms``, a moment in seconds or milliseconds since 1970, or a date.
    """
    for spelling in SPELLINGS:
        remaining = _number(headers.get(spelling.name.replace("*", "remaining")))
        if remaining is None:
            continue
        limit = _number(headers.get(spelling.name.replace("*", "limit")))
        reset = _seconds(headers.get(spelling.name.replace("*", "reset")))
        limit = max(remaining, 1.0) if limit is None else limit
        yield Reading(spelling, limit, min(remaining, limit), spelling.period if reset is None else reset)


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"[0-9]{1,24}(\.[0-9]{1,24})?", re.ASCII)
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)(ms|s|m|h|d)", re.ASCII)
_DURATION = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_FIRST_MOMENT = 1e9  # a number above is a moment, not a wait: 2001, or thirty years
_FIRST_MOMENT_IN_MILLISECONDS = 1e12


def _number(text: str | None) -> float | None:
    text = (text or "").strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _seconds(text: str | None) -> float | None:
    """Return the seconds until a reset; None if the text cannot be read."""
    text = (text or "").strip()
    if (number := _number(text)) is not None:
        if number < _FIRST_MOMENT:
            return number
        return _until(number / 1000 if number > _FIRST_MOMENT_IN_MILLISECONDS else number)
    if _DURATION.fullmatch(text):
        return math.fsum(float(count) * _UNITS[unit] for count, unit in _PART.findall(text))
    return _until_date(text) if text[:1].isalnum() else None


def _until(moment: float) -> float:
    return max(0.0, moment - time.time())


def _until_date(text: str) -> float | None:
    """Return the seconds until a date, of RFC 3339 or of HTTP."""
    try:
        if text[:1].isdigit():
            return _until(datetime.fromisoformat(text).timestamp())
        return _until(email.utils.parsedate_to_datetime(text).timestamp())
    except (ValueError, OverflowError):
        return None
