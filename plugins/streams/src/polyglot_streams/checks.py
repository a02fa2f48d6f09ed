"""Checks of arguments, each with an error that says what was passed and what is expected."""

from __future__ import annotations

import re
import threading

from polyglot_core.errors import RequestError

__all__ = ["check_function", "count", "is_async", "one_of", "pattern_of", "seconds"]


def is_async(function: str, stream: object) -> bool:
    """Return whether the first argument of a function is an async stream.

    Raises:
        RequestError: It is no stream.
    """
    methods = getattr(stream, "close", None), getattr(stream, "response", None)
    if all(map(callable, methods)) and not isinstance(stream, type):
        if hasattr(stream, "__aiter__"):
            return True
        if hasattr(stream, "__iter__"):
            return False
    hint = " Call stream() on it first." if callable(getattr(stream, "stream", None)) else ""
    msg = f"{function} takes a stream, such as inference.create(…).stream(), not {type(stream).__name__}.{hint}"
    raise RequestError(msg, phase="configure")


def pattern_of(name: str, pattern: object) -> re.Pattern[str]:
    """Return a regular expression that was passed as a text or as a compiled pattern.

    Raises:
        RequestError: It is none, or one of bytes.
    """
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        return pattern
    if not isinstance(pattern, str):
        raise RequestError(f"{name} must be a regular expression of text, not {pattern!r:.80}.", phase="configure")
    try:
        return re.compile(pattern)
    except re.error as error:
        raise RequestError(f"{name} is no regular expression: {error}.", phase="configure") from error


def check_function(name: str, function: object) -> None:
    """Raise if an argument is no function.

    Raises:
        RequestError: It is none.
    """
    if not callable(function):
        raise RequestError(f"{name} takes a function, not {type(function).__name__}.", phase="configure")


def seconds(name: str, value: object, *, least: float = 0.0) -> float:
    """Return an argument that is a number of seconds.

    Raises:
        RequestError: It is none, or too small.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= least:
        return min(value, threading.TIMEOUT_MAX)
    more = "0 or more" if least == 0 else f"at least {least}"
    raise RequestError(f"{name} must be a number of seconds, {more}, not {value!r:.80}.", phase="configure")


def count(name: str, value: object, least: int) -> int:
    """Return an argument that is an integer.

    Raises:
        RequestError: It is none, or too small.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise RequestError(f"{name} must be an integer, {least} or more, not {value!r:.80}.", phase="configure")


def one_of(name: str, value: object, words: tuple[str, ...]) -> None:
    """Raise if an argument is none of some words.

    Raises:
        RequestError: It is none of them.
    """
    if value not in words:
        msg = f"{name} must be one of {', '.join(map(repr, words))}, not {value!r:.80}."
        raise RequestError(msg, phase="configure")
