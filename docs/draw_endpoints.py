"""Generate sections for the endpoints with a driver's dialect: configuration, and differences from the dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from draw_facts import sentences
from draw_providers import presets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_core._values.connection import Preset

__all__ = ["draw_endpoints", "draw_list"]

_BASE_URLS = {
    "azure-anthropic": "https://RESOURCE.services.ai.azure.com/anthropic/v1",
    "azure-responses": "https://RESOURCE.openai.azure.com/openai/v1",
    "azure-v1": "https://RESOURCE.openai.azure.com/openai/v1",
    "bedrock-openai": "https://bedrock-runtime.REGION.amazonaws.com/openai/v1",
    "bedrock-responses": "https://bedrock-mantle.REGION.api.aws/openai/v1",
    "cloudflare": "https://api.cloudflare.com/client/v4/accounts/ACCOUNT/ai/v1",
    "databricks": "https://WORKSPACE/serving-endpoints",
    "gpustack": "https://SERVER/v1",
    "pydantic-gateway-anthropic": "https://GATEWAY/anthropic/v1",
    "snowflake": "https://ACCOUNT.snowflakecomputing.com/api/v2/cortex/v1",
    "vertex-anthropic": "https://aiplatform.googleapis.com/v1/projects/PROJECT/locations/LOCATION",
    "watsonx": "https://REGION.ml.cloud.ibm.com/ml/v1",
}
"""Form of the base URL, if each account has its own: words in capitals have to be replaced."""

_MODELS = {"azure-anthropic": "my-deployment", "azure-responses": "my-deployment", "azure-v1": "my-deployment"}
"""Placeholder for the model, if it is not the name of a model."""

_BEDROCK = "The key is a Bedrock API key. Only the driver [bedrock](bedrock.md) signs requests."
_DEPLOYMENT = "The model is the name of your deployment."
_NATIVE = "The driver [ollama](ollama.md) supports Ollama's own dialect."
_SEPARATE_THINKING = "The provider counts thinking separately; `output_tokens` is the sum."
_REPEATED_USAGE = "Nearly every chunk reports usage; the last report counts."

_NOTES: dict[str, tuple[str, ...]] = {
    "azure-anthropic": (_DEPLOYMENT,),
    "azure-responses": (_DEPLOYMENT,),
    "azure-v1": (
        _DEPLOYMENT,
        "For older URLs, with a version in the query, use the driver [azure-openai](azure-openai.md).",
    ),
    "bedrock-openai": (_BEDROCK,),
    "bedrock-responses": (_BEDROCK,),
    "cloudflare": ("With a response format, the content may be a JSON object; it is converted to JSON text.",),
    "databricks": (_REPEATED_USAGE,),
    "doubleword": ("Thinking is counted with another tokenizer: `reasoning_tokens` may exceed `output_tokens`.",),
    "gemini-openai": (
        "`output_tokens` may not include thinking; the total in `usage.raw` does.",
        "The driver [gemini](gemini.md) supports Gemini's own dialect.",
    ),
    "github-copilot": ("The provider rejects requests without an editor's name; hence the header.",),
    "groq": ("A tool call that violates the tool's schema is an error event, with the code `tool_use_failed`.",),
    "huggingface": (
        "Other providers run the models; their responses are forwarded.",
        "A suffix of the model's name, as in `openai/gpt-oss-20b:fireworks-ai`, selects the provider.",
    ),
    "inception": (_SEPARATE_THINKING,),
    "minimax": ("Without the field in the body, the text would contain thinking, in tags.",),
    "ollama-anthropic": (_NATIVE,),
    "ollama-openai": (_NATIVE,),
    "litellm-proxy": (
        "Signed thinking of Claude is sent back in `thinking_blocks`, each block with its signature.",
        "If the connection to the model's provider breaks, LiteLLM sends `stop` and `[DONE]`.",
        "Nothing in the response shows then that the text is incomplete.",
    ),
    "openrouter": (
        "`native_finish_reason` counts if it contradicts a `stop`: `response.notes` states it.",
        "The provider sends comments while the model is busy; they reset the clock `silence` only.",
        "An error of the provider behind it has the status 200, with that provider's status as its code.",
    ),
    "perplexity": (_REPEATED_USAGE,),
    "vercel": ("For Gemini models `output_tokens` does not include thinking: `reasoning_tokens` may exceed it.",),
    "vertex-anthropic": (
        "The key is a short-lived access token.",
        'A command can fetch it when the connection is made: `api_key_command = "gcloud auth print-access-token"`.',
    ),
    "watsonx": (
        "The key is a short-lived access token of IBM Cloud.",
        'The project is required: `extra={"project_id": "…"}`.',
    ),
    "xai": (_SEPARATE_THINKING,),
}
"""Notes on an endpoint that no fact expresses; an endpoint need not have any."""


def draw_endpoints(driver: str) -> str:
    """Return a section for each endpoint with a driver's dialect, except the one with the driver's name."""
    return "\n\n".join("\n".join(_section(name, preset)) for name, preset in _endpoints(driver).items())


def _endpoints(driver: str) -> dict[str, Preset]:
    return {name: preset for name, preset in presets().items() if preset.driver == driver != name}


def _section(name: str, preset: Preset) -> Iterator[str]:
    yield f"### {name}\n"
    yield from ("```toml", *_configuration(name, preset), "```\n")
    yield _key(preset)
    for sentence in (*sentences(preset.driver, preset.facts), *_NOTES.get(name, ())):
        yield f"- {sentence}"


def _configuration(name: str, preset: Preset) -> Iterator[str]:
    yield f"[connections.{name}]"
    yield f'preset = "{name}"'
    if preset.base_url is None:
        yield f'base_url = "{_BASE_URLS[name]}"'
    yield f'model = "{preset.model or _MODELS.get(name, "MODEL")}"'


def _key(preset: Preset) -> str:
    url = f"- Base URL: {preset.base_url}" if preset.base_url else "- Base URL: depends on your account"
    if preset.api_key_env is None:
        return f"{url}. No key is required; set `api_key` if your server requires one."
    header = "" if preset.auth_header == "authorization" else f", sent in the header `{preset.auth_header}`"
    return f"{url}. Key: `{preset.api_key_env}`{header}."


def draw_list(driver: str) -> str:
    """Return links to the sections, in three lists: public endpoints, endpoints of an account, and local servers."""
    kinds: dict[str, list[str]] = {}
    for name, preset in _endpoints(driver).items():
        kinds.setdefault(_kind(preset), []).append(f"[{name}](#{name})")
    return "\n".join(f"- {kind}: {', '.join(kinds[kind])}" for kind in _KINDS if kind in kinds)


_KINDS = ("Public endpoints", "Endpoints of an account", "Local servers")


def _kind(preset: Preset) -> str:
    if preset.base_url is None:
        return _KINDS[1]
    return _KINDS[2] if "//localhost" in preset.base_url else _KINDS[0]
