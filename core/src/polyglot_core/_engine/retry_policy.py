"""The decision after an error: retry, resume, use a fallback, accept a truncated response, or raise. Without I/O.

A response that has reached its limit of tokens, and that the caller wants to be continued, is no failure: it is resumed
at once, with its text as a prefill. The rules for errors, in the order in which `decide` applies them:

1. Once content has reached the caller, no further request is sent, unless the caller chose a mode to resume in.
2. A retryable error is retried, up to `max_retries` times for each connection. The wait is the one that the provider
   requests, or an exponential backoff. An error that requires a wait longer than the connection allows, or than the
   call has time for, is not retried.
3. Each retry is paid from a budget that all calls to one origin share, so that retries do not multiply the load during
   an outage. Where `max_retries` is set there is none, unless it is set too. A retry that a 429 requests, after a wait,
   is free: it says that the provider works.
4. After that the next fallback is used, if there is one, unless the error would be the same there.
5. All other errors are raised.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from polyglot_core._attempt.stream_errors import LengthReached
from polyglot_core._engine.call_options import ResumeMode
from polyglot_core.errors import (
    ConfigError,
    InvalidRequest,
    PluginError,
    RateLimited,
    RequestError,
    TimedOut,
    TransportError,
    Truncated,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core._values.limits import Retries
    from polyglot_core.errors import PolyglotError

__all__ = ["AcceptTruncated", "Budget", "Decision", "Fallback", "Raise", "Resume", "Retry", "RetryState", "decide"]


class Retry(Struct, frozen=True):
    """Send the request again after `wait` seconds."""

    wait: float
    how: Literal["retry"] = "retry"


class Resume(Struct, frozen=True):
    """Send a request for an interrupted response, in the caller's mode, after `wait` seconds."""

    wait: float
    how: ResumeMode


class Fallback(Struct, frozen=True):
    """Send the request to the next fallback, at once."""

    wait: float = 0.0
    how: Literal["fallback"] = "fallback"


class AcceptTruncated(Struct, frozen=True):
    """Return the partial response, with the outcome ``truncated``."""


class Raise(Struct, frozen=True):
    """Raise the error."""


Decision = Retry | Resume | Fallback | AcceptTruncated | Raise


class RetryState(Struct, frozen=True, kw_only=True):
    """The state of a call when an attempt has failed.

    Attributes:
        attempts: Attempts at this connection.
        committed: True if content has reached the caller.
        resume: The mode to resume in after that; None to raise.
        time_left: Seconds until the call's `total` clock runs out.
        others: True if there is a further fallback.
        mark_truncated: True if the caller accepts a truncated response.
    """

    attempts: int
    committed: bool = False
    resume: ResumeMode | None = None
    time_left: float = math.inf
    others: bool = False
    mark_truncated: bool = False


_JITTER = 0.25  # waits are shortened by up to a quarter, so that clients which failed together do not retry together
_SAME_EVERYWHERE = (ConfigError, PluginError, RequestError, InvalidRequest)  # caused by the request or by this process
_LIMIT_BY_KIND = {"dns": 1}  # a name that twice fails to resolve is most often misspelt


def decide(
    error: PolyglotError,
    tried: RetryState,
    retries: Retries,
    *,
    pay: Callable[[], bool] = lambda: True,
    draw: Callable[[], float] = random.random,
) -> Decision:
    """Decide what follows an attempt that failed with `error`.

    Args:
        error: The error of the attempt.
        tried: The state of the call.
        retries: The retry settings of the connection.
        pay: Takes a retry from the shared budget. Returns False if it is exhausted.
        draw: Returns a random number from 0 to 1.
    """
    if isinstance(error, LengthReached):  # no failure: the caller's limit on continuations is the only one
        return Resume(0.0, "prefill")
    if tried.committed and tried.resume is None:
        return _give_up(error, tried)
    wait = _wait(error, tried, retries, draw)
    free = isinstance(error, RateLimited) and error.retry_after is not None
    if wait is not None and (free or pay()):
        return Resume(wait, tried.resume) if tried.committed and tried.resume else Retry(wait)
    if not tried.committed and tried.others and tried.time_left > 0 and _may_differ_elsewhere(error):
        return Fallback()
    return _give_up(error, tried)


def _give_up(error: PolyglotError, tried: RetryState) -> AcceptTruncated | Raise:
    return AcceptTruncated() if tried.mark_truncated and isinstance(error, Truncated) else Raise()


def _wait(error: PolyglotError, tried: RetryState, retries: Retries, draw: Callable[[], float]) -> float | None:
    """Return the seconds to wait before a retry; None if the error is not retried."""
    limit = retries.max_retries
    if isinstance(error, TransportError):
        limit = min(limit, _LIMIT_BY_KIND.get(error.kind, limit))
    if not error.retryable or tried.attempts > limit:
        return None
    if error.retry_after is not None:
        wait, longest = error.retry_after, retries.max_retry_after
    else:
        doubled = retries.initial_backoff * 2.0 ** min(tried.attempts - 1, 64)
        longest = min(retries.max_backoff, retries.max_retry_after)
        wait = min(doubled, longest) * (1 - _JITTER * draw())
    return wait if wait <= longest and wait < tried.time_left else None


def _may_differ_elsewhere(error: PolyglotError) -> bool:
    over = isinstance(error, TimedOut) and error.clock == "total"
    return not over and not isinstance(error, _SAME_EVERYWHERE)


# The budget

_REGAINED = 1 / 16  # of a retry, by a complete response


class Budget:
    """The retry budget of one origin, shared by all calls of the process to it.

    Its size by default, and what a complete response returns, are about those of the retry quota in botocore's standard
    mode. In addition all retries are regained within a minute. There is no lock: a race of two threads loses a retry at
    worst.

    Attributes:
        left: The retries that are left.
    """

    __slots__ = ("_capacity", "_moment", "left")

    def __init__(self, capacity: int, now: float) -> None:
        self.left: float = capacity
        self._capacity = capacity
        self._moment = now

    def pay(self, now: float) -> bool:
        """Take a retry. Return False if none is left."""
        self.left = min(self._capacity, self.left + (now - self._moment) * self._capacity / 60.0)
        self._moment = now
        paid = self.left >= 1
        self.left -= paid
        return paid

    def earn(self) -> None:
        """Return a part of a retry to the budget, for a complete response."""
        self.left = min(self._capacity, self.left + _REGAINED)
