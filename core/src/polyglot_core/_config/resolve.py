"""Resolve a name to a `Connection`.

A name is looked up as an entry of the configuration file, then as a preset, then as a driver; ``NAME/MODEL`` also
selects the model. The layers of a connection are its preset, its entry, the environment (``POLYGLOT_NAME_MODEL``,
``…_BASE_URL``, ``…_API_KEY``, ``…_ALLOW_HTTP`` for the connection NAME), and the overrides in code. They are folded,
the key is read last, and one `Connection` is made of the result.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from typing import TYPE_CHECKING, Any

from polyglot_core._config.config_file import CONFIG_VARIABLE, FILE_NAME, Settings, read_settings, user_config_file
from polyglot_core._config.key_command import key_printed_by
from polyglot_core._config.layers import KeyCommand, KeyVariable, Layer, entry_layer, fold, preset_layer, read_text
from polyglot_core._config.not_found import no_base_url, unknown_driver, unknown_name, unknown_preset
from polyglot_core._drivers import discovery
from polyglot_core._values.connection import Connection, Preset, guard
from polyglot_core._values.secret import Secret
from polyglot_core._values.suggest import config_error
from polyglot_core.errors import ConfigError, NoDefault, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ENVIRONMENT_FIELDS", "connection_of", "folded", "installed_preset", "resolve", "unknown_driver"]

_log = logging.getLogger("polyglot_core.config")

DEFAULT_VARIABLE = "POLYGLOT_DEFAULT"


# From a name to a connection


def resolve(
    name: str | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    **overrides: Any,  # noqa: ANN401 (fields)
) -> Connection:
    """Return the connection of a name.

    Args:
        name: Connection, preset or driver, or any of these with a model after a slash; None for the default.
        config: Configuration file, instead of the default one.
        overrides: Fields of `Connection` that override what is configured. `timeouts`, `retries` and `limits` may be
            dicts of single numbers, `retries` also a number of retries; `fallbacks` may be names.

    Raises:
        ConfigError: The name is not found, a key is missing, or an override is not a field.
        PluginError: The preset of this name is broken.
    """
    guard(overrides, name)
    settings = read_settings(config)
    wanted, source = _wanted(name, settings)
    fallbacks = overrides.pop("fallbacks", None)
    fields = _fields_of(wanted, settings, overrides, source)
    fields["fallbacks"] = _fallbacks(fields["name"], fallbacks, settings)
    _log.debug("Connection %r: driver %r, file %s.", wanted, fields.get("driver"), settings.path)
    return Connection(**fields)


def connection_of(name: str, settings: Settings, overrides: Layer) -> Connection:
    """Return the connection of a name, without fallbacks.

    Raises:
        ConfigError: The name is not found, a key is missing, or an override is not a field.
        PluginError: The preset of this name is broken.
    """
    return Connection(**_fields_of(name, settings, overrides))


def _fields_of(name: str, settings: Settings, overrides: Layer, source: str = "") -> dict[str, Any]:
    """Return the fields of the connection of a name, which may end in a model after a slash."""
    layers = _layers_of(name, settings)
    if not layers and "/" in name:
        name, _, model = name.partition("/")
        layers, overrides = _layers_of(name, settings), {"model": model, **overrides}
    if not layers:
        raise unknown_name(settings.qualified(name), settings, source)
    return folded(name, *layers, {**_environment_layer(name), **overrides})


def _fallbacks(name: str, given: object, settings: Settings) -> tuple[Connection, ...]:
    """Return the fallbacks of a connection: the ones given in code, else those of its entry in the file."""
    entry = settings.entries.get(str(name))
    names = given if given is not None else entry.fallbacks if entry else ()
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, (list, tuple)) or not all(isinstance(each, (str, Connection)) for each in names):
        raise config_error(f"fallbacks of connection {name!r} is a list of names or connections.")
    return tuple(each if isinstance(each, Connection) else connection_of(each, settings, {}) for each in names)


# The layers


def _layers_of(name: str, settings: Settings) -> list[Layer]:
    """Return the layers below environment and code, lowest first; none if the name is not found."""
    entry = settings.entries.get(name)
    above = [] if entry is None else [entry_layer(entry)]
    if entry is not None and entry.driver is not None:
        return [{"driver": settings.qualified(entry.driver)}, *above]
    start = settings.qualified(name if entry is None else str(entry.preset))
    preset = discovery.load_preset(start) if entry is None else installed_preset(start, name)
    if preset is not None:
        return [{**preset_layer(preset), "driver": settings.qualified(preset.driver)}, *above]
    return [{"driver": start}] if discovery.has_driver(start) else []


def installed_preset(preset: str, name: str) -> Preset:
    """Return the preset that the connection `name` starts from.

    Raises:
        ConfigError: It is not installed.
        PluginError: It is broken.
    """
    found = discovery.load_preset(preset)
    if found is None:
        raise unknown_preset(preset, name)
    return found


ENVIRONMENT_FIELDS = ("model", "base_url", "api_key", "allow_http")
"""Fields of a connection that can be set in the environment."""


def _environment_layer(name: str) -> Layer:
    prefix = f"POLYGLOT_{re.sub('[^A-Z0-9]', '_', name.upper())}_"
    variables = {field: prefix + field.upper() for field in ENVIRONMENT_FIELDS}
    return {
        field: read_text(field, os.environ[variable], f"the environment variable {variable}")
        for field, variable in variables.items()
        if os.environ.get(variable)
    }


def folded(name: str, *layers: Layer) -> dict[str, Any]:
    """Fold layers into the fields of a connection, and read its key.

    Args:
        name: Name of the connection.
        layers: The layers, lowest first. The environment and the code are one layer: a key from one of them may be sent
            to a base URL from the other.

    Raises:
        ConfigError: The layers cannot be merged, the preset needs a base URL, or the key is missing.
    """
    fields = fold(name, *layers)
    lowest = layers[0]
    if "base_url" in lowest and not (lowest["base_url"] or fields["base_url"]):
        raise no_base_url(name)
    fields["api_key"] = _read_key(fields.get("api_key"), name)
    return fields


def _read_key(key: object, name: str) -> object:
    if isinstance(key, KeyVariable):
        return _key_in(key.name, name)
    return key_printed_by(key.line, name) if isinstance(key, KeyCommand) else key


def _key_in(variable: str, name: str) -> Secret:
    key = os.environ.get(variable)
    if key:
        return Secret(key, f"the environment variable {variable}")
    raise config_error(
        f"Connection {name!r} needs a key: set the environment variable {variable}, or give api_key.", name
    )


# The default


def _wanted(name: str | None, settings: Settings) -> tuple[str, str]:
    """Return a name; if there is none, that of the default connection, and where it is set."""
    if not isinstance(name, (str, type(None))):
        raise config_error(f"A connection is named by a text, not by {type(name).__name__}.")
    if name:
        return name, ""
    if chosen := os.environ.get(DEFAULT_VARIABLE):
        return chosen, f"the environment variable {DEFAULT_VARIABLE} names it"
    if settings.default:
        return settings.default, f"it is the default in {settings.path}"
    return _only_keyed_preset(settings), ""


def _only_keyed_preset(settings: Settings) -> str:
    """Return the one preset that is offered as a default and whose key is set.

    Raises:
        NoDefault: There is none.
        ConfigError: There are several.
    """
    variables = dict(_offered_presets(settings))
    keyed = [name for name, variable in variables.items() if _is_keyed(name, variable)]
    if len(keyed) > 1:
        raise config_error(f"Keys of {' and '.join(keyed)} are set, and each could be the default. {_how_to_choose()}.")
    if keyed:
        return keyed[0]
    keys = tuple(variable for variable in variables.values() if variable)
    hint = "".join(f" or set {variable}" for variable in keys)
    message = f"No connection is named and there is no default. {_how_to_choose()}{hint}."
    raise NoDefault(message, keys, phase="configure")


def _offered_presets(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """Yield the presets offered as a default, with the variables of their keys; skip those that fail to load."""
    offered = [(each, each.rpartition(":")[2]) for each in discovery.find_defaults()]
    for name in dict.fromkeys(
        settings.qualified(bare) if bare in settings.packages else each for each, bare in offered
    ):
        with contextlib.suppress(PluginError, ConfigError):
            if preset := discovery.load_preset(name):
                yield name, preset.api_key_env


def _how_to_choose() -> str:
    path = os.environ.get(CONFIG_VARIABLE) or user_config_file()
    where = f"looked for at {path}" if path else f"named by {CONFIG_VARIABLE}, as there is no home folder"
    return f"Name one, as in Inference.using('NAME'), set default in {FILE_NAME} ({where})"


def _is_keyed(name: str, variable: str | None) -> bool:
    return variable is None or bool(os.environ.get(variable)) or "api_key" in _environment_layer(name)
