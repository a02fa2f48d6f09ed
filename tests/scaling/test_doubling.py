"""No buffer and no parser takes more than linear time within the default limits."""

from __future__ import annotations

import logging

import pytest

from .cases import CASES
from .measuring import LINEAR, growth_of

QUADRATIC = {"a loop in a loop": (lambda size: lambda: [None for _ in range(size) for _ in range(size)], 300)}


@pytest.fixture(autouse=True)
def no_notes():
    """Leave out the log of the notes, which the handlers of the tests would keep."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", CASES)
def test_time_is_linear(name):
    """Check the ratio of the times at 4n and n; a size that is too small to tell is doubled once."""
    work, size = CASES[name]
    growth = growth_of(work, size)
    if growth.ratio >= LINEAR:
        growth = growth_of(work, 2 * size)
    assert growth.ratio < LINEAR, growth


def test_quadratic_work_is_noticed():
    """Check that the measurement tells quadratic work from linear work."""
    work, size = QUADRATIC["a loop in a loop"]
    assert growth_of(work, size).ratio >= LINEAR
