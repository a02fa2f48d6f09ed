"""Ollama's embeddings: a vector for each text.

Source: Ollama's API reference, page "Generate embeddings".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from polyglot_simulator.dialect import Problem, WholeOnly, tokens_of, vector_of

if TYPE_CHECKING:
    from polyglot_simulator.dialect import Turn

__all__ = ["Embeddings"]

_JSONObject = dict[str, Any]
_NANOSECONDS = 1_000_000


class Embeddings(WholeOnly):
    """The bodies of ``POST /api/embed``."""

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if not isinstance(body, dict):
            return Problem(400, "The body of the request is not a JSON object.")
        fields = cast("_JSONObject", body)
        if not fields.get("model"):
            return Problem(400, "model is required")
        if not all(isinstance(text, str) for text in _texts(fields)):
            return Problem(400, "invalid input type")
        return None

    def whole(self, turn: Turn) -> bytes:
        """Return the vectors, the time that they took, and the tokens of all texts."""
        body, texts = turn.body, _texts(turn.body)
        count = tokens_of(turn, texts)
        heading = {"model": body["model"], "embeddings": [vector_of(text, body.get("dimensions")) for text in texts]}
        times = {"total_duration": (count or 0) * _NANOSECONDS, "load_duration": 0}
        return msgspec.json.encode({**heading, **times, **({} if count is None else {"prompt_eval_count": count})})


def _texts(body: Any) -> list[Any]:  # noqa: ANN401 (a mapping)
    given = body.get("input", [])
    return given if isinstance(given, list) else [given]
