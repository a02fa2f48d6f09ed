"""The rules for names of new packages, and the names that are taken."""

from __future__ import annotations

import difflib
import keyword
import re
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points

from polyglot_core.errors import ConfigError

__all__ = ["DRIVERS", "LONGEST_NAME", "check_name", "driver_requirement"]

DRIVERS = "polyglot.drivers"

_GROUPS = {DRIVERS: "driver", "polyglot.presets": "preset", "polyglot.dialects": "simulated dialect"}
"""Entry-point groups with names that a new package must not claim, and what each name stands for."""

LONGEST_NAME = 40
"""Characters of the longest name. Lines of the templates keep to their limit with it."""

_VALID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_PREFIX = "polyglot-"


def check_name(name: str) -> None:
    """Check that a name is valid and not taken by an installed package.

    Raises:
        ConfigError: It is not.
    """
    if not _VALID.fullmatch(name):
        raise _error(
            f"The name {name!r:.100} is invalid: a name has lower-case letters, digits and single hyphens, and begins "
            f"with a letter{_meant(name)}"
        )
    if len(name) > LONGEST_NAME:
        raise _error(f"The name {name!r:.100} has {len(name)} characters; {LONGEST_NAME} are allowed. Shorten it.")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise _error(f"The name {name!r} is a keyword of Python; choose another, such as '{name}-api'.")
    if name.startswith(_PREFIX):
        short = name.removeprefix(_PREFIX)
        raise _error(f"The name {name!r} would make the package {_PREFIX}{name}; use the name {short!r}.")
    _check_is_free(name)


def _meant(name: str) -> str:
    """Return the end of the sentence: the valid name that is nearest, if there is one."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    near = "-".join(words[1:] if words[:1] == ["polyglot"] else words)
    return f" (did you mean {near!r}?)." if _VALID.fullmatch(near) else "."


def _check_is_free(name: str) -> None:
    for group, what in _GROUPS.items():
        for entry in entry_points(group=group, name=name):
            raise _error(
                f"The name {name!r} is taken: it is a {what} of {_owner(entry)}. Choose another name, or uninstall "
                f"that package."
            )
    try:
        version = distribution(f"{_PREFIX}{name}").version
    except PackageNotFoundError:
        return
    raise _error(
        f"The name {name!r} is taken: {_PREFIX}{name} {version} is installed. Choose another name, or uninstall that "
        f"package."
    )


def driver_requirement(driver: str) -> str:
    """Return the requirement of the package that provides a driver, such as ``polyglot-openai>=1.0``.

    Raises:
        ConfigError: No installed package provides it, or several do.
    """
    found = [entry.dist for entry in entry_points(group=DRIVERS, name=driver) if entry.dist is not None]
    if not found:
        raise _error(_no_driver(driver))
    owners = sorted({each.name for each in found})
    if len(owners) > 1:
        raise _error(f"The driver {driver!r} is provided by {' and by '.join(owners)}; uninstall one of them.")
    return f"{found[0].name}>={found[0].version.partition('+')[0]}"


def _no_driver(driver: str) -> str:
    known = sorted({entry.name for entry in entry_points(group=DRIVERS)})
    near = difflib.get_close_matches(driver, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    listed = f"Installed drivers: {', '.join(known)}" if known else "No driver is installed"
    return f"There is no driver {driver!r:.100}{hint}. {listed}. Install the package of the driver first."


def _owner(entry: EntryPoint) -> str:
    return "an unknown package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def _error(message: str) -> ConfigError:
    return ConfigError(message, phase="configure")
