"""What a call costs, by the tokens that the provider has counted and a table of prices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from polyglot_batch.estimates import input_tokens, output_tokens
from polyglot_batch.prices import shipped
from polyglot_core import Outcome, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyglot_batch.prices import Price, Prices
    from polyglot_core import InferenceResponse
    from polyglot_core.plugin import InferenceRequest

__all__ = ["Cost", "Total", "cost"]

_CACHE = "cache"
"""Transport of a response that the cache of polyglot-testkit has kept, for which nothing was sent."""


class Cost(Struct, frozen=True):
    """What a call costs.

    Attributes:
        amount: The amount.
        currency: Its currency.
        estimated: True if tokens were estimated, because the provider has not counted all of them.
    """

    amount: Decimal
    currency: str = "USD"
    estimated: bool = False

    def __str__(self) -> str:
        return f"{_money(self.amount, self.currency)}{' (estimated)' if self.estimated else ''}"


class Total(Struct, frozen=True):
    """A sum of costs, as of ``Total.of(cost(response) for response in responses)``.

    Attributes:
        amount: The sum of the known costs.
        currency: Its currency.
        known: How many costs are known.
        estimated: How many of them are estimates.
        unknown: How many are not known, and not in the sum.
    """

    amount: Decimal = Decimal(0)
    currency: str = "USD"
    known: int = 0
    estimated: int = 0
    unknown: int = 0

    @classmethod
    def of(cls, costs: Iterable[Cost | Total | None]) -> Total:
        """Return the sum of costs; None is one that is not known.

        Raises:
            ValueError: They are in several currencies.
        """
        total = cls()
        for each in costs:
            total += each
        return total

    def __add__(self, other: Cost | Total | None) -> Total:
        """Return the sum with another cost; None is one that is not known.

        Raises:
            ValueError: It is in another currency.
        """
        if other is None:
            other = Total(unknown=1)
        if isinstance(other, Cost):
            other = Total(other.amount, other.currency, 1, int(other.estimated))
        if self.known and other.known and self.currency != other.currency:
            msg = f"Costs in {self.currency} and {other.currency} cannot be added."
            raise ValueError(msg)
        return Total(
            self.amount + other.amount,
            other.currency if other.known else self.currency,
            self.known + other.known,
            self.estimated + other.estimated,
            self.unknown + other.unknown,
        )

    def __str__(self) -> str:
        more = [f"{self.estimated} estimated"] * bool(self.estimated) + [f"{self.unknown} unknown"] * bool(self.unknown)
        return _money(self.amount, self.currency) + (f" ({', '.join(more)})" if more else "")


def cost(
    response: InferenceResponse,
    *,
    request: InferenceRequest | None = None,
    prices: Prices | None = None,
    day: dt.date | None = None,
) -> Cost | None:
    """Return what a response costs; None if that is not known.

    It is known if the table has the model, and the provider has counted the tokens. If it has not, because the stream
    was left or interrupted, the cost is an estimate and marked as one: by the characters of the response, and those of
    the request if the tokens of the prompt are not known either. A response from the cache costs nothing.

    Args:
        response: The response, complete or not.
        request: Its request, as `PendingInference.request` has it; for estimates.
        prices: The table, instead of the one that the package ships.
        day: The day of the call; None for today.
    """
    table = shipped() if prices is None else prices
    if response.transport == _CACHE:
        return Cost(Decimal(0), table.currency)
    model = response.model or (request.model if request is not None else "")
    price = table.find(model, response.provider, day or dt.datetime.now(dt.UTC).date())
    counted = _counted(response, request)
    if price is None or counted is None:
        return None
    usage, estimated = counted
    return Cost(_amount(usage, price) / table.per_tokens, table.currency, estimated)


def _counted(response: InferenceResponse, request: InferenceRequest | None) -> tuple[Usage, bool] | None:
    """Return the tokens of a response, and whether they are estimated; None if they are not known."""
    usage = response.usage or Usage()
    complete = response.outcome is Outcome.FINISHED
    prompt, output = usage.input_tokens, usage.output_tokens
    if complete and prompt is not None and output is not None:
        return usage, False
    if complete and request is None:
        return None
    if prompt is None:
        prompt = None if request is None else input_tokens(request)
    if prompt is None:
        return None
    received = output_tokens(response)
    output = received if output is None else output if complete else max(output, received)
    return (
        Usage(
            input_tokens=prompt,
            output_tokens=output,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            raw=usage.raw,
        ),
        True,
    )


def _amount(usage: Usage, price: Price) -> Decimal:
    """Return the cost of tokens, times the number of tokens that a price is for."""
    prompt, output = usage.input_tokens or 0, usage.output_tokens or 0
    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    amounts = price.amounts(prompt)
    counts = {"input": max(0, prompt - read - written), "output": output, "cache_read": read, "cache_write": written}
    total = Decimal(0)
    for detail in amounts.details:
        number = min(_number_at(usage.raw, detail.path), counts[detail.of])
        counts[detail.of] -= number
        total += number * detail.price
    for name, count in counts.items():
        stated: Decimal | None = getattr(amounts, name)
        total += count * (amounts.input if stated is None else stated)
    return total


def _number_at(value: Any, path: str) -> int:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) and value > 0 else 0


def _money(amount: Decimal, currency: str) -> str:
    places = 2 if amount >= 1 or not amount else max(4, 1 - amount.adjusted())  # at least two digits that are not 0
    digits = f"{amount:.{places}f}"
    return f"${digits}" if currency == "USD" else f"{digits} {currency}"
