"""Cohere's chat, version 2: the request is one JSON body, the response a series of typed events.

Sources: Cohere's API reference, pages "Chat", "Chat with Streaming" and "List Models", its guides to reasoning, tools
and citations, and recorded exchanges for what these leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_cohere.body import body_of
from polyglot_cohere.embeddings import decode_embeddings, embedding_limits, encode_embeddings
from polyglot_cohere.messages import PLAN
from polyglot_cohere.presets import PRESETS
from polyglot_core.plugin import (
    Citation,
    Details,
    End,
    Failure,
    Logprobs,
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
    stated_failure,
    url_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from polyglot_core.plugin import Chunk, Connection, Event, InferenceRequest, Model, WireRequest, WireResponse

__all__ = [
    "decode_chunk",
    "decode_embeddings",
    "decode_error",
    "embedding_limits",
    "encode_embeddings",
    "encode_request",
    "extract_usage",
    "list_models",
]

_PATH = "/chat"


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as a chat."""
    body = body_of(request, connection.driver)
    return json_request(f"{_base_url(connection)}{_PATH}", body, stream=request.stream, complete_on="end")


def _base_url(connection: Connection) -> str:
    return url_of(connection, default=PRESETS["cohere"].base_url)


_MODEL_PATHS = {"id": ("name",), "context_tokens": ("context_length",)}
_VERSION = "/v2"


@hookimpl
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    """Encode the request for a page of the list of models, which only version 1 has, or read the page before."""
    query = {"page_size": 1000}  # as many as a page may have
    if data is not None:
        page = msgspec.json.decode(data)
        models += json_access.models(json_access.get(page, "models"), _MODEL_PATHS)
        if not (token := json_access.get(page, "next_page_token")):
            return None
        query["page_token"] = token
    base_url = _base_url(connection)
    root = f"{base_url.removesuffix(_VERSION)}/v1" if base_url.endswith(_VERSION) else base_url
    return json_request(f"{root}/models?{urlencode(query)}", None, stream=False)


# The response: only the fields that are read


class _Event(Struct, gc=False):
    type: Any = None
    index: Any = None
    id: Any = None
    delta: Any = None
    logprobs: Any = None
    message: Any = None
    error: Any = None


_JSONObject = dict[str, Any]

_decode = msgspec.json.Decoder(_Event).decode

_DONE = b"[DONE]"
_PLAN_BLOCK = 0
"""Block of the plan; the blocks of the content follow it."""
_CALLS = -1
"""Block of the tool calls, which are in a field beside the content."""

_FAILURES = {
    "ERROR": ("The model failed.", "server_error"),
    "ERROR_TOXIC": ("The response was withheld as toxic.", None),
    "ERROR_LIMIT": ("The request is longer than the model's context.", None),
    "TIMEOUT": ("The model ran out of time.", "server_error"),
    "USER_CANCEL": ("The response was cancelled.", "server_error"),
}
"""Finish reasons that are failures: the message, if the provider sends none, and the type of the error."""

_READ = frozenset({"id", "message", "finish_reason", "usage", "logprobs", "error", "error_type", "type", "index"})
_READ_OF_MESSAGES = frozenset({"role", "content", "tool_plan", "tool_calls", "citations"})
_READ_OF_CALLS = frozenset({"id", "index", "type", "function"})
_READ_OF_FUNCTIONS = frozenset({"name", "arguments"})
_READ_OF_CONTENT = frozenset({"type", "text", "thinking"})
_TEXTS = (None, "", "text", "thinking")


class _State(Struct):
    """What is known of a response: the block of its latest text, and the sources received so far, by block."""

    text_block: int = 1
    sources: dict[int, list[_JSONObject]] = {}


@hookimpl
def decode_chunk(state: dict[str, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode an event or a whole response. `state` holds the `_State`."""
    if chunk.kind == "whole":
        _decode(chunk.data)  # raises what is no object
        return list(_whole(msgspec.json.decode(chunk.data), chunk.data, _State()))
    try:
        event = _decode(chunk.data)
    except msgspec.DecodeError:
        if chunk.data.strip() == _DONE:  # follows the end of the message, and holds nothing more
            return ()
        raise
    # Fast path: nearly every event is one piece of text, and nothing else.
    if event.type == "content-delta" and event.logprobs is None and type(event.index) is int:
        content = _content_of(event.delta)
        if content is not None and (len(content) == 1 or (len(content) == 2 and "type" in content)):
            text = content.get("text")
            if text and type(text) is str:
                known = state.get("known")
                if known is not None and known.text_block == event.index + 1:
                    return (TextDelta(text, block=event.index + 1),)
    return list(_events(event, chunk, state.setdefault("known", _State())))


def _content_of(delta: object) -> _JSONObject | None:
    """Return the content of an event if it is a single object."""
    message = delta.get("message") if type(delta) is dict else None
    content = message.get("content") if type(message) is dict else None
    return content if type(content) is dict else None


def _events(event: _Event, chunk: Chunk, known: _State) -> Iterator[Event]:
    delta = _object(event.delta)
    read = _READERS.get(event.type) if isinstance(event.type, str) else None
    if read is not None:
        yield from read(event, _object(delta.get("message")), known)
    elif event.type == "message-end":
        yield from _ending(delta, chunk.data, known)
    elif _is_error(event, chunk):
        yield _failure(msgspec.json.decode(chunk.data), chunk.data)
    elif event.type is None and isinstance(event.message, dict):  # a whole response as the only event
        yield from _whole(msgspec.json.decode(chunk.data), chunk.data, known)
        return
    if isinstance(event.logprobs, dict):
        yield Logprobs(event.logprobs, block=_block(event.index))


def _is_error(event: _Event, chunk: Chunk) -> bool:
    """Return whether an event is an error: by its field, unless the event is the vendor's, or in another way."""
    if event.error and not is_vendor_event(str(event.type or chunk.event or "")):
        return True
    return event.type in (None, "", "error") and stated_failure(chunk) is not None


def _started(event: _Event, message: _JSONObject, known: _State) -> Iterator[Event]:
    if event.id and isinstance(event.id, str):
        yield ResponseStarted(id=event.id)
    if others := _others(message, _READ_OF_MESSAGES):
        yield Details({"message": others}, 0)
    yield from _plan(event, message, known)
    yield from _content(event, message, known)


def _plan(_event: _Event, message: _JSONObject, _known: _State) -> Iterator[Event]:
    if plan := _string(message.get("tool_plan")):
        yield ReasoningDelta(plan, id=PLAN, block=_PLAN_BLOCK)


def _content(event: _Event, message: _JSONObject, known: _State) -> Iterator[Event]:
    for content in _as_list(message.get("content")):
        yield from _piece(content, _block(event.index), known)


def _piece(content: object, block: int, known: _State) -> Iterator[Event]:
    """Yield a piece of a content, or a whole one; a type that is not known is sent back as it is."""
    if not isinstance(content, dict):
        if content not in (None, ""):
            yield TextDelta(json_access.text(content), block=block)
        return
    kind, extra = content.get("type"), _others(content, _READ_OF_CONTENT)
    if kind not in _TEXTS and not isinstance(content.get("text"), str):
        yield ServerToolEvent(_string(kind) or "content", content, block=block, replay=True)
        return
    if thinking := content.get("thinking"):
        yield ReasoningDelta(_readable(thinking), block=block, extra=extra or None)
    text = content.get("text")
    if text is not None:
        known.text_block = block
        yield TextDelta(json_access.text(text), block=block, extra=extra or None)
    elif extra and not thinking:  # a piece of a type that is not known
        yield ServerToolEvent("content", content, block=block)


def _readable(value: object) -> str:
    """Return the text of thinking, which may be a list of texts."""
    if isinstance(value, list):
        return "".join(map(_readable, value))
    if isinstance(value, dict):
        return _string(value.get("text")) or _string(value.get("thinking")) or json_access.text(value)
    return json_access.text(value)


def _call(event: _Event, message: _JSONObject, _known: _State) -> Iterator[Event]:
    for call in json_access.objects(_as_list(message.get("tool_calls"))):
        yield from _call_events(call, event.index, complete=False)


def _call_events(call: _JSONObject, index: object, *, complete: bool) -> Iterator[Event]:
    function = _object(call.get("function"))
    call_id = "" if call.get("id") is None else str(call["id"])
    name, arguments = _string(function.get("name")), json_access.text(function.get("arguments"))
    extra = _others(call, _READ_OF_CALLS)
    if call.get("type") not in (None, "", "function"):
        extra["type"] = call["type"]
    if further := _others(function, _READ_OF_FUNCTIONS):
        extra["function"] = further
    if call_id or name or arguments or extra:
        number = _number(index)
        yield ToolCallDelta(
            number, call_id or None, name or None, arguments, complete, block=_CALLS, extra=extra or None
        )


def _call_ends(event: _Event, _message: _JSONObject, _known: _State) -> Iterator[Event]:
    if (number := _number(event.index)) is not None:
        yield ToolCallDelta(number, complete=True, block=_CALLS)


def _citation(_event: _Event, message: _JSONObject, known: _State) -> Iterator[Event]:
    """Yield the sources of an event. Its index numbers the sources, not the contents."""
    for source in json_access.objects(_as_list(message.get("citations"))):
        number = _number(source.get("content_index"))
        block = known.text_block if number is None else number + 1
        start, end = (json_access.number(source, name) for name in ("start", "end"))
        known.sources.setdefault(block, []).append(source)
        ranged = start is not None and end is not None and 0 <= start < end
        yield Citation(source, block=block, start=start if ranged else None, end=end if ranged else None)


_READERS: dict[str, Callable[[_Event, _JSONObject, _State], Iterator[Event]]] = {
    "message-start": _started,
    "content-start": _content,
    "content-delta": _content,
    "tool-plan-delta": _plan,
    "tool-call-start": _call,
    "tool-call-delta": _call,
    "tool-call-end": _call_ends,
    "citation-start": _citation,
}


def _whole(response: _JSONObject, data: bytes, known: _State) -> Iterator[Event]:
    reasons = (response.get(name) for name in ("message", "detail", "errors"))
    named = any(reason and not isinstance(reason, dict) for reason in reasons)
    if response.get("error") or named:
        yield _failure(response, data)
        return
    found = response.get("message")
    message = _object(found)
    started = {name: value for name, value in message.items() if name != "content"}
    yield from _started(_Event(id=response.get("id")), started, known)
    for index, content in enumerate(_as_list(message.get("content"))):
        yield from _piece(content, _block(index), known)
    for index, call in enumerate(json_access.objects(_as_list(message.get("tool_calls")))):
        yield from _call_events(call, index, complete=True)
    yield from _citation(_Event(), message, known)
    for logprobs in json_access.objects(_as_list(response.get("logprobs"))):
        yield Logprobs(logprobs)
    if response.get("finish_reason"):
        yield from _ending(response, data, known)


def _ending(delta: _JSONObject, data: bytes, known: _State) -> Iterator[Event]:
    """Yield the sources to send back, usage, details and the finish reason, or a failure if the reason is one."""
    for block, sources in known.sources.items():
        yield TextDelta("", block=block, extra={"citations": sources})
    usage = delta.get("usage")
    if isinstance(usage, list):
        usage = next(reversed(json_access.objects(usage)), None)
    if isinstance(usage, dict) and usage:
        yield UsageReport(usage)
    if others := _others(delta, _READ):
        yield Details(others)
    raw, said, kind = delta.get("finish_reason"), delta.get("error"), _string(delta.get("error_type"))
    word = raw if isinstance(raw, str) else json_access.text(raw)
    if said or word in _FAILURES:
        message, usual = _FAILURES.get(word, ("", None))
        yield Failure(_string(said) or json_access.text(said) or message, kind or word or None, usual, raw=data)
        return
    if (ending := finish_of(word)) is not None:
        yield replace(ending, raw=data) if isinstance(ending, Failure) else ending
    yield End()


def _block(index: object) -> int:
    number = _number(index)
    return 1 if number is None else number + 1


def _number(index: object) -> int | None:
    """Return an index, which may be the text of a number."""
    if isinstance(index, str) and index.strip().isdecimal():
        return int(index)
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def _others(fields: _JSONObject, read: frozenset[str]) -> _JSONObject:
    return {name: value for name, value in fields.items() if name not in read and value not in (None, "", [], {})}


def _object(value: object) -> _JSONObject:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _as_list(value: Any) -> list[Any]:  # noqa: ANN401 (one thing, several, or none)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


# Usage and errors


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read the tokens of a usage object. The billed units, which are fewer, stay in `raw`."""
    return Usage(
        input_tokens=json_access.number(payload, "tokens.input_tokens"),
        output_tokens=json_access.number(payload, "tokens.output_tokens"),
        cache_read_tokens=json_access.number(payload, "cached_tokens"),
        reasoning_tokens=json_access.number(payload, "tokens.reasoning_tokens"),
        raw=payload,
    )


@hookimpl
def decode_error(response: WireResponse) -> Failure | None:
    """Read the id of an error next to its message. Return None if the body is no such object."""
    payload = json_access.parse(response.body)
    kind = json_access.get(payload, "error_type")
    return _failure(payload, response.body, response.status) if isinstance(kind, str) else None


def _failure(payload: object, raw: bytes, status: int | None = None) -> Failure:
    kind = json_access.get(payload, "error_type")
    failure = failure_from_payload(payload, status=status, raw=raw)
    return replace(failure, type=kind) if isinstance(kind, str) else failure
