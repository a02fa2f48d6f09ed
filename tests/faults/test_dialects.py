"""The commonest faults have the same result in every dialect; `python -m tests.faults --dialects` prints it."""

from __future__ import annotations

import pytest

from .dialects import SCENARIOS
from .stage import STYLES, differences


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_fault_has_same_result_in_every_dialect(scenario, style):
    """Check each driver: a fault raises the same error class, keeps the partial response, and follows the same retry rule."""
    assert not differences(scenario, style), scenario.promise
