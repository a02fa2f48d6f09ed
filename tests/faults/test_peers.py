"""The scenarios that other libraries were measured with; `python -m tests.faults --peers` prints what each does."""

from __future__ import annotations

import pytest

from .peers import PEERS, PLAYS, listed, measured
from .stage import STYLES


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("row", listed(), ids=lambda row: row["fault"])
def test_a_scenario_of_the_comparison_ends_as_it_says(row, style):
    """What the table says of Polyglot is what is measured."""
    assert measured(row["fault"], style) == row["promised"]


def test_every_scenario_is_played_and_compared_with_all():
    """Each line of the table has a scenario to measure, and something of each library to compare it with."""
    assert [row["fault"] for row in listed()] == list(PLAYS)
    assert {frozenset(row) for row in listed()} == {frozenset({"fault", "promised", *PEERS})}
