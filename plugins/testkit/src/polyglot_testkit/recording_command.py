"""``polyglot record`` and ``polyglot replay``: the commands that the package adds to ``polyglot``.

Both run ``polyglot stream``, with its options and its output, over another transport.
"""

from __future__ import annotations

import contextlib
import copy
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from polyglot_core import Inference

__all__ = ["record", "replay"]

_INFERENCE = "polyglot_cli.inference"
"""Where ``polyglot stream`` looks for a function that takes what makes its inference, and returns one to use."""

_SHOWN = ("as_json", "events", "reasoning", "usage", "raw", "debug")
"""The parameters of ``polyglot stream`` that ``polyglot replay`` has too."""


class _OverStream(click.Command):
    """A command with parameters of ``polyglot stream`` besides its own."""

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 (click's)
        shared: tuple[str, ...] | None = None,
        **settings: Any,  # noqa: ANN401 (click's)
    ) -> None:
        super().__init__(*arguments, **settings)
        self._shared = shared

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters: those of ``polyglot stream``, all or the named ones, between its own."""
        own = {parameter.name for parameter in self.params}
        taken = {option for parameter in self.params for option in parameter.opts}
        of_stream = [
            _without(parameter, taken)
            for parameter in _stream(ctx).params
            if parameter.name not in own and (self._shared is None or parameter.name in self._shared)
        ]
        arguments = [parameter for parameter in self.params if isinstance(parameter, click.Argument)]
        options = [parameter for parameter in self.params if not isinstance(parameter, click.Argument)]
        help_option = self.get_help_option(ctx)
        return [*arguments, *options, *of_stream, *([] if help_option is None else [help_option])]


def _without(parameter: click.Parameter, taken: set[str]) -> click.Parameter:
    """Return a parameter without the short forms that another one has, such as ``-o``."""
    changed = copy.copy(parameter)
    changed.opts = [option for option in parameter.opts if option not in taken]
    return changed


def _stream(ctx: click.Context) -> click.Command:
    """Return the command ``stream`` of the group that this command is run in."""
    group = ctx.find_root().command
    found = group.get_command(ctx, "stream") if isinstance(group, click.Group) else None
    if found is None:
        raise click.UsageError("This is a subcommand of `polyglot`; run it as `polyglot record` or `polyglot replay`.")
    return found


def _run(ctx: click.Context, inference: Callable[[Callable[[], Inference]], Inference], **options: Any) -> None:  # noqa: ANN401 (each option's own)
    """Run ``polyglot stream`` with these options, and its defaults for all others."""
    ctx.meta[_INFERENCE] = inference
    ctx.invoke(_stream(ctx), **options)


@click.command(name="record", short_help="Send a prompt, and write the exchange to a file.", cls=_OverStream)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", required=True, help="File to write, *.jsonl."
)
@click.pass_context
def record(ctx: click.Context, /, output: str, **options: Any) -> None:  # noqa: ANN401 (each option's own)
    """Send a prompt, print the response, and write the exchange to a file without keys.

    All options of `polyglot stream` work. Retries and fallbacks are exchanges of the same file. The file has the prompt
    and the response, and can be read by its owner only.

    \b
    Examples:
      polyglot record "Write a haiku about rain" -o rain.jsonl
      polyglot record -c openai -m gpt-4o-mini --usage "Hello" -o hello.jsonl
      polyglot replay rain.jsonl --pace 1

    Exit codes are those of `polyglot stream`; the file is written in any case.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    # Imported here: it imports the whole library, which `--help` does not need.
    from polyglot_testkit.recorder import Recorder  # noqa: PLC0415

    if not output.endswith(".jsonl"):
        raise click.BadParameter("The name of a recording ends with .jsonl.", ctx=ctx, param_hint="'--output'")
    try:
        recorder = Recorder(output)
    except OSError as error:
        raise click.FileError(output, error.strerror or str(error)) from error
    with _written(recorder.close, output):
        _run(ctx, lambda make: recorder.attach(make()), **options)


@contextlib.contextmanager
def _written(close: Callable[[], None], output: str) -> Generator[None]:
    """Write the file at the end, also after an error.

    Raises:
        click.FileError: It cannot be written.
    """
    try:
        yield
    finally:
        try:
            close()
        except OSError as error:
            raise click.FileError(output, error.strerror or str(error)) from error


@click.command(name="replay", cls=_OverStream, shared=_SHOWN)
@click.argument("source", type=click.Path(exists=True), metavar="FILE")
@click.option(
    "--pace", type=click.FloatRange(0), metavar="FACTOR", help="Factor of the recorded times, such as 1; else at once."
)
@click.option("--driver", metavar="NAME", help="Driver, for files that name none: cassettes and bodies alone.")
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    source: str,
    pace: float | None,
    driver: str | None,
    **options: Any,  # noqa: ANN401 (as above)
) -> None:
    """Show a recorded response as `polyglot stream` does. Nothing is sent.

    FILE is a recording, a folder of them, a cassette of VCR (.yaml, .json), or the body of a stream (.sse). Of several
    calls the first is shown, with its retries.

    \b
    Examples:
      polyglot replay rain.jsonl
      polyglot replay rain.jsonl --pace 1
      polyglot replay rain.jsonl --json | jq -j .content_delta
      polyglot replay body.sse --driver openai

    Exit codes are those of `polyglot stream`: that of a truncated response is 5.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_testkit.replaying import Replay  # noqa: PLC0415 (as above)

    fields: dict[str, Any] = {} if driver is None else {"driver": driver}
    replayed = Replay(source, pace=pace or 0.0, match=(), **fields)
    retries = {"max_retries": len(replayed.exchanges) - 1, "initial_backoff": 0.0}
    inference = replayed.inference().with_changes(retries=retries)
    plain = not replayed.exchanges[0].streamed
    shown = {name: value for name, value in options.items() if name in _SHOWN}
    with _no_input():
        _run(ctx, lambda _: inference, prompt="(recorded)", no_stream=plain and not shown.get("events"), **shown)


@contextlib.contextmanager
def _no_input() -> Generator[None]:
    """Put nothing in place of standard input, which `polyglot stream` would add to its prompt."""
    usual = sys.stdin
    with open(os.devnull, encoding="utf-8") as nothing:  # noqa: PTH123 (it is no path of the file system everywhere)
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = usual
