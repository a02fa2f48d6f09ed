"""The corpus, and the results of its exchanges: each way is replayed once a run, when a test first needs it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from .corpus import VARIABLE, folder, judged
from .endpoints import DRIVERS, is_spoken
from .judging import Verdict, judge
from .replaying import Answer, Way, replay_all

if TYPE_CHECKING:
    from pathlib import Path

    from .corpus import Exchange

STANDARD = Way("sync", "as it came")
_SHORT = 16_384  # bytes


class Answers:
    """The results of the corpus, by dialect and way."""

    def __init__(self, corpus: Path) -> None:
        self.corpus = corpus
        self.exchanges = cache(self._exchanges)
        self.of = cache(self._ask)
        self.verdict = cache(self._judge)

    def standard(self, dialect: str) -> dict[str, Answer]:
        """Return the results that the others are compared with."""
        return self.of(dialect, STANDARD)

    def _exchanges(self, dialect: str) -> list[Exchange]:
        """Return the exchanges; without the driver the test is skipped."""
        if not is_spoken(dialect):
            pytest.skip(f"the driver {DRIVERS[dialect]!r}, which speaks {dialect}, is not installed")
        return judged(self.corpus, dialect)

    def _ask(self, dialect: str, way: Way) -> dict[str, Answer]:
        exchanges = self.exchanges(dialect)
        return replay_all(_CHOSEN.get((way.style, way.cut), list)(exchanges), way)

    def _judge(self, dialect: str) -> Verdict:
        return judge(self.corpus, dialect, self.standard(dialect))


def _short(exchanges: list[Exchange]) -> list[Exchange]:
    """Return the exchanges whose body is short, nine of ten: the others would take most of the time."""
    return [exchange for exchange in exchanges if len(exchange.body) <= _SHORT]


def _smallest_streams(exchanges: list[Exchange], count: int = 20) -> list[Exchange]:
    """Return the smallest stream of each of `count` providers, because a write for each byte is slow."""
    smallest: dict[str, Exchange] = {}
    for exchange in sorted(exchanges, key=lambda each: len(each.body)):
        if exchange.streamed and exchange.body:
            smallest.setdefault(exchange.provider, exchange)
    return list(smallest.values())[:count]


def _some(exchanges: list[Exchange]) -> list[Exchange]:
    """Return each third exchange, of a way whose style and whose cut are tried with all of them by two other ways."""
    return exchanges[::3]


_CHOSEN = {
    ("in-process", "bytes"): _short,
    ("sync", "bytes"): _smallest_streams,
    ("async", "bytes"): _smallest_streams,
    ("async", "whole"): _some,
}
"""Which exchanges are replayed, by style and cut; in any other way, all are."""


@pytest.fixture(scope="session")
def answers() -> Answers:
    """Return the results; without a corpus the test is skipped."""
    corpus = folder()
    if corpus is None:
        pytest.skip(f"no recorded exchanges at hand: {VARIABLE} names no folder that holds expected.jsonl")
    return Answers(corpus)
