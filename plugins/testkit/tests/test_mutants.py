"""The exam names wrong drivers: each mutant by a check, most of them with the recording that a new driver begins with."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

from polyglot_testkit import check_driver, reference

from . import mutants
from .reference_recordings import PAGES, RECORDINGS, REQUEST, SINGLE

ROW = re.compile(r"\| (.+) \| (.+) \| (yes|no) \|")
TABLE = {
    match[1]: (match[2].split(", "), match[3] == "yes")
    for line in (Path(__file__).parent / "caught.md").read_text("utf-8").splitlines()
    if (match := ROW.fullmatch(line))
}


@functools.cache
def caught(name):
    return mutants.caught(name)


def test_the_table_has_every_mutant():
    """`python -m plugins.testkit.tests.mutants > plugins/testkit/tests/caught.md` writes it."""
    assert list(TABLE) == list(mutants.MUTANTS)


@pytest.mark.parametrize("name", mutants.MUTANTS, ids=lambda name: name.replace(" ", "-"))
def test_mutant_is_named(name):
    """The first check of the table fails for it, with the recordings that the table states."""
    checks, single = TABLE[name]
    found = caught(name)
    assert checks[0] in found.checks
    assert found.single is single


def test_enough_mutants_are_named():
    """Nearly all are named with all recordings, and most of them with a single one."""
    assert len(TABLE) >= 100
    assert all(checks != ["**none**"] for checks, _ in TABLE.values())
    assert sum(single for _, single in TABLE.values()) >= 90


@pytest.mark.parametrize(("recordings", "pages"), [(RECORDINGS, PAGES), (SINGLE, ()), ((), ())])
def test_the_reference_driver_passes(recordings, pages):
    """The driver that the mutants are made of is sound, whatever recordings there are."""
    report = check_driver(reference, recordings, connection=mutants.CONNECTION, requests=[REQUEST], models=pages)
    assert set(report.hooks) == set(mutants.HOOKS)
    if recordings == RECORDINGS:
        assert report.skipped == (
            "details can be read",
            "follow up requests receive the response",
            "work is cancelled by what identifies it",
        )
        assert report.thin == {}
        assert set(report.hooks.values()) == {"run"}
