"""The commands that install packages from a checkout are complete: pip finds none of the project's on the index."""

from __future__ import annotations

import re
import tomllib

import pytest

from .pages import CHECKOUT, PACKAGES, PAGES, named

_COMMAND = re.compile(r"\bpip install[^`\n]*?(?:\\\n[^`\n]*?)*(?=\s+#|`|\n)")
_PACKAGE = re.compile(r"\./((?:core|plugins/[a-z0-9]+))(?:\[([a-z0-9,]+)\])?")


def projects():
    """Return the metadata of each package of the project by its folder."""
    files = {folder.relative_to(CHECKOUT).as_posix(): folder / "pyproject.toml" for folder in PACKAGES}
    return {folder: tomllib.loads(file.read_text("utf-8"))["project"] for folder, file in files.items()}


def missing(command):
    """Return the packages of the project that those of a command require, and that it does not install."""
    known = projects()
    by_name = {project["name"]: folder for folder, project in known.items()}
    packages = dict(_PACKAGE.findall(command))
    needed = {"core"}
    for folder, extras in packages.items():
        extra = known[folder].get("optional-dependencies", {})
        lines = [*known[folder]["dependencies"], *(line for name in extras.split(",") for line in extra.get(name, ()))]
        needed |= {by_name[name] for line in lines if (name := re.split(r"[\[<>=~! ;]", line)[0]) in by_name}
    return needed - packages.keys()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_an_installation_names_every_package_that_it_needs(page):
    """Each command installs core and the packages that the others require."""
    commands = [command for command in _COMMAND.findall(page.read_text("utf-8")) if _PACKAGE.search(command)]
    assert {command: missing(command) for command in commands if missing(command)} == {}


def test_a_missing_package_is_found():
    """The packages of an extra are required too."""
    assert missing("pip install ./core './plugins/testkit[command]'") == {"plugins/cli"}
    assert missing("pip install ./core ./plugins/cli") == {"plugins/openai", "plugins/simulator"}
    assert missing("pip install ./core ./plugins/openai ./plugins/simulator './plugins/cli[chat]'") == set()
