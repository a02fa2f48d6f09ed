"""Text Generation Inference: ``/generate_stream``, server-sent events with one token each, and ``/generate``.

Source: the server's OpenAPI description, "Generate a stream of token using Server-Sent Events".
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyglot_core.plugin import (
    Chunk,
    Connection,
    End,
    Event,
    Failure,
    FinishReason,
    InferenceRequest,
    Message,
    MessageWriter,
    TextDelta,
    Usage,
    UsageReport,
    WireRequest,
    cannot_express,
    finish_of,
    hookimpl,
    json_request,
    merged,
    translate_options,
    url_of,
)

UNSUPPORTED = ("tools", "tool_choice", "parallel_tool_calls", "response_format")
OPTIONS = {
    "max_tokens": "parameters.max_new_tokens",
    "temperature": "parameters.temperature",
    "top_p": "parameters.top_p",
    "seed": "parameters.seed",
    "stop": "parameters.stop[]",
}
REASONS = {"eos_token": FinishReason.STOP, "stop_sequence": FinishReason.STOP, "length": FinishReason.LENGTH}


class Token(msgspec.Struct):
    text: str = ""
    special: bool = False


class Piece(msgspec.Struct):
    token: Token = msgspec.field(default_factory=Token)
    generated_text: str | None = None
    details: dict[str, Any] | None = None
    error: str | None = None
    error_type: str | None = None


_decoder = msgspec.json.Decoder(Piece)


class Writer(MessageWriter):
    def turn(self, message: Message) -> dict[str, Any]:
        if message.extra:
            self.cannot("the extra of a message")
        return super().turn(message)

    def call(self, call: Any) -> dict[str, Any]:
        self.cannot("a tool call")
        return {}

    def result(self, result: Any) -> dict[str, Any]:
        self.cannot("the result of a tool")
        return {"role": "tool", "content": ""}


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    for asked in UNSUPPORTED:
        if getattr(request, asked) not in (None, ()):
            cannot_express(request, asked, driver="tgi")
    turns = [f"{message['role']}: {message['content']}\n" for message in Writer(request, "tgi").messages()]
    body = {"inputs": f"{''.join(turns)}assistant:", "parameters": {"details": True}}
    body = merged(merged(body, translate_options(request, OPTIONS, driver="tgi")), request.extra)
    path = "generate_stream" if request.stream else "generate"
    return json_request(url_of(connection, path), body, stream=request.stream, complete_on="end")


@hookimpl
def decode_chunk(chunk: Chunk) -> list[Event]:
    piece = _decoder.decode(chunk.data)
    if piece.error is not None:
        return [Failure(piece.error, code=piece.error_type)]
    whole = chunk.kind == "whole"
    text = piece.generated_text or "" if whole else "" if piece.token.special else piece.token.text
    events: list[Event] = [TextDelta(text)] if text or whole else []
    if piece.details is None or (ending := finish_of(piece.details.get("finish_reason"), REASONS)) is None:
        return events
    return [*events, UsageReport(piece.details), ending, End()]


@hookimpl
def extract_usage(payload: dict[str, Any]) -> Usage:
    prompt = payload.get("input_length")
    return Usage(input_tokens=prompt, output_tokens=payload.get("generated_tokens"), raw=payload)
