"""Decoding of generateContent's responses: JSON chunks, each with more parts of the candidates, for both endpoints.

Sources: the pages "Generating content" of the Gemini API reference and "GenerateContentResponse" of Vertex AI's;
recorded exchanges for what the pages leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from polyglot_core.plugin import (
    Details,
    Finish,
    FinishReason,
    JSONText,
    Logprobs,
    Note,
    ReasoningDelta,
    ResponseStarted,
    ServerToolEvent,
    TextDelta,
    Usage,
    UsageReport,
    finish_of,
    hookimpl,
    is_vendor_event,
    json_access,
)
from polyglot_google.provider_errors import read_failure
from polyglot_google.shapes import CallArguments, TextChunk
from polyglot_google.turn import TEXT, THOUGHT, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_core.plugin import Chunk, Event
    from polyglot_google.shapes import JSONObject

__all__ = ["decode_chunk", "extract_usage"]

_decode_text = msgspec.json.Decoder(TextChunk).decode
_decode = msgspec.json.Decoder().decode
_decode_arguments = msgspec.json.Decoder(CallArguments | list[CallArguments]).decode

_USUAL_USAGE = b'{"'
"""How a usage object begins that is not empty."""

_NEVER = b""
"""Equal to no time of a chunk."""

_END_MARK = b"[DONE]"
"""Added by gateways. Google has no mark, and so it proves nothing."""

_NO_BLOCK_REASON = frozenset({"", "0", "null", "none", "block_reason_unspecified"})
"""Values of ``blockReason`` that are no reason, in lower case."""
_NUMBERED = {0: "", 1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
"""Reasons as numbers, which are sent if a client asks for them. From 6 on the two endpoints number differently."""

_NAMES_BY_REASON = {
    FinishReason.LENGTH: ("continuation",),
    FinishReason.CONTENT_FILTER: (
        *("model_armor", "escalation"),
        *("6", "7", "8"),  # 6 to 8 mean, on either endpoint: a language, a blocklist, prohibited or personal content
    ),
    FinishReason.ERROR: (
        *("too_many_tool_calls", "malformed_response", "missing_thought_signature", "pup_limited_disabled"),
    ),
}
_REASONS = {word: reason for reason, words in _NAMES_BY_REASON.items() for word in words}
"""The words of the API references that are not known to core; every other one is `other`."""

_READ = frozenset({"candidates", "usageMetadata", "responseId", "modelVersion", "error"})
_KNOWN = (_READ | {"promptFeedback", "createTime", "modelStatus"}) - {"error"}
_READ_OF_CANDIDATE = frozenset({"content", "index", "finishReason", "logprobsResult"})
_ACTIVITY = frozenset({"groundingMetadata", "urlContextMetadata"})
_READ_BY_FIELD = {
    "groundingMetadata": frozenset({"groundingChunks", "groundingSupports"}),
    "citationMetadata": frozenset({"citations", "citationSources"}),
}


@hookimpl
def decode_chunk(state: dict[Any, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode a chunk or a whole response.

    `state` has the `Turn` of each candidate by its index, the details that were emitted, id and model, and, once these
    are known, ``created``: the time of the last chunk that was read in full.
    """
    try:
        piece = _decode_text(chunk.data)
    except msgspec.DecodeError:
        return _events(state, chunk)
    candidate = piece.candidates[0]
    part, usage = candidate.content.parts[0], bytes(piece.usage_metadata)
    turn, text = state.get(candidate.index), part.text
    if (
        turn is None
        or turn.open != (THOUGHT if part.thought else TEXT)
        or not text
        or (usage and (usage[:2] != _USUAL_USAGE or not usage.isascii()))  # bytes that are no UTF-8 are not seen yet
        or piece.create_time != state.get("created", _NEVER)
    ):
        return _events(state, chunk)
    delta: Event
    if part.thought:
        delta = ReasoningDelta(text, None, None, None, candidate.index, turn.block)
    else:
        turn.text.pieces.append(text)
        delta = TextDelta(text, candidate.index, turn.block)
    return (delta, UsageReport(JSONText(usage))) if usage else (delta,)


def _events(state: dict[Any, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode any chunk: a response, or several in a list. An object without a known field is none of Google's."""
    if chunk.data.strip() == _END_MARK:
        return ()
    value = _decode(chunk.data)
    responses = [value] if isinstance(value, dict) else json_access.objects(value)
    if not responses:
        raise msgspec.ValidationError(f"Expected `object`, got `{type(value).__name__}`")
    arguments = _arguments(chunk.data)
    events: list[Event] = []
    for response in responses:
        if _KNOWN & response.keys():
            events.extend(_response_events(response, state, arguments))
        if response.get("error") and (_KNOWN & response.keys() or not is_vendor_event(chunk.event)):
            events.append(read_failure(response, raw=chunk.data))
    return events


def _arguments(data: bytes) -> Iterator[str]:
    """Yield the arguments of all tool calls as JSON text; nothing if the shape of the response is not the usual one."""
    if b'"functionCall"' not in data:
        return
    try:
        found = _decode_arguments(data)
    except msgspec.ValidationError:
        return
    for response in found if isinstance(found, list) else [found]:
        yield from response.texts()


def _response_events(response: JSONObject, state: dict[Any, Any], arguments: Iterator[str]) -> Iterator[Event]:
    yield from _names(_word(response.get("responseId")), _word(response.get("modelVersion")), state)
    if state["id"] and state["model"]:
        state["created"] = response.get("createTime")
    for place, candidate in enumerate(_listed(response.get("candidates"))):
        if isinstance(candidate, dict):
            yield from _candidate_events(candidate, place, state, arguments)
        elif candidate is not None:
            yield Note(f"A candidate of the response is no object but a {type(candidate).__name__}; it was left out.")
    facts = {name: value for name, value in response.items() if name not in _READ}
    if changed := _changed(facts, state.setdefault("facts", {})):
        yield Details(changed)
    reason = str(json_access.get(response, "promptFeedback.blockReason") or "")
    if reason.lower() not in _NO_BLOCK_REASON:
        explanation = _word(json_access.get(response, "promptFeedback.blockReasonMessage"))
        yield Finish(FinishReason.CONTENT_FILTER, reason, explanation=explanation)
    if isinstance(usage := response.get("usageMetadata"), dict) and usage:
        yield UsageReport(usage)


def _names(response_id: str | None, model: str | None, state: dict[Any, Any]) -> Iterator[Event]:
    """Yield id and model until both have been received."""
    seen = state.setdefault("id", None), state.setdefault("model", None)
    if not all(seen):
        state["id"], state["model"] = response_id or seen[0], model or seen[1]
        if response_id or model:
            yield ResponseStarted(response_id, model)


def _candidate_events(
    candidate: JSONObject, place: int, state: dict[Any, Any], arguments: Iterator[str]
) -> Iterator[Event]:
    """Yield the events of a candidate, which is known by its index, or else by its place in the chunk."""
    number = _number(candidate.get("index"))
    index = place if number is None else number
    turn: Turn | None = state.get(index)
    if turn is None:
        turn = state[index] = Turn(index)
        yield TextDelta("", index)  # marks the choice as begun, whatever its first part is
    given = candidate.get("content")
    content = given if isinstance(given, dict) else {"parts": given}
    yield from turn.parts(_listed(content.get("parts")), arguments)
    yield from _metadata_events(candidate, content, turn)
    yield from _finish_events(candidate.get("finishReason"), _word(candidate.get("finishMessage")), turn)


def _finish_events(reason: object, explanation: str | None, turn: Turn) -> Iterator[Event]:
    reason = reason[0] if isinstance(reason, list) and reason else reason
    number = _number(reason)
    found = finish_of(reason if number is None else _NUMBERED.get(number, str(number)), _REASONS, turn.index)
    if found is None:
        return
    stopped = isinstance(found, Finish) and found.reason == FinishReason.STOP
    if stopped and not turn.announced:  # another reason may have truncated the tool call, which then is not complete
        yield from turn.close()
    filtered = isinstance(found, Finish) and found.reason == FinishReason.CONTENT_FILTER
    yield replace(found, explanation=explanation) if filtered else found


# Metadata


def _metadata_events(candidate: JSONObject, content: JSONObject, turn: Turn) -> Iterator[Event]:
    """Yield the sources and log probabilities of a candidate, and all its other fields as details."""
    if isinstance(found := candidate.get("citationMetadata"), dict):
        yield from turn.sources.recitations(found)
    if isinstance(found := candidate.get("groundingMetadata"), dict):
        yield from turn.sources.grounding(found)
    if isinstance(found := candidate.get("logprobsResult"), dict) and found:
        yield Logprobs(found, turn.index)
    facts = {name: _rest(name, value) for name, value in candidate.items() if name not in _READ_OF_CANDIDATE}
    rest = {name: value for name, value in content.items() if name != "parts" and (name, value) != ("role", "model")}
    changed = _changed({**facts, "content": rest}, turn.facts)
    for name in _ACTIVITY & changed.keys():
        if isinstance(payload := changed[name], dict) and any(payload.values()):
            yield ServerToolEvent(name, payload, turn.index, max(turn.block, 0))
    if changed:
        yield Details(changed, turn.index)


def _rest(name: str, value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a field without what is read of it."""
    if isinstance(value, dict) and (read := _READ_BY_FIELD.get(name)):
        return {key: each for key, each in value.items() if key not in read}
    return value


def _changed(facts: JSONObject, before: JSONObject) -> JSONObject:
    """Return the facts that are not in `before` yet, and record them there. Empty ones say nothing."""
    changed = {
        name: value for name, value in facts.items() if value not in (None, {}, []) and before.get(name) != value
    }
    before.update(changed)
    return changed


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 (any JSON value)
    """Return a list as it is, and any other value but null as a list of one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    """Return a number that may be written as text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < _MOST_DIGITS:
        return int(value)
    return int(value) if type(value) is int or (type(value) is float and value.is_integer()) else None


_MOST_DIGITS = 19


# Usage


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read a usage object. Tokens of tools in the prompt and of thinking are counted apart from the others.

    Some responses count thinking among the candidates' tokens as well; the total shows it.
    """
    counts = {name: _number(value) for name, value in payload.items()}
    tools, thoughts = counts.get("toolUsePromptTokenCount"), counts.get("thoughtsTokenCount")
    candidates, total = counts.get("candidatesTokenCount"), counts.get("totalTokenCount")
    asked = counts.get("promptTokenCount")
    prompt = _sum(asked, tools)
    output = _sum(candidates, thoughts)
    if output is None and prompt is not None and total == prompt:
        output = 0  # a count of zero is not sent, but the total shows that it was zero
    elif candidates is not None and _is_inside(
        thoughts or 0, candidates, total, {prompt, counts.get("promptTokenCount")}
    ):
        output = candidates
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cache_read_tokens=counts.get("cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        raw=payload,
    )


def _is_inside(thoughts: int, candidates: int, total: int | None, prompts: set[int | None]) -> bool:
    """Return whether the total proves that the candidates' tokens include those of thinking."""
    sums = {prompt + candidates for prompt in prompts if prompt is not None}
    return 0 < thoughts <= candidates and total in sums - {each + thoughts for each in sums}


def _sum(*counts: int | None) -> int | None:
    known = [found for found in counts if found is not None]
    return sum(known) if known else None
