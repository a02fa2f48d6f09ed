"""Every requirement is pinned by existing tests."""

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
    """Return the names of the tests in a file; none if there is no such file."""
    if not (CHECKOUT / file).exists():
        return frozenset()
    nodes = ast.walk(ast.parse((CHECKOUT / file).read_bytes()))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_there(reference):
    """Return whether a test or a scenario of this name exists."""
    file, separator, name = reference.partition("::")
    return name in names_in(file) if separator else reference in PLAYED


def test_requirements_are_complete():
    """Check that there are 67 requirements, in order."""
    assert [each.name for each in REQUIREMENTS] == [f"R{number}" for number in range(1, 68)]


@pytest.mark.parametrize("requirement", KEPT, ids=lambda each: each.name)
def test_tests_of_requirement_exist(requirement):
    """Check that a requirement has a sentence and that each of its tests exists."""
    assert requirement.keeps.endswith(".")
    assert requirement.tests
    assert [reference for reference in requirement.tests if not is_there(reference)] == []


def test_left_out_requirement_has_reason():
    """Check that a requirement without a test has a reason and no `keeps`."""
    for requirement in REQUIREMENTS:
        assert bool(requirement.tests) != bool(requirement.left_out)


def test_missing_test_is_detected():
    """Check that a name of no test is not found."""
    assert not is_there("tests/faults/test_requirements.py::test_that_nobody_wrote")
    assert not is_there("tests/nowhere/test_nothing.py::test_requirements_are_complete")
    assert not is_there("99/nothing")
    assert is_there("tests/faults/test_requirements.py::test_requirements_are_complete")
