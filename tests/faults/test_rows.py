"""Every row of the fault matrix does what is promised, sync and async, on real sockets; `python -m tests.faults` prints it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from .matrix import ROWS, SCENARIOS
from .stage import differences

DECISIONS = Path(__file__).parents[2] / "docs" / "decisions"
CASES = [pytest.param(each, style, id=f"{each.row}-{each.part}-{style}") for each in SCENARIOS for style in each.styles]
WITH_CERTIFICATES = {3, 27}
LINUX_ALONE = {5: "elsewhere a full queue answers", 57: "elsewhere the options have other names"}
PARTS_WITH_CERTIFICATES = {(4, "plain to a TLS port")}


@pytest.mark.parametrize(("scenario", "style"), CASES)
def test_a_fault_is_met_as_promised(scenario, style):
    """What is raised, what is kept, what is asked again and what is closed is as the scenario promises, and no key shows."""
    if needs_certificates(scenario) and importlib.util.find_spec("trustme") is None:
        pytest.skip("trustme, which makes certificates, is not installed")
    if scenario.row in LINUX_ALONE and sys.platform != "linux":
        pytest.skip(LINUX_ALONE[scenario.row])
    assert not differences(scenario, style), scenario.promise


def needs_certificates(scenario):
    """Whether a server of the scenario speaks TLS."""
    return scenario.row in WITH_CERTIFICATES or (scenario.row, scenario.part) in PARTS_WITH_CERTIFICATES


def test_every_row_is_played_or_says_why_not():
    """There are 80 rows, each with scenarios in both styles, or with the reason why it does not apply."""
    assert list(ROWS) == list(range(1, 81))
    played = {(each.row, style) for each in SCENARIOS for style in each.styles}
    wanted = {(row.number, style) for row in ROWS.values() if not row.left_out for style in ("sync", "async")}
    assert played == wanted


def test_every_scenario_has_a_name_of_its_own():
    """No two scenarios of a row are called the same, so that a table and a test id name one."""
    names = [str(each) for each in SCENARIOS]
    assert sorted(set(names)) == sorted(names)


def test_every_promise_is_a_sentence():
    """What is promised is said in a sentence, which ends."""
    assert [str(each) for each in SCENARIOS if not each.promise.endswith((".", "`"))] == []


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.decision], ids=lambda row: row.number)
def test_a_departure_has_its_page(row):
    """Where a row is not followed, the page that is named is there."""
    assert row.departs or row.left_out
    assert [page.name for page in DECISIONS.glob(f"{row.decision:04}-*.md")]
