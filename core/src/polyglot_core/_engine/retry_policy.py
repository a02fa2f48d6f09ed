"""What to do after an error: ask again, ask elsewhere, go on, or raise. No clock, no socket, no sleep.

The rules, in order, as `decide` keeps them:

1. Once something of the answer has reached the caller, nothing is asked again, unless the caller chose how to go on.
2. An error says itself whether the same request may succeed later (`retryable`). Then it is sent again, as often as the
   connection allows, after the wait that the provider asks for, or after one that doubles. A wait that is longer than
   the connection allows, or than the call has time for, is not begun.
3. Each repetition is paid from a budget that all calls to one place share, so that an outage is not met with more load.
4. Then another connection is asked, if there is one, unless the error would be the same everywhere.
5. What is left is raised.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from msgspec import Struct

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

__all__ = [
    "AcceptTruncated",
    "Budget",
    "Decision",
    "Fallback",
    "Raise",
    "Resume",
    "Retry",
    "RetryState",
    "decide",
]


class Retry(Struct, frozen=True):
    """Send the request again after `wait` seconds."""

    wait: float


class Resume(Struct, frozen=True):
    """Ask for the rest of an answer that broke off, after `wait` seconds."""

    wait: float
    how: ResumeMode


class Fallback(Struct, frozen=True):
    """Ask the next connection, at once."""

    wait: float = 0.0


class AcceptTruncated(Struct, frozen=True):
    """Take what has come for the answer; its outcome says that it was cut."""


class Raise(Struct, frozen=True):
    """Raise the error."""


Decision = Retry | Resume | Fallback | AcceptTruncated | Raise


class RetryState(Struct, frozen=True, kw_only=True):
    """Where a call stands when an attempt has failed.

    Attributes:
        attempts: Requests that were sent to this connection for this answer.
        committed: Whether something of the answer has reached the caller.
        resume: How the caller wants to go on after that; None to raise.
        time_left: Seconds until the call's `total` runs out.
        others: Whether there is another connection to ask.
        mark_truncated: Whether a cut answer is an answer, by the caller's choice.
    """

    attempts: int
    committed: bool = False
    resume: ResumeMode | None = None
    time_left: float = math.inf
    others: bool = False
    mark_truncated: bool = False


_JITTER = 0.25  # waits are shortened by up to a quarter, so that clients that failed together do not return together
_SAME_EVERYWHERE = (ConfigError, PluginError, RequestError, InvalidRequest)  # it is the request, or this side
_LIMIT_BY_KIND = {"dns": 1}  # a name that does not resolve twice in a row is most often misspelt


def decide(
    error: PolyglotError,
    tried: RetryState,
    retries: Retries,
    *,
    pay: Callable[[int], bool] = lambda _: True,
    draw: Callable[[], float] = random.random,
) -> Decision:
    """Decide after an attempt has failed with `error`.

    Args:
        error: What the attempt ended in.
        tried: Where the call stands.
        retries: What the connection allows.
        pay: Takes the cost of a repetition from the shared budget; False if it is used up.
        draw: A random number from 0 to 1.
    """
    if tried.committed and tried.resume is None:
        return _give_up(error, tried)
    wait = _wait(error, tried, retries, draw)
    if wait is not None and pay(_cost(error)):
        return Resume(wait, tried.resume) if tried.committed and tried.resume else Retry(wait)
    if not tried.committed and tried.others and tried.time_left > 0 and _may_differ_elsewhere(error):
        return Fallback()
    return _give_up(error, tried)


def _give_up(error: PolyglotError, tried: RetryState) -> AcceptTruncated | Raise:
    return AcceptTruncated() if tried.mark_truncated and isinstance(error, Truncated) else Raise()


def _wait(error: PolyglotError, tried: RetryState, retries: Retries, draw: Callable[[], float]) -> float | None:
    """Seconds to wait before the same request is sent again; None if it is not to be."""
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

_CAPACITY = 500
_REFILL = _CAPACITY / 60.0  # tokens a second: an outage costs at most one repetition in two seconds, and is forgotten
_COST, _COST_OF_THROTTLING = 14, 5  # tokens a repetition takes; one that a provider asked to wait for takes less


def _cost(error: PolyglotError) -> int:
    return _COST_OF_THROTTLING if isinstance(error, RateLimited) else _COST


class Budget:
    """What repetitions are paid from: shared by all calls to one place, filled again by answers that came, and by time.

    The costs are those of the retry quota in botocore's standard mode: of 500 tokens a repetition takes 14, or 5 after
    a 429; an answer that came gives one back. Time gives back all of them within a minute. Without a lock: two threads
    that meet here lose a token at worst.

    Attributes:
        tokens: What there is to spend.
    """

    __slots__ = ("_moment", "tokens")

    def __init__(self, now: float) -> None:
        self.tokens: float = _CAPACITY
        self._moment = now

    def pay(self, cost: int, now: float) -> bool:
        """Take the cost of a repetition; False, and nothing taken, if there is not as much."""
        self.tokens = min(_CAPACITY, self.tokens + (now - self._moment) * _REFILL)
        self._moment = now
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True

    def earn(self) -> None:
        """An answer came."""
        self.tokens = min(_CAPACITY, self.tokens + 1)
