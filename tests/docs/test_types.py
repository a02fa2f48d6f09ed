"""The examples of the pages are correct for type checkers, in one run of each checker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

import pytest

from .pages import CHECKOUT, blocks, named, with_blocks

pytestmark = pytest.mark.types


UNTYPED = {"docs/cookbook/django.md"}
"""Pages whose framework has no types."""

INFERRED = """
from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from polyglot_core import AsyncInference, Inference, JSONSchema
from polyglot_simulator import Reply, Simulator, Status


class City:
    name: str


class Country:
    cities: list[City]


inference, asynchronous = Inference.using("openai"), AsyncInference.using("openai")
cities = inference.create("Hi", response_format=list[City])
assert_type(cities.response().data, list[City])
assert_type(cities.stream().elements(), Iterator[City])
assert_type(inference.stream("Hi", response_format=list[City]).elements(), Iterator[City])
assert_type(asynchronous.stream("Hi", response_format=list[City]).elements(), AsyncIterator[City])
assert_type(inference.stream("Hi", response_format=Country).elements("cities"), Iterator[Any])
assert_type(inference.stream("Hi", response_format=JSONSchema({})).elements(), Iterator[Any])

replies: list[Reply] = [Reply("Hi")]
Simulator(replies, fault=Status(429, headers=[("retry-after", "1")]))
"""
"""What type checkers infer from a response format."""


def program(found):
    """Return blocks at their own lines, so that the messages of a checker have the lines of the page."""
    lines = []
    for block in found:
        lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    return "\n".join([*lines, ""])


def module_of(page):
    """Return a name for the module of a page."""
    return re.sub(r"\W", "_", named(page))


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Write the examples of each page as a module, and each file of tests, at their own lines of the page."""
    folder = tmp_path_factory.mktemp("pages")
    for page in (page for page in with_blocks("python") if named(page) not in UNTYPED):
        (folder / f"{module_of(page)}.py").write_text(program(blocks(page, "python")), "utf-8")
    for page in with_blocks("python", "test"):
        for block in blocks(page, "python", "test"):
            (folder / f"test_{module_of(page)}_{block.line}.py").write_text(program([block]), "utf-8")
    (folder / "inferred.py").write_text(INFERRED, "utf-8")
    return folder


def check(*command):
    """Run a checker, and fail with the errors that it prints."""
    run = subprocess.run(
        [sys.executable, "-m", *command], cwd=CHECKOUT, capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    if run.returncode:
        pytest.fail(run.stdout + run.stderr, pytrace=False)


def test_the_examples_pass_mypy(programs):
    """All pages pass mypy with the settings of the project, which are strict."""
    check("mypy", "--config-file", "pyproject.toml", *map(str, sorted(programs.glob("*.py"))))


def test_the_examples_pass_pyright(programs):
    """All pages pass pyright with the settings of the project, which are strict."""
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["tool"]["pyright"]
    paths = [str(CHECKOUT / path) for path in settings["extraPaths"]]
    settings |= {"include": ["."], "extraPaths": paths, "reportPossiblyUnboundVariable": False}  # of a loop, after it
    (programs / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    check("pyright", "--project", str(programs), "--pythonpath", sys.executable)
