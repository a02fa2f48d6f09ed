"""Mistral's embeddings: a row for each text.

Sources: Mistral's API reference, page "Embeddings", and its SDK; the messages of its errors for the limit of texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from polyglot_simulator.dialect import Problem, WholeOnly, base64_of, tokens_of, vector_of

if TYPE_CHECKING:
    from polyglot_simulator.dialect import Turn

__all__ = ["Embeddings"]

_JSONObject = dict[str, Any]
_MOST_TEXTS = 256


class Embeddings(WholeOnly):
    """The bodies of ``POST /v1/embeddings`` at Mistral."""

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None; an invalid field is status 422 here."""
        if not isinstance(body, dict):
            return Problem(422, "Input should be a valid dictionary", "model_attributes_type")
        fields = cast("_JSONObject", body)
        for name in ("model", "input"):
            if fields.get(name) is None:
                return Problem(422, "Field required", "missing", name)
        for name in ("dimensions", "input_type"):
            if name in fields:
                return Problem(422, "Extra inputs are not permitted", "extra_forbidden", name)
        texts = _texts(fields)
        if not all(isinstance(text, str) for text in texts):
            return Problem(422, "Input should be a valid string", "string_type", "input")
        if len(texts) > _MOST_TEXTS:
            return Problem(400, "Too many inputs in request, split into more batches.", "3210")
        return None

    def whole(self, turn: Turn) -> bytes:
        """Return a list with a row for each text, and the tokens of all."""
        body, texts = turn.body, _texts(turn.body)
        encode = base64_of if body.get("encoding_format") == "base64" else list
        vectors = [encode(vector_of(text, body.get("output_dimension"))) for text in texts]
        rows = [{"object": "embedding", "embedding": each, "index": index} for index, each in enumerate(vectors)]
        count = tokens_of(turn, texts) or 0
        usage = {"prompt_tokens": count, "total_tokens": count, "completion_tokens": 0, "prompt_audio_seconds": None}
        heading = {"id": f"{turn.number:032x}", "object": "list", "model": body["model"]}
        return msgspec.json.encode({**heading, "data": rows, "usage": usage})


def _texts(body: Any) -> list[Any]:  # noqa: ANN401 (a mapping)
    given = body["input"]
    return given if isinstance(given, list) else [given]
