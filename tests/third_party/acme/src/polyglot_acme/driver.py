"""Acme's dialect: server-sent events named words, tally and over, or one object with all of that."""

from __future__ import annotations

from typing import Any

import msgspec

from polyglot_core.plugin import (
    Chunk,
    Connection,
    End,
    Event,
    Finish,
    InferenceRequest,
    MessageWriter,
    TextDelta,
    Usage,
    UsageReport,
    WireRequest,
    cannot_express,
    hookimpl,
    json_request,
    translate_options,
)

OPTIONS = {"temperature": "heat", "max_tokens": "length"}
REASONS = {"all said": "stop", "out of breath": "length"}


class Payload(msgspec.Struct):
    """The fields of all three kinds of event; a plain answer has them all at once."""

    say: str = ""
    read: int | None = None
    written: int | None = None
    because: str | None = None
    tally: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(Payload)


@hookimpl
def encode_request(request: InferenceRequest, connection: Connection) -> WireRequest:
    for asked in ("tools", "tool_choice", "parallel_tool_calls", "response_format"):
        if getattr(request, asked) not in (None, ()):
            cannot_express(request, asked, driver="acme")
    body = {
        "engine": request.model,
        "talk": MessageWriter(request, "acme").messages(),
        "live": request.stream,
        **translate_options(request, OPTIONS, driver="acme"),
        **request.extra,
    }
    return json_request(f"{connection.base_url}/answers", body, stream=request.stream, complete_on="end")


@hookimpl
def decode_chunk(chunk: Chunk) -> list[Event]:
    payload = _decoder.decode(chunk.data)
    events: list[Event] = []
    if payload.say:
        events.append(TextDelta(payload.say))
    if payload.tally is not None:
        events.append(UsageReport(payload.tally))
    if chunk.event == "tally":
        events.append(UsageReport({"read": payload.read, "written": payload.written}))
    if payload.because is not None:
        events += [Finish(REASONS.get(payload.because, "other"), payload.because), End()]
    return events


@hookimpl
def extract_usage(payload: dict[str, Any]) -> Usage:
    return Usage(input_tokens=payload.get("read"), output_tokens=payload.get("written"), raw=payload)
