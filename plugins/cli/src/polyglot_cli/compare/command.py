"""The command ``polyglot compare``, its options and its help."""

from __future__ import annotations

from typing import Any

import click

from polyglot_cli.parameters import complete_connection, config_option, name, option, positive, prompt_from

__all__ = ["compare"]


@click.command(short_help="Send a prompt to several models, side by side.")
@click.argument("prompt", required=False)
@click.option(
    "connections",
    "-c",
    "--connection",
    type=name,
    metavar="NAME",
    multiple=True,
    shell_complete=complete_connection,
    help="Connection, preset or driver; a model may follow after a slash. Repeatable.",
)
@click.option(
    "models",
    "-m",
    "--model",
    type=name,
    metavar="NAME",
    multiple=True,
    help="Model, on each of the connections. Repeatable.",
)
@click.option("-s", "--system", metavar="TEXT", help="System message before the prompt.")
@click.option(
    "options",
    "-o",
    "--option",
    type=option,
    metavar="KEY=VALUE",
    multiple=True,
    help="Option of the calls, such as temperature=0.2; the value is JSON, or else text. Repeatable.",
)
@click.option("--timeout", type=positive, metavar="SECONDS", help="Seconds that each call may take.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of objects, one for each response.")
@config_option
def compare(prompt: str | None, **options: Any) -> None:  # noqa: ANN401 (each option's own)
    """Send a prompt to several models at once, and show the responses side by side.

    \b
    Examples:
      polyglot compare -c openai -c anthropic "Write a haiku about rain"
      polyglot compare -c openai -m gpt-4.1 -m gpt-4.1-mini "Hello"
      polyglot compare -c openai -c ollama --json "Hello" | jq '.[].speed'

    All responses are streamed at once. At the end a table shows for each the
    time to the first token, tokens per second, tokens, cost and outcome. Where
    the terminal is narrow, responses are below each other; piped output has one
    section for each.

    The exit code is 0 if all responses are complete, else the highest of those
    that `polyglot stream` has.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli.compare.run import Comparison, run  # noqa: PLC0415 (it imports the whole library)

    raise click.exceptions.Exit(run(Comparison(prompt=prompt_from(prompt), **options)))
