"""Every target takes its seeds, and bytes that are none, without the fuzzer: so that the harness does not rot."""

from __future__ import annotations

import random

import pytest

from polyglot_core._wire.messages import Chunk

from .rules import Broken, check_framer
from .targets import TARGETS

_DAMAGED = 5  # copies of each seed, each with a few bytes changed
_MOST = 4  # seeds of a target


def damaged(seed, dice):
    """A copy with a stretch of it lost, doubled, or replaced."""
    start = dice.randrange(len(seed) + 1)
    end = min(len(seed), start + dice.randrange(20))
    return seed[:start] + dice.choice([b"", seed[start:end] * 2, dice.randbytes(end - start)]) + seed[end:]


@pytest.mark.parametrize("name", TARGETS)
def test_every_rule_holds_for_every_seed(name):
    """Bodies of our own, damaged ones and rubbish break no rule."""
    target, dice = TARGETS[name], random.Random(name)
    seeds = list(target.seeds())[:_MOST]
    assert seeds
    for seed in [b"", b"\xff\xfe\x00" * 20, b"[" * 5000, *seeds]:
        target.check(seed)
        for _ in range(_DAMAGED):
            target.check(damaged(seed, dice))


class Forgetful:
    """Gives every read as a chunk, and so what it gives depends on the reads."""

    def feed(self, data):
        return [Chunk(data, data)] if data else []

    def finish(self):
        return []


class Hoarder(Forgetful):
    """Keeps twice what it is given."""

    __slots__ = ("kept",)

    def __init__(self):
        self.kept = []

    def feed(self, data):
        self.kept += [data, data]
        return []


@pytest.mark.parametrize(("framer", "why"), [(Forgetful, "cut differently"), (Hoarder, "holds more")])
def test_a_framer_that_breaks_a_rule_is_noticed(framer, why):
    """The rules are looked at, and not only named."""
    with pytest.raises(Broken, match=why):
        check_framer(framer, b"x" * 300)
