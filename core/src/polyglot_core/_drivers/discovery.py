"""Finds drivers and presets by the metadata of installed distributions, and imports them when they are used.

A name may begin with a distribution, as in ``polyglot-acme:acme``. It has to if several distributions register it: none
of them takes precedence, so that no package can take a name from another.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from polyglot_core._drivers.bound import Driver
from polyglot_core._values.connection import Preset
from polyglot_core._values.descriptors import no_descriptor
from polyglot_core._values.entry_points import claims, entry_points, normal
from polyglot_core._values.importing import import_plugin, import_target
from polyglot_core._values.suggest import suggestion
from polyglot_core.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from types import ModuleType
    from typing import Self


__all__ = [
    "DRIVERS",
    "PRESETS",
    "RegisteredName",
    "Registration",
    "find_defaults",
    "find_drivers",
    "find_observers",
    "find_presets",
    "has_driver",
    "is_left_out",
    "load_driver",
    "load_observer",
    "load_preset",
    "register",
    "registered_drivers",
]

DRIVERS = "polyglot.drivers"
"""Entry-point group: driver name → module with the hooks."""

PRESETS = "polyglot.presets"
"""Entry-point group: preset name → data-only module with a dict ``PRESETS`` of `Preset` rows."""

DEFAULTS = "polyglot.defaults"
"""Entry-point group: names of presets that can be the default connection, if their key is set. The target of an entry
point is ignored."""

OBSERVERS = "polyglot.observers"
"""Entry-point group: observer name → ``module:function``, which is called with the events of every call."""

_ALLOW_LIST = "POLYGLOT_DRIVERS"


class RegisteredName(NamedTuple):
    """A name in an entry-point group and the distribution that registers it. No module is imported for it.

    Attributes:
        name: Name of the driver or preset, without the distribution.
        target: Module that the entry point names.
        distribution: Distribution that registers the name.
        version: Version of the distribution.
        rivals: Other distributions that register the same name, with their versions.
    """

    name: str
    target: str
    distribution: str
    version: str
    rivals: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """Return the distribution with its version."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def qualified(self) -> str:
        """Return the name with its distribution."""
        return f"{self.distribution}:{self.name}"

    @property
    def usable(self) -> str:
        """Return the name that connections use: the qualified one if there are rivals."""
        return self.qualified if self.rivals else self.name


_log = logging.getLogger("polyglot_core.drivers")


# In process

_registered: dict[str, Driver] = {}
_lock = threading.Lock()


class Registration:
    """A driver registered in this process, until `close` or the end of its ``with`` block."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def close(self) -> None:
        """Unregister the driver. A driver that was registered later under the same name is kept."""
        with _lock:
            if _registered.get(self._driver.name) is self._driver:
                del _registered[self._driver.name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def register(module: object, name: str) -> Registration:
    """Register a driver in this process, without a package. The returned context manager unregisters it.

    Args:
        module: Module or object whose functions are marked with `hookimpl`.
        name: Name by which connections refer to it. It takes precedence over an installed driver of the same name.

    Raises:
        PluginError: The module violates the contract.
        ConfigError: A driver is already registered under this name.
    """
    driver = Driver(name, module)
    with _lock:
        if name in _registered:
            msg = f"A driver is already registered as {name!r}; close its registration first, or choose another name."
            raise ConfigError(msg, phase="configure")
        _registered[name] = driver
    return Registration(driver)


# Installed


def _find(group: str, name: str, *, allowed: bool = True) -> list[RegisteredName]:
    """Return the registrations of one name. To read every distribution's name would take a hundred times as long.

    Args:
        group: The entry-point group.
        name: The name, with or without its distribution.
        allowed: Whether to leave out those that the allow list excludes.
    """
    owner, _, bare = name.rpartition(":")
    try:
        found = claims(group, bare) if bare in entry_points(group) else ()
    except OSError as error:  # of the files that describe the distributions
        if ours := no_descriptor(error):
            raise ours from error
        raise
    found = tuple(each for each in found if not allowed or _allowed(group, bare, each[0]))
    return [
        RegisteredName(bare, each[2], *each[:2], tuple(" ".join(other[:2]) for other in found if other != each))
        for each in found
        if not owner or normal(owner) == normal(each[0])
    ]


def _find_one(group: str, name: str, kind: str) -> RegisteredName | None:
    """Return the only registration of a name, or the one of its distribution; None if there is none.

    Raises:
        ConfigError: Several distributions register the name.
    """
    found = _find(group, name)
    if len(found) < 2:
        return found[0] if found else None
    lines = " or ".join(f'{kind} = "{each.qualified}"' for each in found)
    chosen = " or ".join(f'{name} = "{each.distribution}"' for each in found)
    msg = (
        f"The {kind} name {name!r} is registered by {' and '.join(each.origin for each in found)}. Select one in the "
        f"connection: {lines}; or for all connections, in the table [packages] of the configuration file: {chosen}."
    )
    raise ConfigError(msg, phase="configure")


def _find_all(group: str) -> dict[str, RegisteredName]:
    return {each.usable: each for name in sorted(entry_points(group)) for each in _find(group, name)}


def _allowed(group: str, name: str, distribution: str) -> bool:
    """Return whether the allow list has a registration: by its name, by its distribution, or by both.

    The allow list keeps all code of a package out of the process. So a preset is allowed if its distribution is, or a
    driver of that; its own name is not enough.
    """
    if (allowed := os.environ.get(_ALLOW_LIST)) is None:
        return True
    words = {each.strip() for each in allowed.split(",")}
    if {normal(distribution), normal(f"{distribution}:{name}")} & set(map(normal, words)):
        return True
    if group != PRESETS:
        return name in words
    return any(
        _allowed(DRIVERS, each, distribution) for each in entry_points(DRIVERS) if _is_of(DRIVERS, each, distribution)
    )


def _is_of(group: str, name: str, distribution: str) -> bool:
    return any(owner == distribution for owner, _, _ in claims(group, name))


def find_drivers() -> dict[str, RegisteredName]:
    """Return the installed drivers by the names that connections use, without importing any.

    Those not in ``POLYGLOT_DRIVERS`` are omitted.
    """
    return _find_all(DRIVERS)


def find_presets() -> dict[str, RegisteredName]:
    """Return the installed presets by the names that connections use, without importing any.

    Those of packages that are excluded are omitted.
    """
    return _find_all(PRESETS)


def find_defaults() -> list[str]:
    """Return the names of the presets that can be the default connection.

    Of several presets with one name, it is the one whose own distribution offers it.
    """
    found = [each for name in sorted(entry_points(DEFAULTS)) for each in _find(PRESETS, name)]
    return [each.usable for each in found if not each.rivals or _is_of(DEFAULTS, each.name, each.distribution)]


def has_driver(name: str) -> bool:
    """Return True if there is a driver of this name, registered or installed. Nothing is imported."""
    return name in _registered or bool(_find(DRIVERS, name))


def is_left_out(name: str) -> bool:
    """Return True if there is an installed driver or preset of this name that ``POLYGLOT_DRIVERS`` excludes."""
    return any(_find(group, name, allowed=False) and not _find(group, name) for group in (DRIVERS, PRESETS))


def registered_drivers() -> tuple[str, ...]:
    """Return the names of the drivers that are registered in process."""
    return tuple(sorted(_registered))


_loaded: dict[RegisteredName, Driver] = {}


def load_driver(name: str) -> Driver | None:
    """Import the driver of this name and return it; None if there is none. No other driver is imported.

    Raises:
        PluginError: The module cannot be imported, or violates the contract.
        ConfigError: Several distributions register the name.
    """
    if name in _registered:
        return _registered[name]
    found = _find_one(DRIVERS, name, "driver")
    if found is None:
        return None
    if found not in _loaded:
        module = _import(found, "driver")
        _loaded[found] = Driver(found.name, module, found.distribution, found.version)
    return _loaded[found]


def load_preset(name: str) -> Preset | None:
    """Import the module of the preset of this name and return the preset; None if there is none.

    Its driver is the one of its own distribution if several distributions register the driver's name.

    Raises:
        PluginError: The module cannot be imported, or has no such row.
        ConfigError: Several distributions register the name.
    """
    found = _find_one(PRESETS, name, "preset")
    if found is None:
        return None
    rows = getattr(_import(found, "preset"), "PRESETS", {})
    row = rows.get(found.name)
    if not isinstance(row, Preset):
        msg = (
            f"Preset {found.name!r} of {found.origin} has no row in PRESETS of {found.target}"
            f"{suggestion(found.name, rows)}. Report this to {found.distribution}."
        )
        raise PluginError(msg, phase="configure")
    own = [
        each.qualified for each in _find(DRIVERS, row.driver) if each.rivals and each.distribution == found.distribution
    ]
    return replace(row, driver=own[0]) if own and row.driver not in _registered else row


def find_observers() -> list[str]:
    """Return the names of the installed observers, without those that the allow list excludes."""
    return list(_find_all(OBSERVERS))


def load_observer(name: str) -> Any:  # noqa: ANN401 (whatever the name stands for)
    """Import and return an installed observer, or a function that is named as ``module:function``.

    Raises:
        PluginError: There is none of this name, or the module cannot be imported.
        ConfigError: Several distributions register the name.
    """
    found = _find_one(OBSERVERS, name, "observer") or RegisteredName(name, name, "the configuration", "")
    _log.debug("The observer %r is imported from %s, %s.", found.name, found.target, found.origin)
    return import_target(found.target, f"Observer {found.name!r} of {found.origin}")


def _import(found: RegisteredName, kind: str) -> ModuleType:
    _log.debug("The %s %r is imported from %s, %s.", kind, found.name, found.target, found.origin)
    return import_plugin(found.target.strip(), f"{kind.capitalize()} {found.name!r} of {found.origin}")
