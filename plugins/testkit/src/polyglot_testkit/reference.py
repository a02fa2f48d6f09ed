r"""A small driver with every hook, for a dialect that no provider has. The cost of other drivers is compared with it.

A stream is server-sent events with JSON objects, and ends with ``[DONE]``::

    data: {"id": "r-1", "model": "m-1", "reasoning": "Hm."}
    data: {"text": "Hello"}
    data: {"call": {"index": 0, "id": "c-1", "name": "weather", "arguments": "{\"city\": "}}
    data: {"finish_reason": "stop", "usage": {"input": 3, "output": 5}}
    data: [DONE]

A plain response is one object of the same fields, with a list ``calls`` in place of ``call``.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
    End,
    Failure,
    MessageWriter,
    RawTool,
    ReasoningDelta,
    ResponseStarted,
    Secret,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    cannot_express,
    failure_from_payload,
    finish_of,
    hookimpl,
    json_access,
    json_request,
    merged,
    translate_options,
    url_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_core.plugin import (
        Chunk,
        Connection,
        Event,
        Image,
        InferenceRequest,
        Model,
        Reasoning,
        WireRequest,
        WireResponse,
    )

__all__ = [
    "authorize",
    "decode_chunk",
    "decode_error",
    "encode_prefill",
    "encode_request",
    "encode_resume",
    "extract_usage",
    "list_models",
]

_DRIVER = "reference"
_BASE_URL = "https://api.example.com/v1"
_OPTIONS = {"max_tokens": "limit", "temperature": "temperature", "stop": "stop[]", "seed": "seed"}
_DONE = b"[DONE]"


class Writer(MessageWriter):
    """Writes a conversation as the messages of the dialect."""

    def write_reasoning(self, part: Reasoning) -> Iterator[dict[str, object]]:
        """Yield the text of reasoning; the dialect has no signatures."""
        if part.text:
            yield {"type": "reasoning", "text": part.text}

    def write_image(self, part: Image) -> Iterator[dict[str, object]]:
        """Yield an image with its bytes; the dialect has no URL of an image."""
        if part.inline is None:
            self.cannot("an image by its URL", instead="its bytes")
            return
        mime_type, data = part.inline
        yield {"type": "image", "mime_type": mime_type, "data": data}


def _tools(request: InferenceRequest) -> list[dict[str, Any]]:
    for tool in request.tools:
        if not isinstance(tool, RawTool) and (tool.cache or tool.extra):
            cannot_express(request, "further fields of a tool", driver=_DRIVER)
    return [dict(tool.payload) if isinstance(tool, RawTool) else tool.fields() for tool in request.tools]


def body_of(request: InferenceRequest) -> dict[str, Any]:
    """Return the JSON body of a request."""
    for field in ("parallel_tool_calls", "response_format"):
        if getattr(request, field) is not None:
            cannot_express(request, field, driver=_DRIVER)
    body = {"model": request.model, "messages": Writer(request, _DRIVER).messages(), "stream": request.stream}
    body |= {"tools": _tools(request)} if request.tools else {}
    body |= {"tool_choice": request.tool_choice} if request.tool_choice else {}
    return merged({**body, **translate_options(request, _OPTIONS, driver=_DRIVER)}, request.extra)


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as one JSON object."""
    return json_request(
        url_of(connection, "chat", default=_BASE_URL), body_of(request), stream=request.stream, complete_on="both"
    )


class _Call(Struct):
    index: int = 0
    id: str | None = None
    name: str | None = None
    arguments: str | None = None


class _Piece(Struct):
    id: str | None = None
    model: str | None = None
    reasoning: str | None = None
    text: str | None = None
    call: _Call | None = None
    calls: list[_Call] | None = None
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Piece).decode


@hookimpl
def decode_chunk(chunk: Chunk, state: dict[str, Any]) -> Sequence[Event]:
    """Decode one event of a stream, or a whole response."""
    return (End(),) if chunk.data == _DONE else list(_events(_decode(chunk.data), state, whole=chunk.kind == "whole"))


def _events(piece: _Piece, state: dict[str, Any], *, whole: bool) -> Iterator[Event]:
    if piece.error is not None:
        yield failure_from_payload({"error": piece.error})
        return
    if piece.id is not None and "id" not in state:
        state["id"] = piece.id
        yield ResponseStarted(piece.id, piece.model)
    if piece.reasoning:
        yield ReasoningDelta(piece.reasoning)
    if piece.text:
        yield TextDelta(piece.text, block=1)
    for call in piece.calls or ([piece.call] if piece.call is not None else []):
        index = state["calls"] = state.get("calls", -1) + 1 if whole else call.index
        yield ToolCallDelta(index, call.id, call.name, call.arguments or "", block=2 + index, complete=whole)
    if piece.usage is not None:
        yield UsageReport(piece.usage)
    if (ending := finish_of(piece.finish_reason)) is not None:
        yield ending


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Return the token counts: the provider counts cached tokens within the input."""
    return Usage(
        input_tokens=json_access.number(payload, "input"),
        output_tokens=json_access.number(payload, "output"),
        cache_read_tokens=json_access.number(payload, "cached"),
        reasoning_tokens=json_access.number(payload, "reasoning"),
        raw=payload,
    )


@hookimpl
def authorize(connection: Connection, wire: WireRequest) -> WireRequest:
    """Sign the body with the key."""
    key = connection.secret.reveal() if connection.secret else ""
    signature = hmac.new(key.encode(), wire.body, hashlib.sha256).hexdigest()
    return replace(wire, headers={**wire.headers, "x-signature": Secret(signature)})


@hookimpl
def decode_error(response: WireResponse) -> Failure | None:
    """Parse an error response of the dialect; core's parser reads any other."""
    error = json_access.get(json_access.parse(response.body, otherwise=None), "error")
    if not isinstance(error, dict):
        return None
    return failure_from_payload({"error": error}, status=response.status, raw=response.body)


@hookimpl
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:
    """Encode a request whose last message is the beginning of the response."""
    return encode_request(connection, request.with_prefill(text))


@hookimpl
def encode_resume(connection: Connection, request: InferenceRequest, state: dict[str, Any]) -> WireRequest | None:
    """Encode a request for the rest of a stored response.

    Raises:
        RequestError: The request is not streamed: only streams are stored.
    """
    if not request.stream:
        msg = "Only the response to a streamed request is stored."
        raise RequestError(msg)
    if "id" not in state:
        return None
    url = url_of(connection, f"responses/{state['id']}", default=_BASE_URL)
    return json_request(url, None, stream=True, complete_on="both")


@hookimpl
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    """Encode the request for a page of models, or read a page."""
    if data is None:
        return json_request(url_of(connection, "models", default=_BASE_URL), None, stream=False)
    page = msgspec.json.decode(data)
    models += json_access.models(json_access.get(page, "models"), {"id": ("name",)})
    after = json_access.get(page, "next")
    return (
        json_request(url_of(connection, f"models?after={after}", default=_BASE_URL), None, stream=False)
        if after
        else None
    )
