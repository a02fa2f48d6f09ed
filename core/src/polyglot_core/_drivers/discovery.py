"""Finds drivers and presets by the metadata of installed distributions, and imports them when they are used."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from polyglot_core._drivers.bound import Driver
from polyglot_core._values.connection import Preset
from polyglot_core._values.descriptors import no_descriptor
from polyglot_core._values.entry_points import entry_points, owners
from polyglot_core._values.importing import import_module
from polyglot_core.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Self

    from polyglot_core._values.entry_points import EntryPoint


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
        name: Name of the driver or preset.
        target: Module that the entry point names.
        distribution: Distribution that registers the name.
        version: Version of the distribution.
        rivals: Other distributions that register the same name. If there are any, the name cannot be used.
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


def _found(group: str, name: str, entries: Sequence[EntryPoint]) -> RegisteredName:
    (distribution, version), *others = owners(group, name)
    rivals = tuple(f"{rival} {its_version}" for rival, its_version in others)
    return RegisteredName(name, entries[0].value, distribution, version, rivals)


def _find(group: str, name: str) -> RegisteredName | None:
    """Return the registration of one name. To read every distribution's name would take a hundred times as long."""
    try:
        entries = entry_points(group).get(name)
        return None if entries is None else _found(group, name, entries)
    except OSError as error:  # of the files that describe the distributions
        if ours := no_descriptor(error):
            raise ours from error
        raise


def _allow_list() -> frozenset[str] | None:
    allowed = os.environ.get(_ALLOW_LIST)
    return None if allowed is None else frozenset(each.strip() for each in allowed.split(","))


def _allowed(name: str, group: str = DRIVERS) -> bool:
    """Return whether the allow list has a driver or an observer, by its name or by its distribution's."""
    allowed = _allow_list()
    return allowed is None or name in allowed or not allowed.isdisjoint(_owners(group, name))


def _owners(group: str, name: str) -> set[str]:
    return {owner for owner, _ in owners(group, name)}


def _allowed_preset(name: str) -> bool:
    """Return whether a preset's module may be imported: its distribution is allowed, or a driver of that is.

    The allow list keeps all code of a package out of the process, not its drivers alone.
    """
    allowed = _allow_list()
    if allowed is None:
        return True
    drivers = {owner for driver in entry_points(DRIVERS) if driver in allowed for owner in _owners(DRIVERS, driver)}
    return _owners(PRESETS, name) <= drivers | allowed


def find_drivers() -> dict[str, RegisteredName]:
    """Return the installed drivers by name, without importing any. Those not in ``POLYGLOT_DRIVERS`` are omitted."""
    claims = entry_points(DRIVERS)
    return {name: _found(DRIVERS, name, claims[name]) for name in sorted(claims) if _allowed(name)}


def find_presets() -> dict[str, RegisteredName]:
    """Return the installed presets by name, without importing any. Those of packages that are excluded are omitted."""
    claims = entry_points(PRESETS)
    return {name: _found(PRESETS, name, claims[name]) for name in sorted(claims) if _allowed_preset(name)}


def find_defaults() -> list[str]:
    """Return the names of the presets that can be the default connection."""
    return sorted(filter(_allowed_preset, entry_points(DEFAULTS)))


def has_driver(name: str) -> bool:
    """Return True if there is a driver of this name, registered or installed. Nothing is imported."""
    return name in _registered or (_allowed(name) and _find(DRIVERS, name) is not None)


def is_left_out(name: str) -> bool:
    """Return True if there is an installed driver or preset of this name that ``POLYGLOT_DRIVERS`` excludes."""
    driver = not _allowed(name) and _find(DRIVERS, name) is not None
    return driver or (not _allowed_preset(name) and _find(PRESETS, name) is not None)


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
    found = _find(DRIVERS, name) if _allowed(name) else None
    if found is None:
        return None
    if found not in _loaded:
        module = _import(found, "driver")
        _loaded[found] = Driver(name, module, found.distribution, found.version)
    return _loaded[found]


def load_preset(name: str) -> Preset | None:
    """Import the module of the preset of this name and return the preset; None if there is none.

    Raises:
        PluginError: The module cannot be imported, or has no such row.
        ConfigError: Several distributions register the name.
    """
    found = _find(PRESETS, name) if _allowed_preset(name) else None
    if found is None:
        return None
    row = getattr(_import(found, "preset"), "PRESETS", {}).get(name)
    if not isinstance(row, Preset):
        msg = (
            f"Preset {name!r} of {found.origin} has no row in PRESETS of {found.target}. "
            f"Report this to {found.distribution}."
        )
        raise PluginError(msg, phase="configure")
    return row


def find_observers() -> list[str]:
    """Return the names of the installed observers, without those that the allow list excludes."""
    return sorted(name for name in entry_points(OBSERVERS) if _allowed(name, OBSERVERS))


def load_observer(name: str) -> Any:  # noqa: ANN401 (whatever the name stands for)
    """Import and return an installed observer, or a function that is named as ``module:function``.

    Raises:
        PluginError: There is none of this name, or the module cannot be imported.
    """
    installed = _find(OBSERVERS, name) if name in find_observers() else None
    found = installed or RegisteredName(name, name, "the configuration", "")
    return getattr(_import(found, "observer"), found.target.partition(":")[2].strip(), None)


def _import(found: RegisteredName, kind: str) -> ModuleType:
    if found.rivals:
        claimed = " and ".join((found.origin, *found.rivals))
        msg = f"The {kind} name {found.name!r} is registered by {claimed}; uninstall one of them."
        raise ConfigError(msg, phase="configure")
    _log.debug("The %s %r is imported from %s, %s.", kind, found.name, found.target, found.origin)
    try:
        return import_module(found.target.partition(":")[0].strip())
    except Exception as error:
        if isinstance(error, OSError) and (ours := no_descriptor(error)):
            raise ours from error
        why = f"{type(error).__name__}: {error}"
        msg = f"{kind.capitalize()} {found.name!r} of {found.origin} could not be imported: {why}"
        raise PluginError(msg, phase="configure") from error
