"""Writes to standard output, where the response of a command belongs."""

from __future__ import annotations

from polyglot_core.plugin import Chunk, Event, Finish, InferenceRequest, TextDelta, Usage, hookimpl, json_request


@hookimpl
def encode_request(connection, request: InferenceRequest):
    return json_request(f"{connection.base_url}/words", {"model": request.model}, stream=request.stream)


@hookimpl
def decode_chunk(chunk: Chunk) -> list[Event]:
    return [TextDelta(chunk.data.decode()), Finish("stop", "stop")]


@hookimpl
def extract_usage(payload) -> Usage:
    return Usage(raw=payload)


print("Thank you for installing polyglot-writes!")
