"""The queue of an account: which request is sent next, across threads and event loops."""

# Theory of operation
# -------------------
#
# *Who waits, and where.* A permit is a place in the queue. The thread or task of its request asks `wait` when it may be
# sent, and waits by itself, with the means of its thread or its event loop; nothing here waits. Only the first in the
# queue is told a time. The others are told to come back much later, and are woken when they are the first. So of any
# number of callers one wakes at a time, in the order in which they were queued: no herd when a pause ends, and none is
# overtaken. A retry was first in the queue once, so retries precede first attempts.
#
# *Who wakes.* The first one is woken by whatever may admit it: a request that ends, headers, and the one before it when
# that is admitted. `wake` is called without the lock, because it may take locks of an event loop.
#
# *The lock* protects the queue, the allowance and the set of requests in progress. It is held for microseconds, and no
# code of others runs under it.
#
# *What is lost.* A permit whose call is collected is released by core. A task whose event loop has ended is removed
# from the queue when it is to be woken. And because an interruption may be raised between any two instructions, a
# thread may leave the queue without a word. A permit that asks again and finds the first one overdue removes it. Should
# that one ask after all, it is the first again.
#
# *A store* that processes share is asked for the first in the queue, once the account itself would admit it. The
# answer comes in a thread of the store.

from __future__ import annotations

import contextlib
import math
import threading
from collections import OrderedDict
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from polyglot_batch.allowance import Allowance
from polyglot_batch.estimates import reserved_tokens
from polyglot_core.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from polyglot_batch.allowance import Charge, Sent
    from polyglot_core import PolyglotError, Usage
    from polyglot_core.plugin import AdmissionRequest

__all__ = ["Account", "RatePermit", "Store"]

_COME_BACK: Final = 30.0  # seconds, of those who are not the first
_OVERDUE: Final = 30.0  # seconds after which the first one is taken for lost
_LONGEST_PAUSE: Final = 86_400.0  # seconds; what takes longer than a call waits for is not waited for


class Store(Protocol):
    """An allowance that several processes share."""

    def ask(self, account: str, charges: Sequence[Charge], answer: Callable[[float], object]) -> None:
        """Ask for permission to send a request. Does not wait.

        Args:
            account: The account.
            charges: What the request costs.
            answer: Called with 0 if it may be sent, else with the seconds after which to ask again; in any thread.
        """
        ...

    def pause(self, account: str, seconds: float) -> None:
        """Tell the other processes that nothing may be sent for some time. Does not wait."""
        ...


class RatePermit:
    """The place of one request in the queue of its account, and its permission to be sent.

    Attributes:
        guard: Core's own; see `polyglot_core.plugin.Permit`.
        tokens: Tokens that the request is expected to cost.
        longest: Seconds that the request waits for what the provider has stated.
        due: Moment at which it will ask again, if it is not woken before.
        sent: What was counted when it was sent; None while it waits.
        retry: Whether it waits among the retries.
        released: Whether the request, or the wait for it, is over.
        asked: Whether the store was asked.
        leased: Whether the store has granted it.
    """

    __slots__ = (
        "_account",
        "asked",
        "due",
        "guard",
        "leased",
        "longest",
        "released",
        "retry",
        "sent",
        "tokens",
        "wake",
    )

    def __init__(self, account: Account, request: AdmissionRequest, wake: Callable[[], object], tokens: int) -> None:
        self.guard: object = None
        self.tokens = tokens
        self.longest = request.connection.retries.max_retry_after
        self.wake = wake
        self.due = math.inf
        self.retry = request.attempt > 1
        self.released = False
        self.sent: Sent | None = None
        self.asked = self.leased = False
        self._account = account

    def wait(self) -> float:
        """Return 0 once the request may be sent, else the seconds after which to call again, unless woken before."""
        return self._account.wait(self)

    def responded(self, status: int, headers: Mapping[str, str]) -> None:
        """Learn from the head of the response."""
        self._account.responded(self, status, headers)

    def release(self, error: PolyglotError | None = None, usage: Usage | None = None) -> None:
        """End the request, or the wait for it. Further calls have no effect."""
        self.guard = None
        self._account.release(self, error, usage)


class Account:
    """The requests of one account that wait and that are in progress.

    Attributes:
        key: Identifies the account: its origin and a hash of its credentials.
    """

    def __init__(self, key: str, store: Store | None = None) -> None:
        self.key = key
        self._store = store
        self._lock = threading.Lock()
        self._retries: OrderedDict[RatePermit, None] = OrderedDict()
        self._firsts: OrderedDict[RatePermit, None] = OrderedDict()
        self._in_progress: set[RatePermit] = set()
        self._allowance = Allowance()
        self._held_until = 0.0  # by the store

    @property
    def idle(self) -> bool:
        """Return whether no request waits or is in progress."""
        return not (self._retries or self._firsts or self._in_progress)

    def enter(self, request: AdmissionRequest, wake: Callable[[], object]) -> RatePermit:
        """Queue a request: a retry behind the other retries, a first attempt at the end."""
        with self._lock:
            if request.connection.rate is not None:
                self._allowance.configure(request.connection.rate, monotonic())
            tokens = reserved_tokens(request.request, self._allowance.usual_output)
            permit = RatePermit(self, request, wake, tokens)
            self._queue(permit)[permit] = None
        return permit

    def wait(self, permit: RatePermit) -> float:
        """Admit a permit and return 0, or return the seconds after which it is to ask again."""
        now = monotonic()
        with self._lock:
            if permit.sent is not None:
                return 0.0
            first = self._first(permit, now)
            if first is not permit or permit.released:
                seconds = _COME_BACK
            elif (seconds := self._delay(permit, now)) <= 0:
                del self._queue(permit)[permit]
                permit.sent = self._allowance.take(permit.tokens, now)
                self._in_progress.add(permit)
                first = self._head()
            permit.due = now + seconds
        if seconds <= 0:
            self._wake(first)
        return seconds

    def responded(self, permit: RatePermit, status: int, headers: Mapping[str, str]) -> None:
        """Learn from the head of the response to a request that was admitted."""
        with self._lock:
            if permit.sent is None:
                return
            self._allowance.responded(permit.sent, status, headers, monotonic())
            first = self._head()
        self._wake(first)

    def release(self, permit: RatePermit, error: PolyglotError | None, usage: Usage | None) -> None:
        """Remove a request, and learn from how it ended."""
        now, wait = monotonic(), None
        with self._lock:
            permit.released = True
            self._queue(permit).pop(permit, None)
            if permit in self._in_progress and permit.sent is not None:
                self._in_progress.remove(permit)
                if isinstance(error, RateLimited):
                    wait = None if error.retry_after is None else min(error.retry_after, _LONGEST_PAUSE)
                    self._allowance.rejected(permit.sent, wait, now)
                if usage is not None:
                    self._allowance.used(permit.sent, usage, now)
            first = self._head()
        if wait and wait <= permit.longest and self._store is not None:
            self._store.pause(self.key, wait)
        self._wake(first)

    # All below is called with the lock, but for `_wake` and `_answered`

    def _queue(self, permit: RatePermit) -> OrderedDict[RatePermit, None]:
        return self._retries if permit.retry else self._firsts

    def _head(self) -> RatePermit | None:
        return next(iter(self._retries or self._firsts), None)

    def _first(self, permit: RatePermit, now: float) -> RatePermit | None:
        """Return the first in the queue. Remove those before `permit` that should have asked long ago."""
        if permit not in self._queue(permit) and not permit.released:  # it was taken for lost
            permit.retry = True
            self._retries[permit] = None
            self._retries.move_to_end(permit, last=False)
        while (first := self._head()) is not permit and first is not None and now > first.due + _OVERDUE:
            del self._queue(first)[first]
        return first

    def _delay(self, permit: RatePermit, now: float) -> float:
        """Return the seconds until the first in the queue may be sent; 0 if it may be sent now."""
        concurrency = self._allowance.concurrency
        if concurrency is not None and len(self._in_progress) >= concurrency:
            return _COME_BACK  # woken by the next one that ends
        wait = max(self._allowance.wait(permit.tokens, now, permit.longest), self._held_until - now)
        if wait > 0 or self._store is None or permit.leased:
            return wait
        if not permit.asked:
            permit.asked = True
            self._store.ask(self.key, self._allowance.charges(permit.tokens), partial(self._answered, permit))
        return _COME_BACK  # woken by the answer

    def _answered(self, permit: RatePermit, seconds: float) -> None:
        with self._lock:
            permit.asked, permit.leased = False, seconds <= 0
            if permit.leased:
                self._allowance.charged(permit.tokens)
            self._held_until = max(self._held_until, monotonic() + seconds)
            first = self._head()
        self._wake(first)

    def _wake(self, first: RatePermit | None) -> None:
        while first is not None:
            with self._lock:
                first.due = min(first.due, monotonic() + _COME_BACK)
            with contextlib.suppress(RuntimeError):  # its event loop has ended
                first.wake()
                return
            with self._lock:
                self._queue(first).pop(first, None)
                first = self._head()
