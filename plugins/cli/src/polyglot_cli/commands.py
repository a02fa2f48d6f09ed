"""The commands, their options and their help. The modules that implement them are imported when they run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from polyglot_cli import interrupts
from polyglot_cli.output import is_closed_pipe, plain_warnings, silence_standard_streams
from polyglot_cli.parameters import complete_connection, name, option, positive, prompt_from

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["polyglot"]

_INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it
_UNREAD = 141  # the same with SIGPIPE


class Commands(click.Group):
    """A group that converts Polyglot's errors, Ctrl-C and a closed pipe to exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the subcommands, with those that packages provide."""
        # Imported here, as everything that a subcommand of its own does not need.
        from polyglot_cli import packaged  # noqa: PLC0415

        return sorted({*super().list_commands(ctx), *packaged.names()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a subcommand: one of its own, else one that a package provides."""
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        from polyglot_cli import packaged  # noqa: PLC0415 (as above)

        return packaged.load(cmd_name)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:  # noqa: ANN401 (click's)
        """Read the command line; click reports a Ctrl-C meanwhile as "Aborted!" and with exit code 1."""
        if sys.stdout is None:  # as with `>&-` in a shell; all output would be lost without a word
            click.echo("Error: Standard output is closed, so there is nowhere to write to.", err=True)
            raise click.exceptions.Exit(1)
        try:
            return super().make_context(*args, **extra)
        except KeyboardInterrupt:
            interrupts.caught()
            raise click.exceptions.Exit(_INTERRUPTED) from None

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 (whatever a command returns)
        """Run the command."""
        try:
            with plain_warnings():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            interrupts.caught()
            ctx.exit(_INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if (code := _reported(error)) is None:
                raise
            ctx.exit(code)


def _reported(error: Exception) -> int | None:
    """Report one of Polyglot's errors and return its exit code; return None for any other error."""
    if isinstance(error, OSError) and is_closed_pipe(error):
        silence_standard_streams()
        return _UNREAD
    # Imported here: it imports the whole library, which `--help` does not need.
    from polyglot_cli import error_report  # noqa: PLC0415
    from polyglot_core import PolyglotError  # noqa: PLC0415

    if not isinstance(error, PolyglotError):
        return None
    error_report.report(error)
    return error_report.exit_code(error)


def _print_versions(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 (click's)
    if not wanted or ctx.resilient_parsing:
        return
    from polyglot_cli.versions import installed  # noqa: PLC0415 (reading metadata takes a while)

    for distribution, version in installed():
        click.echo(f"{distribution} {version}")
    ctx.exit()


_config = click.option(
    "--config",
    type=click.Path(),
    metavar="FILE",
    help="Configuration file, instead of the one in POLYGLOT_CONFIG or your own.",
)


def _json(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what}.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_versions,
    help="Show every installed polyglot package with its version.",
)
def polyglot() -> None:
    """Stream a response from any LLM provider.

    \b
    Examples:
      polyglot stream "Write a haiku about rain"
      polyglot stream -c openai -m gpt-4o-mini "Hello"
      git diff | polyglot stream --system "Review this change."
      polyglot connections

    Without a connection a simulator on this machine replies, so you can try everything without a key.

    \b
    Exit codes:
      0    the response is complete
      1    the output could not be written
      2    the command line is wrong
      3    the configuration is wrong
      4    the provider returned an error, or does not support the request
      5    the response was truncated, or not received
      6    the call timed out
      130  Ctrl-C
      141  the reader closed the pipe
    """  # noqa: D301 (click's sign for lines that stay as they are)


@polyglot.command()
@click.argument("prompt", required=False)
@click.option(
    "-c",
    "--connection",
    type=name,
    metavar="NAME",
    shell_complete=complete_connection,
    help="Connection, preset or driver to use; see `polyglot connections`.",
)
@click.option("-m", "--model", type=name, metavar="NAME", help="Model, instead of the connection's.")
@click.option("--system", metavar="TEXT", help="System message before the prompt.")
@click.option(
    "options",
    "--option",
    type=option,
    metavar="KEY=VALUE",
    multiple=True,
    help="Option of the call, such as temperature=0.2; the value is JSON, or else text. Repeatable.",
)
@click.option(
    "extra",
    "--extra",
    type=option,
    metavar="KEY=VALUE",
    multiple=True,
    help="Field of the request body, sent unchanged. Repeatable.",
)
@click.option(
    "--unsupported",
    type=click.Choice(["raise", "warn", "drop"]),
    default="raise",
    help="What to do about an option that the provider does not support.",
)
@click.option("--no-stream", is_flag=True, help="Request a plain response instead of a stream.")
@_json("one JSON object for each partial response, one a line")
@click.option("--events", is_flag=True, help="Print one JSON object for each event, one a line.")
@click.option("--reasoning", is_flag=True, help="On a terminal, show the model's thinking before the text.")
@click.option("--usage", is_flag=True, help="Afterwards print tokens, speed and finish reason on standard error.")
@click.option("--timeout", type=positive, metavar="SECONDS", help="Seconds that the whole call may take.")
@click.option(
    "--retries", type=click.IntRange(0), metavar="N", help="Number of retries before any content is received."
)
@click.option(
    "fallbacks",
    "--fallback",
    type=name,
    metavar="NAME",
    multiple=True,
    shell_complete=complete_connection,
    help="Connection to use if the one before fails. Repeatable.",
)
@click.option(
    "--resume",
    type=click.Choice(["restart", "prefill", "provider"]),
    help="How an interrupted response is resumed: with a new request, with a prefill, or by the provider.",
)
@click.option("--raw", is_flag=True, help="On a terminal, print control sequences in the response unchanged.")
@click.option("--debug", is_flag=True, help="Print facts about the call on standard error; never a key.")
@_config
def stream(prompt: str | None, **options: Any) -> None:  # noqa: ANN401 (each option's own)
    """Send a prompt and print the response while it is received.

    The prompt is the argument, or standard input where that is piped or PROMPT is a dash.

    \b
    Examples:
      polyglot stream "Write a haiku about rain"
      polyglot stream -c openai -m gpt-4o-mini --option temperature=0.2 "Hello"
      git diff | polyglot stream --system "Review this change." > review.md
      polyglot stream --usage - < question.txt
      polyglot stream --json "Hello" | jq -j .content_delta

    Piped output is the model's text and nothing else, as it was received. On a terminal its control sequences are
    removed.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli.stream import CallOptions, run  # noqa: PLC0415 (it imports the whole library)

    run(CallOptions(prompt=prompt_from(prompt), **options))


@polyglot.command()
@click.option("show_all", "--all", is_flag=True, help="List also every known name that cannot be used now, and why.")
@_json("a JSON array of objects, with all names")
@_config
def connections(config: str | None, as_json: bool, show_all: bool) -> None:  # noqa: FBT001 (click's)
    """List the connections, and why some cannot be used.

    \b
    Examples:
      polyglot connections
      polyglot connections --all
      polyglot connections --json | jq -r '.[] | select(.usable) | .name'
      polyglot connections --config work.toml

    A name is a connection of the configuration file, a preset or a driver; a model may follow it after a slash. Your
    own connections are always listed, presets and drivers when they can be used.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli import tables  # noqa: PLC0415 (it imports the whole library)

    tables.list_connections(config, as_json=as_json, show_all=show_all)


@polyglot.command()
@_json("a JSON array of objects")
def drivers(as_json: bool) -> None:  # noqa: FBT001 (click's)
    """List the installed drivers, and problems with them.

    \b
    Examples:
      polyglot drivers
      polyglot drivers --json
      POLYGLOT_DRIVERS=openai polyglot drivers     only this one may be used
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli import tables  # noqa: PLC0415 (it imports the whole library)

    tables.list_drivers(as_json=as_json)


@polyglot.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port on this machine; a free one by default."
)
@click.option("--reply", metavar="TEXT", help="Text of every reply.")
@click.option("--pace", type=positive, metavar="TOKENS", help="Tokens a second; by default as fast as possible.")
@click.option("--script", type=click.Path(), metavar="FILE", help="TOML file with a reply and faults for each request.")
def simulate(port: int, reply: str | None, pace: float | None, script: str | None) -> None:
    """Run a provider on this machine, until Ctrl-C.

    \b
    Examples:
      polyglot simulate --port 8080
      polyglot simulate --port 8080 --pace 20 --reply "Once upon a time"
      polyglot simulate --script faults.toml

    \b
    A script, for the first two requests; the last reply is repeated:
      pace = 40
      [[turns]]
      reply = "This reply is cut off here, as you see."
      faults = [{ name = "Drop", after_events = 4 }]
      [[turns]]
      faults = [{ name = "Status", code = 503 }]
    """  # noqa: D301 (click's sign for lines that stay as they are)
    if reply is not None and script is not None:
        raise click.UsageError("--script contains the replies; leave --reply out, or write it into the script.")
    from polyglot_cli.simulate import run  # noqa: PLC0415 (it imports the whole library)

    run(port, reply, pace, script)


def _add_commands() -> None:
    """Add the commands that have a package of their own here; each imports what it runs when it is run."""
    from polyglot_cli.chat.command import chat  # noqa: PLC0415 (they import options from this package)
    from polyglot_cli.compare.command import compare  # noqa: PLC0415 (as above)

    for command in (chat, compare):
        polyglot.add_command(command)


_add_commands()
