"""Generate the manual of the command from its help."""

from __future__ import annotations

import click

from polyglot_cli.commands import polyglot

__all__ = ["draw_command"]

_COLUMNS = 80


def draw_command(path: str = "") -> str:
    """Return the help of a subcommand as it is printed at 80 columns.

    Args:
        path: Names of subcommands joined with dashes, such as ``connections-add``; empty for the command itself.
    """
    command: click.Command = polyglot
    context = click.Context(polyglot, info_name="polyglot", terminal_width=_COLUMNS, max_content_width=_COLUMNS)
    for name in filter(None, path.split("-")):
        if not isinstance(command, click.Group) or (found := command.get_command(context, name)) is None:
            raise KeyError(path)
        command, context = found, click.Context(found, info_name=name, parent=context)
    return f"```\n{command.get_help(context)}\n```"
