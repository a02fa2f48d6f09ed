"""Generate the table of settings: where each is set, its default, and the page that explains it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import msgspec
from draw_reference import shown_default

from polyglot_core import Inference
from polyglot_core._config.config_file import Entry
from polyglot_core._config.resolve import ENVIRONMENT_FIELDS
from polyglot_core._values.connection import Connection
from polyglot_core._values.limits import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["draw_settings"]

_CONNECTION, _CALL = "configuration.md#connection", "requests.md#arguments-of-a-call"
_PAGES = {
    **dict.fromkeys(("name", "driver", "preset", "base_url", "proxy", "ca", "allow_http"), _CONNECTION),
    **dict.fromkeys(("auth_header", "auth_scheme"), _CONNECTION),
    **dict.fromkeys(("api_key", "api_key_env", "api_key_command"), "configuration.md#the-configuration-file"),
    "model": "configuration.md#name-lookup",
    "options": "requests.md#options",
    "headers": "requests.md#headers",
    "timeouts": "configuration.md#clocks",
    "retries": "configuration.md#retries",
    "limits": "configuration.md#limits",
    "rate": "rates.md",
    "fallbacks": "errors.md#fallbacks",
    "facts": "drivers.md#presets-are-rows",
    "data_mode": "data.md#modes",
    "transport": "transports.md",
    "observers": "observers.md#register-an-observer",
    "messages": "requests.md#messages",
    "stream": _CALL,
    **dict.fromkeys(("tools", "tool_choice", "parallel_tool_calls"), "requests.md#tools"),
    "response_format": "requests.md#response-formats",
    "unsupported": "requests.md#unsupported-features",
    "extra": "requests.md#extra",
    "on_truncated": "errors.md#outcomes",
    "resume": "errors.md#resume-an-interrupted-response",
    "on_length": "errors.md#continue-a-response-that-was-cut-at-its-limit",
    "client": "configuration.md#in-code",
    "config": "configuration.md#the-configuration-file",
}
"""Page of each setting. One that has none is an error, so that a new setting is not forgotten."""

_INFERENCE = ("client", "config", "observers")
"""Settings that an inference has beside those of its connection."""


def draw_settings() -> str:
    """Return the table: a row for each setting of a connection, an inference and a call.

    Raises:
        KeyError: A setting has no page.
    """
    rows = ["| setting | where | default | page |", "|---|---|---|---|"]
    for name, where, default in sorted(_settings()):
        page = _PAGES[name.partition(".")[0]]
        rows.append(f"| `{name}` | {', '.join(where)} | {default} | [{page.partition('#')[0][:-3]}]({page}) |")
    return "\n".join(rows)


def _settings() -> Iterator[tuple[str, list[str], str]]:
    """Yield the name, the places and the default of each setting."""
    connection = {field.name: shown_default(field) for field in msgspec.structs.fields(Connection)}
    entry = {field.name: shown_default(field) for field in msgspec.structs.fields(Entry)}
    call = {name: f"`{each.default!r}`" for name, each in inspect.signature(Inference.create).parameters.items()}
    call = {
        name: "required" if "class" in default else default
        for name, default in call.items()
        if name != "self" and name[0] != "_"
    }
    for name in {**call, **entry, **connection}:
        places = {
            "file": entry, "environment": ENVIRONMENT_FIELDS, "connection": connection, "inference": _INFERENCE,
            "call": call,
        }  # fmt: skip
        where = [place for place, names in places.items() if name in names]
        yield name, where, {**call, **entry, **connection}[name]
        for field in msgspec.structs.fields(NUMBERS[name]) if name in NUMBERS else ():
            yield f"{name}.{field.name}", where, f"`{getattr(NUMBERS[name], field.name)!r}`"
    for name in set(_INFERENCE) - connection.keys():
        yield name, ["inference"], "`None`"
