"""What every dialect needs of a reply: its choices, its tool calls as JSON, and its text in tokens and in counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from polyglot_core.errors import ConfigError
from polyglot_core.plugin import Usage

if TYPE_CHECKING:
    from polyglot_simulator.contract import Turn
    from polyglot_simulator.reply import Reply, ToolCall

__all__ = ["arguments_json", "arguments_value", "interleaved", "only_reply", "page_of", "texts", "tokens", "usage_of"]

_MODELS_ON_A_PAGE = 2  # few, so that a client has to follow the pages

_TOKEN = re.compile(r"\s*(?:\w{1,12}|[^\w\s]{1,4})|\s+")

_Item = TypeVar("_Item")


def tokens(text: str) -> list[str]:
    """Split `text` into pieces about as long as words, each with the space before it; joined they are the text."""
    return _TOKEN.findall(text)


def texts(value: object, *fields: str) -> Iterator[str]:
    """Yield the texts in a JSON value: `value` itself, items of lists, and what objects have under `fields`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (text for item in cast("list[object]", value) for text in texts(item, *fields))
    elif isinstance(value, Mapping):
        content = cast("Mapping[str, object]", value)
        yield from (text for field in fields for text in texts(content.get(field), *fields))


def arguments_json(call: ToolCall) -> str:
    """Return the arguments of a tool call as JSON; a text is returned unchanged."""
    return call.arguments if isinstance(call.arguments, str) else msgspec.json.encode(call.arguments).decode()


def arguments_value(call: ToolCall) -> Any:  # noqa: ANN401 (any JSON value)
    """Return the arguments of a tool call as an object; a text that is not JSON stays a text."""
    if not isinstance(call.arguments, str):
        return call.arguments
    try:
        return msgspec.json.decode(call.arguments)
    except msgspec.DecodeError:
        return call.arguments


def only_reply(turn: Turn) -> Reply:
    """Return the reply, for a dialect that has one choice in each response.

    Raises:
        ConfigError: The reply has several choices.
    """
    if turn.reply.choices:
        raise ConfigError("This dialect has no choices; give the simulator a Reply without them.", phase="configure")
    return turn.reply


def page_of(names: Sequence[str], after: str | None) -> tuple[Sequence[str], bool]:
    """Return the names on the page of a list of models that follows the name `after`, and whether more follow it."""
    start = names.index(after) + 1 if after in names else 0
    end = start + _MODELS_ON_A_PAGE
    return names[start:end], end < len(names)


def interleaved(rows: Iterable[Iterable[_Item]]) -> Iterator[tuple[int, _Item]]:
    """Yield the items of all `rows` with the index of their row, one of each row in turn."""
    for column in zip_longest(*rows):
        yield from ((index, item) for index, item in enumerate(column) if item is not None)


def usage_of(turn: Turn, prompt: Iterable[str], replies: Sequence[Reply] = (), *, reasoning: bool = True) -> Usage:
    """Return the token counts of a response: those of the reply if it has some, else the simulator's own tokens.

    Args:
        turn: The request and its reply.
        prompt: The texts of the request.
        replies: The choices; empty is the reply of `turn`.
        reasoning: Whether the dialect reports the tokens of the reasoning apart. They count as output either way.
    """
    if turn.reply.usage is not None:
        return turn.reply.usage
    chosen = replies or [turn.reply]
    thought = sum(_count([reply.reasoning or ""]) for reply in chosen)
    visible = sum(_count([reply.text, reply.refusal or "", *map(arguments_json, reply.tool_calls)]) for reply in chosen)
    return Usage(
        input_tokens=_count(prompt), output_tokens=thought + visible, reasoning_tokens=thought if reasoning else None
    )


def _count(parts: Iterable[str]) -> int:
    return sum(len(tokens(text)) for text in parts)
