"""The names that the semantic conventions have for providers, and for what they are asked to do."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["operation_of", "provider_of", "server_of"]

_HOSTS = {
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "openai.com": "openai",
    "anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "amazonaws.com": "aws.bedrock",
    "cohere.com": "cohere",
    "mistral.ai": "mistral_ai",
    "groq.com": "groq",
    "deepseek.com": "deepseek",
    "perplexity.ai": "perplexity",
    "x.ai": "x_ai",
    "moonshot.ai": "moonshot_ai",
    "moonshot.cn": "moonshot_ai",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
}
"""The end of the host's name, and the provider whose it is."""

_DRIVERS = {
    "azure-openai": "azure.ai.openai",
    "openai-responses": "openai",
    "gemini": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "bedrock": "aws.bedrock",
    "mistral": "mistral_ai",
}
"""Of drivers whose names differ, the provider whose dialect they speak."""

_GENERATE = frozenset({"gemini", "vertex"})


def provider_of(driver: str, address: str) -> str:
    """Return the provider of a host; of one that is not known, that whose dialect the driver speaks."""
    parts = address.lower().split(".")
    ends = (".".join(parts[start:]) for start in range(len(parts)))
    known = next((_HOSTS[end] for end in ends if end in _HOSTS), None)
    if known is None and "-aiplatform." in f".{address}":  # a location comes before the name of Vertex AI
        known = "gcp.vertex_ai"
    return known or _DRIVERS.get(driver, driver)


def operation_of(driver: str) -> str:
    """Return the operation that the requests of a driver ask for."""
    return "generate_content" if driver in _GENERATE else "chat"


def server_of(origin: str) -> tuple[str, int | None]:
    """Return the host and the port of an origin; an empty host if there is none."""
    parts = urlsplit(origin)
    return parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)
