"""The driver of the tutorial for authors passes its tests. `tests/packaging` runs every command of the page."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

import pytest

from polyglot_testkit.scaffold import new_driver

from .pages import DOCS, blocks
from .steps import TUTORIAL, Command, File, steps


def installed(folder):
    """Write the metadata of a package beside its source, as an installation does; return the path for imports."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    metadata = folder / "src" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    heading = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(heading, "utf-8")
    groups = project["entry-points"].items()
    lines = [line for group, names in groups for line in (f"[{group}]", *(f"{n} = {m}" for n, m in names.items()))]
    (metadata / "entry_points.txt").write_text("\n".join(lines), "utf-8")
    return folder / "src"


@pytest.fixture
def package(tmp_path):
    """Write a new package, with the files of the tutorial in it."""
    folder = new_driver("lantern", tmp_path)
    for recording in (folder / "tests" / "recordings").iterdir():
        recording.unlink()
    for step in steps():
        if isinstance(step, File):
            step.write(folder)
    return folder


def test_driver_of_the_tutorial_passes_its_tests(package):
    """The exam and the tests over sockets pass, as the page shows."""
    variables = {**os.environ, "PYTHONPATH": str(installed(package)), "HOME": str(package)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    run = subprocess.run(command, cwd=package, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    shown = [step for step in steps() if isinstance(step, Command) and step.line == "python -m pytest -q | tail -n 1"]
    assert shown[-2].prints(run.stdout.splitlines()[-1]), run.stdout  # the last one is of the package with a row


def test_every_step_is_run():
    """The page has no block but those of its steps."""
    count = TUTORIAL.read_text("utf-8").count("\n```") // 2
    kinds = ("python", "json", "toml", "text", "console")
    assert sum(len(blocks(TUTORIAL, kind, "tutorial")) for kind in kinds) == count - len(
        blocks(TUTORIAL, "text", "figures")
    )
    assert TUTORIAL.parent == DOCS


@pytest.mark.parametrize(
    ("wanted", "text", "expected"),
    [
        ((), "", True),
        ((), "x\n", False),
        (("1 passed in …s",), "1   passed in 0.3s\n", True),
        (("1 passed in …s",), "2 passed in 0.3s\n", False),
        (("a", "b"), "a\n", False),
        (("a.c",), "abc\n", False),
    ],
)
def test_output_is_compared(wanted, text, expected):
    """Lines have to be equal, but for white space and what an ellipsis stands for."""
    assert Command("true", wanted, 1).prints(text) is expected
