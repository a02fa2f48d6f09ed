"""Embeddings of both APIs.

The Gemini API has batchEmbedContents, with one request for each text in the body. Vertex AI has embedContent for the
Gemini models, with one text, and predict for the others, with an instance for each text.

Sources: Google's references "Method: models.batchEmbedContents" of the Gemini API, which allows 100 requests, and "Text
embeddings API" of Vertex AI, which allows 250 texts and 20,000 tokens; Google's own SDK for which models have
embedContent on Vertex AI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from polyglot_core.plugin import (
    Embeddings,
    Usage,
    cannot_express,
    json_access,
    json_request,
    merged,
    translate_options,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_core.plugin import EmbeddingRequest, WireRequest

__all__ = ["batch_request", "read_batch", "read_vertex", "vertex_limits", "vertex_request"]

_JSONObject = dict[str, Any]

_OPTIONS = {"dimensions": "outputDimensionality", "input_type": "taskType", "encoding": "encoding"}
_TASKS = {
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
    "similarity": "SEMANTIC_SIMILARITY",
}
_ONE, _PREDICT = (1, None), (250, 20_000)


def _settings(request: EmbeddingRequest, driver: str) -> _JSONObject:
    """Return the options as fields."""
    fields = translate_options(request, _OPTIONS, driver=driver)
    if fields.pop("encoding", "float") != "float":
        cannot_express(request, "the encoding 'base64'", driver=driver, instead="encoding='float'")
    return {**fields, "taskType": _TASKS[fields["taskType"]]} if "taskType" in fields else fields


def _content(text: str) -> _JSONObject:
    return {"parts": [{"text": text}]}


def batch_request(url: str, resource: str, request: EmbeddingRequest, *, driver: str) -> WireRequest:
    """Return the request to batchEmbedContents. The fields of `extra` are laid over each of its requests.

    Args:
        url: URL of the model, to which the method is added.
        resource: Name of the model with its collection, which each request repeats.
        request: The request.
        driver: Name of the driver, for messages.
    """
    settings = _settings(request, driver)
    requests = [{"model": resource, "content": _content(text), **settings} for text in request.texts]
    return json_request(
        f"{url}:batchEmbedContents", {"requests": [merged(each, request.extra) for each in requests]}, stream=False
    )


def _has_embed_content(model: str) -> bool:
    """Return True for a model of Vertex AI with embedContent."""
    return "gemini" in model.rpartition("/")[2]


def vertex_limits(model: str) -> tuple[int, int | None]:
    """Return how many texts, and bytes, one request to Vertex AI may have."""
    return _ONE if _has_embed_content(model) else _PREDICT


def vertex_request(url: str, request: EmbeddingRequest, *, driver: str) -> WireRequest:
    """Return the request to embedContent or to predict, at the URL of the model."""
    settings = _settings(request, driver)
    if _has_embed_content(request.model):
        body: _JSONObject = {
            "content": _content(request.texts[0]),
            **({"embedContentConfig": settings} if settings else {}),
        }
        return json_request(f"{url}:embedContent", merged(body, request.extra), stream=False)
    task = {"task_type": settings.pop("taskType")} if "taskType" in settings else {}
    instances: list[_JSONObject] = [{"content": text, **task} for text in request.texts]
    body = {"instances": instances, **({"parameters": settings} if settings else {})}
    return json_request(f"{url}:predict", merged(body, request.extra), stream=False)


class _Embedding(Struct, gc=False):
    values: list[float]
    statistics: Any = None


class _Prediction(Struct, gc=False):
    embeddings: _Embedding


_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_embedding = msgspec.json.Decoder(_Embedding).decode
_embeddings = msgspec.json.Decoder(list[_Embedding]).decode
_predictions = msgspec.json.Decoder(list[_Prediction]).decode


def read_batch(data: bytes) -> Embeddings:
    """Return the vectors in a response of batchEmbedContents."""
    fields = _decode(data)
    return _embedded(_embeddings(fields.pop("embeddings", b"null")), fields)


def read_vertex(request: EmbeddingRequest, data: bytes) -> Embeddings:
    """Return the vectors in a response of embedContent or predict."""
    fields = _decode(data)
    if _has_embed_content(request.model):
        return _embedded([_embedding(fields.pop("embedding", b"null"))], fields)
    return _embedded([each.embeddings for each in _predictions(fields.pop("predictions", b"null"))], fields)


def _embedded(found: Sequence[_Embedding], fields: dict[str, msgspec.Raw]) -> Embeddings:
    """Return the vectors with their usage, which is one for all or in the statistics of each text."""
    rest: _JSONObject = {name: msgspec.json.decode(value) for name, value in fields.items()}
    statistics = [each.statistics for each in found if each.statistics is not None]
    if statistics:
        rest["statistics"] = statistics  # they state, for example, that a text was truncated
    counts = [json_access.number(each, "token_count") for each in statistics]
    total = json_access.number(rest, "usageMetadata.promptTokenCount")
    if total is None and counts and None not in counts:
        total = sum(count or 0 for count in counts)
    usage = None if total is None else Usage(input_tokens=total, raw=rest.get("usageMetadata") or {})
    return Embeddings(vectors=[each.values for each in found], usage=usage, raw=(rest,))
