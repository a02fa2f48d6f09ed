"""Options of a call: their names, types and ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 (get_type_hints reads the annotations)
from typing import Annotated, Any, TypedDict, get_type_hints

from msgspec import Meta

__all__ = ["NAMES", "Options"]


class Options(TypedDict, total=False):
    """Options that mean the same for every provider; each driver translates them into its dialect.

    None stands for an option that is not set. A description or a range documents a value and is not checked: providers
    differ in what they accept, and report it themselves.
    """

    max_tokens: Annotated[int | None, Meta(description="most tokens to generate", ge=1)]
    temperature: Annotated[float | None, Meta(description="randomness of sampling, from 0", ge=0)]
    top_p: Annotated[float | None, Meta(description="share of probability to sample from", ge=0, le=1)]
    top_k: Annotated[int | None, Meta(description="number of tokens to sample from", ge=0)]
    stop: Annotated[str | Sequence[str] | None, Meta(description="text, or list of texts, to stop at")]
    seed: Annotated[int | None, Meta(description="number that makes sampling repeatable")]
    presence_penalty: Annotated[
        float | None, Meta(description="penalty on tokens that are in the text already", ge=-2, le=2)
    ]
    frequency_penalty: Annotated[
        float | None, Meta(description="penalty on tokens by their number in the text so far", ge=-2, le=2)
    ]
    n: Annotated[int | None, Meta(description="number of choices to generate", ge=1)]
    logprobs: Annotated[bool | None, Meta(description="whether to report log probabilities")]
    top_logprobs: Annotated[int | None, Meta(description="how many alternatives to report with each token", ge=0)]
    reasoning_effort: Annotated[str | None, Meta(description="amount of reasoning: minimal, low, medium or high")]
    reasoning_budget: Annotated[int | None, Meta(description="most tokens for reasoning; 0 switches it off")]
    service_tier: Annotated[str | None, Meta(description="class of service, in the provider's words")]
    user: Annotated[str | None, Meta(description="id of the end user, for the provider's detection of abuse")]
    metadata: Annotated[Mapping[str, Any] | None, Meta(description="names and values to keep with the request")]


def _descriptions() -> dict[str, str]:
    hints = get_type_hints(Options, include_extras=True)
    return {name: hint.__metadata__[0].description for name, hint in hints.items()}


NAMES: dict[str, str] = _descriptions()
"""The name of every option, with its meaning."""
