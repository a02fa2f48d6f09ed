"""From a name to a `Connection`: the configuration file, the environment, presets and drivers.

A name is looked up as a configured connection, then as a preset, then as a driver; ``name/model`` also picks the model.
The file is the one given, else the one that ``POLYGLOT_CONFIG`` names, else ``polyglot.toml`` in the user's
configuration folder. The working directory is never searched: a key must not go where a stranger's file points.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from polyglot_core import plugins
from polyglot_core.connection import Connection, Preset, Timeouts
from polyglot_core.errors import ConfigError, PluginError
from polyglot_core.wire import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ConnectionInfo",
    "DriverInfo",
    "Settings",
    "clocks",
    "connections",
    "drivers",
    "read_settings",
    "resolve",
    "unknown_driver",
    "user_config_file",
]

CONFIG_VARIABLE = "POLYGLOT_CONFIG"
DEFAULT_VARIABLE = "POLYGLOT_DEFAULT"
FILE_NAME = "polyglot.toml"
DEFAULT_PRESET = "openai"
"""What is asked when nothing is configured and the preset's key is set."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[connections.NAME]`` table of the file.

    Attributes:
        driver: Driver that speaks the dialect; give this or `preset`.
        preset: Preset that the entry starts from; what else it says is laid over it.
        model: Model that is asked unless a call names one.
        base_url: URL that paths are added to.
        api_key_env: Environment variable that holds the key.
        api_key: The key itself; better kept out of the file.
        options: Options for every call.
        headers: Headers for every request.
        timeouts: The clocks, in seconds.
    """

    driver: str | None = None
    preset: str | None = None
    model: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    api_key: str | None = None
    options: dict[str, Any] = {}
    headers: dict[str, str] = {}
    timeouts: dict[str, float] = {}


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


class Settings(NamedTuple):
    """What a configuration file says.

    Attributes:
        path: The file; None if there is none.
        default: Name of the connection to use when none is named.
        entries: The connections, by name.
    """

    path: Path | None = None
    default: str | None = None
    entries: Mapping[str, Entry] = {}


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


# Reading the file


def user_config_file() -> Path:
    """Where the user's own configuration file is, or would be."""
    if sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return folder / "polyglot" / FILE_NAME


def read_settings(path: str | os.PathLike[str] | None = None) -> Settings:
    """Read the configuration file; no file at all is empty settings.

    Args:
        path: The file, instead of the one that would be found.

    Raises:
        ConfigError: The file cannot be read or says something that is not understood; names place and nearest word.
    """
    named = path or os.environ.get(CONFIG_VARIABLE)
    file = Path(named) if named else user_config_file()
    if not named and not file.is_file():
        return Settings()
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _config_error(f"The configuration file {file} cannot be read: {error}.") from error
    return _parse(text, file)


def _parse(text: str, file: Path) -> Settings:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _config_error(f"{file} is not TOML: {error}.") from error
    _check_keys(table, ("default", "connections"), text, file, ())
    entries = table.get("connections", {})
    default = table.get("default")
    if not isinstance(entries, dict) or not isinstance(default, (str, type(None))):
        raise _config_error(f"{file}: default is a text, and connections are tables such as [connections.NAME].")
    return Settings(file, default, {name: _entry(name, entry, text, file) for name, entry in entries.items()})


def _entry(name: str, table: object, text: str, file: Path) -> Entry:
    where = ("connections", name)
    if not isinstance(table, dict):
        raise _config_error(f"{_place(text, file, (), name)}: connection {name!r} is a table, [connections.{name}].")
    _check_keys(table, Entry.__struct_fields__, text, file, where)
    if isinstance(timeouts := table.get("timeouts", {}), dict):
        _check_keys(timeouts, Timeouts.__struct_fields__, text, file, (*where, "timeouts"))
    try:
        entry = msgspec.convert(table, Entry)
    except msgspec.ValidationError as error:
        key = str(error).rpartition("$.")[2].rstrip("`")
        raise _config_error(f"{_place(text, file, where, key.partition('.')[0])}: {key}: {error}.") from None
    if (entry.driver is None) == (entry.preset is None):
        raise _config_error(f"{_place(text, file, where)}: connection {name!r} needs either driver or preset.")
    if entry.api_key is not None and entry.api_key_env is not None:
        raise _config_error(f"{_place(text, file, where)}: connection {name!r} has both api_key and api_key_env.")
    return entry


def _check_keys(
    table: Mapping[str, Any], known: tuple[str, ...], text: str, file: Path, where: tuple[str, ...]
) -> None:
    for key in table:
        if key not in known:
            place = _place(text, file, where, key)
            raise _config_error(f"{place}: unknown key {key!r}{_nearest(key, known)}. Known are {', '.join(known)}.")


def _place(text: str, file: Path, table: tuple[str, ...], key: str | None = None) -> str:
    """File and line of a table or a key; the line is left out where it cannot be told."""
    header = re.escape("[" + ".".join(table)) + r"\b" if table else None
    inside = header is None
    for number, line in enumerate(text.splitlines(), 1):
        if header is not None and re.match(r"\s*" + header, line):
            inside = True
            if key is None:
                return f"{file}, line {number}"
        if inside and key is not None and re.match(rf"""\s*\[?[\w.]*["']?{re.escape(key)}["']?\s*[=\].]""", line):
            return f"{file}, line {number}"
    return str(file)


def _nearest(word: str, known: Mapping[str, object] | tuple[str, ...] | list[str]) -> str:
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def _config_error(message: str) -> ConfigError:
    return ConfigError(message, phase="configure")


# From a name to a connection


def resolve(
    name: str | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    **overrides: Any,  # noqa: ANN401 (fields)
) -> Connection:
    """The connection that `name` means.

    Args:
        name: Connection, preset or driver, or any of these with a model after a slash; None for the default.
        config: Configuration file, instead of the one that would be found.
        overrides: Fields of `Connection` that replace what was found; `timeouts` may be a dict of single clocks.

    Raises:
        ConfigError: Nothing has this name, a key is missing, or an override is not a field.
        PluginError: The preset that the name means is broken.
    """
    settings = read_settings(config)
    wanted = name or os.environ.get(DEFAULT_VARIABLE) or settings.default or _fallback()
    connection = _named(wanted, settings, overrides)
    if connection is None and "/" in wanted:
        wanted, _, model = wanted.partition("/")
        connection = _named(wanted, settings, {"model": model, **overrides})
    if connection is None:
        raise _unknown(wanted, settings)
    return connection


def _fallback() -> str:
    preset = plugins.load_preset(DEFAULT_PRESET)
    if preset is not None and (preset.api_key_env is None or os.environ.get(preset.api_key_env)):
        return DEFAULT_PRESET
    hint = f" or set {preset.api_key_env}" if preset is not None else ""
    raise _config_error(
        f"No connection is named and there is no default. Name one, as in Inference.using('NAME'), set default in "
        f"{FILE_NAME} (looked for at {os.environ.get(CONFIG_VARIABLE) or user_config_file()}){hint}."
    )


def _named(name: str, settings: Settings, overrides: Mapping[str, Any]) -> Connection | None:
    """The connection of this name with `overrides` laid over it; None if nothing has the name."""
    entry = settings.entries.get(name)
    if entry is not None:
        return _from_entry(name, entry, overrides)
    preset = plugins.load_preset(name)
    if preset is not None:
        return _from_preset(name, preset, overrides)
    if name in plugins.registered_drivers() or name in plugins.find_drivers():
        return _build({"name": name, "driver": name}, overrides)
    return None


def _from_entry(name: str, entry: Entry, overrides: Mapping[str, Any]) -> Connection:
    own: dict[str, Any] = {
        field: value
        for field in ("model", "base_url", "options", "headers", "timeouts")
        if (value := getattr(entry, field))
    }
    if entry.api_key is not None:
        own["api_key"] = entry.api_key
    elif entry.api_key_env is not None and "api_key" not in overrides:
        own["api_key"] = _key_from(entry.api_key_env, name)
    if entry.preset is not None:
        preset = plugins.load_preset(entry.preset)
        if preset is None:
            known = plugins.find_presets()
            nearest = _nearest(entry.preset, tuple(known))
            raise _config_error(
                f"Connection {name!r} names the preset {entry.preset!r}, which is not installed{nearest}."
            )
        base = _from_preset(name, preset, {**own, **_keyless(own, overrides)})
        return _build({field: getattr(base, field) for field in base.__struct_fields__}, overrides)
    return _build({"name": name, "driver": entry.driver, **own}, overrides)


def _keyless(own: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """What keeps a preset's own key from being asked for where the override brings one, or goes elsewhere."""
    if "api_key" in overrides or ("base_url" in overrides and "api_key" not in own):
        return {"api_key": None}
    return {}


def _from_preset(name: str, preset: Preset, overrides: Mapping[str, Any]) -> Connection:
    base_url = overrides.get("base_url") or preset.base_url
    facts: dict[str, Any] = {
        "name": name,
        "driver": preset.driver,
        "base_url": preset.base_url,
        "model": preset.model,
        "auth_header": preset.auth_header,
        "auth_scheme": preset.auth_scheme,
        "facts": preset.facts,
    }
    if preset.api_key_env and "api_key" not in overrides and _origin(base_url) == _origin(preset.base_url):
        facts["api_key"] = _key_from(preset.api_key_env, name)
    return _build(facts, overrides)


def _key_from(variable: str, name: str) -> Secret:
    key = os.environ.get(variable)
    if not key:
        raise ConfigError(
            f"Connection {name!r} needs a key: set the environment variable {variable}, or give api_key.",
            connection=name,
            phase="configure",
        )
    return Secret(key)


def _build(fields: Mapping[str, Any], overrides: Mapping[str, Any]) -> Connection:
    """A connection of `fields` with `overrides` over them; a key does not follow an override to another origin."""
    known = Connection.__struct_fields__
    for field in overrides:
        if field not in known:
            raise _config_error(
                f"A connection has no field {field!r}{_nearest(field, known)}. Known are {', '.join(known)}."
            )
    made = {**fields, **overrides}
    moved = (
        "base_url" in overrides
        and fields.get("base_url")
        and _origin(overrides["base_url"]) != _origin(fields["base_url"])
    )
    if moved and "api_key" not in overrides:
        made["api_key"] = None
    for field in ("options", "headers"):
        made[field] = {**fields.get(field, {}), **overrides.get(field, {})}
    made["timeouts"] = clocks(made["name"], fields.get("timeouts"), overrides.get("timeouts"))
    return Connection(**made)


def clocks(name: str, *layers: Timeouts | Mapping[str, float | None] | None) -> Timeouts:
    """The clocks of a connection or a call: each layer replaces them, or single ones of them.

    Raises:
        ConfigError: A layer names a clock that there is not.
    """
    made = Timeouts()
    for layer in layers:
        if isinstance(layer, Timeouts):
            made = layer
        elif layer:
            if unknown := [clock for clock in layer if clock not in Timeouts.__struct_fields__]:
                known = Timeouts.__struct_fields__
                raise _config_error(f"Connection {name!r} has no clock {unknown[0]!r}{_nearest(unknown[0], known)}.")
            made = msgspec.structs.replace(made, **layer)
    return made


def _origin(url: str | None) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url or "")
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


# Saying what there is


def unknown_driver(connection: Connection) -> ConfigError:
    """The error for a connection whose driver is not there."""
    drivers = (*plugins.find_drivers(), *plugins.registered_drivers())
    return ConfigError(
        f"Connection {connection.name!r} names the driver {connection.driver!r}, which is not installed"
        f"{_nearest(connection.driver, drivers)}. Installed are: {', '.join(drivers) or 'none'}.",
        connection=connection.name,
        phase="configure",
    )


def _unknown(name: str, settings: Settings) -> ConfigError:
    """The error for a name that nothing has: what there is, what is broken and why, and the nearest name."""
    presets, drivers = tuple(plugins.find_presets()), tuple(plugins.find_drivers()) + plugins.registered_drivers()
    known = [*settings.entries, *presets, *drivers]
    lists = [
        f"{kind}: {', '.join(sorted(set(names))) or 'none'}"
        for kind, names in (("connections", settings.entries), ("presets", presets), ("drivers", drivers))
    ]
    broken = [f"driver {driver} failed to load: {why}" for driver in drivers if (why := _driver_problem(driver))]
    return _config_error(f"Nothing is called {name!r}{_nearest(name, known)}. There are {'; '.join(lists + broken)}.")


def _driver_problem(name: str) -> str:
    try:
        return "" if plugins.load_driver(name) else f"there is no driver {name!r}"
    except (PluginError, ConfigError) as error:
        return error.message.rstrip(".")


def drivers() -> list[DriverInfo]:
    """Every driver that is there, and for those that do not load, why. Looking means importing each of them."""
    found = plugins.find_drivers()
    infos = []
    for name in sorted({*found, *plugins.registered_drivers()}):
        problem = _driver_problem(name)
        owner = None if name in plugins.registered_drivers() else found.get(name)
        distribution, version = (owner.distribution, owner.version) if owner else ("", "")
        infos.append(DriverInfo(name, distribution, version, usable=not problem, reason=problem))
    return infos


def connections(config: str | os.PathLike[str] | None = None) -> list[ConnectionInfo]:
    """Every name that `Inference.using` takes, and for those that cannot be used now, why.

    Raises:
        ConfigError: The configuration file cannot be read.
    """
    settings = read_settings(config)
    infos = [_info(name, "file", settings) for name in settings.entries]
    infos += [_info(name, "preset", settings) for name in plugins.find_presets() if name not in settings.entries]
    taken = {info.name for info in infos}
    drivers = {*plugins.find_drivers(), *plugins.registered_drivers()} - taken
    return infos + [_info(name, "driver", settings) for name in sorted(drivers)]


def _info(name: str, source: str, settings: Settings) -> ConnectionInfo:
    """A line about a name. It is resolved without a key and then for real, to tell a missing key from all else."""
    try:
        shown = _named(name, settings, {"api_key": None})
        problem = "" if shown is None else _driver_problem(shown.driver)
        _named(name, settings, {})
    except (ConfigError, PluginError) as error:
        problem = error.message
        shown = _shown_despite(name, settings)
    if shown is None:
        return ConnectionInfo(name, source, "", None, None, usable=False, reason=problem)
    return ConnectionInfo(name, source, shown.driver, shown.model, shown.base_url, usable=not problem, reason=problem)


def _shown_despite(name: str, settings: Settings) -> Connection | None:
    try:
        return _named(name, settings, {"api_key": None})
    except (ConfigError, PluginError):
        return None
