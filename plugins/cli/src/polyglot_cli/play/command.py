"""The command line of ``polyglot play``."""

from __future__ import annotations

import importlib.util

import click

from polyglot_cli.parameters import complete_connection, config_option, name

__all__ = ["play"]

_NEEDED = ("anyio", "starlette", "uvicorn")  # the extra `play`


@click.command(short_help="Open a page on this machine to try calls.")
@click.option(
    "-c",
    "--connection",
    type=name,
    metavar="NAME",
    shell_complete=complete_connection,
    help="Connection that is chosen at first, instead of the default one.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port on this machine; a free one by default."
)
@click.option("--no-open", is_flag=True, help="Print the URL of the page without opening a browser.")
@config_option
def play(connection: str | None, port: int, no_open: bool, config: str | None) -> None:  # noqa: FBT001 (click's)
    """Open a page in the browser that shows responses while they are received, until Ctrl-C.

    \b
    Examples:
      polyglot play
      polyglot play -c openai
      polyglot play --no-open --port 8765

    The page has the text, reasoning and tool calls, the time of each chunk, usage, events, and two connections side by
    side. It is served on this machine only, to those who have its URL. No key is sent to it. It needs the extra
    polyglot-cli[play].
    """  # noqa: D301 (click's sign for lines that stay as they are)
    missing = [module for module in _NEEDED if importlib.util.find_spec(module) is None]
    if missing:
        raise click.ClickException(f"The page needs {' and '.join(missing)}: install polyglot-cli[play].")
    from polyglot_cli.play.server import run  # noqa: PLC0415 (it imports what the extra installs)

    run(port, connection, config, opens=not no_open)
