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

__all__ = ["NAME", "OPTION", "PACE", "SECONDS", "complete_connection", "prompt_from"]


class _Name(click.ParamType):
    """A name; an empty one is a variable that was not set, and would silently mean the default."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse an empty name."""
        return value if value.strip() else self.fail("The name is empty; leave the option out for the default.", param, ctx)


class _Option(click.ParamType):
    """``key=value``, where the value is JSON if it can be read as JSON, and else text."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:  # noqa: ANN401
        """Cut at the first equals sign and read what follows."""
        key, sign, text = value.partition("=")
        if not key or not sign:
            self.fail(f"{value!r} is not KEY=VALUE, as in temperature=0.2.", param, ctx)
        if key == "stream":
            self.fail("'stream' has an option of its own: leave out --no-stream, or give it.", param, ctx)
        return key, _read(text)


def _read(text: str) -> Any:  # noqa: ANN401 (any JSON value)
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)  # NaN and Infinity are no JSON


class _Positive(click.ParamType):
    """A number above 0."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Read the number."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            self.fail(f"{value!r} is not a number above 0.", param, ctx)
        return number


NAME = _Name()
OPTION = _Option()
SECONDS = _Positive("seconds")
PACE = _Positive("tokens")


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
