"""Acme's dialect: server-sent events named words, tally and over, or one object with all of that."""

from __future__ import annotations

from typing import Any

import msgspec

from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
    Chunk,
    Connection,
    End,
    Event,
    Finish,
    InferenceRequest,
    TextDelta,
    Usage,
    UsageReport,
    WireRequest,
    hookimpl,
)

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
    if request.tools or request.tool_choice or request.response_format:
        msg = "Acme knows neither tools nor response formats."
        raise RequestError(msg)
    body = {
        "engine": request.model,
        "talk": [{"who": message.role, "says": message.text} for message in request.messages],
        "live": request.stream,
        **request.options,
        **request.extra,
    }
    return WireRequest(
        url=f"{connection.base_url}/answers",
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(body),
        framing="sse" if request.stream else "whole",
        complete_on="end",
    )


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
