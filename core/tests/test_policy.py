"""Send again or raise: one table."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core import errors
from polyglot_core.connection import Retries
from polyglot_core.policy import Resend, Surface, decide

SLOW = errors.RateLimited("x")
TWICE = Retries(limit=2, first_wait=1.0, longest_wait=10.0)


def after(seconds):
    return errors.RateLimited("x", retry_after=seconds)


@pytest.mark.parametrize(
    ("error", "attempt", "committed", "retries", "expected"),
    [
        (SLOW, 1, False, TWICE, Resend(1.0)),
        (SLOW, 2, False, TWICE, Resend(2.0)),
        (SLOW, 3, False, TWICE, Surface()),
        (SLOW, 1, True, TWICE, Surface()),
        (SLOW, 1, False, Retries(), Surface()),
        (SLOW, 9, False, Retries(limit=99, first_wait=1.0, longest_wait=10.0), Resend(10.0)),
        (after(3.0), 1, False, TWICE, Resend(3.0)),
        (after(10.0), 1, False, TWICE, Resend(10.0)),
        (after(10.5), 1, False, TWICE, Surface()),
        (after(math.inf), 1, False, TWICE, Surface()),
        (after(3.0), 3, False, TWICE, Surface()),
        (errors.InvalidRequest("x"), 1, False, TWICE, Surface()),
        (errors.AuthenticationError("x"), 1, False, TWICE, Surface()),
        (errors.QuotaExceeded("x", retry_after=1.0), 1, False, TWICE, Surface()),
        (errors.ConfigError("x"), 1, False, TWICE, Surface()),
        (errors.PluginError("x"), 1, False, TWICE, Surface()),
        (errors.Malformed("x"), 1, False, TWICE, Surface()),
        (errors.UnexpectedContentType("x"), 1, False, TWICE, Surface()),
        (errors.Truncated("x"), 1, False, TWICE, Resend(1.0)),
        (errors.TransportError("x"), 1, False, TWICE, Resend(1.0)),
        (errors.TransportError("x", retryable=False), 1, False, TWICE, Surface()),
        (errors.TimedOut("x", "connect"), 1, False, TWICE, Resend(1.0)),
        (errors.TimedOut("x", "total"), 1, False, TWICE, Surface()),
        (errors.ServerError("x"), 1, False, TWICE, Resend(1.0)),
        (errors.Overloaded("x"), 1, False, TWICE, Resend(1.0)),
    ],
)
def test_what_to_do_after_an_error(error, attempt, committed, retries, expected):
    """The request is sent again while that may help, is allowed, and nothing has reached the caller."""
    assert decide(error, attempt=attempt, committed=committed, retries=retries, draw=lambda: 0.0) == expected


def test_waits_are_shortened_by_up_to_a_quarter():
    """Clients that failed together do not come back together; a wait that was asked for is kept."""
    assert decide(SLOW, attempt=1, committed=False, retries=TWICE, draw=lambda: 1.0) == Resend(0.75)
    assert decide(after(3.0), attempt=1, committed=False, retries=TWICE, draw=lambda: 1.0) == Resend(3.0)


@given(attempt=st.integers(1, 200), limit=st.integers(0, 200), draw=st.floats(0, 1))
def test_no_wait_is_longer_than_allowed(attempt, limit, draw):
    """However many attempts have failed, no wait is longer than the longest, and none is negative."""
    retries = Retries(limit=limit, first_wait=0.5, longest_wait=60.0)
    decision = decide(SLOW, attempt=attempt, committed=False, retries=retries, draw=lambda: draw)
    assert isinstance(decision, Surface) or (0 < decision.wait <= 60.0 and attempt <= limit)
