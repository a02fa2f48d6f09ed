"""Embeddings: one request for many texts, with a row for each in the response.

The response has the numbers as base64 of 32-bit floats if that is requested, which is four times shorter than text and
is what OpenAI's own client requests. Servers that do not know the field send numbers as text; both are read.

Sources: OpenAI's API reference, page "Create embeddings": up to 2,048 inputs and 300,000 tokens in one request; the
rows have an index, by which they are ordered.
"""

from __future__ import annotations

import binascii
import sys
from array import array
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from polyglot_core.plugin import Embeddings, json_request, merged, translate_options
from polyglot_openai.chat.usage import read_usage

if TYPE_CHECKING:
    from polyglot_core.plugin import EmbeddingRequest, WireRequest
    from polyglot_openai.chat.facts import Facts

__all__ = ["embeddings_request", "read_embeddings"]

_OPTIONS = {"dimensions": "dimensions", "encoding": "encoding_format"}
_INSTEAD = {"input_type": "extra={…} with the field of your endpoint, if it has one"}


def embeddings_request(request: EmbeddingRequest, facts: Facts, url: str, driver: str) -> WireRequest:
    """Return the request for the vectors of the texts at a URL, to whose path the endpoint's is added.

    Raises:
        RequestError: An option has no field in the dialect.
    """
    options = translate_options(request, _OPTIONS, driver=driver, instead=_INSTEAD)
    encoding = {"encoding_format": facts.embedding_encoding} if facts.embedding_encoding else {}
    body = {"model": request.model, "input": request.texts, **encoding, **options}
    path = facts.embedding_path.replace("{deployment}", quote(facts.deployment or request.model, safe=""))
    query = f"?{urlencode(facts.query)}" if facts.query else ""
    return json_request(f"{url}{path}{query}", merged(body, request.extra), stream=False, headers=facts.headers)


class _Row(Struct, gc=False):
    embedding: list[float] | str
    index: int | None = None


_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_rows = msgspec.json.Decoder(list[_Row]).decode


def read_embeddings(data: bytes) -> Embeddings:
    """Return the vectors in the body of a response, in the order of their indexes.

    Raises:
        msgspec.DecodeError: The body has no rows with vectors.
    """
    fields = _decode(data)
    rows = _rows(fields.pop("data", b"null"))
    indexed = {position if row.index is None else row.index: row.embedding for position, row in enumerate(rows)}
    rest: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in fields.items()}
    usage, model = rest.get("usage"), rest.get("model")
    return Embeddings(
        vectors=[_vector(indexed[index]) for index in sorted(indexed)],
        usage=read_usage(usage) if isinstance(usage, dict) and usage else None,
        model=model if isinstance(model, str) else None,
        raw=(rest,),
    )


def _vector(numbers: list[float] | str) -> list[float]:
    if not isinstance(numbers, str):
        return numbers
    try:
        floats = array("f", binascii.a2b_base64(numbers, strict_mode=True))
    except ValueError as error:
        raise msgspec.DecodeError(f"a vector is no base64 of 32-bit floats: {error}") from error
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()
