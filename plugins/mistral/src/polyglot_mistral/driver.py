"""Mistral's chat completions: akin to OpenAI's, with thinking and sources as parts of the content.

Sources: Mistral's API reference, pages "Chat Completion" and "Agents Completion", its guides to reasoning, documents
and citations, and recorded exchanges for what these leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_core.plugin import (
    Details,
    End,
    Failure,
    Note,
    ResponseStarted,
    TextDelta,
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
from polyglot_mistral.body import body_of
from polyglot_mistral.content import Received, message_events
from polyglot_mistral.embeddings import decode_embeddings, embedding_limits, encode_embeddings
from polyglot_mistral.presets import PRESETS

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

_PATH = "/chat/completions"
_AGENT_PATH = "/agents/completions"


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as a chat completion, or as an agent's if `extra` has an ``agent_id``."""
    return _wire(connection, request, body_of(request, connection.driver))


@hookimpl
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:
    """Encode a request that continues the assistant's last turn, which is marked as a prefix.

    Source: Mistral's API reference, the field ``prefix`` of an assistant's message.
    """
    body = body_of(request, connection.driver)
    begun = {"role": "assistant", "content": text, "prefix": True}
    return _wire(connection, request, {**body, "messages": [*body["messages"], begun]})


def _wire(connection: Connection, request: InferenceRequest, body: dict[str, Any]) -> WireRequest:
    path = _AGENT_PATH if "agent_id" in request.extra else _PATH
    # recorded responses end with a block without its blank line
    return json_request(f"{_base_url(connection)}{path}", body, stream=request.stream, flush_at_eof=True)


def _base_url(connection: Connection) -> str:
    return url_of(connection, default=PRESETS["mistral"].base_url)


_MODEL_PATHS = {
    "id": ("id",),
    "name": ("name",),
    "created": ("created",),
    "context_tokens": ("max_context_length",),
}


@hookimpl
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    """Encode the request for the list of models, which has one page, or read it."""
    if data is None:
        return json_request(f"{_base_url(connection)}/models", None, stream=False)
    body = msgspec.json.decode(data)
    models += json_access.models(body if isinstance(body, list) else json_access.get(body, "data"), _MODEL_PATHS)
    return None


# The response: only the fields that are read


class _Choice(Struct, gc=False):
    index: int | None = 0
    delta: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    finish_reason: str | None = None
    error: Any = None


class _Completion(Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Any = None
    id: Any = None
    model: Any = None
    object: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Completion).decode

_DONE = b"[DONE]"
_END = (End(),)

_READ = frozenset({"choices", "usage", "id", "model", "object", "error", "p"})
_READ_OF_CHOICES = frozenset({"index", "delta", "message", "finish_reason", "error"})
_TEXT = frozenset({"content", "role", "tool_calls"})
_ODD = "A chunk of the response has other types than those of the dialect; it was read nevertheless."


class _State(Struct):
    """What is known of a response: what each choice has received, and whether id and model were emitted."""

    received: dict[int, Received] = {}
    named: bool = False
    opened: bool = False

    def choice(self, index: int) -> Received:
        """Return what a choice has received."""
        return self.received.get(index) or self.received.setdefault(index, Received())


@hookimpl
def decode_chunk(state: dict[Any, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode a chunk or a whole completion.

    `state` holds the index of each choice whose chunks may take the fast path: its content was text only, so that a
    piece of text continues it. All else is in a `_State`.
    """
    try:
        completion = _decode(chunk.data)
    except msgspec.DecodeError as error:
        if chunk.data.strip() == _DONE:
            return _END
        payload = json_access.parse(chunk.data)
        if not isinstance(error, msgspec.ValidationError) or not _is_readable(payload):
            raise
        return [Note(_ODD), *_events(_converted(payload), chunk, state)]
    choices = completion.choices
    # Fast path: nearly every chunk is one piece of text of one choice, and nothing else.
    if choices is not None and len(choices) == 1 and completion.usage is None:
        choice = choices[0]
        delta = choice.delta
        if (
            delta is not None
            and choice.index in state
            and not (choice.finish_reason or completion.error or choice.error)
        ):
            text = delta.get("content")
            if type(text) is str and (len(delta) == 1 or (not delta.get("tool_calls") and _TEXT.issuperset(delta))):
                return (TextDelta(text, choice.index or 0),)
    return list(_events(completion, chunk, state))


def _is_readable(payload: object) -> bool:
    return isinstance(payload, dict) and isinstance(payload.get("choices"), (list, dict, type(None)))


def _converted(payload: dict[str, Any]) -> _Completion:
    """Return a completion whose fields have other types than the typed decoder accepts."""
    found = payload.get("choices") or []
    choices = json_access.objects(found if isinstance(found, list) else [found])
    fields = {name: payload.get(name) for name in ("usage", "id", "model", "object", "error")}
    return _Completion(choices=[_converted_choice(*pair) for pair in enumerate(choices)], **fields)


def _converted_choice(position: int, choice: dict[str, Any]) -> _Choice:
    index, word = choice.get("index"), choice.get("finish_reason")
    said = [choice.get(name) for name in ("delta", "message")]
    delta, message = (each if isinstance(each, (dict, type(None))) else {"content": each} for each in said)
    number = int(index) if isinstance(index, (int, str, float)) and str(index).isdecimal() else position
    word = word if isinstance(word, str) else json_access.text(word) or None
    return _Choice(number, delta, message, word, choice.get("error"))


def _events(completion: _Completion, chunk: Chunk, state: dict[Any, Any]) -> Iterator[Event]:
    known: _State = state.setdefault("known", _State())
    if (failure := _failure_in(completion, chunk)) is not None:
        yield failure
        return
    if completion.error and not completion.choices:
        return  # of a tool: core keeps it as a possible reason
    if not known.named:
        yield from _names(completion, known)
    choices, whole = completion.choices or [], chunk.kind == "whole"
    if whole or (choices and not known.opened) or not all(map(_is_piece, choices)):
        yield from _details(msgspec.json.decode(chunk.data), choices)
    known.opened = known.opened or bool(choices)
    for choice in choices:
        received = known.choice(choice.index or 0)
        yield from _choice_events(choice, chunk, received, whole=whole)
        if received.listed:
            state.pop(choice.index, None)
        elif known.named and received.begun:
            state[choice.index] = True
    usage = completion.usage
    if isinstance(usage, list):
        usage = next(reversed(json_access.objects(usage)), None)
    if usage and isinstance(usage, dict):
        yield UsageReport(usage)


def _names(completion: _Completion, known: _State) -> Iterator[Event]:
    names = [name if isinstance(name, str) and name else None for name in (completion.id, completion.model)]
    if any(names):
        known.named = True
        yield ResponseStarted(id=names[0], model=names[1])


def _failure_in(completion: _Completion, chunk: Chunk) -> Failure | None:
    """Return the failure that a chunk reports: by its type, in ``error``, or by a message without choices."""
    if completion.error and (completion.choices or not is_vendor_event(chunk.event)):
        payload = msgspec.json.decode(chunk.data)
        return failure_from_payload(payload, status=json_access.number(payload, "raw_status_code"), raw=chunk.data)
    failure = None if completion.choices or completion.usage else stated_failure(chunk)
    status = None if failure is None else json_access.number(json_access.parse(chunk.data), "raw_status_code")
    return failure if failure is None or status is None else replace(failure, status=status)


def _is_piece(choice: _Choice) -> bool:
    """Return True if a choice has a piece of content, and does not end."""
    return not choice.finish_reason and bool(choice.delta) and any((choice.delta or {}).values())


def _details(payload: Any, choices: Sequence[_Choice]) -> Iterator[Event]:  # noqa: ANN401 (any JSON value)
    """Yield the fields of the response and of its choices that are not read."""
    if further := _others(payload, _READ):
        yield Details(further)
    for choice, fields in zip(choices, json_access.objects(payload.get("choices")), strict=False):
        if further := _others(fields, _READ_OF_CHOICES):
            yield Details(further, choice.index or 0)


def _others(fields: Mapping[str, Any], read: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in read and value not in (None, "", [], {})}


def _choice_events(choice: _Choice, chunk: Chunk, received: Received, *, whole: bool) -> Iterator[Event]:
    index = choice.index or 0
    for message, complete in _messages(choice, received, whole=whole):
        yield from message_events(message, index, received, whole=complete)
    ending = finish_of(choice.finish_reason, choice=index)
    if error := choice.error or (choice.delta or {}).get("error") or (choice.message or {}).get("error"):
        yield failure_from_payload({"error": error}, raw=chunk.data)
    elif ending is not None:
        yield replace(ending, raw=chunk.data) if isinstance(ending, Failure) else ending


def _messages(choice: _Choice, received: Received, *, whole: bool) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield the delta or the message of a choice, and whether it is whole.

    Gateways send a message in place of deltas: once, in pieces, or as all content so far. Beside deltas it repeats
    them.
    """
    message, delta = choice.message, choice.delta
    if whole and message is not None and (message.get("content") or message.get("tool_calls") or delta is None):
        yield message, True
        return
    if delta is not None:
        yield delta, whole
    if whole or not message or (received.begun and not received.so_far):
        return
    content = message.get("content")
    if isinstance(content, str):
        new = content.removeprefix(received.so_far)
        received.so_far = content if new != content or not received.so_far else received.so_far + content
        message = {**message, "content": new}
    yield message, True


# Usage


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read a usage object. A value that is not a number counts as unknown.

    Audio tokens are added to the prompt's if the total proves that they are counted apart.
    """
    prompt, completion, total = (
        json_access.number(payload, f"{name}_tokens") for name in ("prompt", "completion", "total")
    )
    sound = _prompt_detail(payload, "audio_tokens")
    if sound and prompt is not None and total == prompt + sound + (completion or 0):
        prompt += sound
    cached = _prompt_detail(payload, "cached_tokens")
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=json_access.number(payload, "num_cached_tokens") if cached is None else cached,
        reasoning_tokens=json_access.number(payload, "completion_tokens_details.reasoning_tokens"),
        raw=payload,
    )


def _prompt_detail(payload: Mapping[str, Any], name: str) -> int | None:
    return json_access.number(payload, f"prompt_tokens_details.{name}", f"prompt_token_details.{name}")
