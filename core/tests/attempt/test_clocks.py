"""The clocks of a call, with the time as an argument."""

from __future__ import annotations

import math

import pytest

from polyglot_core._attempt.clocks import Clocks, no_change
from polyglot_core._values.limits import Timeouts

TIMEOUTS = Timeouts(connect=1.0, first=60.0, idle=30.0, silence=20.0, grace=2.0, total=None)


def clocks_at(now=100.0, **changes):
    return Clocks(
        Timeouts(**{**{name: getattr(TIMEOUTS, name) for name in TIMEOUTS.__struct_fields__}, **changes}), now
    )


def begin_read(clocks, now):
    """Begin a read, after a pause of the caller's."""
    clocks.pass_over(now)
    clocks.asked = now


def end_read(clocks, now):
    """Return from a read."""
    clocks.waited = now


def waiting(clocks, *, since):
    end_read(clocks, since)
    clocks.asked = since + 0.001
    return clocks


def test_first_runs_until_the_first_event():
    """Until the first event with meaning, only `first` runs, from the start of the attempt."""
    assert waiting(clocks_at(), since=100.0).due(120.0) == (160.0, "first")


def test_each_attempt_restarts_first():
    """Another attempt restarts `first` and resets the other clocks."""
    clocks = clocks_at()
    clocks.saw_meaning(110.0)
    clocks.saw_finish(111.0)
    clocks.start_attempt(150.0)
    assert clocks.meaning is None
    assert clocks.due(150.0) == (210.0, "first")


def test_idle_runs_between_events():
    """After an event with meaning, `idle` runs from it."""
    clocks = clocks_at(silence=None)
    clocks.saw_meaning(110.0)
    assert waiting(clocks, since=110.0).due(111.0) == (140.0, "idle")


def test_silence_runs_from_the_last_byte():
    """Without a byte, `silence` runs from the start of the read."""
    clocks = clocks_at()
    clocks.saw_meaning(110.0)
    end_read(clocks, 115.0)
    begin_read(clocks, 115.001)
    moment, clock = clocks.due(116.0)
    assert (moment, clock) == (pytest.approx(135.001), "silence")


def test_bytes_without_meaning_restart_silence_only():
    """Comments restart `silence` at every read, and do not affect `idle`."""
    clocks = clocks_at()
    clocks.saw_meaning(110.0)
    for now in (115.0, 120.0, 125.0):
        end_read(clocks, now)
        clocks.asked = now + 0.001
    assert clocks.due(126.0) == (140.0, "idle")


def test_silence_does_not_run_before_the_first_event():
    """A model may think in silence until its first event."""
    assert waiting(clocks_at(silence=1.0), since=100.0).due(150.0) == (160.0, "first")


def test_after_a_finish_only_grace_runs():
    """When the model is done, only `grace` runs, however long idle and silence are."""
    clocks = clocks_at()
    clocks.saw_meaning(110.0)
    clocks.saw_finish(111.0)
    assert waiting(clocks, since=111.0).due(111.5) == (113.0, "grace")


def test_a_further_choice_ends_the_grace():
    """An event with meaning of an unfinished choice returns to `idle`."""
    clocks = clocks_at(silence=None)
    clocks.saw_meaning(110.0)
    clocks.saw_finish(111.0)
    clocks.saw_meaning(112.0)
    assert waiting(clocks, since=112.0).due(112.5) == (142.0, "idle")


@pytest.mark.parametrize("phase", ["first", "idle", "grace"])
def test_total_runs_over_everything(phase):
    """`total` runs from the call, over all attempts and waits, in every phase."""
    clocks = clocks_at(total=5.0, grace=50.0)
    clocks.start_attempt(103.0)
    if phase != "first":
        clocks.saw_meaning(103.5)
    if phase == "grace":
        clocks.saw_finish(104.0)
    assert waiting(clocks, since=104.0).due(104.5) == (105.0, "total")
    assert clocks.total_due() == 105.0


@pytest.mark.parametrize("phase", ["first", "idle", "grace"])
def test_disabled_clocks_never_expire(phase):
    """With every clock off, nothing is ever due."""
    clocks = clocks_at(first=None, idle=None, silence=None, grace=None, total=None)
    if phase != "first":
        clocks.saw_meaning(101.0)
    if phase == "grace":
        clocks.saw_finish(102.0)
    assert waiting(clocks, since=102.0).due(1e9)[0] == math.inf
    assert clocks.total_due() == math.inf


@pytest.mark.parametrize("finished", [False, True])
def test_pauses_of_the_caller_do_not_count(finished):
    """Time that the caller takes between two reads is not the provider's: idle and grace do not run in it."""
    clocks = clocks_at(silence=None)
    clocks.saw_meaning(110.0)
    if finished:
        clocks.saw_finish(110.0)
    end_read(clocks, 110.0)
    moment, clock = clocks.due(1000.0)  # no read is in progress: it is due as if there had been no pause
    assert (moment, clock) == ((1000.0 + 2.0, "grace") if finished else (1000.0 + 30.0, "idle"))
    begin_read(clocks, 1000.0)
    assert clocks.due(1000.5) == (moment, clock)


def test_pauses_of_the_caller_count_for_total():
    """`total` is the caller's own limit, so the caller's pauses count."""
    clocks = clocks_at(total=50.0)
    clocks.saw_meaning(110.0)
    end_read(clocks, 110.0)
    begin_read(clocks, 140.0)
    assert clocks.due(141.0) == (150.0, "total")


def test_reads_between_two_events_add_up():
    """Several reads between two events count together, the pauses between them do not."""
    clocks = clocks_at(silence=None)
    clocks.saw_meaning(110.0)
    end_read(clocks, 110.0)
    for start in (200.0, 300.0, 400.0):  # three reads of five seconds each
        begin_read(clocks, start)
        end_read(clocks, start + 5.0)
    begin_read(clocks, 500.0)
    assert clocks.due(500.0)[0] == pytest.approx(500.0 + 30.0 - 15.0)


def test_waiting():
    """A read is in progress from its start until it returns."""
    clocks = clocks_at()
    assert not clocks.waiting
    begin_read(clocks, 101.0)
    assert clocks.waiting
    end_read(clocks, 102.0)
    assert not clocks.waiting


def test_changed_is_called():
    """`changed` is called when another clock starts, and only then."""
    clocks = clocks_at()
    called = []
    clocks.changed = lambda: called.append(clocks.due(clocks.waited)[1])
    clocks.saw_meaning(101.0)
    clocks.saw_meaning(102.0)
    clocks.saw_meaning(103.0)
    assert len(called) == 1
    clocks.saw_finish(104.0)
    clocks.saw_meaning(105.0)
    assert len(called) == 3
    clocks.start_attempt(106.0)
    assert clocks.changed is no_change


def test_elapsed_counts_from_the_call():
    """The elapsed time counts from the call, not from the attempt."""
    clocks = clocks_at(100.0)
    clocks.start_attempt(150.0)
    assert clocks.elapsed(160.0) == 60.0


def test_pause_of_the_caller_is_bounded_by_the_clocks_that_run_in_it():
    """`first` and `total` run between two reads; `idle`, `silence` and `grace` do not."""
    clocks = clocks_at(total=300.0)
    assert clocks.pause_due() == 160.0
    clocks.saw_meaning(110.0)
    assert clocks.pause_due() == 400.0
    clocks.start_attempt(120.0)
    clocks.saw_finish(121.0)
    assert clocks.pause_due() == 400.0
