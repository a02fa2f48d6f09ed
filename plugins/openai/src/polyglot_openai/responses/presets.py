"""Endpoints that speak OpenAI Responses, as rows of data."""

from __future__ import annotations

from polyglot_core.plugin import Preset

__all__ = ["PRESETS"]

PRESETS = {
    "azure-responses": Preset(
        driver="openai-responses",
        base_url=None,
        api_key_env="AZURE_OPENAI_API_KEY",
        auth_header="api-key",
        auth_scheme="",
    ),
    "bedrock-responses": Preset(
        driver="openai-responses",
        base_url=None,
        api_key_env="AWS_BEARER_TOKEN_BEDROCK",
        model="openai.gpt-oss-20b",
    ),
    "deepseek-responses": Preset(
        driver="openai-responses",
        base_url="https://api.deepseek.com",
        api_key_env="DEEPSEEK_API_KEY",
        model="deepseek-v4-flash",
        facts={"thinking": "reasoning_text"},
    ),
    "llamacpp-responses": Preset(
        driver="openai-responses",
        base_url="http://localhost:8080/v1",
        facts={"thinking": "reasoning_text"},
    ),
    "lmstudio-responses": Preset(
        driver="openai-responses",
        base_url="http://localhost:1234/v1",
        facts={"thinking": "reasoning_text"},
    ),
    "openai-responses": Preset(
        driver="openai-responses",
        base_url="https://api.openai.com/v1",
        api_key_env="OPENAI_API_KEY",
        model="gpt-4o-mini",
    ),
    "openrouter-responses": Preset(
        driver="openai-responses",
        base_url="https://openrouter.ai/api/v1",
        api_key_env="OPENROUTER_API_KEY",
        model="openai/gpt-4o-mini",
    ),
    "xai-responses": Preset(
        driver="openai-responses",
        base_url="https://api.x.ai/v1",
        api_key_env="XAI_API_KEY",
        model="grok-4.3",
        facts={"own_calls": ("xs_",)},
    ),
}
"""Rows by preset name.

Azure's base URL depends on the resource, ``https://NAME.openai.azure.com/openai/v1``, and Bedrock's on the region,
``https://bedrock-mantle.REGION.api.aws/openai/v1``.

Facts:
    own_calls: Prefixes of the ids of tool calls that the provider runs itself, though they look like calls of the
        user's tools.
    query: Query of the URL, such as the ``api-version`` that Azure's older endpoints require.
    thinking: Type of the parts in which thinking is sent back: ``summary_text``, the default, or ``reasoning_text``. A
        part that was received in this dialect keeps its type.
"""
