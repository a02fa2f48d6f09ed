"""The folder of the user's own files: configuration, templates and history."""

from __future__ import annotations

import os
from pathlib import Path

import click

__all__ = ["config_file", "own_folder", "required_folder", "write_private"]

_PRIVATE = 0o600


def own_folder() -> Path | None:
    """Return the folder, which need not exist; None if there is no home folder."""
    folder = Path(click.get_app_dir("polyglot"))
    return folder if folder.is_absolute() else None


def required_folder() -> Path:
    """Return the folder.

    Raises:
        click.ClickException: There is no home folder.
    """
    if (folder := own_folder()) is None:
        raise click.ClickException("There is no home folder to keep files in. Set HOME, or XDG_CONFIG_HOME.")
    return folder


def config_file(config: str | None) -> Path:
    """Return the path of the configuration file: the one given, that of ``POLYGLOT_CONFIG``, or the user's own.

    Raises:
        click.ClickException: There is no home folder.
    """
    named = config or os.environ.get("POLYGLOT_CONFIG")
    return Path(named) if named else required_folder() / "polyglot.toml"


def write_private(file: Path, text: str) -> None:
    """Replace a file by one with this text, which only its owner can read. A file that is a link stays one.

    Raises:
        click.ClickException: It cannot be written.
    """
    target = Path(os.path.realpath(file))
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise click.ClickException(f"{file} cannot be written: {error.strerror}.") from error
