"""Many calls: rates shared by an account, many calls at once, resumable batches, and costs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyglot_batch.batches import Summary, run_batch
    from polyglot_batch.costs import Cost, Total, cost
    from polyglot_batch.mapping import map  # noqa: A004 (it is what `map` of the standard library is)
    from polyglot_batch.prices import Price, PriceRow, Prices
    from polyglot_batch.results import Result

__all__ = ["Cost", "Price", "PriceRow", "Prices", "Result", "Summary", "Total", "cost", "map", "run_batch"]

_MODULES = {
    **dict.fromkeys(("Summary", "run_batch"), "batches"),
    **dict.fromkeys(("Cost", "Total", "cost"), "costs"),
    "map": "mapping",
    **dict.fromkeys(("Price", "PriceRow", "Prices"), "prices"),
    "Result": "results",
}
"""Module of each public name. It is imported when the name is used, so that the help of the command needs none."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
