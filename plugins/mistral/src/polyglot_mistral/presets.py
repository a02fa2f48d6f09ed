"""Endpoints that speak Mistral's chat completions, as rows of data."""

from __future__ import annotations

from polyglot_core.plugin import Preset

__all__ = ["PRESETS"]

PRESETS = {
    "mistral": Preset(
        driver="mistral",
        base_url="https://api.mistral.ai/v1",
        api_key_env="MISTRAL_API_KEY",
        model="mistral-small-latest",
    ),
}
"""Rows by preset name."""
