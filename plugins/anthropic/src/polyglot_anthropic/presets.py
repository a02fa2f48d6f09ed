"""Endpoints that speak Anthropic's Messages, as rows of data."""

from __future__ import annotations

from polyglot_core.plugin import Preset

__all__ = ["PRESETS"]

PRESETS = {
    "anthropic": Preset(
        driver="anthropic",
        base_url="https://api.anthropic.com/v1",
        api_key_env="ANTHROPIC_API_KEY",
        model="claude-haiku-4-5",
        auth_header="x-api-key",
        auth_scheme="",
    ),
    "azure-anthropic": Preset(
        driver="anthropic",
        base_url=None,  # https://RESOURCE.services.ai.azure.com/anthropic/v1
        api_key_env="ANTHROPIC_FOUNDRY_API_KEY",
        auth_header="x-api-key",
        auth_scheme="",
    ),
    "ollama-anthropic": Preset(
        driver="anthropic",
        base_url="http://localhost:11434/v1",
        facts={"unsigned_thinking": True},
    ),
    "opencode-zen-anthropic": Preset(
        driver="anthropic",
        base_url="https://opencode.ai/zen/go/v1",
        api_key_env="OPENCODE_API_KEY",
        auth_header="x-api-key",
        auth_scheme="",
    ),
    "pydantic-gateway-anthropic": Preset(
        driver="anthropic",
        base_url=None,  # https://GATEWAY/anthropic/v1
        api_key_env="PYDANTIC_AI_GATEWAY_API_KEY",
    ),
    "vertex-anthropic": Preset(
        driver="anthropic",
        base_url=None,  # https://aiplatform.googleapis.com/v1/projects/PROJECT/locations/LOCATION
        api_key_env="GOOGLE_OAUTH_ACCESS_TOKEN",
        facts={
            "path": "/publishers/anthropic/models/{model}:rawPredict",
            "stream_path": "/publishers/anthropic/models/{model}:streamRawPredict",
            "body_version": "vertex-2023-10-16",
        },
    ),
}
"""Rows by preset name; their facts are those of `polyglot_anthropic.facts`.

A `base_url` of None depends on the account; the comment next to it shows its form.
"""
