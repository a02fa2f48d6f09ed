"""Chat completions on Azure OpenAI: the same dialect at deployments, with an API version in the URL.

The model is the name of the deployment. An API key is sent in the header ``api-key``; a token of Entra ID, which a
`token_provider` returns, in ``authorization``. Base URLs that end in ``/openai/v1`` have neither deployments nor API
versions; use them with the driver of plain chat completions.

Source: Microsoft's reference "Azure OpenAI in Foundry Models REST API", data plane inference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec.structs import replace

from polyglot_core.plugin import Secret, config_error, hookimpl, read_facts, url_of
from polyglot_openai.chat.body import models_request, wire_request
from polyglot_openai.chat.driver import decode_chunk, decode_embeddings, decode_error, embedding_limits, extract_usage
from polyglot_openai.chat.embeddings import embeddings_request
from polyglot_openai.chat.facts import Facts
from polyglot_openai.models import read_models

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, EmbeddingRequest, InferenceRequest, Model, WireRequest

__all__ = [
    "authorize",
    "decode_chunk",
    "decode_embeddings",
    "decode_error",
    "embedding_limits",
    "encode_embeddings",
    "encode_request",
    "extract_usage",
    "list_models",
]

_KEY_HEADER = "api-key"
_PATH = "/chat/completions"
_EMBEDDING_PATH = "/embeddings"
_DEFAULTS = {"query": {"api-version": "2025-04-01-preview"}, "token_limit": "max_completion_tokens"}
_DEPLOYMENT = "/deployments/{deployment}"


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode a request to a deployment.

    Raises:
        ConfigError: The connection has no base URL. Each resource has its own, so there is no default.
    """
    base_url = _base_url(connection)
    facts = read_facts(connection, Facts, {**_DEFAULTS, "path": _path_to_deployment(base_url) + _PATH})
    return wire_request(connection, request, facts, base_url)


@hookimpl
def encode_embeddings(connection: Connection, request: EmbeddingRequest) -> WireRequest:
    """Encode the request for the vectors of texts to a deployment of a model with embeddings.

    Raises:
        ConfigError: The connection has no base URL.
    """
    base_url = _base_url(connection)
    path = _path_to_deployment(base_url) + _EMBEDDING_PATH
    facts = read_facts(connection, Facts, {**_DEFAULTS, "embedding_path": path})
    return embeddings_request(request, facts, base_url, connection.driver)


@hookimpl
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    """Encode the request for the models that the resource may deploy, or read them. Their ids are no deployments.

    Source: Microsoft's reference "Models - List", data plane. The path has no deployment.

    Raises:
        ConfigError: The connection has no base URL.
    """
    if data is None:
        resource = _base_url(connection).partition("/deployments/")[0].removesuffix("/models")
        root = f"{resource.removesuffix('/openai')}/openai"
        return models_request(root, read_facts(connection, Facts, _DEFAULTS, shared=True))
    models += read_models(data)
    return None


def _base_url(connection: Connection) -> str:
    if connection.base_url is None:
        example = "base_url = 'https://RESOURCE.openai.azure.com'"
        raise config_error(connection, f"needs the base URL of your resource: {example}, with its name for RESOURCE")
    return url_of(connection)


def _path_to_deployment(base_url: str) -> str:
    """Return the path between `base_url` and the paths of the deployment: a base URL may end at any segment of it."""
    path = urlsplit(base_url).path.rstrip("/")
    if "/deployments/" in path or path.endswith("/models"):
        return ""
    return _DEPLOYMENT if path.endswith("/openai") else f"/openai{_DEPLOYMENT}"


@hookimpl
def authorize(connection: Connection, wire: WireRequest) -> WireRequest:
    """Add a token from the connection's `token_provider` or, without one, the key.

    Raises:
        ConfigError: The provider returned no token.
    """
    provider = read_facts(connection, Facts, shared=True).token_provider
    if provider is None:
        key = connection.secret
        return wire if key is None else replace(wire, headers={**wire.headers, _KEY_HEADER: key})
    token = provider()
    if not isinstance(token, str) or not token:
        raise config_error(connection, f"has a token_provider that returned no token but {type(token).__name__}")
    return replace(wire, headers={**wire.headers, "authorization": Secret(f"Bearer {token}")})
