"""Amazon Bedrock's InvokeModel for embeddings: Titan's body and Cohere's.

Source: the user guide of Amazon Bedrock, pages on Titan Text Embeddings and on Cohere Embed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from polyglot_simulator.dialect import Problem, WholeOnly, tokens_of, vector_of

if TYPE_CHECKING:
    from polyglot_simulator.dialect import Turn

__all__ = ["Embeddings"]

_JSONObject = dict[str, Any]
_TITAN_SIZES = frozenset({256, 512, 1024})
_MOST_TEXTS = 96
_INPUT_TYPES = frozenset({"search_document", "search_query", "classification", "clustering"})


class Embeddings(WholeOnly):
    """The bodies of ``POST /model/{model}/invoke`` for models of embeddings."""

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if not isinstance(body, dict):
            return Problem(400, "Malformed input request, please reformat your input and try again.")
        fields = cast("_JSONObject", body)
        if "titan" in fields["model"]:
            return _problem_of_titan(fields)
        return _problem_of_cohere(fields) if "cohere" in fields["model"] else Problem(400, "The model is invalid.")

    def whole(self, turn: Turn) -> bytes:
        """Return what the maker of the model returns."""
        return msgspec.json.encode(_titan(turn) if "titan" in turn.body["model"] else _cohere(turn))


def _problem_of_titan(fields: _JSONObject) -> Problem | None:
    text, size = fields.get("inputText"), fields.get("dimensions", 1024)
    if not isinstance(text, str) or not text:
        return Problem(400, "Malformed input request: required key [inputText] not found")
    if size not in _TITAN_SIZES:
        return Problem(400, f"Malformed input request: {size} is not a valid enum value for dimensions")
    known = {"inputText", "dimensions", "normalize", "embeddingTypes", "model"}
    if extra := fields.keys() - known:
        return Problem(400, f"Malformed input request: extraneous key [{min(extra)}] is not permitted")
    return None


def _problem_of_cohere(fields: _JSONObject) -> Problem | None:
    texts = fields.get("texts")
    if fields.get("input_type") not in _INPUT_TYPES:
        return Problem(400, "Malformed input request: required key [input_type] not found")
    if not isinstance(texts, list) or not 0 < len(texts) <= _MOST_TEXTS:
        return Problem(400, "Malformed input request: expected minimum item count: 1, maximum 96")
    return None


def _titan(turn: Turn) -> _JSONObject:
    text = turn.body["inputText"]
    vector = vector_of(text, turn.body.get("dimensions", 1024))
    counts = {"inputTextTokenCount": tokens_of(turn, [text])}
    return {"embedding": vector, "embeddingsByType": {"float": vector}, **counts}


def _cohere(turn: Turn) -> _JSONObject:
    body = turn.body
    vectors = [vector_of(text, body.get("output_dimension"), body["input_type"]) for text in body["texts"]]
    heading = {"id": f"simulator-{turn.number}", "texts": body["texts"]}
    if "embedding_types" in body:
        return {**heading, "embeddings": {"float": vectors}, "response_type": "embeddings_by_type"}
    return {**heading, "embeddings": vectors, "response_type": "embeddings_floats"}
