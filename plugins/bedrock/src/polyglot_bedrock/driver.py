"""The driver ``bedrock``: Converse as a JSON body, ConverseStream as binary frames of events.

Sources: the API references of the Amazon Bedrock runtime and of Amazon Bedrock ("ListFoundationModels"), the service
description that AWS's own clients are made from, and recorded exchanges for what these leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_bedrock.decoding import decode_chunk
from polyglot_bedrock.embeddings import decode_embeddings, embedding_limits, encode_embeddings
from polyglot_bedrock.encoding import body_of
from polyglot_bedrock.eventstream import MEDIA_TYPE, EventStreamFramer
from polyglot_bedrock.paths import in_path
from polyglot_bedrock.provider_errors import decode_error
from polyglot_bedrock.region import base_url_of
from polyglot_bedrock.signing import authorize
from polyglot_core.plugin import Usage, hookimpl, json_access, json_request, merged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_core.plugin import Connection, InferenceRequest, Model, WireRequest

__all__ = [
    "authorize",
    "decode_chunk",
    "decode_embeddings",
    "decode_error",
    "embedding_limits",
    "encode_embeddings",
    "encode_prefill",
    "encode_request",
    "extract_usage",
    "list_models",
]


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as Converse, or as ConverseStream.

    Raises:
        ConfigError: The region is not a valid name.
        RequestError: The request uses a feature that the API does not have, or the model is no name of one.
    """
    action = "converse-stream" if request.stream else "converse"
    url = f"{base_url_of(connection)}/model/{in_path(request.model, connection.driver)}/{action}"
    body = merged(body_of(request, connection.driver), request.extra)
    headers = {"accept": MEDIA_TYPE} if request.stream else {}
    return json_request(url, body, stream=request.stream, framing=EventStreamFramer, headers=headers)


@hookimpl
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:
    """Encode a request that continues the assistant's last turn; models that do not support it reject it."""
    return encode_request(connection, request.with_prefill(text))


_MODEL_PATHS = {"id": ("modelId",), "name": ("modelName",)}
_RUNTIME = "//bedrock-runtime"
"""Beginning of the host of the runtime; the list of models is at the host without the last word."""


@hookimpl
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    """Encode the request for the foundation models of the region, in one page, or read them.

    Inference profiles, by which requests select many of them, are not in the list. A base URL of another host is used
    as it is.
    """
    if data is None:
        root = base_url_of(connection).replace(_RUNTIME, _RUNTIME.removesuffix("-runtime"), 1)
        return json_request(f"{root}/foundation-models", None, stream=False)
    models += json_access.models(json_access.get(msgspec.json.decode(data), "modelSummaries"), _MODEL_PATHS)
    return None


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read a usage object. Tokens read from a cache or written to it are counted apart from ``inputTokens``."""
    read, written = (
        json_access.number(payload, "cacheReadInputTokens"),
        json_access.number(payload, "cacheWriteInputTokens"),
    )
    rest = json_access.number(payload, "inputTokens")
    return Usage(
        input_tokens=None if rest is None else rest + (read or 0) + (written or 0),
        output_tokens=json_access.number(payload, "outputTokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        raw=payload,
    )
