"""``polyglot keys``: which keys are found, and those in the system's keyring. No key is ever printed."""

from __future__ import annotations

import os

import click

from polyglot_cli.groups import DefaultGroup

__all__ = ["keys"]


@click.group(cls=DefaultGroup, short_help="List, set and remove keys.")
def keys() -> None:
    """List which keys are found; set and remove keys in the system's keyring.

    \b
    Examples:
      polyglot keys
      polyglot keys --all
      polyglot keys set work
      polyglot keys remove work

    Keys are read from environment variables, from commands, and from the system's keyring. None is ever printed.
    """  # noqa: D301 (click's sign for lines that stay as they are)


@keys.command(name="list")
@click.option("show_all", "--all", is_flag=True, help="List also the variables that are not set.")
def list_keys(show_all: bool) -> None:  # noqa: FBT001 (click's)
    """List the environment variables with keys, and the keys in the keyring."""
    from polyglot_cli import keyrings  # noqa: PLC0415 (needed when it runs)
    from polyglot_cli.known_packages import known  # noqa: PLC0415 (as above)

    names: dict[str, list[str]] = {}
    for each in known().values():
        if each.variable:
            names.setdefault(each.variable, []).append(each.name)
    listed = [variable for variable in sorted(names) if show_all or os.environ.get(variable)]
    width = max(map(len, listed), default=0)
    for variable in listed:
        state = "set    " if os.environ.get(variable) else "not set"
        click.echo(f"{variable:<{width}}  {state}  {_few(names[variable])}")
    for name in keyrings.stored() if keyrings.is_available() else ():
        click.echo(f"{name}  in the keyring" if keyrings.holds(name) else f"{name}  no longer in the keyring")
    if not listed:
        click.echo("No variable with a key is set. With --all each is listed.", err=True)


_FEW = 4


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more


@keys.command(name="set")
@click.argument("name")
def set_key(name: str) -> None:
    """Store a key in the system's keyring. It is asked for, or read from standard input."""
    from polyglot_cli import keyrings  # noqa: PLC0415 (needed when it runs)
    from polyglot_cli.key_prompt import ask_for_key  # noqa: PLC0415 (as above)

    keyrings.check_installed()
    keyrings.store(name, ask_for_key(name))
    click.echo(f"Stored. `polyglot connections add {name} --keyring` makes a connection with it.", err=True)


@keys.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a key from the system's keyring."""
    from polyglot_cli import keyrings  # noqa: PLC0415 (needed when it runs)

    keyrings.forget(name)
    click.echo("Removed.", err=True)
