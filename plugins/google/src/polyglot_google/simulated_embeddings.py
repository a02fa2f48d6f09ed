"""Google's embeddings: batchEmbedContents and embedContent, and predict of Vertex AI.

Sources: Google's references "Method: models.batchEmbedContents" of the Gemini API and "Text embeddings API" of Vertex
AI; Google's SDK for the settings that embedContent has on Vertex AI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from polyglot_simulator.dialect import Problem, WholeOnly, texts, tokens_of, vector_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_simulator.dialect import Turn

__all__ = ["BatchEmbedContents", "EmbedContent", "Predict"]

_JSONObject = dict[str, Any]
_MOST_REQUESTS, _MOST_INSTANCES = 100, 250


def _text(request: Mapping[str, Any]) -> str:
    return "".join(texts(request.get("content"), "parts", "text"))


def _values(request: Mapping[str, Any]) -> _JSONObject:
    """Return the vector of a request, whose settings are in it or in an object of their own."""
    settings = {**request, **(request.get("embedContentConfig") or {})}
    return {"values": vector_of(_text(request), settings.get("outputDimensionality"), settings.get("taskType") or "")}


class _Embedding(WholeOnly):
    """What the methods share: the field with the texts."""

    field = "content"

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if not isinstance(body, dict):
            return Problem(400, "Invalid JSON payload received.")
        if not cast("_JSONObject", body).get(self.field):
            return Problem(400, f"* {self.field}: {self.field} is not specified")
        return None


class EmbedContent(_Embedding):
    """The bodies of ``POST …/models/{model}:embedContent`` on Vertex AI."""

    def whole(self, turn: Turn) -> bytes:
        """Return the vector and the tokens of the text."""
        count = tokens_of(turn, [_text(turn.body)])
        usage = {} if count is None else {"usageMetadata": {"promptTokenCount": count, "totalTokenCount": count}}
        return msgspec.json.encode({"embedding": _values(turn.body), **usage})


class BatchEmbedContents(_Embedding):
    """The bodies of ``POST …/models/{model}:batchEmbedContents``."""

    field = "requests"

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if problem := super().problem(body):
            return problem
        requests = cast("_JSONObject", body)["requests"]
        if len(requests) > _MOST_REQUESTS:
            said = f"at most {_MOST_REQUESTS} requests can be in one batch"
            return Problem(400, f"* BatchEmbedContentsRequest.requests: {said}\n")
        if not all(_text(request) for request in requests):
            return Problem(400, "* BatchEmbedContentsRequest.requests[0].content: content is empty\n")
        return None

    def whole(self, turn: Turn) -> bytes:
        """Return a vector for each request, in order, and the tokens of all."""
        requests = turn.body["requests"]
        count = tokens_of(turn, map(_text, requests))
        usage = {} if count is None else {"usageMetadata": {"promptTokenCount": count}}
        return msgspec.json.encode({"embeddings": [_values(request) for request in requests], **usage})


class Predict(_Embedding):
    """The bodies of ``POST …/models/{model}:predict`` for models of embeddings."""

    field = "instances"

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if problem := super().problem(body):
            return problem
        if len(cast("_JSONObject", body)["instances"]) > _MOST_INSTANCES:
            return Problem(400, f"{_MOST_INSTANCES} instance(s) is allowed per prediction.")
        return None

    def whole(self, turn: Turn) -> bytes:
        """Return a prediction for each instance, with its tokens."""
        size = (turn.body.get("parameters") or {}).get("outputDimensionality")
        instances = turn.body["instances"]
        characters = sum(len(instance["content"]) for instance in instances)
        predictions = [_prediction(turn, instance, size) for instance in instances]
        metadata = {"billableCharacterCount": characters}
        return msgspec.json.encode({"predictions": predictions, "metadata": metadata})


def _prediction(turn: Turn, instance: Mapping[str, Any], size: int | None) -> _JSONObject:
    text = instance["content"]
    statistics = {"truncated": False, "token_count": tokens_of(turn, [text])}
    values = vector_of(text, size, instance.get("task_type") or "")
    return {"embeddings": {"statistics": statistics, "values": values}}
