"""Functions are small enough to be read at a glance, and drivers to be read in one go."""

from __future__ import annotations

import ast

import pytest

from .sizes import APART, CHECKOUT, code_lines, core_sizes, drivers, sizes

FILES = [*CHECKOUT.glob("core/src/**/*.py"), *CHECKOUT.glob("plugins/*/src/**/*.py")]
LINES = 60
LINES_OF_A_DRIVER = 1_350
LINES_OF_CORE = 12_550


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(CHECKOUT).as_posix())
def test_a_function_fits_on_a_page(file):
    """No function, its docstring included, is longer than 60 lines."""
    nodes = ast.walk(ast.parse(file.read_bytes()))
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [node.name for node in functions if node.end_lineno - node.lineno >= LINES] == []


def test_core_does_not_grow_unnoticed(capsys):
    """Core has a size, which is printed; decision 20 explains it, and what adds to it states why there."""
    core = core_sizes()
    with capsys.disabled():
        print(f"\ncore: {sum(core.values())} lines of code ({', '.join(f'{name} {core[name]}' for name in core)})")
    assert sum(core.values()) <= LINES_OF_CORE


@pytest.fixture(scope="module")
def measured():
    """The size of every driver, by its name."""
    return {size.driver: size for size in sizes()}


@pytest.mark.parametrize("driver", drivers())
def test_a_driver_is_small(measured, driver):
    """All modules of a driver, without rows of presets, are less than 1,350 lines of code: a dialect with everything that its turns contain, and embeddings."""
    assert 0 < measured[driver].lines < LINES_OF_A_DRIVER, measured[driver].modules


def test_every_driver_is_measured_with_all_that_it_needs(measured):
    """A driver that shares modules with another one of its package has them counted too."""
    by_name = {driver: size.modules for driver, size in measured.items()}
    assert list(by_name) == drivers()
    assert len(by_name) >= 10
    assert {"chat.driver", "chat.body", "chat.messages"} <= by_name["azure-openai"].keys()
    assert by_name["gemini"].keys() - {"gemini"} == by_name["vertex"].keys() - {"vertex"}
    assert not any(module in APART or "presets" in module for modules in by_name.values() for module in modules)


def test_lines_of_code_are_neither_docstrings_nor_comments(tmp_path):
    """Lines of a text that is a value count, and so does each line of a statement."""
    file = tmp_path / "garden.py"
    file.write_text(
        '"""Says\n\nmuch."""\n\n# a comment\nROSE = """a\nb"""\n"""What it is."""\n\n\ndef f():  # two\n    return (\n        1)\n'
    )
    assert code_lines(file) == 5
