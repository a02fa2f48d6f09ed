"""From a name to a `Connection`: the configuration file, the environment, presets and drivers.

A name is looked up as a configured connection, then as a preset, then as a driver; ``name/model`` also picks the model.
What is said later beats what was said before: preset, file, environment (``POLYGLOT_NAME_MODEL``, ``…_BASE_URL``,
``…_API_KEY``, ``…_ALLOW_HTTP`` for the connection NAME), overrides in code.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from polyglot_core._config.config_file import (
    CONFIG_VARIABLE,
    FILE_NAME,
    Entry,
    Settings,
    config_error,
    nearest,
    read_settings,
    user_config_file,
)
from polyglot_core._drivers import discovery
from polyglot_core._values.connection import Connection, Preset, dsn_reader, guard
from polyglot_core._values.limits import Limits, Retries, Timeouts, row_problem
from polyglot_core._values.secret import Secret
from polyglot_core.errors import ConfigError, NoDefault, PluginError

__all__ = [
    "ENVIRONMENT_FIELDS",
    "Settings",
    "clocks",
    "driver_problem",
    "from_dsn",
    "meant",
    "named",
    "read_settings",
    "resolve",
    "retries",
    "unknown_driver",
    "user_config_file",
]

DEFAULT_VARIABLE = "POLYGLOT_DEFAULT"


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
        overrides: Fields of `Connection` that replace what was found. `timeouts`, `retries` and `limits` may be dicts
            of single ones; `fallbacks` may be names.

    Raises:
        ConfigError: Nothing has this name, a key is missing, or an override is not a field.
        PluginError: The preset that the name means is broken.
    """
    guard(overrides, name)
    settings = read_settings(config)
    wanted, source = _wanted(name, settings)
    fallbacks = overrides.pop("fallbacks", None)
    connection = meant(wanted, settings, overrides, source)
    if fallbacks is None:
        entry = settings.entries.get(connection.name)
        fallbacks = entry.fallbacks if entry else ()
    named = [fallbacks] if isinstance(fallbacks, str) else fallbacks
    if not isinstance(named, (list, tuple)) or not all(isinstance(each, (str, Connection)) for each in named):
        raise config_error(f"fallbacks of connection {connection.name!r} is a list of names or connections.")
    others = [each if isinstance(each, Connection) else meant(each, settings, {}) for each in named]
    return connection.with_changes(fallbacks=others) if others else connection


def _wanted(name: str | None, settings: Settings) -> tuple[str, str]:
    """The name that is meant, and where it stands if it was not given."""
    if not isinstance(name, (str, type(None))):
        raise config_error(f"A connection is named by a text, not by {type(name).__name__}.")
    if name:
        return name, ""
    if chosen := os.environ.get(DEFAULT_VARIABLE):
        return chosen, f"the environment variable {DEFAULT_VARIABLE} names it"
    return (settings.default, f"it is the default in {settings.path}") if settings.default else (_unnamed(), "")


def meant(name: str, settings: Settings, overrides: Mapping[str, Any], source: str = "") -> Connection:
    """The connection that a name, perhaps with a model after a slash, means; `source` says where the name stands."""
    connection = named(name, settings, overrides)
    if connection is None and "/" in name:
        name, _, model = name.partition("/")
        connection = named(name, settings, {"model": model, **overrides})
    if connection is None:
        raise _unknown(name, settings, source)
    return connection


def _unnamed() -> str:
    """The one preset that may go unnamed and whose key is set.

    Raises:
        NoDefault: There is none.
        ConfigError: There are several.
    """
    variables = dict(_defaults())
    keyed = [name for name, variable in variables.items() if _is_keyed(name, variable)]
    if len(keyed) > 1:
        raise config_error(f"Keys of {' and '.join(keyed)} are set, and each could be the default. {_how_to_choose()}.")
    if keyed:
        return keyed[0]
    keys = tuple(variable for variable in variables.values() if variable)
    hint = "".join(f" or set {variable}" for variable in keys)
    msg = f"No connection is named and there is no default. {_how_to_choose()}{hint}."
    raise NoDefault(msg, keys, phase="configure")


def _defaults() -> Iterator[tuple[str, str | None]]:
    """The presets that may go unnamed, with the variables of their keys; one that does not load is none of them."""
    for name in discovery.find_defaults():
        with contextlib.suppress(PluginError, ConfigError):
            if preset := discovery.load_preset(name):
                yield name, preset.api_key_env


def _how_to_choose() -> str:
    place = os.environ.get(CONFIG_VARIABLE) or user_config_file()
    return f"Name one, as in Inference.using('NAME'), set default in {FILE_NAME} (looked for at {place})"


def _is_keyed(name: str, variable: str | None) -> bool:
    return variable is None or bool(os.environ.get(variable)) or "api_key" in _from_environment(name)


def named(name: str, settings: Settings, overrides: Mapping[str, Any]) -> Connection | None:
    """The connection of this name with `overrides` laid over it; None if nothing has the name."""
    overrides = {**_from_environment(name), **overrides}
    entry = settings.entries.get(name)
    if entry is not None:
        return _from_entry(name, entry, overrides)
    preset = discovery.load_preset(name)
    if preset is not None:
        return _from_preset(name, preset, overrides)
    if discovery.has_driver(name):
        return _build({"name": name, "driver": name}, overrides)
    return None


ENVIRONMENT_FIELDS = ("model", "base_url", "api_key", "allow_http")
"""Fields of a connection that the environment may give."""


def _from_environment(name: str) -> dict[str, object]:
    """What the environment says of the connection of this name."""
    prefix = f"POLYGLOT_{re.sub('[^A-Z0-9]', '_', name.upper())}_"
    variables = {field: prefix + field.upper() for field in ENVIRONMENT_FIELDS}
    return {
        field: _read_text(field, os.environ[variable], f"the environment variable {variable}")
        for field, variable in variables.items()
        if os.environ.get(variable)
    }


_SWITCHES = {"1": True, "true": True, "0": False, "false": False}


def _read_text(field: str, text: str, source: str) -> object:
    """The value of a field that was given as text."""
    if field == "api_key":
        return Secret(text, source)
    if field != "allow_http":
        return text
    try:
        return _SWITCHES[text.lower()]
    except KeyError:
        raise config_error(f"{field} is true or false, not {text!r} ({source}).") from None


def _from_entry(name: str, entry: Entry, overrides: Mapping[str, Any]) -> Connection:
    own: dict[str, Any] = {
        field: value
        for field in (
            "model",
            "base_url",
            "options",
            "headers",
            "timeouts",
            "retries",
            "limits",
            "facts",
            "proxy",
            "ca",
            "allow_http",
        )
        if (value := getattr(entry, field))
    }
    if entry.api_key is not None:
        own["api_key"] = entry.api_key
    elif entry.api_key_env is not None and "api_key" not in overrides:
        own["api_key"] = _key_from(entry.api_key_env, name)
    elif entry.api_key_command is not None and "api_key" not in overrides:
        command: Any = entry.api_key_command
        own["api_key"] = _key_printed_by(command, name)
    if entry.preset is not None:
        preset = discovery.load_preset(entry.preset)
        if preset is None:
            known = discovery.find_presets()
            close = nearest(entry.preset, known)
            raise config_error(f"Connection {name!r} names the preset {entry.preset!r}, which is not installed{close}.")
        moved = _moved(overrides, own.get("base_url") or preset.base_url) and "api_key" not in own
        keyless = {"api_key": None} if moved or "api_key" in overrides else {}
        allowed = {"allow_http": overrides.get("allow_http", entry.allow_http)}
        base = _from_preset(name, preset, {**own, **keyless, **allowed})
        return _build({field: getattr(base, field) for field in base.__struct_fields__}, overrides)
    return _build({"name": name, "driver": entry.driver, **own}, overrides)


def _from_preset(name: str, preset: Preset, overrides: Mapping[str, Any]) -> Connection:
    base_url = overrides.get("base_url") or preset.base_url
    if base_url is None:
        raise ConfigError(
            f"Connection {name!r} has no address: it depends on your account. Give base_url in the configuration, or "
            f"as in Inference.using({name!r}, base_url='https://…', api_key=…).",
            connection=name,
            phase="configure",
        )
    facts: dict[str, Any] = {
        "name": name,
        "driver": preset.driver,
        "base_url": preset.base_url,
        "model": preset.model,
        "auth_header": preset.auth_header,
        "auth_scheme": preset.auth_scheme,
        "facts": preset.facts,
    }
    belongs_here = preset.base_url is None or _origin(base_url) == _origin(preset.base_url)
    if preset.api_key_env and "api_key" not in overrides and belongs_here:
        facts["api_key"] = _key_from(preset.api_key_env, name)
    return _build(facts, overrides)


def _key_from(variable: str, name: str) -> Secret:
    if not os.environ.get(variable):
        raise ConfigError(
            f"Connection {name!r} needs a key: set the environment variable {variable}, or give api_key.",
            connection=name,
            phase="configure",
        )
    return Secret(os.environ[variable], f"the environment variable {variable}")


_COMMAND_SECONDS = 30.0  # a password store may ask its owner first


def _key_printed_by(command: Secret, name: str) -> Secret:
    found = _run_for_key(command, f"The key command of connection {name!r}")
    if isinstance(found, Secret):
        return found
    raise ConfigError(found, connection=name, phase="configure")


def _run_for_key(command: Secret, shown: str) -> Secret | str:
    """The key that a command prints, or the sentence on why there is none. It raises nothing: it has seen the key."""
    words: list[str] = []
    try:
        words = shlex.split(command.reveal())
        shown = f"{shown} ({words[0] if words else 'empty'})"
        done = subprocess.run(  # noqa: S603 (the user's own file names it, and no shell reads it)
            words, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=True, stdin=subprocess.DEVNULL
        )
    except subprocess.CalledProcessError as error:
        return f"{shown} failed with exit status {error.returncode}. Run it by hand to see why."
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        return f"{shown} could not be run: {type(error).__name__}."
    key = done.stdout.strip()
    return Secret(key, f"the command {words[0]}") if key else f"{shown} printed nothing."


def from_dsn(line: Secret) -> Connection:
    """`Connection.from_dsn`; see there."""
    fields = _fields_of(line)
    if isinstance(fields, str):
        raise config_error(fields)
    if "allow_http" in fields:
        fields["allow_http"] = _read_text("allow_http", fields["allow_http"], "the connection line")
    start = {key: fields.pop(key) for key in ("driver", "preset") if key in fields}
    if len(start) != 1:
        raise config_error("A connection line needs either driver= or preset=, as in preset=openai,model=NAME.")
    name = fields.pop("name", None) or next(iter(start.values()))
    if "driver" in start:
        return _build({"name": name, "driver": start["driver"]}, fields)
    preset = discovery.load_preset(start["preset"])
    if preset is None:
        raise config_error(
            f"There is no preset {start['preset']!r}{nearest(start['preset'], discovery.find_presets())}."
        )
    return _from_preset(name, preset, fields)


_MAPPINGS = frozenset({"options", "headers", "facts", "timeouts", "retries", "limits"})
_LINE_FIELDS = (*Connection.__struct_fields__, "preset")


def _fields_of(line: Secret) -> dict[str, Any] | str:
    """The fields of a connection line, or the sentence on what is wrong with it.

    It raises nothing, because its frame shows the line; and what it does not know it does not quote, because that may
    be the rest of a key with a comma in it.
    """
    fields: dict[str, Any] = {}
    for number, part in enumerate(line.reveal().split(","), 1):
        field, equals, value = part.partition("=")
        field, dot, inner = field.strip().partition(".")
        if not equals or not field or (dot and not inner):
            return (
                f"A connection line is made of name=value, separated by commas; part {number} of it is not. A value "
                "that holds a comma cannot be given so."
            )
        if field not in _LINE_FIELDS:
            known = nearest(field, _LINE_FIELDS) or f". Known are {', '.join(_LINE_FIELDS)}"
            return f"The name in part {number} of the connection line is not a field of a connection{known}."
        if bool(inner) != (field in _MAPPINGS):
            how = f"a mapping, given as {field}.NAME=value" if field in _MAPPINGS else f"given as {field}=value"
            return f"{field} in part {number} of the connection line is {how}."
        if inner:
            fields.setdefault(field, {})[inner] = value.strip() if field == "headers" else _as_json(value.strip())
        else:
            fields[field] = value.strip()
    if "api_key" in fields:
        fields["api_key"] = Secret(fields["api_key"], "the connection line")
    start = {"preset": fields.pop("preset")} if "preset" in fields else {}
    guard(fields)
    return {**fields, **start}


def _as_json(text: str) -> Any:  # noqa: ANN401 (any JSON value)
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


dsn_reader[:] = [from_dsn]


def _build(fields: Mapping[str, Any], overrides: Mapping[str, Any]) -> Connection:
    """A connection of `fields` with `overrides` over them; no key follows an override to another origin."""
    known = Connection.__struct_fields__
    for field in overrides:
        if field not in known:
            raise config_error(
                f"A connection has no field {field!r}{nearest(field, known)}. Known are {', '.join(known)}."
            )
    made = {**fields, **overrides}
    if _moved(overrides, fields.get("base_url")):
        fields = _without_keys(fields, overrides.get("auth_header"))
        made["api_key"] = overrides.get("api_key")
    for field in ("options", "headers", "facts"):
        over = overrides.get(field, {})
        if not isinstance(over, Mapping):
            raise config_error(f"{field} of connection {made['name']!r} is a dict, not {type(over).__name__}.")
        made[field] = {**fields.get(field, {}), **over}
    name = made["name"]
    made["timeouts"] = clocks(name, fields.get("timeouts"), overrides.get("timeouts"))
    made["retries"] = retries(name, fields.get("retries"), overrides.get("retries"))
    made["limits"] = _merged(Limits(), "limits", name, fields.get("limits"), overrides.get("limits"))
    return Connection(**made)


def _without_keys(fields: Mapping[str, Any], auth_header: object) -> dict[str, Any]:
    """The fields without the headers that carry a key and the facts that hold one."""
    carriers = {str(fields.get("auth_header")).lower(), str(auth_header).lower()}
    headers = {
        header: value
        for header, value in fields.get("headers", {}).items()
        if not (isinstance(value, Secret) or header.lower() in carriers)
    }
    facts = {fact: value for fact, value in fields.get("facts", {}).items() if not _holds_secret(value)}
    return {**fields, "headers": headers, "facts": facts}


def _holds_secret(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_secret(each) for each in value.values())
    return any(_holds_secret(each) for each in value) if isinstance(value, (list, tuple)) else isinstance(value, Secret)


def clocks(name: str, *layers: Timeouts | Mapping[str, float | None] | None) -> Timeouts:
    """The clocks of a connection or a call: each layer replaces them, or single ones of them.

    Raises:
        ConfigError: A layer names a clock that there is not, or a number is of no use to it.
    """
    return _merged(Timeouts(), "timeouts", name, *layers)


def retries(name: str, *layers: Retries | Mapping[str, float] | None) -> Retries:
    """When requests of a connection or a call are sent again: each layer replaces that, or single numbers of it.

    Raises:
        ConfigError: A layer names a number that there is not, or one is of no use.
    """
    return _merged(Retries(), "retries", name, *layers)


_Row = TypeVar("_Row", Timeouts, Retries, Limits)


def _merged(made: _Row, field: str, name: str, *layers: _Row | Mapping[str, float | None] | None) -> _Row:
    """A row of numbers with each layer over it: another row, or single numbers by name."""
    for layer in layers:
        if layer is None:
            continue
        if isinstance(layer, type(made)):
            made = layer
        else:
            made = msgspec.structs.replace(made, **_known(layer, made, field, name))
        if problem := row_problem(made, f"{field} of connection {name!r}"):
            raise config_error(problem)
    return made


def _known(layer: object, row: _Row, field: str, name: str) -> Mapping[str, float | None]:
    """A layer over a row of numbers, if it is a mapping of names that the row has."""
    known = row.__struct_fields__
    if not isinstance(layer, Mapping):
        kind, given, example = type(row).__name__, type(layer).__name__, known[-1]
        raise config_error(
            f"{field} of connection {name!r} is a {kind}, or a dict such as {{{example!r}: 30}}, not {given}."
        )
    for key in layer:
        if key not in known:
            raise config_error(f"Connection {name!r} has no {key!r} in {field}{nearest(str(key), known)}.")
    return layer


def _origin(url: str | None) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url or "")
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:  # no URL; whoever makes a connection of it says so
        return url or "", None, None


def _moved(overrides: Mapping[str, Any], base_url: str | None) -> bool:
    """Whether an override leads to another origin than the one that is known."""
    return bool(base_url) and "base_url" in overrides and _origin(overrides["base_url"]) != _origin(base_url)


# Saying that something is not there


def unknown_driver(connection: Connection) -> ConfigError:
    """The error for a connection whose driver is not there."""
    drivers = (*discovery.find_drivers(), *discovery.registered_drivers())
    if discovery.is_left_out(connection.driver):
        what = "which is installed, but POLYGLOT_DRIVERS leaves it out"
    else:
        what = f"which is not installed{nearest(connection.driver, drivers)}"
    return ConfigError(
        f"Connection {connection.name!r} names the driver {connection.driver!r}, {what}. Usable are: "
        f"{', '.join(drivers) or 'none'}.",
        connection=connection.name,
        phase="configure",
    )


_FEW = 12  # names that one would read


def _unknown(name: str, settings: Settings, source: str) -> ConfigError:
    """The error for a name that nothing has: what there is, what is broken and why, and the nearest name."""
    presets, drivers = tuple(discovery.find_presets()), tuple(discovery.find_drivers()) + discovery.registered_drivers()
    where = f" ({source})" if source else ""
    lists = [
        _listed(kind, sorted(set(names)))
        for kind, names in (("connections", settings.entries), ("presets", presets), ("drivers", drivers))
    ]
    broken = [f"driver {driver} failed to load: {why}" for driver in drivers if (why := driver_problem(driver))]
    if discovery.is_left_out(name):
        broken.append(f"driver {name} is installed, but POLYGLOT_DRIVERS leaves it out")
    return config_error(
        f"Nothing is called {name!r}{where}{nearest(name, [*settings.entries, *presets, *drivers])}. There are "
        f"{'; '.join(lists + broken)}. A provider's package may not be installed; connections() lists all names."
    )


def _listed(kind: str, names: Sequence[str]) -> str:
    return f"{kind}: {', '.join(names) or 'none'}" if len(names) <= _FEW else f"{len(names)} {kind}"


def driver_problem(name: str) -> str:
    """Why the driver of this name cannot be used; empty if it can."""
    try:
        return "" if discovery.load_driver(name) else f"there is no driver {name!r}"
    except (PluginError, ConfigError) as error:
        return error.message.rstrip(".")
