"""``polyglot new-driver``: the command that the package adds to ``polyglot``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["new_driver"]


@click.command(name="new-driver", short_help="Write a package with a driver or a preset.")
@click.argument("name")
@click.option("--row", is_flag=True, help="Write a preset, which is a row of data for an installed driver.")
@click.option("--driver", default=None, metavar="NAME", help="Driver of the row; openai by default. Only with --row.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False),
    default=".",
    metavar="FOLDER",
    help="Existing folder that the package is written to, instead of the current one.",
)
def new_driver(name: str, directory: str, driver: str | None, *, row: bool) -> None:
    """Write a package, polyglot-NAME, with a driver that works: the beginning of one of your own.

    The package has the three functions of a driver for an example dialect, the simulated version of that dialect,
    recordings, tests with the exam, README, licence, and a file for CI. It passes its tests, mypy and ruff as it is.
    No file is overwritten.

    \b
    Examples:
      polyglot new-driver acme
      polyglot new-driver acme --directory ~/projects
      polyglot new-driver acme --row
      polyglot new-driver acme --row --driver anthropic

    A provider that speaks the dialect of an installed driver needs no driver of its own: --row writes a preset.

    \b
    Exit codes: 0 if the package was written, 3 if the name or the folder cannot be used.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    if driver is not None and not row:
        raise click.UsageError("--driver names the driver of a row; add --row, or leave --driver out.")
    # Imported here: the help needs none of it.
    from polyglot_testkit import scaffold  # noqa: PLC0415

    folder = (
        scaffold.new_preset(name, directory, driver=driver or "openai") if row else scaffold.new_driver(name, directory)
    )
    click.echo(_next_steps(folder))


def _next_steps(folder: Path) -> str:
    return (
        f"{folder} is written. Next:\n"
        f"  cd {shlex.quote(str(folder))}\n"
        '  python -m pip install -e ".[test,lint]"\n'
        "  python -m pytest"
    )
