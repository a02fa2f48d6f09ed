"""The names of the semantic conventions for generative AI, in both generations, as one table.

``v1.41`` is the last version that was published with the other conventions, and the one that most backends read.
``latest`` is that of the repository of its own. Each measure and each attribute has a row; where a generation has no
name for it, the row says so.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["ATTRIBUTES", "GENERATIONS", "MEASURES", "Generation", "Metric"]

Generation = Literal["v1.41", "latest"]
"""A version of the conventions."""

GENERATIONS: tuple[Generation, ...] = ("v1.41", "latest")
"""The versions, in the order of the columns of the table."""


class Metric(NamedTuple):
    """An instrument that a measure is recorded with.

    Attributes:
        name: Its name.
        kind: Whether it is a histogram or a counter.
        unit: Its unit.
        description: What it measures.
        buckets: Boundaries of the buckets of a histogram.
        attributes: Attributes that each record has besides those of the call.
    """

    name: str
    kind: Literal["histogram", "counter"]
    unit: str
    description: str
    buckets: tuple[float, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()


_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_CHUNKS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS = tuple(float(4**power) for power in range(14))
_MODALITY = (("gen_ai.token.modality", "unknown"),)  # no driver reports the tokens of each modality


def _seconds(name: str, what: str, buckets: tuple[float, ...] = _SECONDS) -> Metric:
    return Metric(name, "histogram", "s", what, buckets)


def _tokens(name: str, what: str, kind: str | None = None) -> Metric:
    attributes = () if kind is None else (("gen_ai.token.type", kind),)
    return Metric(name, "histogram", "{token}", what, _TOKENS, attributes)


def _used(name: str, what: str) -> Metric:
    return Metric(f"gen_ai.client.inference.usage.{name}", "counter", "{token}", what, (), _MODALITY)


_DURATION = "Duration of the call, over all its attempts."
_FIRST = "Time from the start of the call to the first chunk with content of a stream."
_PER_CHUNK = "Time from one chunk of a stream to the next."
_INPUT, _OUTPUT = "Tokens of the prompt, those of a cache included.", "Generated tokens, those of reasoning included."

MEASURES: dict[str, tuple[tuple[Metric, ...], tuple[Metric, ...]]] = {
    "duration": (
        (_seconds("gen_ai.client.operation.duration", _DURATION),),
        (_seconds("gen_ai.client.inference.duration", _DURATION),),
    ),
    "first_chunk": (
        (_seconds("gen_ai.client.operation.time_to_first_chunk", _FIRST),),
        (_seconds("gen_ai.client.inference.time_to_first_chunk", _FIRST),),
    ),
    "chunk_gap": (
        (_seconds("gen_ai.client.operation.time_per_output_chunk", _PER_CHUNK, _CHUNKS),),
        (_seconds("gen_ai.client.inference.time_per_output_chunk", _PER_CHUNK, _CHUNKS),),
    ),
    "input_tokens": (
        (_tokens("gen_ai.client.token.usage", "Tokens of a call.", "input"),),
        (_used("input_tokens", _INPUT), _tokens("gen_ai.client.inference.operation.input_tokens", _INPUT)),
    ),
    "output_tokens": (
        (_tokens("gen_ai.client.token.usage", "Tokens of a call.", "output"),),
        (_used("output_tokens", _OUTPUT), _tokens("gen_ai.client.inference.operation.output_tokens", _OUTPUT)),
    ),
    "cache_read_tokens": ((), (_used("cache_read.input_tokens", "Tokens of the prompt that a cache has served."),)),
    "cache_write_tokens": ((), (_used("cache_write.input_tokens", "Tokens of the prompt that a cache has stored."),)),
    "reasoning_tokens": ((), (_used("reasoning.output_tokens", "Generated tokens that are reasoning."),)),
}
"""Instruments of each measure, for each generation."""

_SAME_NAMES = {
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.request.model",
    "stream": "gen_ai.request.stream",
    "n": "gen_ai.request.choice.count",
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "stop": "gen_ai.request.stop_sequences",
    "seed": "gen_ai.request.seed",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "response_id": "gen_ai.response.id",
    "response_model": "gen_ai.response.model",
    "finish_reasons": "gen_ai.response.finish_reasons",
    "first_chunk": "gen_ai.response.time_to_first_chunk",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "input_messages": "gen_ai.input.messages",
    "output_messages": "gen_ai.output.messages",
    "error": "error.type",
    "address": "server.address",
    "port": "server.port",
}

ATTRIBUTES: dict[str, tuple[str | None, str | None]] = {
    **{meaning: (name, name) for meaning, name in _SAME_NAMES.items()},
    "cache_write_tokens": ("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_write.input_tokens"),
    "reasoning_effort": (None, "gen_ai.request.reasoning.level"),
}
"""Name of each attribute in each generation; None where it has none."""
