"""The package's rows."""

from __future__ import annotations

import tomllib
from pathlib import Path

from polyglot_cohere.presets import PRESETS

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_every_row_has_an_entry_point_and_is_complete():
    """A row that no entry point names would never be found."""
    points = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["entry-points"]
    assert set(points["polyglot.presets"]) == set(PRESETS)
    for preset in PRESETS.values():
        assert preset.driver in points["polyglot.drivers"]
        assert str(preset.base_url).startswith("https://")
        assert preset.api_key_env == "COHERE_API_KEY"
