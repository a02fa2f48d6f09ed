"""Endpoints that speak Ollama's chat, as rows of data."""

from __future__ import annotations

from polyglot_core.plugin import Preset

__all__ = ["PRESETS"]

PRESETS = {
    "ollama": Preset(
        driver="ollama",
        base_url="http://localhost:11434",
        model="gpt-oss:20b",
    ),
    "ollama-cloud": Preset(
        driver="ollama",
        base_url="https://ollama.com",
        api_key_env="OLLAMA_API_KEY",
        model="gpt-oss:20b",
    ),
}
"""Rows by preset name.

Facts:
    think_tags: Opening and closing tag of thinking that a model leaves in its text, such as
        ``("<think>", "</think>")``. Servers that support a model's thinking remove it themselves.
"""
