"""Embeddings: what the dialects of all providers share, and that of OpenAI.

A vector depends on its text, its length and the purpose that a request states, and on nothing else. Its numbers are
32-bit floats, so that a response in base64 and one in decimal digits mean the same.
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from array import array
from typing import TYPE_CHECKING, Any, cast

import msgspec

from polyglot_core.plugin import Usage
from polyglot_simulator.contents import usage_of
from polyglot_simulator.contract import Dialect, Problem
from polyglot_simulator.openai_chat import OpenAIChat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from polyglot_simulator.contract import Turn
    from polyglot_simulator.steps import Send

__all__ = ["DIMENSIONS", "OpenAIEmbeddings", "WholeOnly", "base64_of", "tokens_of", "vector_of"]

_JSONObject = dict[str, Any]

DIMENSIONS = 256
"""Length of a vector if the request states none."""

_MOST_INPUTS = 2048
_MOST_DIMENSIONS = 16_384
_SPAN = 2**15


def vector_of(text: str, dimensions: int | None = None, purpose: str = "") -> list[float]:
    """Return the vector of a text, which has the length 1 as far as 32-bit floats can express it.

    Args:
        text: The text.
        dimensions: How many numbers it has; None for `DIMENSIONS`.
        purpose: What the request states that it is for.
    """
    size = dimensions or DIMENSIONS
    seed = hashlib.shake_256(f"{purpose}\0{text}".encode()).digest(2 * size)
    numbers = [number / _SPAN + 1e-4 for number in struct.unpack(f">{size}h", seed)]
    length = math.hypot(*numbers)
    return array("f", [number / length for number in numbers]).tolist()


def base64_of(vector: Sequence[float]) -> str:
    """Return the numbers as base64 of 32-bit floats, the least significant byte first."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def tokens_of(turn: Turn, texts: Iterable[str]) -> int | None:
    """Return the tokens of the texts: those of the reply's usage if it has one, else the simulator's own; or None."""
    usage = usage_of(turn, texts)
    return None if turn.reply.usage == Usage() else usage.input_tokens


class WholeOnly(Dialect):
    """A dialect without streams."""

    stream_headers: tuple[tuple[str, str], ...] = ()

    def wants_stream(self, body: Mapping[str, Any]) -> bool:  # noqa: ARG002 (never)
        """Return False."""
        return False

    def stream(self, turn: Turn) -> Iterator[Send]:  # noqa: ARG002 (of no turn)
        """Return nothing."""
        return iter(())


class OpenAIEmbeddings(WholeOnly, OpenAIChat):
    """The dialect of ``POST /v1/embeddings``."""

    def problem(self, body: object) -> Problem | None:
        """Return the first problem of the body, or None."""
        if not isinstance(body, dict):
            return Problem(400, "The body of the request is not a JSON object.")
        fields = cast("_JSONObject", body)
        if not fields.get("model"):
            return Problem(400, "you must provide a model parameter")
        if fields.get("input") is None:
            return Problem(400, "Missing required parameter: 'input'.", "missing_required_parameter", "input")
        texts, size = self._inputs(fields), fields.get("dimensions", 1)
        valid = {
            "input": 0 < len(texts) <= _MOST_INPUTS and all(isinstance(text, str) and text for text in texts),
            "dimensions": isinstance(size, int) and 0 < size <= _MOST_DIMENSIONS,
            "encoding_format": fields.get("encoding_format", "float") in {"float", "base64"},
        }
        return next((_invalid(name) for name, met in valid.items() if not met), None)

    def whole(self, turn: Turn) -> bytes:
        """Return a list with a row for each input, and the tokens of all."""
        body, texts = turn.body, self._inputs(turn.body)
        encode = base64_of if body.get("encoding_format") == "base64" else list
        vectors = [encode(vector_of(text, body.get("dimensions"))) for text in texts]
        rows = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(vectors)]
        count = tokens_of(turn, texts)
        usage = {} if count is None else {"usage": {"prompt_tokens": count, "total_tokens": count}}
        return msgspec.json.encode({"object": "list", "data": rows, "model": body["model"], **usage})

    def _inputs(self, body: Mapping[str, Any]) -> list[Any]:
        given = body["input"]
        return given if isinstance(given, list) else [given]


def _invalid(name: str) -> Problem:
    return Problem(400, f"'$.{name}' is invalid. Please check the API reference.", "invalid_value", name)
