"""``polyglot logs``: the history of calls."""

from __future__ import annotations

import click

from polyglot_cli.groups import DefaultGroup

__all__ = ["logs"]


@click.group(cls=DefaultGroup, short_help="List, search and show the calls that were kept.")
def logs() -> None:
    """List, search and show the calls that are kept in the history.

    \b
    Examples:
      polyglot logs on                keep calls from now on
      polyglot logs                   the last calls, the newest first
      polyglot logs "rain" -n 5       those with this text
      polyglot logs show 12           the conversation with call 12
      polyglot logs --json | jq .prompt
      polyglot logs delete 12

    Nothing is kept before you choose `logs on`. The file stays on this machine, only you can read it, and keys are
    never part of it. `polyglot --no-log` leaves one call out; `polyglot -C` continues the last conversation.
    """  # noqa: D301 (click's sign for lines that stay as they are)


@logs.command(name="list")
@click.argument("text", required=False)
@click.option("-n", "limit", type=click.IntRange(1), default=20, show_default=True, help="Number of calls.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object for each call, one a line.")
def list_logs(text: str | None, limit: int, as_json: bool) -> None:  # noqa: FBT001 (click's)
    """List the last calls, or those with a text in prompt or response.

    \b
    Examples:
      polyglot logs list
      polyglot logs list "rain" -n 5 --json
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli import log_views  # noqa: PLC0415 (it imports the whole library)

    log_views.list_calls(text, limit, as_json=as_json)


@logs.command()
@click.argument("call_id", metavar="[ID]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object for each call, one a line.")
def show(call_id: str | None, as_json: bool) -> None:  # noqa: FBT001 (click's)
    """Print the conversation of a call; that of the last one without ID.

    \b
    Examples:
      polyglot logs show
      polyglot logs show 12 --json
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli import log_views  # noqa: PLC0415 (it imports the whole library)

    log_views.show_conversation(call_id, as_json=as_json)


@logs.command()
def on() -> None:
    """Keep calls from now on."""
    _choose(kept=True)


@logs.command()
def off() -> None:
    """Keep no calls from now on. Those that are kept stay; see `polyglot logs delete`."""
    _choose(kept=False)


def _choose(*, kept: bool) -> None:
    from polyglot_cli import history  # noqa: PLC0415 (it reads a database)

    history.set_kept(kept)
    click.echo(f"Calls are {'kept in' if kept else 'not kept. Earlier ones are in'} {history.path()}.", err=True)


@logs.command()
def path() -> None:
    """Print the path of the file, which is an SQLite database."""
    from polyglot_cli import history  # noqa: PLC0415 (it reads a database)

    click.echo(history.path())


@logs.command()
@click.argument("call_id", metavar="[ID]", required=False)
@click.option("--all", "every", is_flag=True, help="Delete all conversations.")
def delete(call_id: str | None, every: bool) -> None:  # noqa: FBT001 (click's)
    """Delete the conversation of a call."""
    if (call_id is None) != every:
        raise click.UsageError("Give the ID of a call, or --all.")
    from polyglot_cli import history  # noqa: PLC0415 (it reads a database)

    count = history.delete(call_id)
    click.echo(f"Deleted {count} {'call' if count == 1 else 'calls'}.", err=True)
