"""Every requirement is kept by tests that are there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from .matrix import SCENARIOS
from .requirements import REQUIREMENTS

CHECKOUT = Path(__file__).parents[2]
PLAYED = {f"{each.row}/{each.part}" for each in SCENARIOS}
KEPT = [each for each in REQUIREMENTS if each.left_out is None]


@cache
def names_in(file):
    """Names of the tests in a file; none if it is not there."""
    if not (CHECKOUT / file).exists():
        return frozenset()
    nodes = ast.walk(ast.parse((CHECKOUT / file).read_bytes()))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_there(reference):
    """Whether a test or a scenario is there under this name."""
    file, separator, name = reference.partition("::")
    return name in names_in(file) if separator else reference in PLAYED


def test_every_requirement_has_a_line():
    """There are 67 requirements, in order."""
    assert [each.name for each in REQUIREMENTS] == [f"R{number}" for number in range(1, 68)]


@pytest.mark.parametrize("requirement", KEPT, ids=lambda each: each.name)
def test_a_requirement_is_pinned_by_tests_that_are_there(requirement):
    """What is kept of a requirement is said in a sentence, and each test that pins it can be found."""
    assert requirement.keeps.endswith(".")
    assert requirement.tests
    assert [reference for reference in requirement.tests if not is_there(reference)] == []


def test_what_is_left_out_says_why():
    """A requirement without a test has a reason, and is not said to be kept."""
    for requirement in REQUIREMENTS:
        assert bool(requirement.tests) != bool(requirement.left_out)


def test_a_test_that_is_not_there_is_missed():
    """A name that no test has is not found, whatever it looks like."""
    assert not is_there("tests/faults/test_requirements.py::test_that_nobody_wrote")
    assert not is_there("tests/nowhere/test_nothing.py::test_every_requirement_has_a_line")
    assert not is_there("99/nothing")
    assert is_there("tests/faults/test_requirements.py::test_every_requirement_has_a_line")
