"""Types of command-line options, and the source of the prompt."""

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
    """Return a name; an empty one is an unset variable, and would silently select the default.

    Raises:
        click.BadParameter: The name is empty.
    """
    if not text.strip():
        raise click.BadParameter("The name is empty; leave the option out for the default.")
    return text


def option(text: str) -> tuple[str, Any]:
    """Parse ``KEY=VALUE``, where the value is JSON if it parses as JSON, and text otherwise.

    Raises:
        click.BadParameter: The format differs, or the key has an option of its own.
    """
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE, as in temperature=0.2.")
    if key == "stream":
        raise click.BadParameter("Responses are streamed unless --no-stream is given; leave 'stream' out.")
    return key, _read(value)


def _read(text: str) -> Any:  # noqa: ANN401 (any JSON value)
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)  # NaN and Infinity are not JSON


def positive(text: str | float) -> float:
    """Return a number above 0.

    Raises:
        click.BadParameter: `text` is not such a number.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise click.BadParameter(f"{text!r} is not a number above 0.")
    return number


def prompt_from(argument: str | None) -> str:
    """Return the prompt: the argument, or the text on standard input.

    Raises:
        click.UsageError: There is no prompt, or it is not text.
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
    """Return the names of connections that begin with `typed`; none if the configuration cannot be read."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 (needed in a completing shell alone)

    from polyglot_cli.isolated import survey  # noqa: PLC0415

    infos = survey("connections", config=ctx.params.get("config")).connections
    found = [info for info in infos if info.name.startswith(typed)]
    return [CompletionItem(info.name, help=info.model or info.driver) for info in found]
