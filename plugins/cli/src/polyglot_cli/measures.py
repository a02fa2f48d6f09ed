"""What a response has taken: time to the first token, speed, tokens, and cost where a package knows prices."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple, cast

from polyglot_cli.packaged import entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyglot_core import InferenceResponse

__all__ = ["COSTS", "Measures", "measure"]

COSTS = "polyglot.costs"
"""Entry-point group: any name → ``module:function``, a function that returns what a response costs; None if unknown."""

_SHORTEST = 0.001  # seconds; a speed measured over less means nothing


class Measures(NamedTuple):
    """What a response has taken; None for what is not known.

    Attributes:
        first_token: Seconds until the first event with content.
        speed: Output tokens per second from there to the end.
        input_tokens: Tokens of the prompt.
        output_tokens: Generated tokens.
        cost: The cost, with its currency.
    """

    first_token: float | None = None
    speed: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: str | None = None

    @property
    def line(self) -> str:
        """Return what is known, in one line; empty if nothing is."""
        return " · ".join(self._known())

    def _known(self) -> Iterator[str]:
        if self.first_token is not None:
            yield f"first token {self.first_token:.2f} s"
        if self.speed is not None:
            yield f"{self.speed:.1f} tokens/s"
        if self.input_tokens is not None:
            yield f"{self.input_tokens} in"
        if self.output_tokens is not None:
            yield f"{self.output_tokens} out"
        if self.cost is not None:
            yield self.cost


def measure(response: InferenceResponse) -> Measures:
    """Return what a response has taken."""
    usage, timing = response.usage, response.timing
    first, whole = timing.first_event, timing.duration
    tokens = None if usage is None else usage.output_tokens
    speed = None
    if tokens and first is not None and whole is not None and whole - first > _SHORTEST:
        speed = tokens / (whole - first)
    return Measures(first, speed, None if usage is None else usage.input_tokens, tokens, _cost(response))


def _cost(response: InferenceResponse) -> str | None:
    function = _cost_function()
    cost = None if function is None else function(response)
    return None if cost is None else str(cost)


@functools.cache
def _cost_function() -> Callable[[InferenceResponse], object] | None:
    """Return the function of the first package that has one and can be imported."""
    for entry in entries(COSTS):
        try:
            function = entry.load()
        except Exception:  # noqa: BLE001, S112 (a cost is a convenience: a package that is broken is no reason to fail)
            continue
        if callable(function):
            return cast("Callable[[InferenceResponse], object]", function)
    return None
