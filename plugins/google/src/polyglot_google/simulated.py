"""Google's generateContent, of the Gemini API and of Vertex AI: what a reply becomes, streamed and plain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from polyglot_core.plugin import Usage
from polyglot_google.simulated_embeddings import BatchEmbedContents, EmbedContent, Predict
from polyglot_simulator.dialect import (
    Access,
    Dialect,
    Problem,
    Send,
    arguments_json,
    interleaved,
    page_of,
    texts,
    tokens,
    usage_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_simulator.dialect import Reply, ToolCall, Turn


__all__ = [
    "ACCESS",
    "MODELS",
    "ROUTES",
    "GeminiArray",
    "GeminiBatchEmbed",
    "GeminiEmbed",
    "GeminiGenerate",
    "VertexPredict",
]

_JSONObject = dict[str, Any]

_MOST_CANDIDATES = 8
_SIGNATURE = "c2ltdWxhdG9y"
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class GeminiGenerate(Dialect):
    """The dialect of ``POST …/models/{model}:generateContent`` and ``:streamGenerateContent?alt=sse``."""

    stream_headers: tuple[tuple[str, str], ...] = (("content-type", "text/event-stream"),)

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if not isinstance(body, dict):
            return Problem(400, "Invalid JSON payload received.")
        fields = cast("_JSONObject", body)
        contents, count = fields.get("contents"), _count(fields)
        if not isinstance(contents, list) or not contents:
            return Problem(400, "* GenerateContentRequest.contents: contents is not specified\n")
        if not all(isinstance(parts, list) and parts for parts in _values(contents, "parts")):
            return Problem(400, "* GenerateContentRequest.contents: contents.parts must not be empty.\n")
        if not isinstance(count, int) or not 0 < count <= _MOST_CANDIDATES:
            return Problem(400, f"The candidate count must be from 1 to {_MOST_CANDIDATES}.")
        return None

    def wants_stream(self, body: Mapping[str, Any]) -> bool:
        """Return True if the path requests a stream."""
        return bool(body.get("streaming"))

    def stream(self, turn: Turn) -> Iterator[Send]:
        """Yield a chunk for each part, and a last one for each candidate with its reason; there is no end marker."""
        for payload, is_token in _chunks(turn):
            yield Send(_event(payload), token=is_token)

    def whole(self, turn: Turn) -> bytes:
        """Return one object with all candidates."""
        candidates = [_candidate(reply, turn, index) for index, reply in enumerate(_replies(turn))]
        return msgspec.json.encode({"candidates": candidates, **_heading(turn), **_usage(turn)})

    def error(self, problem: Problem) -> bytes:
        """Return an object with the single field ``error``."""
        word = _STATUSES.get(problem.status, "INTERNAL" if problem.status >= 500 else "FAILED_PRECONDITION")
        return msgspec.json.encode({"error": {"code": problem.status, "message": problem.message, "status": word}})

    def failure(self, error: Mapping[str, Any], *, streamed: bool) -> bytes:
        """Return the same object, as an event if the response is streamed."""
        return _event(_error(error)) if streamed else msgspec.json.encode(_error(error))


class GeminiArray(GeminiGenerate):
    """The dialect of ``:streamGenerateContent`` without ``alt=sse``."""

    stream_headers: tuple[tuple[str, str], ...] = (("content-type", "application/json; charset=UTF-8"),)
    comment: bytes = b"\n"

    def stream(self, turn: Turn) -> Iterator[Send]:
        """Yield the same chunks as elements of one array."""
        before = b"["
        for payload, is_token in _chunks(turn):
            yield Send(before + msgspec.json.encode(payload), token=is_token)
            before = b"\n,\r\n"
        yield Send(b"\n]\n", event=False)

    def failure(self, error: Mapping[str, Any], *, streamed: bool) -> bytes:
        """Return the same object, as an element if the response is streamed."""
        return b"\n,\r\n" * streamed + msgspec.json.encode(_error(error))


class _Step(NamedTuple):
    """A part of a candidate, or its end."""

    part: _JSONObject | None
    token: bool = False
    ending: Mapping[str, str] = {}


def _error(error: Mapping[str, Any]) -> _JSONObject:
    """Return an error with the code and the status name of Google's errors."""
    given = {name: value for name, value in error.items() if value is not None}
    return {"error": {"code": 500, "status": _STATUSES.get(given.get("code", 500), "INTERNAL"), **given}}


def _event(payload: object) -> bytes:
    return b"data: %b\r\n\r\n" % msgspec.json.encode(payload)


def _chunks(turn: Turn) -> Iterator[tuple[_JSONObject, bool]]:
    """Yield each chunk and whether it is a token; the last one has the usage."""
    steps = list(interleaved(_steps(reply, turn) for reply in _replies(turn)))
    for number, (index, step) in enumerate(steps, start=1):
        candidate: _JSONObject = {"content": {"parts": [step.part or {"text": ""}], "role": "model"}, "index": index}
        usage = _usage(turn) if number == len(steps) else {}
        yield {"candidates": [{**candidate, **step.ending}], **usage, **_heading(turn)}, step.token


def _steps(reply: Reply, turn: Turn) -> Iterator[_Step]:
    yield from (_Step({"text": token, "thought": True}, token=True) for token in tokens(reply.reasoning or ""))
    yield from (_Step({"text": token}, token=True) for token in tokens(reply.text))
    yield from (_Step(part) for part in _calls(reply, turn))
    last = {"text": "", "thoughtSignature": _SIGNATURE} if reply.reasoning and not reply.tool_calls else None
    yield _Step(last, ending=_ending(reply))


def _candidate(reply: Reply, turn: Turn, index: int) -> _JSONObject:
    thought = [{"text": reply.reasoning, "thought": True}] if reply.reasoning else []
    signed = {"thoughtSignature": _SIGNATURE} if reply.reasoning and not reply.tool_calls else {}
    said = [{"text": reply.text, **signed}] if reply.text or signed else []
    content = {"parts": [*thought, *said, *_calls(reply, turn)], "role": "model"}
    return {"content": content, "index": index, **_ending(reply)}


def _calls(reply: Reply, turn: Turn) -> list[_JSONObject]:
    """Return the tool calls as parts, each whole; the first has the signature of the thinking before it."""
    parts: list[_JSONObject] = [{"functionCall": _call(call, n, turn)} for n, call in enumerate(reply.tool_calls)]
    if parts and reply.reasoning:
        parts[0]["thoughtSignature"] = _SIGNATURE
    return parts


def _call(call: ToolCall, number: int, turn: Turn) -> _JSONObject:
    call_id = f"call_{turn.number}_{number}" if call.id is None else call.id
    return {"id": call_id, "name": call.name, "args": msgspec.Raw(arguments_json(call).encode() or b"{}")}


def _ending(reply: Reply) -> dict[str, str]:
    """Return the finish reason; this dialect reports a refusal as a content filter, with a message in place of text."""
    reason = reply.finish_reason or ("SAFETY" if reply.refusal else "STOP")
    return {"finishReason": reason, **({"finishMessage": reply.refusal} if reply.refusal else {})}


def _heading(turn: Turn) -> _JSONObject:
    return {"modelVersion": turn.body.get("model") or turn.model, "responseId": f"simulator-{turn.number}"}


def _replies(turn: Turn) -> Sequence[Reply]:
    """Return the candidates of the reply, or the reply repeated as often as the request asks."""
    return turn.reply.choices or [turn.reply] * _count(turn.body)


def _count(body: Mapping[str, Any]) -> Any:  # noqa: ANN401 (whatever the client sent)
    settings = body.get("generationConfig")
    return settings.get("candidateCount", 1) if isinstance(settings, dict) else 1


def _usage(turn: Turn) -> _JSONObject:
    """Return the token counts in this dialect's field, or an empty object if none are reported."""
    prompt = [turn.body["contents"], turn.body.get("systemInstruction")]
    usage = usage_of(turn, texts(prompt, "parts", "text"), _replies(turn))
    if usage.raw:
        return {"usageMetadata": dict(usage.raw)}
    if usage == Usage():
        return {}
    read, output, thought = usage.input_tokens or 0, usage.output_tokens or 0, usage.reasoning_tokens or 0
    counts = {"promptTokenCount": read, "candidatesTokenCount": output - thought, "totalTokenCount": read + output}
    rare = {"thoughtsTokenCount": thought, "cachedContentTokenCount": usage.cache_read_tokens}
    return {"usageMetadata": counts | {name: count for name, count in rare.items() if count}}


def _values(items: object, name: str) -> list[Any]:
    """Return the values under `name` of the objects in `items`."""
    listed: list[Any] = items if isinstance(items, list) else []
    return [cast("_JSONObject", item).get(name) for item in listed if isinstance(item, dict)]


_MODEL = (
    r"(?:/v1(?:beta)?|/v1(?:beta1)?(?:/projects/[^/]+/locations/[^/]+)?/publishers/[^/]+)"
    r"/(?:models|tunedModels)/(?P<model>[^/:]+):"
)


def _models(names: Sequence[str], after: str | None) -> _JSONObject:
    """Return a page of ``GET /v1beta/models``."""
    limits = {"inputTokenLimit": 1_000_000, "outputTokenLimit": 8192}
    return _page("models", [{"name": f"models/{name}", "displayName": name.title(), **limits} for name in names], after)


def _publisher_models(names: Sequence[str], after: str | None) -> _JSONObject:
    """Return a page of ``GET /v1beta1/publishers/google/models``."""
    rows = [{"name": f"publishers/google/models/{name}", "versionId": "default"} for name in names]
    return _page("publisherModels", rows, after)


def _page(field: str, rows: Sequence[_JSONObject], after: str | None) -> _JSONObject:
    page, more = page_of([row["name"] for row in rows], after)
    shown = {field: [row for row in rows if row["name"] in page]}
    return {**shown, "nextPageToken": page[-1]} if more else shown


class GeminiBatchEmbed(BatchEmbedContents, GeminiGenerate):
    """The dialect of ``POST …/models/{model}:batchEmbedContents``."""


class GeminiEmbed(EmbedContent, GeminiGenerate):
    """The dialect of ``POST …/models/{model}:embedContent`` on Vertex AI."""


class VertexPredict(Predict, GeminiGenerate):
    """The dialect of ``POST …/models/{model}:predict`` for models of embeddings."""


_PAGE = r"pageSize=\d+(?:&pageToken=(?P<after>[^&]+))?"
MODELS = {
    rf"/v1beta/models\?{_PAGE}": _models,
    rf"/v1beta1/publishers/google/models\?{_PAGE}": _publisher_models,
}
ROUTES: dict[str, Dialect] = {
    _MODEL + r"(?:generateContent\?.*|(?P<streaming>streamGenerateContent)\?(?:.*&)?alt=sse(?:&.*)?)": GeminiGenerate(),
    _MODEL + r"(?P<streaming>streamGenerateContent)\?.*": GeminiArray(),
    _MODEL + r"batchEmbedContents\?.*": GeminiBatchEmbed(),
    _MODEL + r"embedContent\?.*": GeminiEmbed(),
    _MODEL + r"predict\?.*": VertexPredict(),
}
"""The path contains the model, and whether to stream. Without ``alt=sse`` the stream is one JSON array."""
ACCESS = {"gemini": Access("/v1beta", "x-goog-api-key", ""), "vertex": Access("/v1", "x-goog-api-key", "")}
