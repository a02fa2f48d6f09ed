"""A short soak leaves nothing behind, in each style; and one of a library that leaks says what was left."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from contextlib import ExitStack

import pytest

from polyglot_core._engine import retry_policy
from polyglot_core._engine.pump import Pump
from polyglot_core._http import pools, watchdog
from polyglot_core._http.watchdog import Watch

from . import figures, serving
from .kinds import KINDS, mixed
from .serving import ROOT
from .soaking import Plan, soak
from .styles import STYLES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="counts the open files of a process")

BRIEF = Plan(streams=60, at_once=2, warm=40, seconds=60.0)


@pytest.fixture(scope="module")
def short_soaks():
    """Soaks in processes of their own, by style; they run at the same time."""
    command = [sys.executable, "-m", "tests.soak", "--streams=300", "--at-once=100", "--seconds=120"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with ExitStack() as scope:
        started = {
            style: scope.enter_context(subprocess.Popen([*command, f"--style={style}"], cwd=ROOT, **pipes))
            for style in STYLES
        }
        yield started
        for process in started.values():
            process.communicate(timeout=240)  # of those that no test was asked for


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_a_short_soak_leaves_nothing(short_soaks, style):
    """Hundreds of streams with faults among them end as promised, gain no memory, leave nothing open and exit without a word."""
    report, _ = short_soaks[style].communicate(timeout=240)
    assert short_soaks[style].returncode == 0, report
    assert "nothing was left or gained" in report
    assert "standard error, also at exit: nothing" in report


# That the check can fail


def keep_exchanges(monkeypatch, held):
    """Every answer is kept when it is released."""
    release = Pump._release

    def release_and_keep(pump):
        held.append((pump._exchange, pump.call.attempt))
        return release(pump)

    monkeypatch.setattr(Pump, "_release", release_and_keep)
    return held.clear


def watch_for_ever(monkeypatch, _held):
    """A read that is over is looked after all the same."""
    stop = Watch.stop
    monkeypatch.setattr(Watch, "stop", lambda _watch: None)
    return lambda: [stop(watch) for watch in list(watchdog._thread.watches) if isinstance(watch, Watch)]


def leave_pools_open(monkeypatch, held):
    """The connections that an inference owns are not closed with it."""
    close = pools.Pools.close
    monkeypatch.setattr(pools.Pools, "close", lambda pools: held.append(pools))
    return lambda: [close(pools) for pools in held]


def take_anything_for_an_answer(monkeypatch, _held):
    """An error that is to be raised is not."""
    monkeypatch.setattr(retry_policy, "_give_up", lambda _error, _tried: retry_policy.AcceptTruncated())
    return list


LEAKS = {
    keep_exchanges: "blocks of memory were gained",
    watch_for_ever: "watches were left",
    leave_pools_open: "sockets were left",
    take_anything_for_an_answer: "gave NoneType in the place of",
}


@pytest.mark.slow
@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
def test_a_soak_of_a_library_that_leaks_says_so(provider, monkeypatch, leak):
    """What is kept, left open or passed off as an answer stands in the soak's list of problems."""
    monkeypatch.setattr(figures, "_SECONDS_TO_SETTLE", 0.1)
    monkeypatch.setattr(serving, "_SECONDS_TO_CLOSE", 1.0)
    clean = leak(monkeypatch, [])
    problems = soak(BRIEF, STYLES["sync"], provider).problems()
    clean()
    assert LEAKS[leak] in "\n".join(problems)


def test_a_hundred_streams_have_a_share_of_each_kind():
    """The shares of the kinds add up to a hundred, and every hundred has them, in an order of its own."""
    first, second = zip(*[(kind.name for kind in mixed(200))] * 100, strict=True)
    assert Counter(first) == Counter(second) == {kind.name: kind.share for kind in KINDS}
    assert first != second
