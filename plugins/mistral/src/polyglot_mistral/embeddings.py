"""Embeddings: one request for many texts, with a row for each in the response.

Sources: Mistral's API reference, page "Embeddings"; the messages of its errors for the limits, which that page leaves
open: 256 texts ("Too many inputs in request") and 16,384 tokens ("Too many tokens in batch").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

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
from polyglot_mistral.presets import PRESETS

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, EmbeddingRequest, WireRequest

__all__ = ["decode_embeddings", "embedding_limits", "encode_embeddings"]

_LIMITS = 256, 16_384
_OPTIONS = {"dimensions": "output_dimension", "encoding": "encoding_format"}


@hookimpl
def embedding_limits() -> tuple[int, int | None]:
    """Return how many texts one request may have, and how many bytes: as many as tokens."""
    return _LIMITS


@hookimpl
def encode_embeddings(connection: Connection, request: EmbeddingRequest) -> WireRequest:
    """Encode the request for vectors of numbers."""
    fields = translate_options(request, _OPTIONS, driver=connection.driver)
    if fields.pop("encoding_format", "float") != "float":
        cannot_express(request, "the encoding 'base64'", driver=connection.driver, instead="encoding='float'")
    body = {"model": request.model, "input": request.texts, **fields}
    url = url_of(connection, "embeddings", default=PRESETS["mistral"].base_url)
    return json_request(url, merged(body, request.extra), stream=False)


class _Row(Struct, gc=False):
    embedding: list[float]
    index: int | None = None


_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_rows = msgspec.json.Decoder(list[_Row]).decode


@hookimpl
def decode_embeddings(data: bytes) -> Embeddings:
    """Read the rows, in the order of their indexes, and the tokens."""
    fields = _decode(data)
    rows = _rows(fields.pop("data", b"null"))
    indexed = {position if row.index is None else row.index: row.embedding for position, row in enumerate(rows)}
    rest: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in fields.items()}
    read, model = json_access.number(rest, "usage.prompt_tokens"), rest.get("model")
    return Embeddings(
        vectors=[indexed[index] for index in sorted(indexed)],
        usage=None if read is None else Usage(input_tokens=read, raw=rest["usage"]),
        model=model if isinstance(model, str) else None,
        raw=(rest,),
    )
