"""The table on the page about streams is what is measured."""

from __future__ import annotations

import pytest

import polyglot_streams as streams

from .measuring import TEXT, Bench, Row, provider
from .tables import PAGE, draw, with_table

pytestmark = pytest.mark.http


def test_the_table_is_measured():
    """Check that what readers get, what is held and what the server sees is as the page says, for each function."""
    page = PAGE.read_text("utf-8")
    assert "<!-- measured: transforms -->" in page
    assert page == with_table(page, draw())


def test_what_is_held_is_measured(tmp_path):
    """Check that a reader that falls behind by the whole text shows in the column of what is held."""
    row = Row("`tee`", lambda stream, _: streams.tee(stream), texts=(TEXT, TEXT), in_turn=True)
    with provider(silent=False) as whole, provider(silent=True) as silent:
        cells = Bench("sync", whole, silent, tmp_path).measured(row)
    assert (cells.gets, cells.closes) == ("all text", "3 of 3 ways")
    assert cells.holds.endswith(" MB")
