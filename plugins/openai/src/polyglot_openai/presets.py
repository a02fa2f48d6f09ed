"""Places that speak OpenAI's chat completions, as rows of data."""

from __future__ import annotations

from polyglot_core.plugin import Preset

__all__ = ["PRESETS"]

PRESETS = {
    "openai": Preset(
        driver="openai",
        base_url="https://api.openai.com/v1",
        api_key_env="OPENAI_API_KEY",
        model="gpt-4o-mini",
        facts={"token_limit": "max_completion_tokens"},
    ),
}
"""Rows by preset name.

Columns in `facts`:
    token_limit: Body field that the option ``max_tokens`` becomes; ``max_tokens`` itself where the column is missing.
"""
