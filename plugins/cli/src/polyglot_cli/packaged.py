"""Subcommands that packages provide, in the entry-point group ``polyglot.commands``."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["COMMANDS", "entries", "load", "names"]

COMMANDS = "polyglot.commands"
"""Entry-point group: name of a subcommand → ``module:command``, a `click.Command`."""


def entries(group: str) -> list[EntryPoint]:
    """Return the entry points of a group, by name, without those of distributions that may not be used."""
    return sorted((entry for entry in entry_points(group=group) if _is_allowed(entry)), key=lambda entry: entry.name)


def names() -> list[str]:
    """Return the names of the subcommands that packages provide. Nothing is imported."""
    return sorted({entry.name for entry in entries(COMMANDS)})


def load(name: str) -> click.Command | None:
    """Import a subcommand and return it; None if no package provides it.

    For one that cannot be used, return a command that says so when it is run.
    """
    found = [entry for entry in entries(COMMANDS) if entry.name == name]
    if not found:
        return None
    owners = sorted({_owner(entry) for entry in found})
    if len(owners) > 1:
        return _unusable(name, f"it is provided by {' and by '.join(owners)}; uninstall one of them")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a pipe gets what the command writes, and nothing else
            command = found[0].load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 (whatever a package raises, SystemExit too)
        return _unusable(name, f"{owners[0]} could not be imported: {type(error).__name__}: {error}")
    if not isinstance(command, click.Command):
        return _unusable(name, f"{found[0].value} of {owners[0]} is no click command")
    return command


def _owner(entry: EntryPoint) -> str:
    return "an unknown package" if entry.dist is None else entry.dist.name


def _is_allowed(entry: EntryPoint) -> bool:
    """Return whether the allow list of distributions has the owner of a subcommand, if there is such a list."""
    allowed = os.environ.get("POLYGLOT_DRIVERS")
    return allowed is None or _owner(entry) in {name.strip() for name in allowed.split(",")}


def _unusable(name: str, why: str) -> click.Command:
    def fail() -> None:
        raise click.ClickException(f"The command {name!r} cannot be used: {why}.")

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, context_settings=settings, callback=fail, short_help=f"Cannot be used: {why}.")
