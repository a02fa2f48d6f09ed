"""Embeddings by InvokeModel, whose body is that of the model's maker: Amazon's Titan, and Cohere's Embed.

Titan embeds one text in a request. Cohere's models require a type of input; texts without one are documents, as for a
search, and the body of their responses states no tokens.

Sources: the user guide of Amazon Bedrock, pages "Amazon Titan Embeddings G1 - Text", with version 2, and "Cohere Embed
and Cohere Embed v4 models": up to 96 texts in one request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from polyglot_bedrock.paths import in_path
from polyglot_bedrock.region import base_url_of
from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
    Embeddings,
    Usage,
    cannot_express,
    hookimpl,
    json_access,
    json_request,
    merged,
    translate_options,
)

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, EmbeddingRequest, WireRequest

__all__ = ["decode_embeddings", "embedding_limits", "encode_embeddings"]

_TITAN, _COHERE = "amazon.titan-embed-text", "cohere.embed"
_MOST_TEXTS = {_TITAN: 1, _COHERE: 96}
_OPTIONS = {
    _TITAN: {"dimensions": "dimensions", "encoding": "encoding"},
    _COHERE: {"dimensions": "output_dimension", "encoding": "encoding", "input_type": "input_type"},
}
_INPUT_TYPES = {
    "query": "search_query",
    "document": "search_document",
    "classification": "classification",
    "clustering": "clustering",
}


def _family(model: str) -> str:
    """Return the family of a model, whose name may begin with a region or be an ARN.

    Raises:
        RequestError: It is none of those whose bodies are known.
    """
    for family in _MOST_TEXTS:
        if family in model:
            return family
    msg = f"{model!r} is no model whose embeddings the driver can request; those are {_TITAN}-… and {_COHERE}-…."
    raise RequestError(msg, provider="bedrock", phase="encode")


@hookimpl
def embedding_limits(model: str) -> tuple[int, int | None]:
    """Return how many texts one request to the model may have."""
    return _MOST_TEXTS[_family(model)], None


@hookimpl
def encode_embeddings(connection: Connection, request: EmbeddingRequest) -> WireRequest:
    """Encode the request as InvokeModel.

    Raises:
        RequestError: The model is none with embeddings, or is asked for several texts at once and takes one.
    """
    family = _family(request.model)
    fields = translate_options(request, _OPTIONS[family], driver=connection.driver)
    if fields.pop("encoding", "float") != "float":
        cannot_express(request, "the encoding 'base64'", driver=connection.driver, instead="encoding='float'")
    body = _titan_body(request) if family == _TITAN else _cohere_body(request, fields, connection.driver)
    url = f"{base_url_of(connection)}/model/{in_path(request.model, connection.driver)}/invoke"
    return json_request(url, merged({**body, **fields}, request.extra), stream=False)


def _titan_body(request: EmbeddingRequest) -> dict[str, Any]:
    if len(request.texts) > 1:
        msg = f"{request.model} embeds one text in a request; leave out batch_size."
        raise RequestError(msg, provider="bedrock", phase="encode")
    return {"inputText": request.texts[0]}


def _cohere_body(request: EmbeddingRequest, fields: dict[str, Any], driver: str) -> dict[str, Any]:
    word = fields.pop("input_type", "document")
    if word not in _INPUT_TYPES:
        cannot_express(request, f"the input_type {word!r}", driver=driver, instead="input_type='clustering'")
    kind = _INPUT_TYPES.get(word, _INPUT_TYPES["document"])
    return {"texts": request.texts, "input_type": kind, "embedding_types": ["float"]}


class _Typed(Struct, gc=False):
    numbers: list[list[float]] = field(name="float")


_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_titan_vector = msgspec.json.Decoder(list[float]).decode
_cohere_vectors = msgspec.json.Decoder(_Typed | list[list[float]]).decode


@hookimpl
def decode_embeddings(request: EmbeddingRequest, data: bytes) -> Embeddings:
    """Read the vectors of either family, and Titan's tokens."""
    fields = _decode(data)
    if _family(request.model) == _TITAN:
        vectors = [_titan_vector(fields.pop("embedding", b"null"))]
        fields.pop("embeddingsByType", None)  # has the same once more
    else:
        found = _cohere_vectors(fields.pop("embeddings", b"null"))
        vectors = found.numbers if isinstance(found, _Typed) else found
    rest: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in fields.items()}
    read = json_access.number(rest, "inputTextTokenCount")
    usage = None if read is None else Usage(input_tokens=read, raw={"inputTextTokenCount": read})
    return Embeddings(vectors=vectors, usage=usage, raw=(rest,))
