"""The decision after an error: retry, resume, fallback, accept or raise."""

from __future__ import annotations

import functools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core import errors
from polyglot_core._engine.retry_policy import (
    AcceptTruncated,
    Budget,
    Fallback,
    Raise,
    Resume,
    Retry,
    RetryState,
    decide,
)
from polyglot_core._values.limits import Retries

SLOW = errors.RateLimited("x")
CUT = errors.Truncated("x")
TWICE = Retries(max_retries=2, initial_backoff=1.0, max_backoff=10.0, max_retry_after=60.0)
NEVER = Retries(max_retries=0)
MANY = Retries(max_retries=99, initial_backoff=1.0, max_backoff=10.0)
FIRST, SECOND, THIRD = (RetryState(attempts=count) for count in (1, 2, 3))
SEEN = RetryState(attempts=1, committed=True)


def after(seconds):
    return errors.RateLimited("x", retry_after=seconds)


def decided(error, tried, retries=TWICE, **given):
    """The decision, with the full wait."""
    return decide(error, tried, retries, draw=lambda: 0.0, **given)


@pytest.mark.parametrize(
    ("error", "tried", "retries", "expected"),
    [
        (SLOW, FIRST, TWICE, Retry(1.0)),
        (SLOW, SECOND, TWICE, Retry(2.0)),
        (SLOW, THIRD, TWICE, Raise()),
        (SLOW, SEEN, TWICE, Raise()),
        (SLOW, FIRST, NEVER, Raise()),
        (SLOW, RetryState(attempts=9), MANY, Retry(10.0)),
        (SLOW, RetryState(attempts=99), MANY, Retry(10.0)),
        (SLOW, FIRST, Retries(initial_backoff=9.0, max_backoff=10.0, max_retry_after=5.0), Retry(5.0)),
        (after(3.0), FIRST, TWICE, Retry(3.0)),
        (after(60.0), FIRST, TWICE, Retry(60.0)),
        (after(60.5), FIRST, TWICE, Raise()),
        (after(math.inf), FIRST, TWICE, Raise()),
        (after(3.0), THIRD, TWICE, Raise()),
        (errors.InvalidRequest("x"), FIRST, TWICE, Raise()),
        (errors.AuthenticationError("x"), FIRST, TWICE, Raise()),
        (errors.QuotaExceeded("x", retry_after=1.0), FIRST, TWICE, Raise()),
        (errors.ConfigError("x"), FIRST, TWICE, Raise()),
        (errors.PluginError("x"), FIRST, TWICE, Raise()),
        (errors.Malformed("x"), FIRST, TWICE, Raise()),
        (errors.UnexpectedContentType("x"), FIRST, TWICE, Raise()),
        (errors.LimitExceeded("x"), FIRST, TWICE, Raise()),
        (CUT, FIRST, TWICE, Retry(1.0)),
        (errors.TransportError("x"), FIRST, TWICE, Retry(1.0)),
        (errors.TransportError("x", retryable=False), FIRST, TWICE, Raise()),
        (errors.TransportError("x", "connect"), SECOND, TWICE, Retry(2.0)),
        (errors.TransportError("x", "tls"), FIRST, TWICE, Raise()),
        (errors.TransportError("x", "pool"), FIRST, TWICE, Raise()),
        (errors.TransportError("x", "dns"), FIRST, TWICE, Retry(1.0)),
        (errors.TransportError("x", "dns"), SECOND, TWICE, Raise()),
        (errors.TransportError("x", "dns"), FIRST, NEVER, Raise()),
        (errors.TimedOut("x", "connect"), FIRST, TWICE, Retry(1.0)),
        (errors.TimedOut("x", "total"), FIRST, TWICE, Raise()),
        (errors.ServerError("x"), FIRST, TWICE, Retry(1.0)),
        (errors.Overloaded("x"), FIRST, TWICE, Retry(1.0)),
    ],
)
def test_what_to_do_after_an_error(error, tried, retries, expected):
    """The request is sent again while that may help, is allowed, and nothing has reached the caller."""
    assert decided(error, tried, retries) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.AuthenticationError("x"), Fallback()),
        (errors.PermissionDenied("x"), Fallback()),
        (errors.NotFound("x"), Fallback()),
        (errors.QuotaExceeded("x"), Fallback()),
        (errors.Malformed("x"), Fallback()),
        (errors.UnexpectedContentType("x"), Fallback()),
        (errors.TransportError("x", "tls"), Fallback()),
        (errors.ProviderError("x"), Fallback()),
        (after(600.0), Fallback()),
        (SLOW, Retry(1.0)),
        (errors.InvalidRequest("x"), Raise()),
        (errors.ContextLengthExceeded("x"), Raise()),
        (errors.RequestError("x"), Raise()),
        (errors.ConfigError("x"), Raise()),
        (errors.PluginError("x"), Raise()),
        (errors.TimedOut("x", "total"), Raise()),
    ],
)
def test_fallback_unless_the_error_would_be_the_same(error, expected):
    """An error of one connection leads to the fallback; one of the request, of this process or of `total` is raised."""
    assert decided(error, RetryState(attempts=1, others=True)) == expected


def test_fallback_follows_the_last_retry():
    """Retries are made first, then the fallback is used; neither after content was received."""
    assert decided(SLOW, RetryState(attempts=3, others=True)) == Fallback()
    assert decided(SLOW, RetryState(attempts=1, others=True, committed=True)) == Raise()
    assert decided(SLOW, RetryState(attempts=3, others=True, time_left=0.0)) == Raise()


@pytest.mark.parametrize("how", ["restart", "prefill", "provider"])
def test_resume_needs_the_callers_mode(how):
    """With a mode, an interrupted response is resumed under the rules of retries; without one, never."""
    chosen = RetryState(attempts=1, committed=True, resume=how)
    assert decided(CUT, chosen) == Resume(1.0, how)
    assert decided(CUT, SEEN) == Raise()
    assert decided(errors.Malformed("x"), chosen) == Raise()
    assert decided(CUT, RetryState(attempts=3, committed=True, resume=how)) == Raise()


def test_truncated_response_may_be_accepted():
    """With `mark_truncated` a truncated response is accepted, after the retries; other errors are raised."""
    assert decided(CUT, RetryState(attempts=1, committed=True, mark_truncated=True)) == AcceptTruncated()
    assert decided(CUT, RetryState(attempts=1, mark_truncated=True)) == Retry(1.0)
    assert decided(CUT, RetryState(attempts=3, mark_truncated=True)) == AcceptTruncated()
    assert decided(SLOW, RetryState(attempts=3, committed=True, mark_truncated=True)) == Raise()


def test_no_wait_is_begun_that_the_call_has_no_time_for():
    """A wait that would overrun `total` is not begun: the error is raised at once."""
    assert decided(SLOW, RetryState(attempts=1, time_left=1.5)) == Retry(1.0)
    assert decided(SLOW, RetryState(attempts=1, time_left=0.5)) == Raise()
    assert decided(SLOW, RetryState(attempts=1, time_left=0.5, others=True)) == Fallback()


def test_waits_are_shortened_by_up_to_a_quarter():
    """Backoffs are shortened at random; a wait that the provider requests is kept."""
    assert decide(SLOW, FIRST, TWICE, draw=lambda: 1.0) == Retry(0.75)
    assert decide(after(3.0), FIRST, TWICE, draw=lambda: 1.0) == Retry(3.0)


@given(attempts=st.integers(1, 2000), limit=st.integers(0, 2000), draw=st.floats(0, 1))
def test_no_wait_is_longer_than_allowed(attempts, limit, draw):
    """However many attempts have failed, no wait is longer than the longest, and none is negative."""
    retries = Retries(max_retries=limit, initial_backoff=0.5, max_backoff=60.0)
    decision = decide(SLOW, RetryState(attempts=attempts), retries, draw=lambda: draw)
    assert isinstance(decision, Raise) or (0 < decision.wait <= 60.0 and attempts <= limit)


def test_budget_is_spent_by_retries_and_refilled_by_responses():
    """An outage exhausts it, which ends retries; sixteen complete responses return one."""
    budget = Budget(35, 0.0)
    pay = functools.partial(budget.pay, 0.0)
    paid = sum(decided(errors.ServerError("x"), FIRST, pay=pay) == Retry(1.0) for _ in range(100))
    assert paid == 35
    assert decided(errors.ServerError("x"), FIRST, pay=pay) == Raise()
    assert decided(errors.ServerError("x"), RetryState(attempts=1, others=True), pay=pay) == Fallback()
    for _ in range(15):
        budget.earn()
    assert decided(SLOW, FIRST, pay=pay) == Raise()
    budget.earn()
    assert decided(SLOW, FIRST, pay=pay) == Retry(1.0)


def test_a_retry_that_a_429_requests_is_free():
    """A provider that says when to come back is not down; one that is overloaded may be."""
    budget = Budget(0, 0.0)
    pay = functools.partial(budget.pay, 0.0)
    assert decided(after(3.0), FIRST, pay=pay) == Retry(3.0)
    assert decided(SLOW, FIRST, pay=pay) == Raise()
    assert decided(errors.Overloaded("x", retry_after=3.0), FIRST, pay=pay) == Raise()


def test_a_budget_fills_again_within_a_minute():
    """A minute after an outage the budget is full."""
    budget = Budget(60, 0.0)
    assert all(budget.pay(0.0) for _ in range(60))
    assert not budget.pay(0.5)
    assert budget.pay(1.0)
    assert all(budget.pay(120.0) for _ in range(60))
    assert not budget.pay(120.0)


def test_a_budget_grows_no_larger_than_it_was():
    """Responses fill it to its capacity at most, and a retry that is not made costs nothing."""
    budget = Budget(35, 0.0)
    budget.earn()
    assert budget.left == 35
    decided(errors.InvalidRequest("x"), FIRST, pay=functools.partial(budget.pay, 0.0))
    assert budget.left == 35
