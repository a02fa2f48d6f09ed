"""The names and subcommands that packages of Polyglot bring, installed or not, and the variables of their keys."""

from __future__ import annotations

import functools
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from polyglot_core import PolyglotError

__all__ = ["Known", "advice_for", "known", "missing_package", "package_of_command"]

_FILE = Path(__file__).with_name("known_packages.toml")
_COMMANDS = "commands"
_UNKNOWN = re.compile(r"Nothing is called '([^'/]+)|names the (?:driver|preset) '([^']+)', which is not installed")


class Known(NamedTuple):
    """A preset or a driver of a package.

    Attributes:
        name: The name that connections use.
        package: Name of the distribution.
        variable: Environment variable of the key; empty if none is usual.
    """

    name: str
    package: str
    variable: str


@functools.cache
def _listed() -> dict[str, dict[str, str]]:
    """Return what is in the file that ``docs/generate.py`` writes."""
    return tomllib.loads(_FILE.read_text("utf-8"))


def known() -> dict[str, Known]:
    """Return all names of presets and drivers."""
    packages = {package: names for package, names in _listed().items() if package != _COMMANDS}
    return {name: Known(name, package, var) for package, names in packages.items() for name, var in names.items()}


def package_of_command(name: str) -> str:
    """Return the package that brings a subcommand and is not installed; empty if there is none."""
    package = _listed()[_COMMANDS].get(name, "")
    return package if package and not _is_installed(package) else ""


def missing_package(name: str) -> str:
    """Return the package that brings a name and is not installed; empty if there is none."""
    found = known().get(name)
    return found.package if found is not None and not _is_installed(found.package) else ""


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def advice_for(error: PolyglotError) -> str:
    """Return which package to install, if an error is about a name of one that is not installed; else no text."""
    found = _UNKNOWN.search(error.message)
    name = next(filter(None, found.groups()), "") if found else ""
    package = missing_package(name)
    return f"Install {package}, the package that brings {name!r}." if package else ""
