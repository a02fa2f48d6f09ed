"""Reads how long to wait before a retry: from headers, from fields of an error object, and from its text."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping

__all__ = ["retry_after_seconds", "retry_override", "stated_wait", "wait_in_object"]

_NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_SECONDS_BY_UNIT = {
    "ms": 0.001, "msec": 0.001, "msecs": 0.001, "millisecond": 0.001, "milliseconds": 0.001,
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hr": 3600.0, "hrs": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
}  # fmt: skip
_UNIT = "|".join(sorted(_SECONDS_BY_UNIT, key=lambda unit: -len(unit)))
_PART = rf"(?:{_NUMBER})\s?(?:{_UNIT})(?![a-z])"
_PART_OF_CODE = rf"(?:{_NUMBER})(?:ms|[smhd])"  # as in 1m30s: no space, so a letter may be followed by a digit
_DURATION = rf"(?:{_PART_OF_CODE})+(?![a-z0-9])|{_PART}(?:,?\s(?:and\s)?{_PART}){{0,3}}"
_PARTS = re.compile(rf"({_NUMBER})\s?({_UNIT})(?![a-z])", re.IGNORECASE | re.ASCII)
_WHOLE_DURATION = re.compile(_DURATION, re.IGNORECASE | re.ASCII)
_WHOLE_NUMBER = re.compile(rf"(?:{_NUMBER})(?:e[+-]?[0-9]+)?", re.IGNORECASE | re.ASCII)
_STATED = re.compile(
    r"\b(?:(?:(?:re)?try(?:ing)?(?: again| your request| the request| this request| it| later)*"
    r"|resets?|available again|(?:please|must|should) wait(?: for)?|wait(?: for)?(?= [0-9.]+ ?[a-z]+ (?:before|and)\b))"
    r"(?: again)?(?: in| after)?(?: about| approximately| around| at least)? ?~?"
    rf"(?P<wait>{_DURATION})"
    rf"|retry[-_ ]after['\"]?\s?[:=]?\s?['\"]?(?P<number>{_NUMBER})(?![0-9a-z:/.-]))",
    re.IGNORECASE | re.ASCII,
)
_SEARCHED = 16 * 1024  # characters of a text

_UNIT_BY_FIELD = {
    "retryafter": 1.0, "retryafterseconds": 1.0, "retryaftersec": 1.0, "retryafters": 1.0, "retryin": 1.0,
    "retryinseconds": 1.0, "retrydelay": 1.0, "retrydelayseconds": 1.0, "waitseconds": 1.0, "resetsinseconds": 1.0,
    "estimatedtime": 1.0,
    "retryafterms": 0.001, "retryaftermilliseconds": 0.001, "retrydelayms": 0.001,
}  # fmt: skip
"""Names of fields, in lower case and without ``_`` and ``-``, and the unit of a number in them."""
_LONGEST_NAME = 40


def retry_after_seconds(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds to wait before a retry, from the headers of a response.

    ``retry-after-ms`` takes precedence over ``retry-after``, which is a number of seconds, a duration such as ``1m30s``
    or an HTTP date. After these, headers count whose names end with them: gateways repeat a provider's headers with a
    prefix. Returns None for an unreadable value and for a time in the past, and infinity for a number beyond the range
    of a float. Numbers are read in ASCII digits.
    """
    names = [name for name in headers if "retry-after" in name]
    for ending, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        for name in sorted((name for name in names if name.endswith(ending)), key=len):
            wait = _seconds(headers[name], unit) or (_until(headers[name], now) if unit == 1.0 else None)
            if wait is not None:
                return wait
    return None


def retry_override(headers: Mapping[str, str]) -> bool | None:
    """Return the value of ``x-should-retry``, with which several providers override the status; None if absent."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def wait_in_object(error: Mapping[str, object]) -> float | None:
    """Return the seconds to wait that a field of an object states, such as ``retry_after``; None if none does."""
    for name, value in error.items():
        if len(name) <= _LONGEST_NAME:
            unit = _UNIT_BY_FIELD.get(name.lower().replace("_", "").replace("-", ""))
            if unit is not None and (wait := _finite(_wait_of(value, unit))) is not None:
                return wait
    return None


def stated_wait(text: str) -> float | None:
    """Return the seconds to wait that a text states, as in "try again in 1m30s"; None if it states none."""
    for found in _STATED.finditer(" ".join(text[:_SEARCHED].split())):
        wait = _finite(_seconds(found["wait"] or found["number"], 1.0))
        if wait is not None:
            return wait
    return None


def _wait_of(value: object, unit: float) -> float | None:
    """Return the seconds of a number, a text, or an object with ``seconds`` and ``nanos``."""
    if isinstance(value, str):
        return _seconds(value, unit)
    if isinstance(value, Mapping):
        seconds, nanos = value.get("seconds", 0), value.get("nanos", 0)
        whole = int(seconds) if isinstance(seconds, str) and _is_digits(seconds) else seconds
        return _positive(whole + nanos / 1e9) if _is_number(whole) and _is_number(nanos) else None
    return _positive(value * unit) if isinstance(value, (int, float)) and _is_number(value) else None


_LARGEST_NUMBER = 10**18
_MOST_DIGITS = 18


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST_NUMBER


def _seconds(text: str, unit: float) -> float | None:
    """Return the seconds of a number in this unit, or of a duration with units of its own."""
    text = text[:_SEARCHED].strip()
    if _WHOLE_NUMBER.fullmatch(text):
        return _positive(float(text) * unit)
    if not _WHOLE_DURATION.fullmatch(text):
        return None
    return _positive(
        sum(float(number) * _SECONDS_BY_UNIT[each.lower()] for number, each in _PARTS.findall(_spaced(text)))
    )


def _spaced(text: str) -> str:
    """Return a duration with a space behind each unit that a digit follows, as in ``1m 30s``."""
    return re.sub(r"(?<=[a-zA-Z])(?=[0-9.])", " ", text)


def _positive(seconds: float) -> float | None:
    return seconds if seconds > 0 else None


def _finite(seconds: float | None) -> float | None:
    return None if seconds is None or math.isinf(seconds) else seconds


def _until(text: str, now: float | None) -> float | None:
    """Return the seconds until an HTTP date; None if it is unreadable or in the past."""
    if not text.isascii() or "_" in text:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    wait = moment - (time.time() if now is None else now)
    return wait if wait > 0 and math.isfinite(wait) else None
