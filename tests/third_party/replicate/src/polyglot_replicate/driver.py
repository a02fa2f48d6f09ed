"""Predictions of Replicate: one request creates a prediction, another receives its output, a third cancels it.

A stream is received from the prediction's own URL as server-sent events; without one, the prediction is requested until
it has ended. Source: Replicate's HTTP API, "Create a prediction using an official model", and "Streaming output".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from polyglot_core.plugin import (
    Chunk,
    Connection,
    End,
    Event,
    Failure,
    Finish,
    Follow,
    InferenceRequest,
    Message,
    MessageWriter,
    ResponseStarted,
    TextDelta,
    Usage,
    UsageReport,
    WireRequest,
    cannot_express,
    hookimpl,
    json_request,
    merged,
    translate_options,
    url_of,
)

UNSUPPORTED = ("tools", "tool_choice", "parallel_tool_calls", "response_format")
OPTIONS = {"max_tokens": "input.max_tokens", "temperature": "input.temperature", "top_p": "input.top_p"}
PAUSE = 0.5  # seconds between two requests for a prediction that has not ended
FINISHED = Finish("stop", "succeeded")


class Prediction(msgspec.Struct):
    id: str
    status: str
    urls: dict[str, str] = {}
    output: list[str] | str | None = None
    error: str | None = None
    model: str | None = None
    metrics: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(Prediction)


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
            cannot_express(request, asked, driver="replicate")
    turns = [f"{message['role']}: {message['content']}\n" for message in Writer(request, "replicate").messages()]
    body = {"input": {"prompt": f"{''.join(turns)}assistant:"}, "stream": request.stream}
    body = merged(merged(body, translate_options(request, OPTIONS, driver="replicate")), request.extra)
    url = url_of(connection, f"models/{request.model}/predictions", default="https://api.replicate.com/v1")
    return json_request(url, body, stream=False, complete_on="end")


@hookimpl
def decode_chunk(chunk: Chunk, state: dict[str, Any]) -> Sequence[Event | Follow]:
    if chunk.event == "output":
        return [TextDelta(chunk.data.decode())]
    if chunk.event == "done":
        reason = msgspec.json.decode(chunk.data or b"{}").get("reason")
        return [Failure(f"The prediction was {reason}.", code=reason)] if reason else [FINISHED, End()]
    if chunk.kind == "part":
        return [Failure(chunk.data.decode(), type="server_error")] if chunk.event == "error" else []
    return _decoded(_decoder.decode(chunk.data), state)


def _decoded(prediction: Prediction, state: dict[str, Any]) -> Sequence[Event | Follow]:
    state.update(prediction.urls)
    started = ResponseStarted(prediction.id, prediction.model)
    if prediction.status in {"failed", "canceled"}:
        return [started, Failure(prediction.error or "The prediction was canceled.", code=prediction.status)]
    if prediction.status == "succeeded":
        text = TextDelta("".join(prediction.output or ""))
        return [started, text, UsageReport(prediction.metrics), FINISHED, End()]
    if "stream" in state:
        return [started, Follow(json_request(state["stream"], None, stream=True, complete_on="end"))]
    return [started, Follow(json_request(state["get"], None, stream=False, complete_on="end"), PAUSE)]


@hookimpl
def encode_cancel(state: dict[str, Any]) -> WireRequest | None:
    return json_request(state["cancel"], {}, stream=False) if "cancel" in state else None


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    prompt = payload.get("input_token_count")
    return Usage(input_tokens=prompt, output_tokens=payload.get("output_token_count"), raw=payload)
