"""The driver ``gemini``: generateContent of the Gemini API, with a key."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from polyglot_core.plugin import hookimpl, url_of
from polyglot_google.decoding import decode_chunk, extract_usage
from polyglot_google.embeddings import batch_request, read_batch
from polyglot_google.encoding import wire_request
from polyglot_google.models import list_models_at
from polyglot_google.presets import PRESETS
from polyglot_google.provider_errors import decode_error

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, EmbeddingRequest, Embeddings, InferenceRequest, Model, WireRequest

__all__ = [
    "decode_chunk",
    "decode_embeddings",
    "decode_error",
    "embedding_limits",
    "encode_embeddings",
    "encode_request",
    "extract_usage",
    "list_models",
]

_MOST_TEXTS = 100
_COLLECTIONS = frozenset({"models", "tunedModels"})


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as generateContent, or as streamGenerateContent with server-sent events."""
    base_url = _base_url(connection)
    return wire_request(f"{base_url}/{_resource(request.model)}", base_url, request, driver="gemini")


@hookimpl
def embedding_limits() -> tuple[int, int | None]:
    """Return how many texts one request may have."""
    return _MOST_TEXTS, None


@hookimpl
def encode_embeddings(connection: Connection, request: EmbeddingRequest) -> WireRequest:
    """Encode the request as batchEmbedContents."""
    resource = _resource(request.model)
    return batch_request(f"{_base_url(connection)}/{resource}", resource, request, driver="gemini")


@hookimpl
def decode_embeddings(data: bytes) -> Embeddings:
    """Read the vectors of texts."""
    return read_batch(data)


@hookimpl
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    """Encode the request for a page of the list of models, or read the page before."""
    url = f"{_base_url(connection)}/models"
    return list_models_at(url, data, models, field="models", prefix="models/", most=1000)


def _base_url(connection: Connection) -> str:
    return url_of(connection, default=PRESETS["gemini"].base_url)


def _resource(model: str) -> str:
    """Return the path of the model; a name without a collection is one of Google's own models."""
    collection, slash, name = model.partition("/")
    if not slash or collection not in _COLLECTIONS:
        collection, name = "models", model
    return f"{collection}/{quote(name, safe='')}"
