"""Token buckets, and the allowance of an account, at moments of our choice."""

from __future__ import annotations

import math
from collections import deque

import pytest

from polyglot_batch.allowance import Allowance
from polyglot_batch.buckets import Bucket
from polyglot_batch.pace import Pace
from polyglot_core import Rate, Usage


def test_a_bucket_refills_up_to_its_capacity():
    """What was taken comes back at the rate, and no more than fits."""
    bucket = Bucket(10, 2, 0.0)
    bucket.take(10, 0.0)
    assert bucket.wait(1, 0.0) == 0.5
    assert bucket.wait(1, 0.5) == 0.0
    assert bucket.level(100.0) == 10


def test_a_cost_above_the_capacity():
    """It is admitted when the bucket is full, and leaves a debt."""
    bucket = Bucket(10, 1, 0.0)
    assert bucket.wait(25, 0.0) == 0.0
    bucket.take(25, 0.0)
    assert bucket.wait(1, 0.0) == 16.0


def test_a_bucket_that_is_not_refilled():
    """It never has enough again."""
    bucket = Bucket(1, 0, 0.0)
    bucket.take(1, 0.0)
    assert bucket.wait(1, 5.0) == math.inf


def waits(allowance, tokens, number, longest=60.0):
    """Return the moments at which so many requests are sent, each as soon as possible."""
    now, moments = 0.0, []
    for _ in range(number):
        now += allowance.wait(tokens, now, longest)
        allowance.take(tokens, now)
        moments.append(round(now, 3))
    return moments


def test_requests_a_minute():
    """Requests follow one another at intervals: a provider that enforces a second is not exceeded either."""
    allowance = Allowance()
    allowance.configure(Rate(requests_per_minute=300), 0.0)
    assert waits(allowance, 10, 6) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_tokens_a_minute():
    """The tokens of ten seconds may be used at once; what was estimated is corrected by what was used."""
    allowance = Allowance()
    allowance.configure(Rate(tokens_per_minute=6000), 0.0)
    assert waits(allowance, 500, 4) == [0.0, 0.0, 5.0, 10.0]
    sent = allowance.take(500, 20.0)
    allowance.used(sent, Usage(input_tokens=40, output_tokens=60), 20.0)
    assert allowance.wait(500, 20.0, 60.0) == 0.0
    assert allowance.wait(1000, 20.0, 60.0) == 1.0


def test_the_smallest_number_counts():
    """Connections of one account may state different numbers."""
    allowance = Allowance()
    allowance.configure(Rate(requests_per_minute=60, concurrency=8), 0.0)
    allowance.configure(Rate(requests_per_minute=600, concurrency=2), 0.0)
    assert (waits(allowance, 1, 2), allowance.concurrency) == ([0.0, 1.0], 2)


def test_what_headers_state():
    """A remainder is what is left, less what was sent after it was counted; it refills until the reset."""
    allowance = Allowance()
    first = allowance.take(10, 0.0)
    allowance.take(10, 0.0)
    stated = {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "2",
        "x-ratelimit-reset-requests": "4s",
    }
    allowance.responded(first, 200, stated, 1.0)
    allowance.take(10, 1.0)  # 2, less the one after the first, less this one
    assert allowance.wait(10, 1.0, 60.0) == 0.5
    assert allowance.wait(10, 1.5, 60.0) == 0.0


def test_a_limit_of_a_day_is_not_waited_for():
    """What would take longer than the user waits for is sent, so that the provider's error says so."""
    allowance = Allowance()
    sent = allowance.take(10, 0.0)
    headers = {
        "x-ratelimit-limit-requests-day": "100",
        "x-ratelimit-remaining-requests-day": "0",
        "x-ratelimit-reset-requests-day": "40000",
    }
    allowance.responded(sent, 200, headers, 0.0)
    assert allowance.wait(10, 0.0, 60.0) == 0.0
    assert allowance.wait(10, 0.0, 1000.0) == pytest.approx(400.0)


def test_the_usual_output_is_learnt():
    """Requests without a limit of tokens are estimated by the responses so far."""
    allowance = Allowance()
    for _ in range(100):
        allowance.used(allowance.take(300, 0.0), Usage(input_tokens=1, output_tokens=20), 0.0)
    assert allowance.usual_output == pytest.approx(20, abs=0.1)


def test_a_burst_that_is_rejected():
    """All pause; then requests follow one another at the rate that was accepted."""
    allowance = Allowance()
    sent = [allowance.take(1, 0.0) for _ in range(8)]
    for each in sent[5:]:
        allowance.rejected(each, 1.0, 0.05)
    assert allowance.wait(1, 0.05, 60.0) == 1.0
    moments, now = [], 0.05
    for _ in range(3):
        now += allowance.wait(1, now, 60.0)
        allowance.take(1, now)
        moments.append(round(now, 3))
    assert moments == [1.05, 1.25, 1.45]


def test_a_rejection_without_a_wait():
    """The pause doubles until a request is accepted."""
    allowance = Allowance()
    pauses = []
    for now in (0.0, 100.0, 200.0):
        allowance.rejected(allowance.take(1, now), None, now)
        pauses.append(allowance.wait(1, now, 60.0))
    allowance.responded(allowance.take(1, 300.0), 200, {}, 300.0)
    allowance.rejected(allowance.take(1, 300.0), None, 300.0)
    pauses.append(allowance.wait(1, 300.0, 60.0))
    assert pauses == [1.0, 2.0, 4.0, 1.0]


def test_many_rejections_of_one_burst():
    """However many requests of a burst are rejected, they slow the account down once."""
    allowance = Allowance()
    sent = [allowance.take(1, 0.0) for _ in range(200)]
    for each in sent[100:]:
        allowance.rejected(each, 10.0, 0.1)
    assert allowance.wait(1, 10.1, 60.0) == 0.0
    allowance.take(1, 10.1)
    assert allowance.wait(1, 10.1, 60.0) == pytest.approx(0.1, rel=0.02)


def test_accepted_requests_raise_the_pace():
    """A rate that is well below the one that was too fast grows again."""
    allowance = Allowance()
    sent = [allowance.take(1, 0.0) for _ in range(4)]
    allowance.rejected(sent[-1], 1.0, 0.0)
    for _ in range(500):
        allowance.responded(sent[0], 200, {}, 1.0)
    allowance.take(1, 50.0)
    assert allowance.wait(1, 50.0, 60.0) < 0.2


def found_rates(limit, wait, *, seconds=120.0, latency=0.05):
    """Return the requests that a provider accepts in each second, and those that it rejects in all.

    The provider accepts `limit` in a second, and one second's at once.
    """
    pace, now, level, last = Pace(), 0.0, float(limit), 0.0
    under_way, accepted, rejected = deque(), [0] * int(seconds), 0
    while now < seconds:
        while under_way and under_way[0][0] <= now:
            _, epoch, refused = under_way.popleft()
            rejected += refused
            pace.rejected(epoch, wait, now) if refused else pace.accepted()
        if (pause := pace.wait(now)) > 0:
            now = min(now + pause, under_way[0][0] if under_way else math.inf)
            continue
        level, last = min(limit, level + (now - last) * limit), now
        under_way.append((now + latency, pace.take(now), level < 1))
        if level >= 1:
            level -= 1
            accepted[int(now)] += 1
        now += 0.001
    return accepted, rejected


@pytest.mark.parametrize("limit", [2, 5, 20, 100])
@pytest.mark.parametrize("wait", [None, 1.0])
def test_a_limit_is_found_and_rarely_exceeded(limit, wait):
    """Whatever it is: most of it is used, and after the first burst few requests are rejected."""
    accepted, rejected = found_rates(limit, wait)
    _, of_burst = found_rates(limit, wait, seconds=3.0)
    assert sum(accepted[20:]) > 0.85 * limit * 100
    assert rejected - of_burst < 0.1 * sum(accepted)


def test_a_wait_that_is_longer_than_needed():
    """The rate that is measured after it is too low, and is corrected within a minute."""
    accepted, _ = found_rates(5, 5.0)
    assert max(accepted[30:90]) >= 5


def test_a_rejection_for_another_reason():
    """A rate that was called too fast once, and is not, is left behind within half a minute."""
    pace, now, sent = Pace(), 0.0, 0
    for _ in range(40):
        epoch = pace.take(now)
        now += 0.05
        pace.accepted()
    pace.rejected(epoch, 1.0, now)
    until = now + 31.0
    while now < until:
        now += max(pace.wait(now), 1e-3)
        pace.take(now)
        pace.accepted()
        sent += 1
    assert sent > 2 * 20 * 30
