"""The driver of each dialect, and the facts of each recorded provider, from ``presets.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from polyglot_core import Connection
from polyglot_core._drivers import discovery

_TABLES = tomllib.loads(Path(__file__).with_name("presets.toml").read_text("utf-8"))
_NOT_EXPECTED = "think_tags"  # the expectations leave tags in the text

DRIVERS: dict[str, str] = _TABLES.pop("drivers")
"""Driver by dialect."""

PRESETS: dict[str, dict[str, str]] = _TABLES
"""Preset by provider, by dialect."""


@cache
def is_spoken(dialect: str) -> bool:
    """Return whether the driver of `dialect` is installed."""
    return discovery.load_driver(DRIVERS[dialect]) is not None


def connection_to(dialect: str, provider: str, base_url: str) -> Connection:
    """Return a connection to `base_url` with the facts of `provider`."""
    return Connection(
        name="recorded",
        driver=DRIVERS[dialect],
        model="recorded-model",
        base_url=base_url,
        api_key="test-key",
        facts=_facts(PRESETS.get(dialect, {}).get(provider)),
    )


@cache  # looking up a preset among all installed ones takes longer than the request
def _facts(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    preset = discovery.load_preset(name)
    assert preset is not None, f"presets.toml names the preset {name!r}, which is not installed"
    return {column: value for column, value in preset.facts.items() if column != _NOT_EXPECTED}
