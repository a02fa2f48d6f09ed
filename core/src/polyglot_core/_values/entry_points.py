"""Entry points of the installed distributions. No module is imported for them."""

from __future__ import annotations

import logging
import os
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from polyglot_core._values.importing import import_module, import_target
from polyglot_core.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from importlib_metadata import Distribution
    from importlib_metadata import EntryPoint as EntryPoint  # noqa: PLC0414 (exported for annotations)

__all__ = ["claims", "entry_points", "is_allowed", "load", "modules", "normal"]

_log = logging.getLogger("polyglot_core.drivers")


def entry_points(group: str) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a group by name. Several distributions may register one name."""
    return _entry_points(group, tuple(sys.path))


@lru_cache(maxsize=8)
def _entry_points(group: str, _path: tuple[str, ...]) -> dict[str, list[EntryPoint]]:
    # Imported here: importlib_metadata takes longer to import than all of core, and a registered driver needs none.
    metadata: Any = import_module("importlib_metadata")
    by_name: dict[str, list[EntryPoint]] = {}
    for entry in metadata.entry_points(group=group):
        by_name.setdefault(entry.name, []).append(entry)
    return by_name


def claims(group: str, name: str) -> tuple[tuple[str, str, str], ...]:
    """Return distribution, version and target of each registration of `name` in a group, in order."""
    entries: list[Any] = entry_points(group).get(name, [])
    owned = [(_name_and_version(each.dist) if each.dist else ("?", "?"), each.value) for each in entries]
    return tuple(sorted({(owner, version, target) for (owner, version), target in owned}))


def normal(distribution: str) -> str:
    """Return the name of a distribution in the form in which two spellings of it are equal."""
    return re.sub("[-_.]+", "-", distribution).lower()


@lru_cache(maxsize=256)  # a file is read and parsed for it, which takes longer than all else that an inference needs
def _name_and_version(dist: Distribution) -> tuple[str, str]:
    metadata = dist.metadata
    return metadata["Name"], metadata["Version"]


def modules(group: str, purpose: str, package: str) -> list[Any]:
    """Import the modules of a group, by name: those of the distributions in the allow list, if there is one.

    Args:
        group: The group.
        purpose: What requires it, for the error.
        package: A distribution that registers such a module, for the error.

    Raises:
        ConfigError: No such distribution is installed, or none may be imported.
    """
    allowed = os.environ.get("POLYGLOT_DRIVERS")
    found = _modules(group, allowed)
    if not found:
        hint = "" if allowed is None else ", and name it in POLYGLOT_DRIVERS, which is set"
        msg = f"{purpose} requires the package {package}; install it (pip install {package}){hint}."
        raise ConfigError(msg, phase="configure")
    return found


@lru_cache(maxsize=8)
def _modules(group: str, allowed: str | None) -> list[Any]:
    entries = [entry for _, found in sorted(entry_points(group).items()) for entry in found]
    loaded = [load(entry, "package", needed=False) for entry in entries if _is_allowed(entry, allowed)]
    return [module for module in loaded if module is not None]


def load(entry: EntryPoint, kind: str, *, needed: bool) -> Any:  # noqa: ANN401 (whatever the entry point stands for)
    """Import and return what an entry point names; None for one that cannot be used and is not needed, which is logged.

    Raises:
        PluginError: It cannot be used, and is needed.
    """
    dist: Any = entry.dist
    origin = " ".join(_name_and_version(dist)) if dist else "an unknown distribution"
    try:
        return import_target(entry.value, f"{kind.capitalize()} {entry.name!r} of {origin}")
    except PluginError as error:
        if needed:
            raise
        _log.warning("%s", error.message)
        return None


def is_allowed(entry: EntryPoint) -> bool:
    """Return whether an entry point may be imported: there is no allow list, or its distribution is on it."""
    return _is_allowed(entry, os.environ.get("POLYGLOT_DRIVERS"))


def _is_allowed(entry: EntryPoint, allowed: str | None) -> bool:
    names = None if allowed is None else {normal(name.strip()) for name in allowed.split(",")}
    return names is None or (entry.dist is not None and normal(entry.dist.name) in names)
