"""Every row of the fault matrix keeps its promises, sync and async, on real sockets; `python -m tests.faults` prints it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from .matrix import ROWS, SCENARIOS
from .stage import differences

pytestmark = pytest.mark.http

DECISIONS = Path(__file__).parents[2] / "docs" / "decisions"
CASES = [pytest.param(each, style, id=f"{each.row}-{each.part}-{style}") for each in SCENARIOS for style in each.styles]
WITH_CERTIFICATES = {3, 27}
LINUX_ALONE = {5: "elsewhere a full queue answers", 57: "elsewhere the options have other names"}
PARTS_WITH_CERTIFICATES = {(4, "plain to a TLS port")}


@pytest.mark.parametrize(("scenario", "style"), CASES)
def test_scenario_keeps_its_promise(scenario, style):
    """Check the error, the partial response, the retries and the closed sockets of a scenario, and that no key is exposed."""
    if needs_certificates(scenario) and importlib.util.find_spec("trustme") is None:
        pytest.skip("trustme, which makes certificates, is not installed")
    if scenario.row in LINUX_ALONE and sys.platform != "linux":
        pytest.skip(LINUX_ALONE[scenario.row])
    assert not differences(scenario, style), scenario.promise


def needs_certificates(scenario):
    """Return whether a server of the scenario uses TLS."""
    return scenario.row in WITH_CERTIFICATES or (scenario.row, scenario.part) in PARTS_WITH_CERTIFICATES


def test_every_row_has_scenarios_or_reason():
    """Check that there are 80 rows, each with scenarios in both styles or a reason for having none."""
    assert list(ROWS) == list(range(1, 81))
    played = {(each.row, style) for each in SCENARIOS for style in each.styles}
    wanted = {(row.number, style) for row in ROWS.values() if not row.left_out for style in ("sync", "async")}
    assert played == wanted


def test_scenario_names_are_unique():
    """Check that the scenarios of a row have unique names, for tables and test ids."""
    names = [str(each) for each in SCENARIOS]
    assert sorted(set(names)) == sorted(names)


def test_promises_are_sentences():
    """Check that each promise is a complete sentence."""
    assert [str(each) for each in SCENARIOS if not each.promise.endswith((".", "`"))] == []


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.decision], ids=lambda row: row.number)
def test_departures_have_decision_pages(row):
    """Check that the decision page of each departure exists."""
    assert row.departs or row.left_out
    assert [page.name for page in DECISIONS.glob(f"{row.decision:04}-*.md")]
