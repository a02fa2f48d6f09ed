"""Rate limits in the headers of responses, in every spelling of the table."""

from __future__ import annotations

import time

import pytest

from polyglot_batch.rate_headers import SPELLINGS, readings


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.name)
def test_each_spelling(spelling):
    """Limit, remainder and reset are read, and the remainder alone is enough."""
    headers = {
        spelling.name.replace("*", part): text
        for part, text in (("limit", "100"), ("remaining", "40"), ("reset", "30"))
    }
    assert [reading[1:] for reading in readings(headers) if reading.spelling is spelling] == [(100, 40, 30)]
    alone = {spelling.name.replace("*", "remaining"): "40"}
    assert [reading[1:] for reading in readings(alone) if reading.spelling is spelling] == [(40, 40, spelling.period)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1", 1), ("0", 0), ("59.84282350540161", 59.84282350540161), ("0s", 0), ("12ms", 0.012), ("1m30.5s", 90.5), ("2h", 7200), ("6m0s", 360), ("1d2h", 93600)],
)  # fmt: skip
def test_a_reset_in_seconds(text, seconds):
    """It is a number or a duration."""
    headers = {"x-ratelimit-remaining-tokens": "1", "x-ratelimit-reset-tokens": text}
    assert [reading.reset for reading in readings(headers)] == [pytest.approx(seconds)]


@pytest.mark.parametrize(
    "form",
    [lambda now: f"{now:.0f}", lambda now: f"{now * 1000:.0f}", lambda now: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)), lambda now: time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now))],
)  # fmt: skip
def test_a_reset_at_a_moment(form):
    """It is a number since 1970, or a date, as Anthropic's."""
    headers = {
        "anthropic-ratelimit-requests-remaining": "1",
        "anthropic-ratelimit-requests-reset": form(time.time() + 100),
    }
    assert [reading.reset for reading in readings(headers)] == [pytest.approx(100, abs=5)]


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "1e9999", "٣", "9" * 400, "2026-99-99T00:00:00Z", "1s" * 1000 + "x", "RESET-XXX"]
)
def test_what_cannot_be_read(text):
    """A limit without a readable remainder does not count, and a reset is then the end of the window."""
    assert list(readings({"x-ratelimit-remaining-requests": text})) == []
    headers = {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": text}
    assert [reading.reset for reading in readings(headers)] == [60.0]


def test_a_remainder_above_the_limit():
    """It is as much as the limit: gateways report the greatest number of 64 bits."""
    headers = {"x-ratelimit-limit-tokens": "100", "x-ratelimit-remaining-tokens": "9223372036854767616"}
    assert [reading.remaining for reading in readings(headers)] == [100]
