"""The names that packages of Polyglot bring, installed or not, and the variables of their keys."""

from __future__ import annotations

import functools
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from polyglot_core import PolyglotError

__all__ = ["Known", "advice_for", "known", "missing_package"]

_FILE = Path(__file__).with_name("known_packages.toml")
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
def known() -> dict[str, Known]:
    """Return all names, from the file that ``docs/generate.py`` writes."""
    packages = tomllib.loads(_FILE.read_text("utf-8"))
    return {name: Known(name, package, var) for package, names in packages.items() for name, var in names.items()}


def missing_package(name: str) -> str:
    """Return the package that brings a name and is not installed; empty if there is none."""
    if (found := known().get(name)) is None:
        return ""
    try:
        metadata.distribution(found.package)
    except metadata.PackageNotFoundError:
        return found.package
    return ""


def advice_for(error: PolyglotError) -> str:
    """Return which package to install, if an error is about a name of one that is not installed; else no text."""
    found = _UNKNOWN.search(error.message)
    name = next(filter(None, found.groups()), "") if found else ""
    package = missing_package(name)
    return f"Install {package}, the package that brings {name!r}." if package else ""
