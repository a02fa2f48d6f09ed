"""A driver whose hook returns nothing."""

from __future__ import annotations

from polyglot_core.plugin import Chunk, Event, Finish, InferenceRequest, TextDelta, Usage, hookimpl, json_request


@hookimpl
def encode_request(connection, request: InferenceRequest):
    body = {"model": request.model, "messages": [{"role": "user", "content": "Hi"}], "stream": request.stream}
    return json_request(f"{connection.base_url}/chat/completions", body, stream=request.stream)


@hookimpl
def decode_chunk(chunk: Chunk) -> list[Event]:  # type: ignore[return]
    [TextDelta(chunk.data.decode()), Finish("stop", "stop")]


@hookimpl
def extract_usage(payload) -> Usage:
    return Usage(raw=payload)
