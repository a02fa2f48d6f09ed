"""The table of what drivers support of data, tools and caching: each cell is run with a simulated provider."""

from __future__ import annotations

import pytest

from .pages import DOCS, script, table

drawing = script("draw_data")


@pytest.mark.parametrize("capability", drawing.CAPABILITIES.values(), ids=drawing.CAPABILITIES)
@pytest.mark.parametrize("driver", drawing.DRIVERS)
def test_cell_is_what_a_run_shows(driver, capability):
    """A run shows the capability, or the driver rejects it by its name, as the cell states."""
    rows = {row[0]: row[1:] for row in table(DOCS / "data.md", "capability")}
    assert rows[capability.shown][drawing.DRIVERS.index(driver)] == drawing.verdict(driver, capability)


def test_a_capability_without_an_effect_is_no_yes():
    """A run whose response or request does not show the capability raises."""
    drive = drawing._changes("the choice", {}, {})
    with pytest.raises(LookupError, match="the choice"):
        drawing.verdict("openai", drawing.Capability("none", "none", drive))
