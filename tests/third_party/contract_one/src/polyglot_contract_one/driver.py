# THIS FILE MUST NEVER BE EDITED, neither by hand nor by a tool. It is a driver as it was written for contract 1, with
# every hook of that, and stands for all drivers that are in use. If a test with it fails, the core is wrong.
"""A driver of contract 1: three hooks that are required, and five that are optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
    CONTRACT_VERSION,
    Chunk,
    Connection,
    End,
    Event,
    Failure,
    Finish,
    FinishReason,
    Image,
    InferenceRequest,
    MessageWriter,
    Model,
    RawTool,
    ReasoningDelta,
    ResponseStarted,
    Secret,
    TextDelta,
    Tool,
    ToolCallDelta,
    Usage,
    UsageReport,
    WireRequest,
    WireResponse,
    cannot_express,
    failure_from_payload,
    finish_of,
    hookimpl,
    json_access,
    json_request,
    merged,
    read_facts,
    translate_options,
)

REQUIRES_CONTRACT = 1

assert CONTRACT_VERSION >= REQUIRES_CONTRACT


class Facts(msgspec.Struct, frozen=True):
    limit: str = "max"


class Piece(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    text: str = ""
    thought: str = ""
    call: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    because: str | None = None


WORDS = {"all said": FinishReason.STOP, "out of breath": FinishReason.LENGTH}

_decoder = msgspec.json.Decoder(Piece)


class Writer(MessageWriter):
    def write_image(self, part: Image):
        if part.inline is None:
            self.cannot("an image by its URL", instead="its bytes")
        else:
            mime_type, data = part.inline
            yield {"type": "picture", "of": mime_type, "data": data}


@hookimpl
def encode_request(request: InferenceRequest, connection: Connection) -> WireRequest:
    return _wire(request, connection, {})


@hookimpl
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:
    return _wire(request, connection, {"begun": text})


@hookimpl
def encode_resume(connection: Connection, request: InferenceRequest, state: dict[str, Any]) -> WireRequest | None:
    if not request.extra.get("store"):
        raise RequestError("contract-one resumes stored responses only.", provider="contract-one", phase="encode")
    return _wire(request, connection, {"resume": state["id"]}) if "id" in state else None


def _wire(request: InferenceRequest, connection: Connection, more: Mapping[str, Any]) -> WireRequest:
    facts = read_facts(connection, Facts)
    if request.response_format is not None:
        cannot_express(request, "response_format", driver="contract-one")
    body = {
        "engine": request.model,
        "talk": Writer(request, "contract-one").messages(),
        "tools": [_tool(tool) for tool in request.tools],
        "live": request.stream,
        **translate_options(request, {"max_tokens": facts.limit, "temperature": "heat"}, driver="contract-one"),
        **more,
    }
    return json_request(
        f"{connection.base_url}/answers", merged(body, request.extra), stream=request.stream, complete_on="end"
    )


def _tool(tool: Tool | RawTool) -> Mapping[str, Any]:
    return tool.fields() if isinstance(tool, Tool) else tool.payload


@hookimpl
def decode_chunk(state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    piece = _decoder.decode(chunk.data)
    events: list[Event] = []
    if piece.id is not None:
        state["id"] = piece.id
        events.append(ResponseStarted(piece.id, piece.model))
    if piece.thought:
        events.append(ReasoningDelta(piece.thought))
    if piece.text:
        events.append(TextDelta(piece.text))
    if piece.call is not None:
        events.append(
            ToolCallDelta(index=0, id=piece.call["id"], name=piece.call["name"], arguments=piece.call["with"])
        )
    if piece.usage is not None:
        events.append(UsageReport(piece.usage))
    if piece.because is not None:
        events += [finish_of(piece.because, WORDS) or Finish("unknown", piece.because), End()]
    return events


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    return Usage(input_tokens=payload.get("read"), output_tokens=payload.get("written"), raw=dict(payload))


@hookimpl
def authorize(wire: WireRequest, connection: Connection) -> WireRequest:
    key = connection.secret.reveal() if connection.secret is not None else ""
    return replace(wire, headers={**wire.headers, connection.auth_header: Secret(key)})


@hookimpl
def decode_error(response: WireResponse) -> Failure | None:
    found = json_access.parse(response.body)
    if not isinstance(found, dict) or "wrong" not in found:
        return None
    return failure_from_payload(
        {"error": {"message": found["wrong"], "type": found.get("kind")}}, status=response.status
    )


@hookimpl
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    if data is None:
        return json_request(f"{connection.base_url}/engines", None, stream=False)
    found = msgspec.json.decode(data)
    models.extend(Model(id=each) for each in found["engines"])
    page = found.get("next")
    return None if page is None else json_request(f"{connection.base_url}/engines?after={page}", None, stream=False)
