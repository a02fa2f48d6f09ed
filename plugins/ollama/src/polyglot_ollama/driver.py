"""Ollama's own chat: the request is one JSON body, the response one JSON object per line.

Sources: Ollama's API reference, pages "Generate a chat message" and "List models"; the types of its public SDK; and
recorded exchanges for what these leave open.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_core.plugin import (
    Details,
    End,
    Failure,
    Logprobs,
    MediaDelta,
    ReasoningDelta,
    ResponseStarted,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    failure_from_payload,
    finish_of,
    hookimpl,
    is_vendor_event,
    json_access,
    json_request,
    merged,
    stated_failure,
    url_of,
)
from polyglot_ollama.embeddings import decode_embeddings, embedding_limits, encode_embeddings
from polyglot_ollama.encoding import body_of
from polyglot_ollama.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_core.plugin import Chunk, Connection, Event, InferenceRequest, Model, WireRequest

__all__ = [
    "decode_chunk",
    "decode_embeddings",
    "embedding_limits",
    "encode_embeddings",
    "encode_prefill",
    "encode_request",
    "extract_usage",
    "list_models",
]

_PATH = "/api/chat"


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as a chat."""
    return json_request(
        f"{_base_url(connection)}{_PATH}",
        merged(body_of(request, connection.driver), request.extra),
        stream=request.stream,
        framing="ndjson",
        complete_on="end",
        think_tags=connection.facts.get("think_tags"),
    )


@hookimpl
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:
    """Encode a request that continues the assistant's last turn, which is left open."""
    return encode_request(connection, request.with_prefill(text))


def _base_url(connection: Connection) -> str:
    return url_of(connection, default=PRESETS["ollama"].base_url)


_MODEL_PATHS = {"id": ("model", "name"), "created": ("modified_at",)}


@hookimpl
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    """Encode the request for the models on the server, or read them."""
    if data is None:
        return json_request(f"{_base_url(connection)}/api/tags", None, stream=False)
    models += json_access.models(json_access.get(msgspec.json.decode(data), "models"), _MODEL_PATHS)
    return None


# The response: only the fields that are read

_JSONObject = dict[str, Any]


class _Line(Struct, gc=False):
    message: Any = None
    done: Any = None
    done_reason: Any = None
    logprobs: Any = None
    error: Any = None
    model: Any = None


_decode = msgspec.json.Decoder(_Line).decode

_DONE = b"[DONE]"
_CALLS, _IMAGES = -1, -1000
"""Blocks of what is in fields beside the text, which is one however these come in between. Each image has its own."""

_COUNTS = frozenset({"prompt_eval_count", "eval_count"})
_TIMES = frozenset({"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"})
_READ = _COUNTS | {"message", "delta", "response", "done", "done_reason", "logprobs", "error", "model"}
_TEXT_FIELDS = frozenset({"role", "content"})
_READ_OF_MESSAGES = frozenset({"role", "content", "thinking", "tool_calls", "images"})
_READ_OF_CALLS = frozenset({"id", "function", "type", "index"})
_READ_OF_FUNCTIONS = frozenset({"name", "arguments", "index"})
_ERROR_FIELDS = ("message", "detail", "errors", "error_message", "msg")
_IMAGE_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


class _State(Struct):
    """What is known of a response: whether a line was decoded, and how many images were received."""

    opened: bool = False
    images: int = 0


@hookimpl
def decode_chunk(state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode a line or a whole response. `state` records whether the model's name was emitted, and the `_State`."""
    try:
        line = _decode(chunk.data)
    except msgspec.DecodeError:
        if chunk.data.strip() == _DONE:  # of another dialect; the line that is done has been received
            return ()
        raise
    message = line.message
    # Fast path: nearly every line is one piece of text, and nothing else.
    if type(message) is dict and not line.done and "named" in state:
        text = message.get("content")
        alone = (len(message) == len(_TEXT_FIELDS) and "role" in message) or _is_text_only(message)
        if alone and type(text) is str and text and not (line.logprobs or line.error):
            return (TextDelta(text),)
    return list(_events(line, chunk, state))


def _is_text_only(message: _JSONObject) -> bool:
    return not any(value for name, value in message.items() if name not in _TEXT_FIELDS)


def _events(line: _Line, chunk: Chunk, state: dict[str, Any]) -> Iterator[Event]:
    known: _State = state.setdefault("known", _State())
    if not isinstance(line.message, dict) or line.error:
        payload = msgspec.json.decode(chunk.data)
        failure = None
        if line.error and (isinstance(line.message, dict) or not is_vendor_event(chunk.event)):
            failure = failure_from_payload(payload, raw=chunk.data)
        if failure is None and not line.done:
            failure = stated_failure(chunk)
        if failure is not None:
            yield failure
            return
        line.message = _message_elsewhere(payload)
    if line.model and isinstance(line.model, str) and "named" not in state:
        state["named"] = True
        yield ResponseStarted(model=line.model)
    done = bool(line.done) and line.done != "false"
    yield from _content(_object(line.message), known)
    if line.logprobs:
        yield Logprobs({"logprobs": line.logprobs})
    if done or not known.opened:
        known.opened = True
        payload = msgspec.json.decode(chunk.data)
        if others := _others(payload, _READ):
            yield Details(others)
    if done:
        yield from _ending(line, chunk)


def _message_elsewhere(payload: _JSONObject) -> _JSONObject:
    """Return the message of a line that has it in another field, as those of other routes and of gateways have."""
    if isinstance(payload.get("delta"), dict):
        return _object(payload["delta"])
    fields = {"content": payload.get("response"), "thinking": payload.get("thinking")}
    return {name: value for name, value in fields.items() if isinstance(value, str)}


def _content(message: _JSONObject, known: _State) -> Iterator[Event]:
    if thinking := _readable(message.get("thinking")):
        yield ReasoningDelta(thinking)
    if (content := message.get("content")) is not None:
        yield TextDelta(_readable(content))
    for call in json_access.objects(message.get("tool_calls")):
        yield from _tool_call(call)
    images = message.get("images")
    for image in images if isinstance(images, list) else ():
        known.images += 1
        yield _image(image, _IMAGES - known.images)
    if not _READ_OF_MESSAGES.issuperset(message) and (others := _others(message, _READ_OF_MESSAGES)):
        yield Details({"message": others}, 0)


def _readable(value: object) -> str:
    """Return a text, the texts of a list of parts, or the JSON of another value."""
    if isinstance(value, list):
        return "".join(map(_readable, value))
    if isinstance(value, dict):
        texts = (value.get(name) for name in ("text", "thinking", "content"))
        return next((text for text in texts if isinstance(text, str) and text), "") or json_access.text(value)
    return json_access.text(value)


def _tool_call(call: _JSONObject) -> Iterator[Event]:
    """Yield a tool call. Its index is ignored: servers number every tool call 0."""
    function = call.get("function")
    if not isinstance(function, dict):
        return
    extra = _others(call, _READ_OF_CALLS)
    if further := _others(function, _READ_OF_FUNCTIONS):
        extra["function"] = further
    text = json_access.text(function.get("arguments") or None)
    call_id = None if call.get("id") in (None, "") else str(call["id"])
    name = function.get("name")
    yield ToolCallDelta(
        None, call_id, name if isinstance(name, str) else None, text, complete=True, block=_CALLS, extra=extra or None
    )


def _image(image: object, block: int) -> Event:
    """Return the image's bytes, or an event with what was received if it is not base64."""
    try:
        data = base64.b64decode(image if isinstance(image, str) else "", validate=True)
    except ValueError:  # binascii.Error is a ValueError
        data = b""
    if not data:
        return ServerToolEvent("image", {"image": image}, block=block)
    kind = next((kind for start, kind in _IMAGE_TYPES.items() if data.startswith(start)), None)
    return MediaDelta(kind or "application/octet-stream", data, block=block)


def _others(fields: Mapping[str, Any], read: frozenset[str]) -> _JSONObject:
    return {name: value for name, value in fields.items() if name not in read and value not in (None, "", [], {})}


def _object(value: object) -> _JSONObject:
    return value if isinstance(value, dict) else {}


def _ending(line: _Line, chunk: Chunk) -> Iterator[Event]:
    measures = {name: value for name, value in msgspec.json.decode(chunk.data).items() if name in _COUNTS | _TIMES}
    if not _COUNTS.isdisjoint(measures):
        yield UsageReport(measures)
    word = line.done_reason
    ending = finish_of(word if isinstance(word, str) else json_access.text(word))
    if isinstance(ending, Failure):
        yield replace(ending, raw=chunk.data)
        return
    if ending is not None:
        yield ending
    yield End()


# Usage


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read the token counts of the last line; its times in nanoseconds stay in `raw`."""
    return Usage(
        input_tokens=json_access.number(payload, "prompt_eval_count"),
        output_tokens=json_access.number(payload, "eval_count"),
        raw=payload,
    )
