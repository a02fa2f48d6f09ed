"""The commonest faults end alike in every dialect; `python -m tests.faults --dialects` prints it."""

from __future__ import annotations

import pytest

from .dialects import SCENARIOS
from .stage import STYLES, differences


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_fault_ends_alike_in_every_dialect(scenario, style):
    """Whichever driver reads, a fault gives the same class of error, keeps what came, and is asked again by the same rule."""
    assert not differences(scenario, style), scenario.promise
