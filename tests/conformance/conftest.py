"""The corpus, and the answers to all of its exchanges: each way is asked once a run, when a test first needs it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from .asking import Answer, Way, ask_all
from .corpus import VARIABLE, folder, judged
from .judging import Verdict, judge

if TYPE_CHECKING:
    from pathlib import Path

    from .corpus import Exchange

STANDARD = Way("sync", "as it came")


class Answers:
    """The answers to the corpus, by way."""

    def __init__(self, corpus: Path) -> None:
        self.corpus = corpus
        self.exchanges = judged(corpus)
        self.few = _smallest_streams(self.exchanges, 20)
        self.of = cache(self._ask)
        self.verdict = cache(self._judge)

    @property
    def standard(self) -> dict[str, Answer]:
        """Those that the others are compared with."""
        return self.of(STANDARD)

    def _ask(self, way: Way) -> dict[str, Answer]:
        bytewise_over_socket = way.cut == "bytes" and way.style != "in-process"
        return ask_all(self.few if bytewise_over_socket else self.exchanges, way)

    def _judge(self) -> Verdict:
        return judge(self.corpus, self.standard)


def _smallest_streams(exchanges: list[Exchange], count: int) -> list[Exchange]:
    """The smallest stream of each of `count` providers: a write a byte takes its time."""
    smallest: dict[str, Exchange] = {}
    for exchange in sorted(exchanges, key=lambda each: len(each.body)):
        if exchange.streamed and exchange.body:
            smallest.setdefault(exchange.provider, exchange)
    return list(smallest.values())[:count]


@pytest.fixture(scope="session")
def answers() -> Answers:
    """The answers; without a corpus, what asks for them is skipped."""
    corpus = folder()
    if corpus is None:
        pytest.skip(f"no recorded exchanges at hand: {VARIABLE} names no folder that holds expected.jsonl")
    return Answers(corpus)
