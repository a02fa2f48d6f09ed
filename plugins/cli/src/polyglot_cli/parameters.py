"""What may stand on the command line: the types of options, and where the prompt comes from."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from polyglot_cli.output import is_terminal

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["complete_connection", "name", "option", "positive", "prompt_from"]


def name(text: str) -> str:
    """A name; an empty one is a variable that was not set, and would silently mean the default.

    Raises:
        click.BadParameter: It is empty.
    """
    if not text.strip():
        raise click.BadParameter("The name is empty; leave the option out for the default.")
    return text


def option(text: str) -> tuple[str, Any]:
    """``KEY=VALUE``, where the value is JSON if it can be read as JSON, and else text.

    Raises:
        click.BadParameter: It is something else, or has an option of its own.
    """
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE, as in temperature=0.2.")
    if key == "stream":
        raise click.BadParameter("An answer is streamed unless --no-stream is given; leave 'stream' out.")
    return key, _read(value)


def _read(text: str) -> Any:  # noqa: ANN401 (any JSON value)
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)  # NaN and Infinity are no JSON


def positive(text: str | float) -> float:
    """A number above 0.

    Raises:
        click.BadParameter: It is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise click.BadParameter(f"{text!r} is not a number above 0.")
    return number


def prompt_from(argument: str | None) -> str:
    """The prompt: the argument, or what is piped in.

    Raises:
        click.UsageError: There is none, or it is no text.
    """
    if argument is None and is_terminal(sys.stdin):
        raise click.UsageError("There is no prompt. Give it as an argument, or pipe it in.")
    prompt = _piped() if argument in {None, "-"} else str(argument)
    if not prompt.strip():
        raise click.UsageError("The prompt is empty.")
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise click.UsageError("The prompt is not UTF-8 text.") from None
    return prompt


def _piped() -> str:
    if sys.stdin is None:
        raise click.UsageError("There is no prompt, and standard input is closed. Give the prompt as an argument.")
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"Standard input is not UTF-8 text: {error.reason} at byte {error.start}.") from None


def complete_connection(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    """Names of connections that begin with what was typed; none where the configuration cannot be read."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 (needed in a completing shell alone)

    from polyglot_core import PolyglotError, connections  # noqa: PLC0415

    try:
        infos = connections(ctx.params.get("config"))
    except PolyglotError:
        return []
    found = [info for info in infos if info.name.startswith(typed)]
    return [CompletionItem(info.name, help=info.model or info.driver) for info in found]
