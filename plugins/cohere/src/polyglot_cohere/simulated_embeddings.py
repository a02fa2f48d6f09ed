"""Cohere's embeddings, version 2: vectors by their type.

Source: Cohere's API reference, page "Embed API (v2)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from polyglot_simulator.dialect import Problem, WholeOnly, tokens_of, vector_of

if TYPE_CHECKING:
    from polyglot_simulator.dialect import Turn

__all__ = ["Embeddings"]

_JSONObject = dict[str, Any]
_MOST_TEXTS = 96
_INPUT_TYPES = frozenset({"search_document", "search_query", "classification", "clustering"})
_DIMENSIONS = frozenset({None, 256, 512, 1024, 1536})


class Embeddings(WholeOnly):
    """The bodies of ``POST /v2/embed``."""

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if not isinstance(body, dict):
            return Problem(400, "invalid json syntax")
        fields = cast("_JSONObject", body)
        given = fields.get("texts")
        texts: list[object] = given if isinstance(given, list) else []
        checks = {
            "model is required": bool(fields.get("model")),
            "valid input_type must be provided with the provided model": fields.get("input_type") in _INPUT_TYPES,
            "at least one text must be provided": bool(texts),
            f"total number of texts must be at most {_MOST_TEXTS}": len(texts) <= _MOST_TEXTS,
            "output_dimension must be 256, 512, 1024 or 1536": fields.get("output_dimension") in _DIMENSIONS,
            "the simulator has the type float only": fields.get("embedding_types", ["float"]) == ["float"],
        }
        return next((Problem(400, message) for message, met in checks.items() if not met), None)

    def whole(self, turn: Turn) -> bytes:
        """Return the vectors under the name of their type, the texts, and the billed tokens."""
        body = turn.body
        texts, size, purpose = body["texts"], body.get("output_dimension"), body["input_type"]
        count = tokens_of(turn, texts)
        billed = {} if count is None else {"billed_units": {"input_tokens": count}}
        return msgspec.json.encode(
            {
                "id": f"simulator-{turn.number}",
                "embeddings": {"float": [vector_of(text, size, purpose) for text in texts]},
                "texts": texts,
                "meta": {"api_version": {"version": "2"}, **billed},
                "response_type": "embeddings_by_type",
            }
        )
