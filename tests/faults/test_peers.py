"""The scenarios that other libraries were measured with; `python -m tests.faults --peers` prints the results."""

from __future__ import annotations

import pytest

from .peers import PEERS, PLAYS, listed, measured
from .stage import STYLES


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("row", listed(), ids=lambda row: row["fault"])
def test_measured_result_matches_table(row, style):
    """Check the measured result of Polyglot against the table."""
    assert measured(row["fault"], style) == row["promised"]


def test_every_line_has_scenario_and_results():
    """Check that each line of the table has a scenario and a result of each library."""
    assert [row["fault"] for row in listed()] == list(PLAYS)
    assert {frozenset(row) for row in listed()} == {frozenset({"fault", "promised", *PEERS})}
