"""The command ``polyglot chat``, its options and its help."""

from __future__ import annotations

from typing import Any

import click

from polyglot_cli.parameters import complete_connection, config_option, name, option

__all__ = ["chat"]


@click.command(short_help="Talk with a model, with history and Markdown.")
@click.option(
    "-c",
    "--connection",
    type=name,
    metavar="NAME",
    shell_complete=complete_connection,
    help="Connection, preset or driver to begin with; see `polyglot connections`.",
)
@click.option("-m", "--model", type=name, metavar="NAME", help="Model, instead of the connection's.")
@click.option("-s", "--system", metavar="TEXT", help="System message of the conversation.")
@click.option(
    "options",
    "-o",
    "--option",
    type=option,
    metavar="KEY=VALUE",
    multiple=True,
    help="Option of each call, such as temperature=0.2; the value is JSON, or else text. Repeatable.",
)
@click.option(
    "attachments",
    "-a",
    "--attach",
    type=click.Path(),
    metavar="FILE",
    multiple=True,
    help="Image, document or sound to send with the first message. Repeatable.",
)
@click.option("--no-history", is_flag=True, help="Do not keep what is typed for later chats.")
@config_option
def chat(**options: Any) -> None:  # noqa: ANN401 (each option's own)
    """Talk with a model, with history, and with responses as Markdown.

    \b
    Examples:
      polyglot chat
      polyglot chat -c openai -m gpt-4.1 -s "Be brief."
      polyglot chat -a picture.png
      polyglot chat < questions.txt

    Enter sends the message; Alt-Enter, or a backslash at the end, begins another
    line. Ctrl-C stops a response and keeps its text. Ctrl-D, or Ctrl-C at an
    empty prompt, ends the chat. /help lists the commands within it.

    Where standard input is piped, each line of it is a message or a command.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli.chat.session import Session, Start  # noqa: PLC0415 (it imports the whole library)

    raise click.exceptions.Exit(Session(Start(**options)).run())
