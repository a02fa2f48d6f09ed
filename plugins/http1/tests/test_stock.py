"""The places of a pool: none is lost, none is given twice, and who waits longest is served first."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_http1.stock import Stock


class Place:
    """An idle connection."""

    idle_since = 0.0


class Waiter:
    """Keeps what it is granted."""

    def __init__(self, granted):
        self.granted = granted

    def grant(self, place):
        self.granted.append((self, place))


def test_the_last_idle_connection_is_taken_first():
    """Slots for new connections are used when no connection is idle."""
    stock, first, second = Stock(3, 3), Place(), Place()
    assert stock.take() is None
    assert stock.take() is None
    assert stock.keep(first)
    assert stock.keep(second)
    assert [stock.take(), stock.take(), stock.take()] == [second, first, None]
    with pytest.raises(LookupError):
        stock.take()


def test_waiters_are_served_in_turn_and_before_newcomers():
    """Whatever is given, a connection or slot for one."""
    stock, granted = Stock(1, 1), []
    assert stock.take() is None
    waiters = [Waiter(granted) for _ in range(3)]
    for waiter in waiters:
        stock.queue(waiter)
    connection = Place()
    assert stock.keep(connection)
    with pytest.raises(LookupError):
        stock.take()
    assert stock.leave(waiters[1])
    stock.free()
    assert granted == [(waiters[0], connection), (waiters[2], None)]
    assert not stock.leave(waiters[2])


def test_idle_connections_expire_and_slots_stay():
    """Only those that were idle long enough are taken out."""
    stock, old, new = Stock(3, 3), Place(), Place()
    old.idle_since, new.idle_since = 1.0, 5.0
    stock.take(), stock.take()
    assert stock.keep(old)
    assert stock.keep(new)
    assert stock.take_idle(3.0) == [old]
    stock.free()
    assert stock.idle == 1
    assert [stock.take(), stock.take()] == [new, None]


@given(st.lists(st.sampled_from(["take", "idle", "slot", "queue", "leave", "expire"]), max_size=60))
def test_no_place_is_lost_or_given_twice(steps):
    """After any sequence of operations, the places in stock and in use are those of the beginning."""
    stock, granted, used, queue, waiting = Stock(3, 3), [], [], [], Counter()
    for step in steps:
        if step == "take":
            try:
                used.append(stock.take())
            except LookupError:
                assert not (stock.idle or stock._slots) or queue
        elif step in {"idle", "slot"} and used:
            place = used.pop(0)
            stock.free() if step == "slot" or not stock.keep(place or Place()) else None
        elif step == "queue":
            queue.append(Waiter(granted))
            stock.queue(queue[-1])
        elif step == "leave" and queue:
            stock.leave(queue.pop())
        elif step == "expire":
            for _ in stock.take_idle(1.0):
                stock.free()
        for waiter, place in granted:
            waiting[waiter] += 1
            queue.remove(waiter)
            used.append(place)
        granted.clear()
        assert stock.idle + len(stock._slots) + len(used) == 3
    assert set(waiting.values()) <= {1}
