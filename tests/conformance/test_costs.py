"""Streamed and plain responses cost the same, in every dialect, by recorded counts."""

from __future__ import annotations

import pytest

from .costs import row_of
from .endpoints import DRIVERS


@pytest.mark.parametrize("dialect", DRIVERS)
def test_stream_plain_and_price_agree_on_recorded_usage(answers, dialect):
    """Each recorded exchange costs what its recorded counts cost, and so do a stream and a plain response with them."""
    row = row_of(answers.corpus, dialect, answers.standard(dialect))
    assert row.recorded > 0
    assert row.same / row.recorded >= 0.99, row
    assert row.agreeing == row.played, row
