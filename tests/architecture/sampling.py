"""Draws error messages and docstrings by a seed, and finds the same ones in another commit."""

from __future__ import annotations

import random
from collections import defaultdict
from difflib import SequenceMatcher
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .passages import Passage

__all__ = ["DRAWN", "Counterparts", "sample", "shown"]

DRAWN = {"error strings": 20, "docstrings": 10}
"""How many passages of a kind are drawn."""

WORDS = 6
"""The least words of a drawn passage: what is shorter is a part of a sentence."""

Pair = tuple["Passage", "Passage | None"]


class Counterparts:
    """Finds a passage of one commit in another one, where files have moved and functions have another name.

    Tried in this order: the same file name, owner and number; the same owner and number, if only one passage has
    them; the same last part of the owner and number, in the same way; the most similar passage of the file or of the
    owner's name, if it shares half of its text.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._by: defaultdict[object, list[Passage]] = defaultdict(list)
        for passage in passages:
            for key in self._keys(passage):
                self._by[key].append(passage)

    @staticmethod
    def _keys(passage: Passage) -> list[object]:
        name, short = PurePosixPath(passage.path).name, passage.owner.rpartition(".")[2]
        exact = [(name, passage.owner), (passage.owner,), (None, short)]
        similar = [("file", name), ("owner", short)]
        return [(passage.kind, passage.of, *key, passage.ordinal) for key in exact] + [
            (passage.kind, *key) for key in similar
        ]

    def of(self, passage: Passage) -> Passage | None:
        """Return the counterpart of a passage of the other commit; None if there is none."""
        *exact, in_file, in_owner = (self._by[key] for key in self._keys(passage))
        for found in exact:
            if len(found) == 1:
                return found[0]
        alike = [(SequenceMatcher(None, passage.text, each.text).ratio(), each) for each in (*in_file, *in_owner)]
        best = max(alike, key=lambda pair: pair[0], default=(0.0, None))
        return best[1] if best[0] >= 0.5 else None


def sample(seed: int, old: Sequence[Passage], new: Sequence[Passage] | None = None) -> list[Pair]:
    """Draw passages of the old commit, in the order of `DRAWN`; where a new one is given, those found there too."""
    counterparts = None if new is None else Counterparts(new)
    drawn: list[Pair] = []
    for kind, count in DRAWN.items():
        among = [each for each in old if each.kind == kind and each.of in {"", "function"} and _is_whole(each)]
        random.Random(seed).shuffle(among)
        pairs = ((each, counterparts and counterparts.of(each)) for each in among)
        found = [pair for pair in pairs if counterparts is None or pair[1] is not None]
        drawn += found[:count]
    return drawn


def _is_whole(passage: Passage) -> bool:
    return len(passage.prose.split()) >= WORDS and "/src/" in f"/{passage.path}"


def shown(before: Passage, after: Passage | None = None) -> str:
    """Return a passage with its position, and its counterpart below it."""
    sides = [("before" if after else "text", before), *([("after", after)] if after else [])]
    lines = [f"{before.kind}: {before.path}:{before.line} {before.owner}"]
    lines += [f"    {side + ':':8} {' '.join(passage.text.split())}" for side, passage in sides]
    return "\n".join(lines)
