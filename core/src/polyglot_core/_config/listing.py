"""What there is, for people to read: the drivers, and every name that `Inference.using` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from polyglot_core._config.config_file import read_settings
from polyglot_core._config.resolve import driver_problem, meant, named
from polyglot_core._drivers import discovery
from polyglot_core.errors import ConfigError, PluginError

if TYPE_CHECKING:
    import os

    from polyglot_core._config.config_file import Settings
    from polyglot_core._values.connection import Connection

__all__ = ["ConnectionInfo", "DriverInfo", "connections", "drivers"]


class DriverInfo(NamedTuple):
    """A driver that is installed or registered, for people to read.

    Attributes:
        name: The name that connections use.
        distribution: Distribution that it comes from; empty for one registered in process.
        version: Version of the distribution.
        usable: Whether it loads.
        reason: Why not, if not.
    """

    name: str
    distribution: str
    version: str
    usable: bool
    reason: str = ""


class ConnectionInfo(NamedTuple):
    """A name that `Inference.using` takes, for people to read.

    Attributes:
        name: The name.
        source: ``file``, ``preset`` or ``driver``.
        driver: Name of the driver.
        model: Model that is asked unless a call names one.
        base_url: Where.
        usable: Whether a call can be made now.
        reason: Why not, if not.
    """

    name: str
    source: str
    driver: str
    model: str | None
    base_url: str | None
    usable: bool
    reason: str = ""


def drivers() -> list[DriverInfo]:
    """Every driver that is there, and for those that do not load, why. Looking means importing each of them."""
    found = discovery.find_drivers()
    infos = []
    for name in sorted({*found, *discovery.registered_drivers()}):
        problem = driver_problem(name)
        owner = None if name in discovery.registered_drivers() else found.get(name)
        distribution, version = (owner.distribution, owner.version) if owner else ("", "")
        infos.append(DriverInfo(name, distribution, version, usable=not problem, reason=problem))
    return infos


def connections(config: str | os.PathLike[str] | None = None) -> list[ConnectionInfo]:
    """Every name that `Inference.using` takes, and for those that cannot be used now, why.

    Raises:
        ConfigError: The configuration file cannot be read.
    """
    configured = read_settings(config)
    infos = [_info(name, "file", configured) for name in configured.entries]
    infos += [_info(name, "preset", configured) for name in discovery.find_presets() if name not in configured.entries]
    taken = {info.name for info in infos}
    drivers = {*discovery.find_drivers(), *discovery.registered_drivers()} - taken
    return infos + [_info(name, "driver", configured) for name in sorted(drivers)]


def _info(name: str, source: str, configured: Settings) -> ConnectionInfo:
    """A line about a name. It is resolved without a key and then for real, to tell a missing key from all else."""
    try:
        shown = named(name, configured, {"api_key": None})
        problem = "" if shown is None else driver_problem(shown.driver)
        entry = configured.entries.get(name)
        if not _asks_a_store(name, configured):  # which a listing does not
            named(name, configured, {})
        for other in entry.fallbacks if entry is not None else ():
            meant(other, configured, {"api_key": None} if _asks_a_store(other, configured) else {})
    except (ConfigError, PluginError) as error:
        problem = error.message
        shown = _shown_despite(name, configured)
    if shown is None:
        return ConnectionInfo(name, source, "", None, None, usable=False, reason=problem)
    return ConnectionInfo(name, source, shown.driver, shown.model, shown.base_url, usable=not problem, reason=problem)


def _asks_a_store(name: str, configured: Settings) -> bool:
    entry = configured.entries.get(name)
    return entry is not None and entry.api_key_command is not None


def _shown_despite(name: str, configured: Settings) -> Connection | None:
    try:
        return named(name, configured, {"api_key": None})
    except (ConfigError, PluginError):
        return None
