"""Decoding of generateContent's responses: JSON chunks, each with more parts of the candidates, for both endpoints.

Sources: the pages "Generating content" of the Gemini API reference and "GenerateContentResponse" of Vertex AI's;
recorded exchanges for what the pages leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_core.plugin import (
    Citation,
    Finish,
    FinishReason,
    Logprobs,
    MediaDelta,
    ReasoningDelta,
    ResponseStarted,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    hookimpl,
    json_access,
)
from polyglot_google.json_pieces import JSONPieces
from polyglot_google.provider_errors import read_failure
from polyglot_google.shapes import Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_core.plugin import Chunk, Event
    from polyglot_google.shapes import Blob, Candidate, FunctionCall, JSONObject, Part, PartialArg

__all__ = ["decode_chunk", "extract_usage"]

_decode = msgspec.json.Decoder(Response).decode

_UNSPECIFIED = {"", "FINISH_REASON_UNSPECIFIED", 0}
_NUMBERED = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
"""Reasons as numbers, which are sent if a client asks for them. From 6 on the two endpoints number differently."""

_NAMES_BY_REASON = {
    FinishReason.STOP: ("STOP",),
    FinishReason.LENGTH: ("MAX_TOKENS", "CONTINUATION"),
    FinishReason.CONTENT_FILTER: (
        *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "ESCALATION"),
        *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
        *("6", "7", "8"),  # 6 to 8 mean, on either endpoint: a language, a blocklist, prohibited or personal content
    ),
    FinishReason.ERROR: (
        *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"),
        *("MISSING_THOUGHT_SIGNATURE", "PUP_LIMITED_DISABLED"),
    ),
}
_REASONS = {word: reason for reason, words in _NAMES_BY_REASON.items() for word in words}
"""By finish reason of the API references; every other one is `other`."""

_SERVER_TOOL_PARTS = {
    "executable_code": "executableCode",
    "code_execution_result": "codeExecutionResult",
    "tool_call": "toolCall",
    "tool_response": "toolResponse",
}


class _Progress:
    """The state of decoding a candidate. Each of the counters numbers what has to stay separate."""

    __slots__ = ("call", "calls", "media", "thinking")

    def __init__(self) -> None:
        self.thinking = 0  # a stretch of thinking ends with its signature
        self.media = 0  # an image is a file; pieces of audio continue the last file
        self.calls = 0  # tool calls in pieces
        self.call: JSONPieces | None = None  # the tool call that is open


@hookimpl
def decode_chunk(state: dict[Any, Any], chunk: Chunk) -> Sequence[Event]:
    """Decode a chunk or a whole response.

    `state` has the progress of each candidate, and records whether id and model have been received.
    """
    response = _decode(chunk.data)
    if response.error:
        return (read_failure(msgspec.json.decode(chunk.data), raw=chunk.data),)
    events: list[Event] = [] if "named" in state else _names(response, state)
    for candidate in response.candidates or ():
        events.extend(_candidate_events(candidate, state))
    if response.prompt_feedback is not None and response.prompt_feedback.block_reason:
        events.append(Finish(FinishReason.CONTENT_FILTER, str(response.prompt_feedback.block_reason)))
    if response.usage_metadata:
        events.append(UsageReport(response.usage_metadata))
    return events


def _names(response: Response, state: dict[Any, Any]) -> list[Event]:
    """Return id and model until both have been received."""
    names = response.response_id, response.model_version
    seen = state["id"], state["model"] = names[0] or state.get("id"), names[1] or state.get("model")
    if all(seen):
        state["named"] = True
    return [ResponseStarted(*names)] if any(names) else []


def _candidate_events(candidate: Candidate, state: dict[Any, Any]) -> Iterator[Event]:
    index = candidate.index or 0
    progress: _Progress | None = state.get(index)
    if progress is None:
        progress = state[index] = _Progress()
        yield TextDelta("", index)  # marks the choice as begun, whatever its first part is
    for part in (candidate.content.parts if candidate.content else None) or ():
        if part.text is not None and part.thought_signature is None and not part.thought:  # fast path: nearly all parts
            yield TextDelta(part.text, index)
        else:
            yield from _part_events(part, index, progress)
    yield from _metadata_events(candidate, index)
    if candidate.finish_reason not in _UNSPECIFIED and candidate.finish_reason is not None:
        yield from _finish_events(candidate.finish_reason, index, progress)


def _finish_events(reason: str | int, index: int, progress: _Progress) -> Iterator[Event]:
    word = str(_NUMBERED.get(reason, reason)) if isinstance(reason, int) else reason
    if word == "STOP":  # another reason may have truncated the tool call, which then must not be complete
        yield from _close_call(index, progress)
    yield Finish(_REASONS.get(word, FinishReason.OTHER), word, index)


# Parts


def _part_events(part: Part, index: int, progress: _Progress) -> Iterator[Event]:
    signature = part.thought_signature or None
    tools = {name: found for field, name in _SERVER_TOOL_PARTS.items() if (found := getattr(part, field)) is not None}
    if part.function_call is not None:
        yield from _call_events(part.function_call, signature, index, progress)
    elif part.text is not None or not (part.inline_data or tools):
        yield from _text_events(part, signature, index, progress)
    if part.inline_data is not None:
        yield _media_event(part.inline_data, index, progress, thought=bool(part.thought))
    for name, payload in tools.items():
        signed = {"thoughtSignature": signature} if signature else {}
        yield ServerToolEvent(name, {name: payload, **signed}, index, replay=True)


def _text_events(part: Part, signature: str | None, index: int, progress: _Progress) -> Iterator[Event]:
    """Yield text or thinking. A signature belongs to its part only, so it ends a stretch of thinking."""
    if part.thought:
        yield ReasoningDelta(part.text or "", signature, None, None, index, progress.thinking)
    else:
        yield TextDelta(part.text or "", index)
        if signature:
            progress.thinking += 1
            yield ReasoningDelta("", signature, None, None, index, progress.thinking)
    progress.thinking += signature is not None


def _media_event(blob: Blob, index: int, progress: _Progress, *, thought: bool) -> Event:
    """Return a file as media. A draft that the model made while thinking is reported as an event instead."""
    if thought:
        return ServerToolEvent("inlineData", {"inlineData": msgspec.to_builtins(blob), "thought": True}, index)
    mime_type = blob.mime_type or "application/octet-stream"
    progress.media += not mime_type.startswith("audio/")
    return MediaDelta(mime_type, blob.data or b"", index, progress.media)


# Tool calls


def _call_events(call: FunctionCall, signature: str | None, index: int, progress: _Progress) -> Iterator[Event]:
    if call.name:
        yield from _close_call(index, progress)
        if not (call.will_continue or call.partial_args):
            text = _arguments(call.args)
            yield ToolCallDelta(None, call.id or None, call.name, text, True, index, signature=signature)  # noqa: FBT003
            return
        progress.call = JSONPieces()
        progress.calls += 1
        yield ToolCallDelta(progress.calls, call.id or None, call.name, choice=index, signature=signature)
    for piece in call.partial_args or ():
        if progress.call is None:
            raise msgspec.DecodeError("the response has arguments of a tool call before the tool call")
        if text := _argument_text(progress.call, piece):
            yield ToolCallDelta(progress.calls, arguments=text, choice=index)
    if not call.will_continue:
        yield from _close_call(index, progress)


def _close_call(index: int, progress: _Progress) -> Iterator[Event]:
    if progress.call is None:
        return
    if text := progress.call.close():
        yield ToolCallDelta(progress.calls, arguments=text, choice=index)
    yield ToolCallDelta(progress.calls, complete=True, choice=index)
    progress.call = None


def _arguments(args: msgspec.Raw) -> str:
    """Return the arguments as compact JSON text; an empty text if there are none."""
    text = bytes(args)
    return "" if text in {b"", b"null"} else msgspec.json.format(text, indent=-1).decode()


def _argument_text(arguments: JSONPieces, piece: PartialArg) -> str:
    values = (piece.string_value, piece.number_value, piece.bool_value)
    value = next((value for value in values if value is not None), None)
    if value is None and piece.null_value is msgspec.UNSET:
        return ""
    return arguments.add(piece.json_path, value, continues=bool(piece.will_continue))


# Metadata


def _metadata_events(candidate: Candidate, index: int) -> Iterator[Event]:
    if found := candidate.citation_metadata:
        for source in json_access.objects(found.get("citations") or found.get("citationSources")):  # the older name
            yield Citation(source, index)
    if candidate.grounding_metadata:
        yield from _grounding_events(candidate.grounding_metadata, index)
    if candidate.url_context_metadata:
        yield ServerToolEvent("urlContextMetadata", candidate.url_context_metadata, index)
    if candidate.logprobs_result:
        yield Logprobs(candidate.logprobs_result, index)


def _grounding_events(metadata: JSONObject, index: int) -> Iterator[Event]:
    """Yield each source with the text segments that it supports, then the queries and other metadata."""
    supports = json_access.objects(metadata.get("groundingSupports"))
    for number, source in enumerate(json_access.objects(metadata.get("groundingChunks"))):
        supported = [support for support in supports if number in _source_indexes(support)]
        yield Citation({**source, "groundingSupports": supported}, index)
    rest = {name: value for name, value in metadata.items() if name not in {"groundingChunks", "groundingSupports"}}
    if any(rest.values()):
        yield ServerToolEvent("groundingMetadata", rest, index)


def _source_indexes(support: JSONObject) -> list[Any]:
    indexes = support.get("groundingChunkIndices")
    return indexes if isinstance(indexes, list) else []


# Usage


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read a usage object. Tokens of tools in the prompt and of thinking are counted apart from the others."""
    thoughts = json_access.number(payload, "thoughtsTokenCount")
    prompt = _sum(
        json_access.number(payload, "promptTokenCount"), json_access.number(payload, "toolUsePromptTokenCount")
    )
    output = _sum(json_access.number(payload, "candidatesTokenCount"), thoughts)
    if output is None and prompt is not None and json_access.number(payload, "totalTokenCount") == prompt:
        output = 0  # a count of zero is not sent, but the total shows that it was zero
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cache_read_tokens=json_access.number(payload, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        raw=payload,
    )


def _sum(*counts: int | None) -> int | None:
    known = [found for found in counts if found is not None]
    return sum(known) if known else None
