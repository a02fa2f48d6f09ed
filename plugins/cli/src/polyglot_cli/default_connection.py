"""``polyglot connections default``: chooses the connection that is used where none is named."""

from __future__ import annotations

import difflib
import os

import click

from polyglot_cli import config_writer
from polyglot_cli.folders import config_file
from polyglot_cli.known_packages import missing_package
from polyglot_cli.output import write_line
from polyglot_core import connections

__all__ = ["choose"]


def choose(name: str, config: str | None) -> None:
    """Write the name of the default connection into the configuration file.

    Raises:
        click.ClickException: Nothing has this name, or the file cannot be read, changed or written.
    """
    infos = {info.name: info for info in connections(config)}
    if name not in infos:
        raise click.UsageError(_unknown(name, list(infos)))
    file = config_file(config)
    config_writer.set_default(file, name)
    write_line(f"{name} is used where no connection is named; written to {file}.")
    if os.environ.get("POLYGLOT_DEFAULT", name) != name:
        write_line("The variable POLYGLOT_DEFAULT names another one, which is used as long as it is set.")
    if not infos[name].usable:
        write_line(f"It cannot be used yet: {infos[name].reason}")


def _unknown(name: str, names: list[str]) -> str:
    if package := missing_package(name):
        return f"{name!r} is in the package {package}, which is not installed. Install it first."
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"Nothing is called {name!r}{hint}; `polyglot connections --all` lists the names."
