"""Errors about a name that is not found: connections, presets and drivers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from polyglot_core._drivers import discovery
from polyglot_core._values.suggest import config_error, nearest, suggestion
from polyglot_core.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from polyglot_core._config.config_file import Settings
    from polyglot_core._values.connection import Connection

__all__ = ["driver_problem", "no_base_url", "unknown_driver", "unknown_name", "unknown_preset"]


def unknown_driver(connection: Connection) -> ConfigError:
    """Return the error for a connection whose driver is not installed or registered."""
    installed = discovery.find_drivers()
    drivers = (*installed, *discovery.registered_drivers())
    what = _why_not(connection.driver, (*drivers, *(each.qualified for each in installed.values())), "it")
    return config_error(
        f"Connection {connection.name!r} names the driver {connection.driver!r}, {what}. Usable are: "
        f"{', '.join(drivers) or 'none'}.",
        connection.name,
    )


def unknown_preset(preset: str, name: str) -> ConfigError:
    """Return the error for a connection whose preset is not installed."""
    presets = discovery.find_presets()
    what = _why_not(preset, (*presets, *(each.qualified for each in presets.values())), "its package")
    return config_error(f"Connection {name!r} names the preset {preset!r}, {what}.")


def _why_not(name: str, known: Iterable[str], excluded: str) -> str:
    """Return a clause on why a name is not found."""
    if discovery.is_left_out(name):
        return f"which is installed, but POLYGLOT_DRIVERS excludes {excluded}"
    return f"which is not installed{suggestion(name, known)}"


def no_base_url(name: str) -> ConfigError:
    """Return the error for a connection whose preset leaves the base URL to the configuration."""
    return config_error(
        f"Connection {name!r} has no base URL: it depends on your account. Set base_url in the configuration, or pass "
        f"it, as in Inference.using({name!r}, base_url='https://…', api_key=…).",
        name,
    )


_FEW = 12  # names; a longer list is not read, so only its length is given


def unknown_name(name: str, settings: Settings, source: str) -> ConfigError:
    """Return the error for a name that is not found: what is available, and the nearest name. No driver is imported.

    Args:
        name: The name.
        settings: The configuration file.
        source: Where the name is set, if the caller did not give it.
    """
    presets, drivers = tuple(discovery.find_presets()), tuple(discovery.find_drivers()) + discovery.registered_drivers()
    where = f" ({source})" if source else ""
    lists = [
        _listed(kind, sorted(set(names)))
        for kind, names in (("connections", settings.entries), ("presets", presets), ("drivers", drivers))
    ]
    if discovery.is_left_out(name):
        lists.append(f"{name} is installed, but POLYGLOT_DRIVERS excludes it")
    meant = _meant(name, [*settings.entries, *presets, *drivers])
    return config_error(
        f"Nothing is called {name!r}{where}{f' (did you mean {meant!r}?)' if meant else ''}. There are "
        f"{'; '.join(lists)}. A provider's package may not be installed; connections() lists all names."
    )


def _meant(name: str, known: Sequence[str]) -> str | None:
    """Return the nearest known name, with the model after a colon; or the preset with models like the name, with it."""
    head, _, model = name.partition(":")
    if close := nearest(head, known):
        return f"{close}/{model}" if model else close
    for preset in (*discovery.find_defaults(), *filter(discovery.has_driver, discovery.find_presets())):
        with contextlib.suppress(PluginError, ConfigError):
            found = discovery.load_preset(preset)  # of a provider whose dialect is its own: others serve any model
            if found and found.driver == preset and str(found.model).split("-")[0] == head.split("-")[0]:
                return f"{preset}/{name}"
    return None


def _listed(kind: str, names: Sequence[str]) -> str:
    return f"{kind}: {', '.join(names) or 'none'}" if len(names) <= _FEW else f"{len(names)} {kind}"


def driver_problem(name: str) -> str:
    """Return why the driver of this name cannot be used; empty if it can."""
    try:
        return "" if discovery.load_driver(name) else f"there is no driver {name!r}"
    except (PluginError, ConfigError) as error:
        return error.message.rstrip(".")
