"""Chat completions: the request is a JSON body, the response a series of JSON chunks over server-sent events.

Sources: OpenAI's API reference, pages "Create chat completion" and "The chat completion chunk object"; the references
of the providers whose endpoints speak the same dialect; recorded exchanges for what the pages leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
    Citation,
    Details,
    End,
    Failure,
    Finish,
    FinishReason,
    Logprobs,
    Note,
    ResponseStarted,
    TextDelta,
    UsageReport,
    failure_from_payload,
    finish_of,
    hookimpl,
    is_vendor_event,
    json_access,
    read_facts,
    stated_failure,
    url_of,
)
from polyglot_openai.chat.body import models_request, wire_request
from polyglot_openai.chat.completion import (
    Choice,
    Completion,
    converted,
    decode,
    decode_any,
    decode_leniently,
    decode_text,
    unwrapped,
)
from polyglot_openai.chat.deltas import content_events, further_piece, is_text_only
from polyglot_openai.chat.embeddings import embeddings_request, read_embeddings
from polyglot_openai.chat.facts import Facts
from polyglot_openai.chat.presets import PRESETS
from polyglot_openai.chat.received import Received
from polyglot_openai.chat.usage import read_usage
from polyglot_openai.models import read_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_core.plugin import (
        Chunk,
        Connection,
        EmbeddingRequest,
        Embeddings,
        Event,
        InferenceRequest,
        Model,
        Usage,
        WireRequest,
        WireResponse,
    )

__all__ = [
    "decode_chunk",
    "decode_embeddings",
    "decode_error",
    "embedding_limits",
    "encode_embeddings",
    "encode_prefill",
    "encode_request",
    "extract_usage",
    "list_models",
]

_BASE_URL = PRESETS["openai"].base_url
"""Base URL of a connection that names the driver only."""


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as a chat completion. A streamed request asks for a usage report."""
    facts = read_facts(connection, Facts, shared=True)
    return wire_request(connection, request, facts, url_of(connection, default=_BASE_URL))


@hookimpl
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:
    """Encode a request that continues the partial response as the assistant's last message.

    Raises:
        RequestError: The endpoint does not support it, or the preset does not state how it is requested.
    """
    marks = read_facts(connection, Facts, shared=True).prefill
    if marks is None:
        raise RequestError(
            f"Connection {connection.name!r} has no fact 'prefill', which states how a request makes the model "
            "continue a partial response. Add it to the facts if the endpoint supports it, or use resume='restart' or "
            "None."
        )
    prefilled = request.with_prefill(text, **marks.get("message", {}))
    return encode_request(connection, replace(prefilled, extra={**marks.get("body", {}), **prefilled.extra}))


@hookimpl
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    """Encode the request for the list of models, which has one page, or read it."""
    if data is None:
        return models_request(url_of(connection, default=_BASE_URL), read_facts(connection, Facts, shared=True))
    models += read_models(data)
    return None


@hookimpl
def embedding_limits(connection: Connection) -> tuple[int, int | None]:
    """Return the limits in the facts of the connection."""
    return read_facts(connection, Facts, shared=True).embedding_limits


@hookimpl
def encode_embeddings(connection: Connection, request: EmbeddingRequest) -> WireRequest:
    """Encode the request for the vectors of texts."""
    facts = read_facts(connection, Facts, shared=True)
    return embeddings_request(request, facts, url_of(connection, default=_BASE_URL), connection.driver)


@hookimpl
def decode_embeddings(data: bytes) -> Embeddings:
    """Read the vectors of texts."""
    return read_embeddings(data)


# The response

_DONE = b"[DONE]"
_END = (End(),)
_NOTHING = Choice()


class _Names(Struct, gc=False):
    id: Any = None
    model: Any = None


_decode_names = msgspec.json.Decoder(_Names).decode

_READ = frozenset({"choices", "usage", "error", "id", "model", "object", "obfuscation"})
_READ_OF_CHOICES = frozenset({"index", "delta", "message", "messages", "finish_reason", "logprobs", "error", "text"})
_READ_OF_MESSAGES = frozenset(
    {"content", "refusal", "tool_calls", "function_call", "annotations", "executed_tools", "images", "audio"}
)
_NO_CONTENT = frozenset({"role"})
_EVENTS = frozenset({"", "message", "data", "error", "chunk", "completion", "delta"})
"""SSE event names under which an object without choices may be an error; other names are those of other events."""

_OVERRULED = frozenset({FinishReason.STOP, FinishReason.OTHER})
_TELLING = frozenset({FinishReason.LENGTH, FinishReason.CONTENT_FILTER, FinishReason.REFUSAL, FinishReason.ERROR})
_FAST = "fast"
"""In the state if the next chunk is probably one that `decode_text` reads."""

_ODD = "A chunk of the response has other types than those of chat completions; it was read nevertheless."


class _State(Struct):
    """What is known of a response besides its choices.

    Attributes:
        facts: The facts of the connection.
        read: Fields of messages that are read.
        received: What each choice has received.
        id: The id, once it was received.
        model: The model, once it was received.
        opened: Whether a chunk was decoded.
        sources: How many sources beside the choices were emitted.
    """

    facts: Facts
    read: frozenset[str]
    received: dict[int, Received] = {}
    id: str | None = None
    model: str | None = None
    opened: bool = False
    sources: int = 0

    @property
    def is_plain(self) -> bool:
        """True if id and model are known, and nothing beside the choices is read of every chunk."""
        facts = self.facts
        return bool(self.id and self.model) and not (facts.citations_at or facts.error_at or facts.usage_at)

    def choice(self, index: int) -> Received:
        """Return what a choice has received."""
        return self.received.get(index) or self.received.setdefault(index, Received())


@hookimpl
def decode_chunk(connection: Connection, state: dict[Any, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode a chunk or a whole completion.

    `state` holds the index of each choice whose chunks may take the fast path: id and model are known, and a delta has
    had text, so that no later field can be the first to have it. All else is in a `_State`.
    """
    if _FAST in state:  # nearly every chunk is one piece of text of one choice, and nothing else
        try:
            text = decode_text(chunk.data).choices[0]
        except msgspec.DecodeError:
            del state[_FAST]  # the end, or a server whose chunks have more fields: each attempt would cost time
        else:
            if text.index in state and text.delta.content:  # a chunk without text may be there for its other fields
                return (TextDelta(text.delta.content, text.index),)
    try:
        completion = decode(chunk.data)
    except msgspec.DecodeError as error:
        if chunk.data.strip() == _DONE:
            return _END
        if isinstance(error, msgspec.ValidationError):
            return _leniently(connection, state, chunk)
        raise
    piece = _only_text(completion, state) or _only_piece(completion, state)
    if piece is not None:
        return (piece,)
    return _events(completion, None, chunk, state, _known(connection, state))


def _only_text(completion: Completion, state: dict[Any, Any]) -> TextDelta | None:
    """Return the text of a chunk that is one piece of text of one choice, whatever empty fields it has; else None."""
    choices = completion.choices
    if choices is None or len(choices) != 1 or completion.usage is not None or completion.error:
        return None
    choice = choices[0]
    delta = choice.delta
    if delta is None or choice.finish_reason is not None or choice.logprobs or choice.error:
        return None
    text = delta.get("content")
    if type(text) is not str or not text or not is_text_only(delta):
        return None
    return TextDelta(text, choice.index or 0) if choice.index in state else _first_text(text, choice, state)


def _first_text(text: str, choice: Choice, state: dict[Any, Any]) -> TextDelta | None:
    """Return the first text of a choice, after which its chunks take the fast path; None if the choice has others."""
    known: _State | None = state.get("known")
    if known is None or not known.is_plain or choice.message or choice.text or choice.native_finish_reason:
        return None
    received = known.received.get(choice.index or 0)
    if received is None or received.listed or received.names - _NO_CONTENT:
        return None
    received.names.add("content")
    state[choice.index] = state[_FAST] = True
    return TextDelta(text, choice.index or 0, received.in_block("text"))


def _only_piece(completion: Completion, state: dict[Any, Any]) -> Event | None:
    """Return the event of a chunk that is a further piece of thinking, or of a tool call, of one choice; else None."""
    known: _State | None = state.get("known")
    choices = completion.choices
    if known is None or not known.is_plain or not choices or len(choices) != 1 or completion.usage or completion.error:
        return None
    choice = choices[0]
    received, delta = known.received.get(choice.index or 0), choice.delta
    ends = choice.finish_reason or choice.error or choice.logprobs or choice.native_finish_reason
    if received is None or not delta or ends or choice.message or choice.text:
        return None
    return further_piece(delta, choice.index or 0, known.facts, received)


def _leniently(connection: Connection, state: dict[Any, Any], chunk: Chunk) -> Sequence[Event]:
    events: list[Event] = [Note(_ODD)]
    for completion, payload in decode_leniently(chunk.data):
        events += _events(completion, payload, chunk, state, _known(connection, state))
    return events


def _known(connection: Connection, state: dict[Any, Any]) -> _State:
    known: _State | None = state.get("known")
    if known is None:
        facts = read_facts(connection, Facts, shared=True)
        paths = (facts.reasoning_blocks, facts.reasoning_signature, facts.reasoning_encrypted)
        own = {path.partition(".")[0] for path in paths}
        known = state["known"] = _State(facts, _READ_OF_MESSAGES | own | set(facts.reasoning_fields))
    return known


def _events(
    completion: Completion, payload: dict[str, Any] | None, chunk: Chunk, state: dict[Any, Any], known: _State
) -> list[Event]:
    """Return the events of a completion. `payload` is the same without types, if that is known already."""
    if completion.choices and not completion.error:
        return _completion_events(completion, payload, chunk, state, known)
    read: dict[str, Any] = decode_any(chunk.data) if payload is None else payload
    if (failure := _failure_in(read, completion, chunk)) is not None:
        return [failure]
    if completion.error and not completion.choices:
        return []  # of a tool: core keeps it as a possible reason
    if not completion.choices and (inner := unwrapped(read)) is not None:
        note = Note("The completion was inside another object; it was read nevertheless.")
        return [note, *_completion_events(converted(inner), inner, chunk, state, known)]
    return _completion_events(completion, read, chunk, state, known)


def _completion_events(
    completion: Completion, payload: dict[str, Any] | None, chunk: Chunk, state: dict[Any, Any], known: _State
) -> list[Event]:
    events: list[Event] = []
    choices, whole = completion.choices or [], chunk.kind == "whole"
    telling = whole or (bool(choices) and not known.opened) or not all(map(_is_piece, choices or (_NOTHING,)))
    known.opened = known.opened or bool(choices)
    if not (known.id and known.model):
        events += _names(chunk.data if payload is None else msgspec.json.encode(payload), known)
    for choice in choices:
        events += _choice_events(choice, chunk, known, whole=whole)
    _speed_up(choices, state, known)
    facts, usage = known.facts, completion.usage
    if telling or facts.citations_at or facts.error_at or facts.usage_at:
        read: dict[str, Any] = decode_any(chunk.data) if payload is None else payload
        events += _outside_choices(read, chunk, known)
        usage = usage or next((found for path in facts.usage_at if (found := json_access.get(read, path))), None)
        if telling and (choices or (chunk.event or "") in _EVENTS):
            events += _details(read, choices, known)
    if isinstance(usage, list):
        usage = next(reversed(json_access.objects(usage)), None)
    if usage and isinstance(usage, dict):
        events.append(UsageReport(usage))
    return events


def _speed_up(choices: Sequence[Choice], state: dict[Any, Any], known: _State) -> None:
    """Let the next chunks of the choices take the fast path, if they may."""
    if not (known.id and known.model):
        return
    for choice in choices:
        received = known.choice(choice.index or 0)
        if received.listed:
            state.pop(choice.index, None)
        elif "content" in received.names and choice.index not in state:
            state[choice.index] = state[_FAST] = True


def _is_piece(choice: Choice) -> bool:
    """Return True if a choice has a piece of content, and does not end."""
    return bool(choice.delta) and not choice.finish_reason and any((choice.delta or {}).values())


def _names(data: bytes, known: _State) -> Iterator[Event]:
    """Yield id and model until both have been received; some servers leave them empty in the first chunk."""
    names = _decode_names(data)
    response_id = names.id if isinstance(names.id, str) else None
    model = names.model if isinstance(names.model, str) else None
    known.id, known.model = response_id or known.id, model or known.model
    if response_id or model:
        yield ResponseStarted(response_id, model)


# Choices


def _choice_events(choice: Choice, chunk: Chunk, known: _State, *, whole: bool) -> Iterator[Event]:
    index = choice.index or 0
    received = known.choice(index)
    for message, complete in _messages(choice, received, whole=whole):
        yield from content_events(message, index, known.facts, received, whole=complete)
        _keep_others(message, known, received)
    if isinstance(choice.logprobs, dict):
        yield Logprobs(choice.logprobs, index)
    elif isinstance(choice.logprobs, list) and choice.logprobs:
        yield Logprobs({"content": choice.logprobs}, index)
    ending = list(_ending(choice, chunk, known.facts))
    if (ending or whole) and (details := received.details(index)) is not None:
        yield details
    yield from ending


def _messages(choice: Choice, received: Received, *, whole: bool) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield what is new in delta, message and text of a choice, each with whether its tool calls are complete.

    Servers send all of them, or one in place of another; what one of them has sent, the others repeat.
    """
    message, delta = choice.message, choice.delta
    if whole and message is not None and (delta is None or not is_text_only(message) or message.get("content")):
        yield received.new_in_delta(message), True
    elif delta is not None:
        yield received.new_in_delta(delta), whole
    if not whole and message and (more := received.new_in_message(message)):
        yield more, True
    if isinstance(choice.text, str) and choice.text and not (received.names - _NO_CONTENT or message):
        yield {"content": choice.text}, whole


def _keep_others(message: dict[str, Any], known: _State, received: Received) -> None:
    """Keep the fields of a message that are not read, and further texts of thinking, for the details."""
    if isinstance(audio := message.get("audio"), dict):
        received.keep_audio(audio)
    if not known.read.issuperset(message):
        received.keep(message, known.read)
    texts = {field: text for field in known.facts.reasoning_fields if (text := message.get(field))}
    if len(texts) > 1:
        chosen = next(iter(texts.values()))
        received.keep({field: text for field, text in texts.items() if text != chosen}, ())


def _ending(choice: Choice, chunk: Chunk, facts: Facts) -> Iterator[Event]:
    """Yield the finish of a choice, or the failure that ended it."""
    word = choice.finish_reason
    if word is None and choice.delta and not choice.error and not choice.message and "error" not in choice.delta:
        return
    if error := choice.error or (choice.delta or {}).get("error") or (choice.message or {}).get("error"):
        yield failure_from_payload({"error": error}, raw=chunk.data)
    elif word and (status := facts.failed_on.get(word)) is not None:
        yield Failure(f"The model stopped: {word}.", word, status=status, raw=chunk.data)
    elif (ending := finish_of(word, choice=choice.index or 0)) is not None:
        yield from _honest(ending, choice, chunk)


def _honest(ending: Finish | Failure, choice: Choice, chunk: Chunk) -> Iterator[Event]:
    """Yield the finish, or what a gateway's field with the word of its own provider says against it."""
    native = finish_of(choice.native_finish_reason, choice=choice.index or 0)
    contradicts = isinstance(native, Failure) or (native is not None and native.reason in _TELLING)
    if isinstance(ending, Finish) and ending.reason in _OVERRULED and native is not None and contradicts:
        words = f"{choice.finish_reason!r}, but native_finish_reason is {choice.native_finish_reason!r}"
        yield Note(f"The finish reason is {words}, which counts.")
        ending = native if isinstance(native, Failure) else Finish(native.reason, ending.raw, ending.choice)
    yield replace(ending, raw=chunk.data) if isinstance(ending, Failure) else ending


# Beside the choices


def _failure_in(payload: Mapping[str, Any], completion: Completion, chunk: Chunk) -> Failure | None:
    """Return the failure that a chunk reports, in any of the ways in which servers do; None if it reports none."""
    if completion.error and (completion.choices or not is_vendor_event(chunk.event)):
        return failure_from_payload(payload, raw=chunk.data)
    if completion.choices or completion.usage or (chunk.event or "") not in _EVENTS:
        return None
    return stated_failure(chunk)


def _outside_choices(payload: Mapping[str, Any], chunk: Chunk, known: _State) -> Iterator[Event]:
    """Yield what an endpoint sends next to the choices: an error in an envelope of its own, and sources.

    The list of sources grows from chunk to chunk; only the new ones are emitted.
    """
    if (failure := _failure_at(payload, known.facts, chunk.data)) is not None:
        yield failure
        return
    sources = _sources(payload, known.facts)[1]
    for source in sources[known.sources :]:
        yield Citation(source if isinstance(source, dict) else {"url": source})
    known.sources = max(len(sources), known.sources)


def _sources(payload: Mapping[str, Any], facts: Facts) -> tuple[str, list[Any]]:
    """Return the path at which sources are, and the sources."""
    for path in facts.citations_at:
        if found := json_access.get(payload, path):
            return path, found if isinstance(found, list) else []
    return "", []


def _details(payload: Mapping[str, Any], choices: Sequence[Choice], known: _State) -> Iterator[Event]:
    """Yield the fields of the response and of its choices that are not read."""
    facts = known.facts
    read = _READ | {_sources(payload, facts)[0].partition(".")[0], (facts.error_at or "").partition(".")[0]}
    if further := _further(payload, read):
        yield Details(further)
    for choice, fields in zip(choices, json_access.objects(payload.get("choices")), strict=False):
        if further := _further(fields, _READ_OF_CHOICES):
            yield Details(further, choice.index or 0)


def _further(fields: Mapping[str, Any], read: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in read and value not in (None, "", [], {})}


# Usage and errors


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read a usage object."""
    return read_usage(payload)


@hookimpl
def decode_error(connection: Connection, response: WireResponse) -> Failure | None:
    """Read an error in the endpoint's own envelope. Return None for the usual shapes, which core reads."""
    facts = read_facts(connection, Facts, shared=True)
    if facts.error_at is None:
        return None
    return _failure_at(json_access.parse(response.body), facts, response.body)


def _failure_at(payload: object, facts: Facts, raw: bytes) -> Failure | None:
    """Return the failure in an envelope of code and message, or None if the code is 0, which means success."""
    envelope = json_access.get(payload, facts.error_at) if facts.error_at else None
    if not isinstance(envelope, dict) or not envelope.get("status_code"):
        return None
    code = str(envelope["status_code"])
    return Failure(str(envelope.get("status_msg") or ""), code, status=facts.error_statuses.get(code), raw=raw)
