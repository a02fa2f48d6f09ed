"""What all tests that span packages share."""

from __future__ import annotations

import gc
import random

_referrers: list[list[random.Random]] = []


def pytest_collection_finish() -> None:
    """Leave the collected tests out of garbage collections, each of which would take a tenth of a second.

    What is left out is not found as a referrer either. Hypothesis refuses to manage a generator of random numbers that
    has none, so each gets one.
    """
    generators = [each for each in gc.get_objects() if issubclass(type(each), random.Random)]
    gc.collect()
    gc.freeze()
    _referrers.append(list(generators))
