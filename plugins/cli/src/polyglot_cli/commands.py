"""The commands, their options and their help. The modules that implement them are imported when they run."""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import click

from polyglot_cli import interrupts
from polyglot_cli.groups import DefaultGroup
from polyglot_cli.output import is_closed_pipe, is_terminal, plain_warnings, silence_standard_streams, write_line
from polyglot_cli.parameters import config_option, positive
from polyglot_cli.stream_command import stream

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["polyglot"]

_INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it
_UNREAD = 141  # the same with SIGPIPE

_MODULES = {
    "chat": "chat.command",
    "compare": "compare.command",
    "completion": "completion_command",
    "connections": "connections_command",
    "keys": "keys_command",
    "logs": "logs_command",
    "models": "models_command",
    "play": "play.command",
    "templates": "templates_command",
}
"""Modules of subcommands that are imported when they are used."""

_SECTIONS = {
    "Every day": ("stream", "chat", "compare", "play", "batch", "logs", "templates"),
    "Setting up": ("connections", "keys", "models", "completion"),
}
"""Sections of the help. Subcommands that are in none of them follow in one of their own."""

_LIKE_A_COMMAND = 0.75  # from 0 to 1: how similar one word is to a command that was probably meant


class Commands(DefaultGroup):
    """A group that converts Polyglot's errors, Ctrl-C and a closed pipe to exit codes."""

    default: ClassVar[str] = "stream"

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the subcommands, with those that packages provide."""
        # Imported here, as everything that a subcommand of its own does not need.
        from polyglot_cli import packaged  # noqa: PLC0415

        return sorted({*super().list_commands(ctx), *_MODULES, *packaged.names()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a subcommand: one of its own, else one that a package provides."""
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        if cmd_name in _MODULES:
            command: click.Command = getattr(importlib.import_module(f"polyglot_cli.{_MODULES[cmd_name]}"), cmd_name)
            return command
        from polyglot_cli import packaged  # noqa: PLC0415 (as above)

        return packaged.load(cmd_name)

    def is_for_default(self, ctx: click.Context, args: list[str]) -> bool:
        """Return True unless there is a subcommand, or neither arguments nor piped text."""
        if not args:
            return not (ctx.resilient_parsing or is_terminal(sys.stdin) or sys.stdin is None)
        return super().is_for_default(ctx, args)

    def has_command(self, ctx: click.Context, name: str) -> bool:
        """Return True if a subcommand has this name.

        Raises:
            click.UsageError: It is one word that is similar to a subcommand, or the name of one whose package is not
                installed, and would be sent as a prompt.
        """
        if any(sign.isspace() for sign in name):
            return False  # a prompt; packages need not be searched
        if self.get_command(ctx, name) is not None:
            return True
        if not ctx.resilient_parsing:
            from polyglot_cli.known_packages import package_of_command  # noqa: PLC0415 (a prompt is seldom one word)

            if package := package_of_command(name):
                what = f"{name!r} is a command of {package}, which is not installed."
                raise click.UsageError(f"{what} As a prompt: `polyglot stream {name}`.", ctx)
        known = [*self.list_commands(ctx), "help"]
        close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=_LIKE_A_COMMAND)
        if close and not ctx.resilient_parsing:
            meant = "polyglot --help" if close[0] == "help" else f"polyglot {close[0]}"
            raise click.UsageError(
                f"There is no command {name!r}; did you mean `{meant}`? As a prompt: `polyglot stream {name}`.", ctx
            )
        return False

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options and the subcommands, in sections."""
        click.Command.format_options(self, ctx, formatter)
        names = self.list_commands(ctx)
        listed = {name for section in _SECTIONS.values() for name in section}
        sections = {**_SECTIONS, "Looking inside": [name for name in names if name not in listed]}
        for heading, members in sections.items():
            commands = {name: self.get_command(ctx, name) for name in members if name in names}
            width = formatter.width - 6 - max(map(len, names))
            with formatter.section(heading):
                formatter.write_dl([(name, each.get_short_help_str(width)) for name, each in commands.items() if each])

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
        except click.ClickException as error:
            _wrapped(error, None)
            raise

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 (whatever a command returns)
        """Run the command."""
        try:
            with plain_warnings():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            interrupts.caught()
            ctx.exit(_INTERRUPTED)
        except click.Abort as error:  # click raises it for Ctrl-C at one of its prompts, and for the end of input there
            if not isinstance(error.__context__, KeyboardInterrupt):
                raise
            interrupts.caught()
            click.echo(err=True)
            ctx.exit(_INTERRUPTED)
        except click.ClickException as error:
            _wrapped(error, ctx)
            raise
        except click.exceptions.Exit:
            raise
        except Exception as error:
            if (code := _reported(error)) is None:
                raise
            ctx.exit(code)


def _wrapped(error: click.ClickException, ctx: click.Context | None) -> None:
    """Report an error of the command line and exit, on a terminal; click would break its message within words.

    A message of several lines, and an error about which click prints more than a message, are left to click.
    """
    message = error.format_message()
    if not is_terminal(sys.stderr) or "\n" in message or isinstance(error, click.exceptions.NoArgsIsHelpError):
        return
    if isinstance(error, click.UsageError) and (used := error.ctx or ctx) is not None:
        click.echo(used.get_usage(), err=True)
        click.echo(f"Try '{used.command_path} --help' for help.\n", err=True)
    write_line(message, label="Error:", style="bold red")
    raise click.exceptions.Exit(error.exit_code) from error


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
      polyglot "Write a haiku about rain"
      polyglot -c openai -m gpt-4o-mini "Hello"
      git diff | polyglot -s "Review this change."
      polyglot -a photo.jpg "What is this?"

    \b
    Without a command a prompt is streamed. Most used options:
      -c NAME  connection          -a FILE  attachment    -u  usage
      -m NAME  model               -s TEXT  system        -C  continue
      -o KEY=VALUE  option         -t NAME  template      -x  extract code
    All of them: polyglot stream --help

    Without a connection a simulator on this machine replies, so you can try it without a key.

    Exit codes: 0 the response is complete, 1 output, 2 command line, 3 configuration, 4 the provider's error,
    5 truncated or not received, 6 timed out, 130 Ctrl-C, 141 the reader closed the pipe.
    """  # noqa: D301 (click's sign for lines that stay as they are)


polyglot.add_command(stream)


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
@click.option("--online", is_flag=True, help="Make a small call over each of your connections; it costs few tokens.")
@_json("one JSON object")
@config_option
@click.pass_context
def doctor(ctx: click.Context, config: str | None, as_json: bool, online: bool) -> None:  # noqa: FBT001 (click's)
    """Examine the installation, and report what is wrong.

    \b
    Examples:
      polyglot doctor
      polyglot doctor --online
      polyglot doctor --json | jq .problems

    It lists packages, drivers, connections, keys (never their values), the configuration file, proxies and
    certificates. The exit code is 1 if a problem was found, else 0.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli.doctor_command import run  # noqa: PLC0415 (it imports the whole library)

    ctx.exit(run(config, as_json=as_json, online=online))


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
