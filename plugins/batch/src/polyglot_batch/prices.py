"""Prices of models: a dated table that the package ships, and tables of users."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    import os
    from typing import Self

__all__ = ["Detail", "Price", "PriceRow", "Prices", "shipped"]


class Detail(Struct, frozen=True, kw_only=True):
    """A price of tokens that the provider counts apart.

    Attributes:
        path: Where the provider's usage object has their number, by names of members.
        of: The count that includes them: ``input``, ``output``, ``cache_read`` or ``cache_write``.
        price: Their price.
    """

    path: str
    of: str
    price: Decimal


class _Amounts(Struct, frozen=True, kw_only=True):
    """Prices for a number of tokens, which the table states.

    Attributes:
        input: Of the prompt.
        output: Of the response, reasoning included.
        cache_read: Of tokens read from a cache; None for the price of the prompt.
        cache_write: Of tokens written to a cache; None for the price of the prompt.
        details: Of tokens that the provider counts apart.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    details: tuple[Detail, ...] = ()


class _LongPrompt(_Amounts, frozen=True, kw_only=True):
    """The prices of a request whose prompt is long.

    Attributes:
        tokens: A prompt with more tokens than this is long.
    """

    tokens: int


class Price(_Amounts, frozen=True, kw_only=True):
    """The prices of a model from a day on.

    Attributes:
        since: The first day; None if it is not known to have had others.
        above: The prices of the whole request if its prompt is long.
    """

    since: dt.date | None = None
    above: _LongPrompt | None = None

    def amounts(self, input_tokens: int) -> _Amounts:
        """Return the prices for a prompt of this length."""
        return self.above if self.above is not None and input_tokens > self.above.tokens else self


class PriceRow(Struct, frozen=True, kw_only=True):
    """The prices of models.

    Attributes:
        models: Their names, without a date or ``latest`` at the end.
        prices: Their prices, the oldest first.
        drivers: Names of the drivers that the prices hold for; empty for any.
    """

    models: tuple[str, ...]
    prices: tuple[Price, ...]
    drivers: tuple[str, ...] = ()


class Prices(Struct, frozen=True, kw_only=True):
    """A table of prices.

    Attributes:
        rows: The rows. The first that fits counts.
        date: The day on which the prices were looked up.
        currency: Their currency.
        per_tokens: The number of tokens that a price is for.
        sources: The pages on which they were found, by provider.
        licence: Licence of the table.
    """

    rows: tuple[PriceRow, ...]
    date: dt.date | None = None
    currency: str = "USD"
    per_tokens: int = 1_000_000
    sources: Mapping[str, str] = {}
    licence: str = ""

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the table of a dict, whose numbers may be text, so that they are exact.

        Raises:
            ConfigError: It is no such table.
        """
        return cls._read(lambda: msgspec.convert(fields, cls, strict=False), "The table of prices")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Return the table of a JSON file in the format of the shipped one.

        Raises:
            ConfigError: It cannot be read, or is no such table.
        """
        return cls._read(lambda: msgspec.json.decode(Path(path).read_bytes(), type=cls), f"The file {path}")

    @classmethod
    def _read(cls, read: Any, what: str) -> Self:
        try:
            table: Self = read()
        except (OSError, ValueError) as error:
            raise ConfigError(f"{what} cannot be read: {error}.", phase="configure") from error
        return table

    def over(self, other: Prices) -> Prices:
        """Return this table with another below it, for models that it does not have.

        Raises:
            ConfigError: They are in other currencies, or for other numbers of tokens.
        """
        if (self.currency, self.per_tokens) != (other.currency, other.per_tokens):
            raise ConfigError("Tables of prices in different units cannot be combined.", phase="configure")
        return msgspec.structs.replace(self, rows=(*self.rows, *other.rows))

    def find(self, model: str, driver: str | None, day: dt.date) -> Price | None:
        """Return the price of a model on a day; None if the table has none.

        Args:
            model: Its name, by the provider.
            driver: Name of the driver that read the response; None if it is not known.
            day: The day.
        """
        for row in self.rows:
            if (not row.drivers or driver is None or driver in row.drivers) and _is_one_of(model, row.models):
                valid = [price for price in row.prices if price.since is None or price.since <= day]
                return valid[-1] if valid else None
        return None


_VERSION = re.compile(
    r"(?:-latest|-preview|-exp)?(?:[-@](?:\d{4}-?\d{2}-?\d{2}|\d{2}-\d{4}|\d{2}-\d{2}|\d{3,4}))?(?:-preview)?", re.ASCII
)
"""What names end with: a date or another version, ``latest``, ``preview``."""


def _is_one_of(model: str, names: tuple[str, ...]) -> bool:
    name = model.rpartition("/")[2] if model.startswith(("models/", "publishers/", "projects/")) else model
    return any(name.startswith(known) and _VERSION.fullmatch(name, len(known)) is not None for known in names)


@lru_cache(maxsize=1)
def shipped() -> Prices:
    """Return the table that the package ships."""
    text = resources.files("polyglot_batch").joinpath("prices.json").read_bytes()
    return msgspec.json.decode(text, type=Prices)
