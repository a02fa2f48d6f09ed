"""The command line of ``polyglot stream``, which is also that of ``polyglot`` without a subcommand."""

from __future__ import annotations

from typing import Any

import click

from polyglot_cli.groups import SectionedCommand, in_section
from polyglot_cli.parameters import (
    complete_connection,
    complete_template,
    config_option,
    input_from,
    name,
    one_prompt,
    option,
    pair,
    positive,
)

__all__ = ["stream"]

_PROMPT, _REQUEST, _TOOLS = "Prompt", "Request", "Tools"
_OUTPUT, _CALL, _HISTORY = "Output", "When it takes long or fails", "History and templates"


@click.command(cls=SectionedCommand)
@click.argument("prompt", nargs=-1, metavar="[PROMPT]", callback=one_prompt)
@in_section(_PROMPT, "-s", "--system", metavar="TEXT", help="System message before the prompt.")
@in_section(
    _PROMPT,
    "attachments",
    "-a",
    "--attach",
    metavar="FILE",
    multiple=True,
    help="Image, document or sound: a file, a URL, or - for standard input. Repeatable.",
)
@in_section(
    _PROMPT,
    "typed_attachments",
    "--at",
    type=(str, str),
    metavar="FILE TYPE",
    multiple=True,
    help="The same, with its media type, such as image/png.",
)
@in_section(
    _REQUEST,
    "-c",
    "--connection",
    type=name,
    metavar="NAME",
    shell_complete=complete_connection,
    help="Connection, preset or driver to use; see `polyglot connections`.",
)
@in_section(_REQUEST, "-m", "--model", type=name, metavar="NAME", help="Model, instead of the connection's.")
@in_section(
    _REQUEST,
    "options",
    "-o",
    "--option",
    type=option,
    metavar="KEY=VALUE",
    multiple=True,
    help="Option of the call, such as temperature=0.2; the value is JSON, or else text. Repeatable.",
)
@in_section(
    _REQUEST,
    "extra",
    "--extra",
    type=option,
    metavar="KEY=VALUE",
    multiple=True,
    help="Field of the request body, sent unchanged. Repeatable.",
)
@in_section(
    _REQUEST,
    "--schema",
    metavar="SCHEMA",
    help="Request JSON: a JSON Schema, a file with one, or fields such as 'name, age int, tags[]'.",
)
@in_section(
    _REQUEST,
    "--unsupported",
    type=click.Choice(["raise", "warn", "drop"]),
    default="raise",
    help="What to do about an option that the provider does not support.",
)
@in_section(_REQUEST, "--no-stream", is_flag=True, help="Request a plain response instead of a stream.")
@in_section(
    _TOOLS,
    "--tools",
    type=click.Path(dir_okay=False),
    metavar="FILE.PY",
    multiple=True,
    help="Python file whose functions the model may call. Repeatable.",
)
@in_section(_TOOLS, "-y", "--yes", is_flag=True, help="Run tool calls without asking before each.")
@in_section(_OUTPUT, "-x", "--extract", is_flag=True, help="Print only the last fenced code block, or the JSON.")
@in_section(_OUTPUT, "as_json", "--json", is_flag=True, help="Print JSON, an object for each step, one a line.")
@in_section(_OUTPUT, "--events", is_flag=True, help="Print one JSON object for each event, one a line.")
@in_section(_OUTPUT, "--reasoning", is_flag=True, help="On a terminal, show the model's thinking before the text.")
@in_section(
    _OUTPUT,
    "-u",
    "--usage",
    is_flag=True,
    help="Afterwards print tokens, speed and finish reason on standard error.",
)
@in_section(_OUTPUT, "--raw", is_flag=True, help="On a terminal, print the text as received, without Markdown.")
@in_section(_HISTORY, "continued", "-C", "--continue", is_flag=True, help="Continue the last conversation.")
@in_section(_HISTORY, "--conversation", metavar="ID", help="Continue this conversation; see `polyglot logs`.")
@in_section(_HISTORY, "logged", "--log/--no-log", default=None, help="Keep the call in the history, or do not.")
@in_section(
    _HISTORY,
    "-t",
    "--template",
    metavar="NAME",
    shell_complete=complete_template,
    help="Use a template; see `polyglot templates`.",
)
@in_section(
    _HISTORY,
    "values",
    "-p",
    "--param",
    type=pair,
    metavar="NAME=VALUE",
    multiple=True,
    help="Value of $NAME in the template. Repeatable.",
)
@in_section(_HISTORY, "--save", metavar="NAME", help="Save prompt and options as a template, and send nothing.")
@in_section(_CALL, "--timeout", type=positive, metavar="SECONDS", help="Seconds that the whole call may take.")
@in_section(
    _CALL,
    "--retries",
    type=click.IntRange(0),
    metavar="N",
    help="Number of retries before any content is received.",
)
@in_section(
    _CALL,
    "fallbacks",
    "--fallback",
    type=name,
    metavar="NAME",
    multiple=True,
    shell_complete=complete_connection,
    help="Connection to use if the one before fails. Repeatable.",
)
@in_section(
    _CALL,
    "--resume",
    type=click.Choice(["restart", "prefill", "provider"]),
    help="How an interrupted response is resumed: with a new request, with a prefill, or by the provider.",
)
@in_section("Other", "--debug", is_flag=True, help="Print facts about the call on standard error; never a key.")
@config_option
def stream(prompt: str | None, **options: Any) -> None:  # noqa: ANN401 (each option's own)
    """Send a prompt and print the response while it is received.

    The prompt is the argument. Text that is piped in follows it, after an empty line; without an argument, or where
    it is a dash, the piped text is the prompt.

    \b
    Examples:
      polyglot "Write a haiku about rain"
      polyglot stream -c openai -m gpt-4o-mini -o temperature=0.2 "Hello"
      git diff | polyglot stream -s "You are a reviewer." "Review this:"
      polyglot stream -a photo.jpg -a report.pdf "What do they have in common?"
      polyglot stream --schema 'name, age int' "Invent a person" | jq .name
      polyglot stream -C "And in one sentence?"
      polyglot stream --usage - < question.txt
      polyglot stream --json "Hello" | jq -j '.content_delta // empty'

    Piped output is the model's text and nothing else, as it was received. On a terminal it is shown as
    Markdown, and its control sequences are removed.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli.call_options import CallOptions  # noqa: PLC0415 (it imports the whole library)
    from polyglot_cli.stream import run  # noqa: PLC0415 (as above)

    reads = "-" in options["attachments"] or any(file == "-" for file, _ in options["typed_attachments"])
    run(CallOptions(given=input_from(prompt, reads=not reads), **options))
