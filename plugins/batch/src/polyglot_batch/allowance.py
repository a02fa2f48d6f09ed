"""What one account may send: its configured rate, and what the provider has stated. Without I/O, locks or clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from polyglot_batch.buckets import Bucket
from polyglot_batch.estimates import USUAL_OUTPUT
from polyglot_batch.pace import Epoch, Pace
from polyglot_batch.rate_headers import readings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_core import Rate, Usage

__all__ = ["Allowance", "Charge", "Sent"]

_SECONDS_OF_REQUESTS = 0.1
"""Seconds whose requests may be sent at once. Providers state a minute and enforce shorter windows too."""

_SECONDS_OF_TOKENS = 10.0
"""The same for tokens, of which a single request may need those of many seconds."""

_LEARNS_FROM = 0.1  # the share that a new response has in the usual number of tokens


class Charge(NamedTuple):
    """What a request costs of a configured number.

    Attributes:
        name: Which number.
        per_minute: The number.
        burst: The most that may be used at once.
        cost: What the request costs, at most `burst`.
    """

    name: str
    per_minute: int
    burst: int
    cost: int


class Sent(NamedTuple):
    """A request that was sent.

    Attributes:
        tokens: Tokens that it was expected to cost.
        requests_before: Requests of the account until this one.
        tokens_before: Tokens of the account until this one.
        epoch: For `Pace`.
    """

    tokens: int
    requests_before: int
    tokens_before: int
    epoch: Epoch


class _Counted(NamedTuple):
    """A bucket, and whether it counts tokens or requests."""

    bucket: Bucket
    tokens: bool


class Allowance:
    """What one account may send.

    Attributes:
        usual_output: Tokens of a response, on average.
        concurrency: Requests that may be in progress at the same time; None for any number.
    """

    def __init__(self) -> None:
        self.usual_output = float(USUAL_OUTPUT)
        self.concurrency: int | None = None
        self._per_minute: dict[str, int] = {}  # as configured
        self._buckets: dict[str, _Counted] = {}
        self._pace = Pace()
        self._requests = self._tokens = 0  # sent so far
        self._unsettled = 0  # tokens that were used and not charged by a store

    def configure(self, rate: Rate, now: float) -> None:
        """Take the numbers of a connection. Of several connections of one account, the smallest number counts."""
        if rate.concurrency is not None:
            self.concurrency = min(self.concurrency or rate.concurrency, rate.concurrency)
        for name, number in (("requests", rate.requests_per_minute), ("tokens", rate.tokens_per_minute)):
            if number is not None and number < self._per_minute.get(name, number + 1):
                self._per_minute[name] = number
                self._buckets[name] = _Counted(Bucket(_burst(name, number), number / 60.0, now), name == "tokens")

    def charges(self, tokens: int) -> list[Charge]:
        """Return what a request costs of the configured numbers, for a store that several processes share.

        Tokens include what earlier requests have cost beyond what was charged for them, or less it.
        """
        costs = {"requests": 1, "tokens": tokens + self._unsettled}
        bursts = {name: int(_burst(name, number)) for name, number in self._per_minute.items()}
        return [
            Charge(name, number, bursts[name], max(0, min(bursts[name], costs[name])))
            for name, number in self._per_minute.items()
        ]

    def charged(self, tokens: int) -> None:
        """Count that a store has granted the charges of a request."""
        cost = next((charge.cost for charge in self.charges(tokens) if charge.name == "tokens"), tokens)
        self._unsettled += tokens - cost

    def wait(self, tokens: int, now: float, longest: float) -> float:
        """Return the seconds until a request of this many tokens may be sent; 0 if it may be sent now.

        Args:
            tokens: Tokens of the request.
            now: The moment.
            longest: Seconds that is waited for what the provider has stated. If more is needed, the request is sent,
                so that its error says so.
        """
        stated = [self._pace.wait(now)]
        configured = [0.0]
        for name, (bucket, counts_tokens) in self._buckets.items():
            wait = bucket.wait(tokens if counts_tokens else 1, now)
            (configured if name in self._per_minute else stated).append(wait)
        return max([*configured, *(wait for wait in stated if wait <= longest)])

    def take(self, tokens: int, now: float) -> Sent:
        """Count a request that is sent now."""
        for bucket, counts_tokens in self._buckets.values():
            bucket.take(tokens if counts_tokens else 1, now)
        self._requests += 1
        self._tokens += tokens
        return Sent(tokens, self._requests, self._tokens, self._pace.take(now))

    def responded(self, sent: Sent, status: int, headers: Mapping[str, str], now: float) -> None:
        """Learn from the head of the response to a request.

        A remainder was stated before the provider has counted the requests that were sent after this one, so these are
        subtracted.
        """
        for spelling, limit, remaining, reset in readings(headers):
            tokens, rate = spelling.counts == "tokens", (limit - remaining) / max(reset, 0.001)
            later = self._tokens - sent.tokens_before if tokens else self._requests - sent.requests_before
            counted = self._buckets.setdefault(spelling.name, _Counted(Bucket(limit, rate, now), tokens))
            counted.bucket.correct(remaining - later, limit, rate, now)
        if status < 400:
            self._pace.accepted()

    def rejected(self, sent: Sent, wait: float | None, now: float) -> None:
        """Slow down after a request that was rejected because of its rate, and `wait` for all if that is stated."""
        self._pace.rejected(sent.epoch, wait, now)

    def used(self, sent: Sent, usage: Usage, now: float) -> None:
        """Correct the expected tokens of a request by those that the provider has counted."""
        if usage.output_tokens:
            self.usual_output += _LEARNS_FROM * (usage.output_tokens - self.usual_output)
        if usage.total_tokens is not None and (configured := self._buckets.get("tokens")) is not None:
            configured.bucket.take(usage.total_tokens - sent.tokens, now)
            self._unsettled += usage.total_tokens - sent.tokens


def _burst(name: str, per_minute: int) -> float:
    seconds = _SECONDS_OF_TOKENS if name == "tokens" else _SECONDS_OF_REQUESTS
    return max(1.0, per_minute / 60.0 * seconds)
