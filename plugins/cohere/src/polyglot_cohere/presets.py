"""Endpoints that speak Cohere's chat, as rows of data."""

from __future__ import annotations

from polyglot_core.plugin import Preset

__all__ = ["PRESETS"]

PRESETS = {
    "cohere": Preset(
        driver="cohere",
        base_url="https://api.cohere.com/v2",
        api_key_env="COHERE_API_KEY",
        model="command-a-03-2025",
    ),
}
"""Rows by preset name."""
