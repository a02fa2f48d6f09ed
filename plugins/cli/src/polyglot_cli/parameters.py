"""Types of command-line options, and the source of the prompt."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from polyglot_cli.output import is_terminal, write_line

if TYPE_CHECKING:
    from collections.abc import Generator

    from click.shell_completion import CompletionItem

__all__ = [
    "Input",
    "check_prompt",
    "complete_connection",
    "complete_template",
    "config_option",
    "input_from",
    "name",
    "one_prompt",
    "option",
    "pair",
    "positive",
    "prompt_from",
]


_SHOWN_WORDS = 6
_UNNOTICED = 2.0  # seconds that reading standard input may take without a word


config_option = click.option(
    "--config",
    type=click.Path(),
    metavar="FILE",
    help="Configuration file, instead of the one in POLYGLOT_CONFIG or your own.",
)
"""The option with the configuration file, the same for every command."""


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


def pair(text: str) -> tuple[str, str]:
    """Parse ``NAME=VALUE``, where the value is text.

    Raises:
        click.BadParameter: The format differs.
    """
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE, as in language=French.")
    return key, value


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


class Input(NamedTuple):
    """What the user wants to send.

    Attributes:
        argument: The argument PROMPT; None if there is none.
        piped: The text on standard input; None if it is a terminal, or is not read.
    """

    argument: str | None = None
    piped: str | None = None

    @property
    def text(self) -> str:
        """Return the argument and, after an empty line, the piped text."""
        return "\n\n".join(text for text in self if text and text.strip())


def input_from(argument: str | None, *, reads: bool = True) -> Input:
    """Return what is to be sent: the argument, and the text on standard input unless that is a terminal.

    Args:
        argument: The argument; a dash stands for standard input alone.
        reads: Whether standard input may be read; it may be an attachment.

    Raises:
        click.UsageError: A text is not UTF-8, or standard input is closed and nothing else is given.
    """
    given = None if argument == "-" else argument
    if given is not None:
        _check_text(given)
    if not reads or (is_terminal(sys.stdin) and argument != "-") or (sys.stdin is None and given is not None):
        return Input(given)
    return Input(given, _piped())


def prompt_from(argument: str | None) -> str:
    """Return the prompt: the argument, and the text on standard input after it.

    Raises:
        click.UsageError: There is no prompt, or it is not text.
    """
    given = input_from(argument)
    check_prompt(given)
    return given.text


def one_prompt(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> str | None:
    """Return the one argument PROMPT; None if there is none.

    Raises:
        click.UsageError: There are several, because a shell has split a prompt without quotes.
    """
    if len(words) > 1:
        shown = " ".join(words[:_SHOWN_WORDS]) + (" …" if len(words) > _SHOWN_WORDS else "")
        raise click.UsageError(f'The prompt is one argument; put it in quotes: polyglot "{shown}"')
    return words[0] if words else None


def check_prompt(given: Input) -> None:
    """Raise unless there is a text to send.

    Raises:
        click.UsageError: There is none.
    """
    if given == Input():
        raise click.UsageError("There is no prompt. Give it as an argument, or pipe it in.")
    if not given.text:
        raise click.UsageError("The prompt is empty.")


def _check_text(prompt: str) -> None:
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise click.UsageError("The prompt is not UTF-8 text.") from None


def _piped() -> str:
    if sys.stdin is None:
        raise click.UsageError("There is no prompt, and standard input is closed. Give the prompt as an argument.")
    with _noticed():
        data = sys.stdin.buffer.read()
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        problem = f"Standard input is not UTF-8 text: {error.reason} at byte {error.start}."
        raise click.UsageError(f"{problem} To attach it as a file, give -a -.") from None


@contextlib.contextmanager
def _noticed() -> Generator[None]:
    """Report on a terminal that standard input is being read, if its end takes long: a pipe may never have one."""
    if not is_terminal(sys.stderr) or is_terminal(sys.stdin):
        yield
        return
    timer = threading.Timer(_UNNOTICED, write_line, ["Reading standard input to its end; without any, add </dev/null."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def complete_connection(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return the names of connections that begin with `typed`; none if the configuration cannot be read."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 (needed in a completing shell alone)

    from polyglot_core import PolyglotError, connections  # noqa: PLC0415

    try:
        infos = connections(ctx.params.get("config"))
    except PolyglotError:
        return []
    found = [info for info in infos if info.name.startswith(typed)]
    return [CompletionItem(info.name, help=info.model or info.driver) for info in found]


def complete_template(_: click.Context, __: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return the names of templates that begin with `typed`."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 (needed in a completing shell alone)

    from polyglot_cli.templates import names  # noqa: PLC0415 (as above)

    return [CompletionItem(each) for each in names() if each.startswith(typed)]
