"""Sections for the places that speak a driver's dialect: how to configure each, and in what it differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from draw_columns import sentences
from draw_providers import presets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_core._values.connection import Preset

__all__ = ["draw_list", "draw_places"]

_ADDRESSES = {
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
"""Shape of the address, where everyone has another: what is in capitals is to be replaced."""

_MODELS = {"azure-anthropic": "my-deployment", "azure-responses": "my-deployment", "azure-v1": "my-deployment"}
"""What stands for the model in a configuration, where that is not the model's own name."""

_BEDROCK = "The key is one of Bedrock's own. Signatures are made by the driver [bedrock](bedrock.md) alone."
_DEPLOYMENT = "The model is the name of your deployment."
_NATIVE = "Ollama's own dialect is spoken by the driver [ollama](ollama.md)."

_NOTES: dict[str, tuple[str, ...]] = {
    "azure-anthropic": (_DEPLOYMENT,),
    "azure-responses": (_DEPLOYMENT,),
    "azure-v1": (
        _DEPLOYMENT,
        "Older addresses, with a version in the URL, are the business of the driver [azure-openai](azure-openai.md).",
    ),
    "bedrock-openai": (
        "The key is one of Bedrock's own. Signatures are made by the driver [bedrock](bedrock.md) alone.",
    ),
    "bedrock-responses": (
        "The key is one of Bedrock's own. Signatures are made by the driver [bedrock](bedrock.md) alone.",
    ),
    "cloudflare": ("With a format, the content may come as a JSON object instead of a text; you get it as JSON text.",),
    "databricks": ("Nearly every chunk reports usage; the last report counts.",),
    "doubleword": ("Thinking is counted with another tokenizer: `reasoning_tokens` may exceed `output_tokens`.",),
    "gemini-openai": (
        "Tokens of thinking may be missing from `output_tokens`; the total in `usage.raw` has them.",
        "Gemini's own dialect is spoken by the driver [gemini](gemini.md).",
    ),
    "github-copilot": ("An editor that does not say which it is gets no answer; hence the header.",),
    "groq": ("A call that does not fit its tool's schema is an error in the stream, with the code `tool_use_failed`.",),
    "huggingface": (
        "Others run the models, and their answers are handed on.",
        "A suffix of the model's name, as in `openai/gpt-oss-20b:fireworks-ai`, says who is to run it.",
    ),
    "inception": ("Thinking is counted beside the rest of the answer; `output_tokens` is the sum.",),
    "minimax": ("Without the field in the body, thinking would stand in the text, between tags.",),
    "ollama-anthropic": (_NATIVE,),
    "ollama-openai": (_NATIVE,),
    "openrouter": (
        "While you wait, comments come; they feed the clock `silence` and no other.",
        "An error of the place behind it comes inside a 200, with that place's status as its code.",
    ),
    "perplexity": ("Nearly every chunk reports usage; the last report counts.",),
    "vercel": ("For Gemini's models thinking is missing from `output_tokens`: `reasoning_tokens` may exceed it.",),
    "vertex-anthropic": (
        "The key is an access token, which is short-lived.",
        'It can be fetched when the connection is made: `api_key_command = "gcloud auth print-access-token"`.',
    ),
    "watsonx": (
        "The key is an access token of IBM Cloud, which is short-lived.",
        'It wants to know your project: `extra={"project_id": "…"}`.',
    ),
    "xai": ("Thinking is counted beside the rest of the answer; `output_tokens` is the sum.",),
}
"""What is worth knowing of a place and stands in no column; a place need not be here."""


def draw_places(driver: str) -> str:
    """A section for each place that speaks a driver's dialect, besides the one that has the driver's name."""
    return "\n\n".join("\n".join(_section(name, preset)) for name, preset in _places(driver).items())


def _places(driver: str) -> dict[str, Preset]:
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
        yield f'base_url = "{_ADDRESSES[name]}"'
    yield f'model = "{preset.model or _MODELS.get(name, "MODEL")}"'


def _key(preset: Preset) -> str:
    where = f"- At {preset.base_url}" if preset.base_url else "- At your own address"
    if preset.api_key_env is None:
        return f"{where}, without a key; give `api_key` if yours wants one."
    header = "" if preset.auth_header == "authorization" else f", which travels in the header `{preset.auth_header}`"
    return f"{where}, with the key in `{preset.api_key_env}`{header}."


def draw_list(driver: str) -> str:
    """Links to the sections, in three lists: places for everyone, places of one's own, and one's own machine."""
    kinds: dict[str, list[str]] = {}
    for name, preset in _places(driver).items():
        kinds.setdefault(_kind(preset), []).append(f"[{name}](#{name})")
    return "\n".join(f"- {kind}: {', '.join(kinds[kind])}" for kind in _KINDS if kind in kinds)


_KINDS = ("One address for everyone", "An address of your own", "On your machine")


def _kind(preset: Preset) -> str:
    if preset.base_url is None:
        return _KINDS[1]
    return _KINDS[2] if "//localhost" in preset.base_url else _KINDS[0]
