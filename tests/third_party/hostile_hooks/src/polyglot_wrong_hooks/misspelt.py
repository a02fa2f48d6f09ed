"""A driver with a hook that does not exist."""

from __future__ import annotations

from polyglot_core.plugin import Chunk, Event, Finish, InferenceRequest, TextDelta, Usage, hookimpl, json_request


@hookimpl
def encode_request(connection, request: InferenceRequest):
    return json_request(f"{connection.base_url}/words", {"model": request.model}, stream=request.stream)


@hookimpl
def decode_chunks(chunk: Chunk) -> list[Event]:
    return [TextDelta(chunk.data.decode()), Finish("stop", "stop")]


@hookimpl
def extract_usage(payload) -> Usage:
    return Usage(raw=payload)
