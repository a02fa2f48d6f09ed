"""Every target runs on its seeds and on damaged bytes without the fuzzer, so that the harness does not rot."""

from __future__ import annotations

import random

import pytest

from polyglot_core._wire.messages import Chunk

from .rules import Broken, check_framer
from .targets import TARGETS

_DAMAGED = 5  # copies of each seed, each with a few bytes changed
_MOST = 4  # seeds of a target


def damaged(seed, dice):
    """Return a copy with a part of it lost, doubled, or replaced."""
    start = dice.randrange(len(seed) + 1)
    end = min(len(seed), start + dice.randrange(20))
    return seed[:start] + dice.choice([b"", seed[start:end] * 2, dice.randbytes(end - start)]) + seed[end:]


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_keep_all_rules(name):
    """Check the rules with bodies of our own, damaged ones and random bytes."""
    target, dice = TARGETS[name], random.Random(name)
    seeds = list(target.seeds())[:_MOST]
    assert seeds
    for seed in [b"", b"\xff\xfe\x00" * 20, b"[" * 5000, *seeds]:
        target.check(seed)
        for _ in range(_DAMAGED):
            target.check(damaged(seed, dice))


class Forgetful:
    """A framer that returns every read as a chunk, so that its chunks depend on the reads."""

    def feed(self, data):
        return [Chunk(data, data)] if data else []

    def finish(self):
        return []


class Hoarder(Forgetful):
    """A framer that holds twice its input."""

    __slots__ = ("kept",)

    def __init__(self):
        self.kept = []

    def feed(self, data):
        self.kept += [data, data]
        return []


@pytest.mark.parametrize(("framer", "why"), [(Forgetful, "cut differently"), (Hoarder, "holds more")])
def test_broken_framer_is_detected(framer, why):
    """Check that a framer that breaks a rule is detected."""
    with pytest.raises(Broken, match=why):
        check_framer(framer, b"x" * 300)
