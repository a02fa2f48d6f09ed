"""Options of a call: their names, types and ranges."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, get_args, get_origin, get_type_hints

from msgspec import Meta

from polyglot_core._values.json_values import plain_text
from polyglot_core._values.suggest import nearest

__all__ = ["EMBEDDING", "NAMES", "EmbeddingOptions", "Options", "option_problem", "plain_options", "unknown_option"]

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max", "default"]
"""Amounts of reasoning that at least one provider has a word for."""

InputType = Literal["query", "document", "classification", "clustering", "similarity"]
"""Purposes for which at least one provider makes other vectors of a text."""


class Options(TypedDict, total=False):
    """Options that mean the same for every provider; each driver translates them into its dialect.

    None stands for an option that is not set. Types, ranges and words are checked before a request is sent. They allow
    what at least one provider accepts.
    """

    max_tokens: Annotated[int | None, Meta(description="most tokens to generate", ge=1)]
    temperature: Annotated[float | None, Meta(description="randomness of sampling, from 0", ge=0)]
    top_p: Annotated[float | None, Meta(description="share of probability to sample from", ge=0, le=1)]
    top_k: Annotated[int | None, Meta(description="number of tokens to sample from; 0 for all", ge=0)]
    stop: Annotated[str | Sequence[str] | None, Meta(description="text, or list of texts, to stop at")]
    seed: Annotated[int | None, Meta(description="number that makes sampling repeatable")]
    presence_penalty: Annotated[float | None, Meta(description="penalty on tokens that are in the text already")]
    frequency_penalty: Annotated[float | None, Meta(description="penalty on tokens by their number in the text so far")]
    n: Annotated[int | None, Meta(description="number of choices to generate", ge=1)]
    logprobs: Annotated[bool | None, Meta(description="whether to report log probabilities")]
    top_logprobs: Annotated[int | None, Meta(description="how many alternatives to report with each token", ge=0)]
    reasoning_effort: Annotated[Effort | None, Meta(description="amount of reasoning")]
    reasoning_budget: Annotated[int | None, Meta(description="most tokens for reasoning; 0 switches it off", ge=0)]
    service_tier: Annotated[str | None, Meta(description="class of service, in the provider's words")]
    user: Annotated[str | None, Meta(description="id of the end user, for the provider's detection of abuse")]
    metadata: Annotated[Mapping[str, Any] | None, Meta(description="names and values to keep with the request")]
    stream: bool | None


class EmbeddingOptions(TypedDict, total=False):
    """Options of `embed`, which mean the same for every provider. None stands for an option that is not set."""

    dimensions: Annotated[int | None, Meta(description="numbers in each vector", ge=1)]
    input_type: Annotated[InputType | None, Meta(description="what the vectors are for")]
    encoding: Annotated[Literal["float", "base64"] | None, Meta(description="how the response has the numbers")]


# The values that an option may have


class _Kind(NamedTuple):
    """A type of values.

    Attributes:
        name: Its name, for messages.
        is_right: Returns True for a value of this type.
        plain: Returns the value as JSON has it.
    """

    name: str
    is_right: Callable[[Any], bool]
    plain: Callable[[Any], object]


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        return False
    try:
        return math.isfinite(value)
    except (OverflowError, ValueError):  # too large for a float, or a signaling NaN
        return False


def _is_whole(value: object) -> bool:
    return type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))


def _is_text_or_texts(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, Sequence) and not isinstance(value, bytes) and all(isinstance(item, str) for item in value)
    )


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


_KINDS = {
    int: _Kind("a whole number", _is_whole, int),
    float: _Kind("a number", _is_number, lambda number: int(number) if _is_whole(number) else float(number)),
    bool: _Kind("True or False", lambda value: isinstance(value, bool), bool),
    str: _Kind("text", lambda value: isinstance(value, str), plain_text),
    str | Sequence[str]: _Kind(
        "text, or a list of texts", _is_text_or_texts, lambda value: value if isinstance(value, str) else list(value)
    ),
    Mapping[str, Any]: _Kind("a dict whose names are text", _is_object, dict),
}


class _Option(NamedTuple):
    """What an option means, and the values that it may have."""

    meaning: str
    kind: _Kind
    least: float | None
    most: float | None
    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """Return what a value should be, for messages."""
        if self.words:
            *others, last = self.words
            return f"{', '.join(others)} or {last}"
        least = "" if self.least is None else f" from {self.least:g}"
        return f"{self.kind.name}{least}{'' if self.most is None else f' to {self.most:g}'}"

    def accepts(self, value: Any) -> bool:  # noqa: ANN401 (what a user may write)
        """Return True if the option may have a value."""
        if not self.kind.is_right(value) or (self.words and value not in self.words):
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def _option(hint: Any) -> _Option:  # noqa: ANN401 (an annotation)
    (meta,) = hint.__metadata__
    types = [each for each in get_args(get_args(hint)[0]) if each is not type(None)]
    kind = types[0] if len(types) == 1 else types[0] | types[1]
    words = get_args(kind) if get_origin(kind) is Literal else ()
    kind = str if words else kind
    meaning = f"{meta.description}: {', '.join(words)}" if words else meta.description
    return _Option(meaning, _KINDS[kind], meta.ge, meta.le, words)


_OF_THE_CALL = {"stream": "True or False"}
"""Options that are no fields of the request's options: core reads them."""

_HINTS = get_type_hints(Options, include_extras=True)
_OPTIONS = {name: _option(hint) for name, hint in _HINTS.items() if name not in _OF_THE_CALL}

EMBEDDING = {name: _option(hint) for name, hint in get_type_hints(EmbeddingOptions, include_extras=True).items()}
"""The options of `embed`, by name."""

NAMES: dict[str, str] = {name: option.meaning for name, option in _OPTIONS.items()}
"""The name of every option, with its meaning."""


def unknown_option(option: object, known: Mapping[str, object] = NAMES) -> str:
    """Return the message for an option that does not exist."""
    close = nearest(option, known) if isinstance(option, str) else None
    hint = f"; did you mean {close!r}?" if close else "."
    return (
        f"There is no option {option!r}{hint} Options are {', '.join(known)}. A field of the provider's own goes into "
        "extra={…}."
    )


def option_problem(options: Mapping[str, Any], where: str, known: Mapping[str, _Option] = _OPTIONS) -> str | None:
    """Return the message for the first option that does not exist or has a wrong value; None if there is none.

    Args:
        options: The options. The value None is that of an option that is not set.
        where: What the options belong to, for the message, such as ``options``.
        known: The options that exist, by name.
    """
    for name, value in options.items():
        if name in _OF_THE_CALL and known is _OPTIONS:
            if not isinstance(value, (bool, type(None))):
                return _wrong_value(where, name, value, _OF_THE_CALL[name])
        elif name not in known:
            return unknown_option(name, known) if where == "options" else f"{where}: {unknown_option(name, known)}"
        elif value is not None and not known[name].accepts(value):
            return _wrong_value(where, name, value, known[name].expected)
    return None


def _wrong_value(where: str, name: str, value: object, expected: str) -> str:
    given = repr(value)[:60] if isinstance(value, (str, Real, Decimal)) else f"of type {type(value).__name__}"
    words = option.words if (option := _OPTIONS.get(name) or EMBEDDING.get(name)) else ()
    close = nearest(value.lower(), words) if isinstance(value, str) else None
    hint = f" Did you mean {close!r}?" if close else ""
    return f"{where}[{name!r}] is {given}, and should be {expected}.{hint}{_OWN_WORDS if words else ''}"


_OWN_WORDS = " A provider's own word goes into extra={…}."


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked options with values as JSON has them: numbers of other libraries become Python's."""
    return {
        name: value if value is None or name not in _OPTIONS else _OPTIONS[name].kind.plain(value)
        for name, value in options.items()
    }
