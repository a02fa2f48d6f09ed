"""An error within a stream is an error in every spelling, dialect and place, and the content before it is kept."""

from __future__ import annotations

import pytest

from .spellings import DIALECTS, PAGE, PLACES, Ending, draw_spellings, ending_of, page_with, spellings_of

CASES = [(dialect, spelling) for dialect in DIALECTS for spelling in spellings_of(dialect)]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("dialect", "spelling"), CASES)
def test_spelling(dialect, spelling, place):
    """Check the outcome, the provider's words, and the partial; the table has the classes."""
    ending = ending_of(dialect, spelling, place)
    assert ending == Ending("failed", ending.error, quoted=True, kept=True)
    assert ending.error not in {None, "Truncated", "Malformed"}


def test_page():
    """Check that the page has the table; ``python -m tests.faults --spellings --write`` updates it."""
    assert PAGE.read_text("utf-8") == page_with(draw_spellings())
