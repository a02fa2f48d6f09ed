"""Embeddings: one request for many texts, with a vector for each in the response.

Sources: Ollama's API reference, page "Generate embeddings"; the types of its public SDK. It states no limit of texts; a
server works on them one after the other, so that a request of moderate size is not slower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

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
from polyglot_ollama.presets import PRESETS

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, EmbeddingRequest, WireRequest

__all__ = ["decode_embeddings", "embedding_limits", "encode_embeddings"]

_MOST_TEXTS = 256
_OPTIONS = {"dimensions": "dimensions", "encoding": "encoding"}


@hookimpl
def embedding_limits() -> tuple[int, int | None]:
    """Return how many texts one request has."""
    return _MOST_TEXTS, None


@hookimpl
def encode_embeddings(connection: Connection, request: EmbeddingRequest) -> WireRequest:
    """Encode the request. The server cuts off a text that is too long, unless `extra` has ``truncate: false``."""
    fields = translate_options(request, _OPTIONS, driver=connection.driver)
    if fields.pop("encoding", "float") != "float":
        cannot_express(request, "the encoding 'base64'", driver=connection.driver, instead="encoding='float'")
    body = {"model": request.model, "input": request.texts, **fields}
    url = url_of(connection, "api/embed", default=PRESETS["ollama"].base_url)
    return json_request(url, merged(body, request.extra), stream=False)


_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_vectors = msgspec.json.Decoder(list[list[float]]).decode


@hookimpl
def decode_embeddings(data: bytes) -> Embeddings:
    """Read the vectors, and the tokens of the texts."""
    fields = _decode(data)
    vectors = _vectors(fields.pop("embeddings", b"null"))
    rest: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in fields.items()}
    read, model = json_access.number(rest, "prompt_eval_count"), rest.get("model")
    return Embeddings(
        vectors=vectors,
        usage=None if read is None else Usage(input_tokens=read, raw={"prompt_eval_count": read}),
        model=model if isinstance(model, str) else None,
        raw=(rest,),
    )
