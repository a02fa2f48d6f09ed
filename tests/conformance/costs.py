"""What the recorded exchanges cost, by the recorded counts, and by Polyglot's for a stream and for a plain response.

From the checkout's folder::

    POLYGLOT_CORPUS=FOLDER python -m tests.conformance.costs

The first two columns count the recorded exchanges whose usage is known, and those of them that cost the same by the
usage that Polyglot reads. The last two are for the different counts among them: each is played by the simulator as a
stream and as a plain response, which must cost the same, and what the price says.
"""

from __future__ import annotations

import json
import logging
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from polyglot_batch import Cost, Price, PriceRow, Prices, cost
from polyglot_core import Inference, InferenceResponse, Outcome, Usage
from polyglot_simulator import Reply, Simulator

from .corpus import VARIABLE, folder, judged
from .endpoints import DRIVERS
from .replaying import Way, replay_all

if TYPE_CHECKING:
    from pathlib import Path

    from .replaying import Answer

__all__ = ["Row", "row_of"]

_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_PRICE = Price(input=Decimal(3), output=Decimal(15), cache_read=Decimal("0.3"), cache_write=Decimal("3.75"))
_MOST = 12  # different counts that are played again
_MILLION = 1_000_000


class Row(NamedTuple):
    """The counts of one dialect."""

    dialect: str
    recorded: int
    same: int
    played: int
    agreeing: int


def row_of(corpus: Path, dialect: str, answers: dict[str, Answer]) -> Row:
    """Return the row of a dialect, from the results of its recorded exchanges."""
    counted = {path: usage for path, usage in _recorded(corpus, dialect).items() if path in answers}
    same = sum(_cost_of(answers[path].response) == _price_of(usage) for path, usage in counted.items())
    different = list({tuple(usage.values()): usage for usage in counted.values()}.values())[:_MOST]
    return Row(dialect, len(counted), same, len(different), sum(_agrees(dialect, usage) for usage in different))


def _recorded(corpus: Path, dialect: str) -> dict[str, dict[str, int]]:
    """Return the recorded counts by path, of the finished exchanges that have those of prompt and response."""
    rows = map(json.loads, (corpus / "expected.jsonl").read_text("utf-8").splitlines())
    usages = {
        row["path"]: row.get("usage") or {}
        for row in rows
        if row["dialect"] == dialect and row.get("outcome") == "finished"
    }
    complete = {
        path: usage for path, usage in usages.items() if usage.get("input_tokens") and usage.get("output_tokens")
    }
    counts = {path: {name: usage.get(name) or 0 for name in _COUNTS} for path, usage in complete.items()}
    return {path: usage for path, usage in counts.items() if _is_consistent(usage)}


def _is_consistent(usage: dict[str, int]) -> bool:
    """Return whether the prompt has the tokens that the cache is said to have had of it."""
    return usage["cache_read_tokens"] + usage["cache_write_tokens"] <= usage["input_tokens"]


def _price_of(usage: dict[str, int]) -> Cost:
    """Return what the price says, by plain arithmetic."""
    prompt, written, read, kept = (usage[name] for name in _COUNTS)
    apart = read * Decimal("0.3") + kept * Decimal("3.75")
    return Cost(((prompt - read - kept) * Decimal(3) + apart + written * Decimal(15)) / _MILLION)


def _cost_of(response: InferenceResponse | None) -> Cost | None:
    """Return what a response costs by the usage that was read."""
    if response is None:
        return None
    plain = InferenceResponse(outcome=Outcome.FINISHED, model="m", usage=response.usage)
    return cost(plain, prices=Prices(rows=(PriceRow(models=("m",), prices=(_PRICE,)),)))


def _agrees(dialect: str, usage: dict[str, int]) -> bool:
    """Return whether a stream and a plain response with these counts cost the same, and what the price says."""
    with Simulator(Reply(text="One two three.", usage=Usage(**usage))) as simulator:
        inference = Inference(simulator.connection_for(DRIVERS[dialect]).with_changes(model="m"))
        streamed, plain = inference.stream("Count.").response(), inference.create("Count.", stream=False).response()
    told: dict[str, Any] = {name: getattr(plain.usage, name) or 0 for name in _COUNTS}  # not every dialect tells all
    same = all(told[name] == usage[name] for name in _COUNTS[:2])
    return same and _cost_of(streamed) == _cost_of(plain) == _price_of(told)


def main() -> None:
    """Print the table."""
    logging.disable(logging.WARNING)  # what is odd in some exchanges is not the matter here
    corpus = folder()
    if corpus is None:
        sys.exit(f"Set {VARIABLE} to the folder of recorded exchanges, the one that holds expected.jsonl.")
    print(f"{'dialect':28} {'recorded':>9} {'same cost':>9} {'played':>7} {'stream = plain = price':>23}")
    for dialect in DRIVERS:
        row = row_of(corpus, dialect, replay_all(judged(corpus, dialect), Way("in-process", "as it came")))
        print(f"{row.dialect:28} {row.recorded:9} {row.same:9} {row.played:7} {row.agreeing:23}")


if __name__ == "__main__":
    main()
