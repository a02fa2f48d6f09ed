"""Lists for people to read: the drivers, and every name that `Inference.using` accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from polyglot_core._config.config_file import read_settings
from polyglot_core._config.not_found import driver_problem
from polyglot_core._config.resolve import connection_of
from polyglot_core._drivers import discovery
from polyglot_core.errors import ConfigError, PluginError, RequestError

if TYPE_CHECKING:
    import os

    from polyglot_core._config.config_file import Settings
    from polyglot_core._values.connection import Connection

__all__ = ["ConnectionInfo", "DriverInfo", "cannot_embed", "connections", "drivers"]


class DriverInfo(NamedTuple):
    """A driver that is installed or registered, for people to read.

    Attributes:
        name: Name that connections use. It begins with the distribution if another one registers the same name.
        distribution: Distribution that provides it; empty for a driver registered in process.
        version: Version of the distribution.
        usable: Whether it loads.
        reason: Why it does not load.
        hooks: Names of the hooks that it implements.
    """

    name: str
    distribution: str
    version: str
    usable: bool
    reason: str = ""
    hooks: tuple[str, ...] = ()


class ConnectionInfo(NamedTuple):
    """A name that `Inference.using` accepts, for people to read.

    Attributes:
        name: The name.
        source: ``file``, ``preset`` or ``driver``.
        driver: Name of the driver.
        model: Model of requests that name none.
        base_url: URL that paths are added to.
        usable: Whether a call can be made now.
        reason: Why no call can be made.
        key: Where the key is found, such as the name of a variable; empty if there is none, or none is required.
    """

    name: str
    source: str
    driver: str
    model: str | None
    base_url: str | None
    usable: bool
    reason: str = ""
    key: str = ""


def drivers() -> list[DriverInfo]:
    """Return every driver, and the reason for those that do not load. Imports each of them."""
    registered = dict.fromkeys(discovery.registered_drivers())
    found = {**discovery.find_drivers(), **registered}
    return [_driver(name, found[name]) for name in sorted(found)]


def _driver(name: str, found: discovery.RegisteredName | None) -> DriverInfo:
    problem = driver_problem(name)
    loaded = None if problem else discovery.load_driver(name)
    of = (found.distribution, found.version) if found else ("", "")
    return DriverInfo(name, *of, usable=not problem, reason=problem, hooks=tuple(loaded.hooks) if loaded else ())


def cannot_embed(connection: Connection) -> RequestError:
    """Return the error for a connection whose driver has no embeddings: it names the drivers that have them."""
    usable = [discovery.load_driver(each.name) for each in drivers() if each.usable]
    able = [each.name for each in usable if each and "encode_embeddings" in each.bind(connection).hooks]
    what = f"The driver {connection.driver!r} has no embeddings. Drivers that have: {', '.join(able) or 'none'}."
    return RequestError(what, connection=connection.name, provider=connection.driver, phase="encode")


def connections(config: str | os.PathLike[str] | None = None) -> list[ConnectionInfo]:
    """Return every name that `Inference.using` accepts, and the reason for those that cannot be used now.

    No key command is run.

    Raises:
        ConfigError: The configuration file cannot be read.
    """
    settings = read_settings(config)
    infos = [_info(name, "file", settings) for name in settings.entries]
    infos += [_info(name, "preset", settings) for name in discovery.find_presets() if name not in settings.entries]
    taken = {info.name for info in infos}
    drivers = {*discovery.find_drivers(), *discovery.registered_drivers()} - taken
    return infos + [_info(name, "driver", settings) for name in sorted(drivers)]


_NO_KEY = {"api_key": None}
"""Overrides that resolve a connection without reading its key."""


def _info(name: str, source: str, settings: Settings) -> ConnectionInfo:
    info = ConnectionInfo(name, source, "", None, None, usable=False)
    try:
        shown = connection_of(name, settings, _NO_KEY)
        info = info._replace(driver=shown.driver, model=shown.model, base_url=shown.base_url)
        info = info._replace(key=_check_keys(name, settings))
        problem = driver_problem(shown.driver)
    except (ConfigError, PluginError) as error:
        return info._replace(reason=error.message)
    return info._replace(usable=not problem, reason=problem)


def _check_keys(name: str, settings: Settings) -> str:
    """Return where the key of a connection is found; a key command counts as a key, and is not run.

    Raises:
        ConfigError: The connection, or one of its fallbacks, cannot be made with its key.
    """
    entry = settings.entries.get(name)
    keys = [
        connection_of(each, settings, _NO_KEY if _has_key_command(each, settings) else {}).secret
        for each in (name, *(entry.fallbacks if entry is not None else ()))
    ]
    return "a command" if _has_key_command(name, settings) else keys[0].source if keys[0] else ""


def _has_key_command(name: str, settings: Settings) -> bool:
    entry = settings.entries.get(name)
    return entry is not None and entry.api_key_command is not None
