"""Functions are small enough to be read at a glance."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
FILES = [*CHECKOUT.glob("core/src/**/*.py"), *CHECKOUT.glob("plugins/*/src/**/*.py")]
LINES = 60


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(CHECKOUT).as_posix())
def test_a_function_fits_on_a_page(file):
    """No function, its docstring included, is longer than 60 lines."""
    nodes = ast.walk(ast.parse(file.read_bytes()))
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [node.name for node in functions if node.end_lineno - node.lineno >= LINES] == []
