"""Claude on Bedrock by InvokeModel: Anthropic's Messages in Bedrock's frames.

Both drivers are reused: Anthropic's encodes the body and decodes what the frames contain; Bedrock's has the URLs of the
regions, the framing, the errors and the signature. Source: AWS's guide "Anthropic Claude Messages API".
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from polyglot_core.plugin import (
    Chunk,
    Connection,
    Event,
    Failure,
    Follow,
    InferenceRequest,
    Message,
    Usage,
    WireRequest,
    WireResponse,
    driver,
    hookimpl,
)

BEDROCK, MESSAGES = driver("bedrock"), driver("anthropic")
FACTS = {"body_version": "bedrock-2023-05-31"}
ACTIONS = {True: ("converse-stream", "invoke-with-response-stream"), False: ("converse", "invoke")}
QUESTION = (Message(role="user", content="Hello"),)


class Frame(msgspec.Struct):
    data: str = msgspec.field(name="bytes")


_decoder = msgspec.json.Decoder(Frame)


def _for_messages(connection: Connection) -> Connection:
    return connection.with_changes(facts=FACTS)


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    converse, invoke = ACTIONS[request.stream]
    frame = InferenceRequest(model=request.model, messages=QUESTION, stream=request.stream)
    outer = BEDROCK.encode_request(connection, frame)
    inner = MESSAGES.encode_request(_for_messages(connection), request)
    body = msgspec.json.decode(inner.body)
    body.pop("stream", None)
    url = f"{outer.url.removesuffix(converse)}{invoke}"
    return replace(inner, url=url, headers=outer.headers, framing=outer.framing, body=msgspec.json.encode(body))


@hookimpl
def decode_chunk(connection: Connection, chunk: Chunk, state: dict[str, Any]) -> Sequence[Event | Follow]:
    if chunk.kind == "whole":
        return MESSAGES.decode_chunk(_for_messages(connection), chunk, state)
    if chunk.event != "chunk":  # an exception
        return BEDROCK.decode_chunk(connection, chunk, state.setdefault("bedrock", {}))
    data = binascii.a2b_base64(_decoder.decode(chunk.data).data)
    return MESSAGES.decode_chunk(_for_messages(connection), Chunk(data, data), state)


@hookimpl
def extract_usage(connection: Connection, payload: Mapping[str, Any]) -> Usage:
    return MESSAGES.extract_usage(connection, payload)


@hookimpl
def authorize(connection: Connection, wire: WireRequest) -> WireRequest:
    return BEDROCK.authorize(connection, wire)


@hookimpl
def decode_error(connection: Connection, response: WireResponse) -> Failure | None:
    return BEDROCK.decode_error(connection, response)


@hookimpl
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:
    return encode_request(connection, request.with_prefill(text))
