"""Embeddings, version 2: vectors by their type, in the order of the texts.

The API requires a type of input. Texts without one are documents, as for a search.

Source: Cohere's API reference, page "Embed API (v2)": up to 96 texts in one request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from polyglot_cohere.presets import PRESETS
from polyglot_core.plugin import (
    Embeddings,
    Usage,
    cannot_express,
    hookimpl,
    json_access,
    json_request,
    merged,
    translate_options,
    url_of,
)

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, EmbeddingRequest, WireRequest

__all__ = ["decode_embeddings", "embedding_limits", "encode_embeddings"]

_MOST_TEXTS = 96
_OPTIONS = {"dimensions": "output_dimension", "input_type": "input_type", "encoding": "encoding"}
_INPUT_TYPES = {
    "query": "search_query",
    "document": "search_document",
    "classification": "classification",
    "clustering": "clustering",
}


@hookimpl
def embedding_limits() -> tuple[int, int | None]:
    """Return how many texts one request may have."""
    return _MOST_TEXTS, None


@hookimpl
def encode_embeddings(connection: Connection, request: EmbeddingRequest) -> WireRequest:
    """Encode the request for vectors of numbers."""
    fields = translate_options(request, _OPTIONS, driver=connection.driver)
    if fields.pop("encoding", "float") != "float":
        cannot_express(request, "the encoding 'base64'", driver=connection.driver, instead="encoding='float'")
    word = fields.pop("input_type", "document")
    if word not in _INPUT_TYPES:
        cannot_express(request, f"the input_type {word!r}", driver=connection.driver, instead="input_type='clustering'")
    fields["input_type"] = _INPUT_TYPES.get(word, _INPUT_TYPES["document"])
    body = {"model": request.model, "texts": request.texts, "embedding_types": ["float"], **fields}
    url = url_of(connection, "embed", default=PRESETS["cohere"].base_url)
    return json_request(url, merged(body, request.extra), stream=False)


class _Vectors(Struct, gc=False):
    numbers: list[list[float]] = field(name="float")


_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_vectors = msgspec.json.Decoder(_Vectors).decode


@hookimpl
def decode_embeddings(data: bytes) -> Embeddings:
    """Read the vectors of numbers, and the tokens that are billed."""
    fields = _decode(data)
    found = _vectors(fields.pop("embeddings", b"null"))
    rest: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in fields.items()}
    read = json_access.number(rest, "meta.tokens.input_tokens", "meta.billed_units.input_tokens")
    usage = None if read is None else Usage(input_tokens=read, raw=rest["meta"])
    return Embeddings(vectors=found.numbers, usage=usage, raw=(rest,))
