"""Layers of configuration, and how they are merged: pure functions of data.

A layer is a mapping of fields of `Connection`. Layers are folded in order, and a later one overrides those before it: a
preset, an entry of the configuration file, the fields from the environment and the code. Options, headers and facts are
merged by name, and so are the numbers of timeouts, retries, limits and rate. Every other field is replaced.

A credential belongs to the origin that it was configured for. If a layer moves ``base_url`` to another origin, the
credentials of the layers below are dropped. A layer holds the source of a key, a `KeyVariable` or a `KeyCommand`, and
the key is read after the fold: a key that was dropped or replaced need not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from polyglot_core._values.addresses import origin_of
from polyglot_core._values.connection import Connection
from polyglot_core._values.limits import NUMBERS, folded_numbers
from polyglot_core._values.secret import Secret
from polyglot_core._values.suggest import config_error, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core._config.config_file import Entry
    from polyglot_core._values.connection import Preset

__all__ = ["MAPPINGS", "KeyCommand", "KeyVariable", "Layer", "entry_layer", "fold", "preset_layer", "read_text"]

Layer = Mapping[str, Any]
"""Fields of `Connection`, by name."""


class KeyVariable(NamedTuple):
    """A key in an environment variable.

    Attributes:
        name: Name of the variable.
    """

    name: str


class KeyCommand(NamedTuple):
    """A key printed by a command.

    Attributes:
        line: The command line, which may hold a password.
    """

    line: Secret


# Making layers


def preset_layer(preset: Preset) -> Layer:
    """Return a preset as a layer."""
    fields = ("driver", "base_url", "model", "auth_header", "auth_scheme", "facts", "data_mode")
    layer = {field: getattr(preset, field) for field in fields}
    return {**layer, "api_key": KeyVariable(preset.api_key_env)} if preset.api_key_env else layer


_ENTRY_FIELDS = (
    "model", "base_url", "options", "headers", "timeouts", "retries", "limits", "facts", "proxy", "ca", "allow_http",
    "data_mode", "transport", "observers",
)  # fmt: skip


def entry_layer(entry: Entry) -> Layer:
    """Return an entry of the configuration file as a layer, without the fields that are not set."""
    layer = {field: value for field in _ENTRY_FIELDS if (value := getattr(entry, field))}
    layer |= {} if entry.rate is None else {"rate": entry.rate}  # an empty one is a setting: all numbers are learnt
    if entry.api_key is not None:
        return {**layer, "api_key": entry.api_key}
    if entry.api_key_env is not None:
        return {**layer, "api_key": KeyVariable(entry.api_key_env)}
    command: Any = entry.api_key_command  # a Secret since the entry was read
    return layer if command is None else {**layer, "api_key": KeyCommand(command)}


_SWITCHES = {"1": True, "true": True, "0": False, "false": False}


def read_text(field: str, text: str, source: str) -> object:
    """Return the value of a field that is given as text, in the environment or a connection line.

    Args:
        field: Name of the field.
        text: Its text.
        source: Origin of the text, for messages.

    Raises:
        ConfigError: The text is neither true nor false, and the field is a switch.
    """
    if field == "api_key":
        return Secret(text, source)
    if field != "allow_http":
        return text
    try:
        return _SWITCHES[text.lower()]
    except KeyError:
        raise config_error(f"{field} is true or false, not {text!r} ({source}).") from None


# Folding them


def fold(name: str, *layers: Layer) -> dict[str, Any]:
    """Merge layers, later over earlier, into the fields of one connection.

    Args:
        name: Name of the connection.
        layers: The layers, lowest first.

    Raises:
        ConfigError: A layer has a field that a connection does not have, or a mapping or number that cannot be merged.
    """
    fields: dict[str, Any] = {"name": name}
    for layer in layers:
        fields = _merged(fields, layer)
    return fields


def _merged(fields: Mapping[str, Any], layer: Layer) -> dict[str, Any]:
    """Return the fields with one more layer over them."""
    _check_fields(layer)
    if "base_url" in layer and _is_moved(fields.get("base_url"), layer["base_url"]):
        fields = _without_credentials(fields, layer.get("auth_header"))
    merged = {**fields, **layer}
    for field in layer.keys() & _MERGES.keys():
        merged[field] = _MERGES[field](field, merged["name"], fields.get(field), layer[field])
    return merged


def _check_fields(layer: Layer) -> None:
    known = Connection.__struct_fields__
    for field in layer:
        if field not in known:
            raise config_error(
                f"A connection has no field {field!r}{suggestion(field, known)}. Known are {', '.join(known)}."
            )


def _is_moved(known: str | None, base_url: object) -> bool:
    """Return True if a base URL has another origin than the one known so far, if there is one."""
    return bool(known) and not (isinstance(base_url, str) and origin_of(base_url) == origin_of(str(known)))


def _without_credentials(fields: Mapping[str, Any], auth_header: object) -> dict[str, Any]:
    """Return the fields without the key, the headers that carry a key and the facts that hold a secret."""
    carriers = {str(fields.get("auth_header")).lower(), str(auth_header).lower()}
    headers = {
        header: value
        for header, value in fields.get("headers", {}).items()
        if not (isinstance(value, Secret) or header.lower() in carriers)
    }
    facts = {fact: value for fact, value in fields.get("facts", {}).items() if not _holds_secret(value)}
    return {**fields, "api_key": None, "headers": headers, "facts": facts}


def _holds_secret(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_secret(each) for each in value.values())
    return any(_holds_secret(each) for each in value) if isinstance(value, (list, tuple)) else isinstance(value, Secret)


# Merging one field


def _merged_mapping(field: str, name: str, below: Mapping[str, Any] | None, above: object) -> dict[str, Any]:
    if not isinstance(above, Mapping):
        raise config_error(f"{field} of connection {name!r} is a dict, not {type(above).__name__}.")
    return {**(below or {}), **above}


def _merged_numbers(field: str, name: str, below: Any, above: object) -> object:  # noqa: ANN401 (numbers of one kind)
    off = above is None and field == "rate"
    return None if off else folded_numbers(below or NUMBERS[field], field, name, above)


MAPPINGS = ("options", "headers", "facts")
"""Fields that are merged by name."""

_MERGES: dict[str, Callable[[str, str, Any, Any], object]] = {
    **dict.fromkeys(MAPPINGS, _merged_mapping),
    **dict.fromkeys(NUMBERS, _merged_numbers),
}
"""How a field is merged, for fields that are not simply replaced: field, connection, value below, value above."""
