"""Places that speak Ollama's chat, as rows of data."""

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

Columns in `facts`:
    think_tags: Opening and closing tag of thinking that a model leaves in its text; ``("<think>", "</think>")``, say.
        Servers that know a model's thinking take it out themselves.
"""
