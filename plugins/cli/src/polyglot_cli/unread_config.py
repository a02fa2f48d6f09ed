"""The notice about a configuration file in the working directory, which the library does not read."""

from __future__ import annotations

import os
from pathlib import Path

import click

from polyglot_cli.output import write_line

__all__ = ["mention_unread_file"]

_NAME = "polyglot.toml"


def mention_unread_file(config: str | None) -> None:
    """Print that the file is not read, unless the user has chosen a file; `config` is the file of ``--config``."""
    if config or os.environ.get("POLYGLOT_CONFIG"):
        return
    file = Path(_NAME)
    own = Path(click.get_app_dir("polyglot")) / _NAME
    if file.is_file() and not (own.is_file() and own.samefile(file)):
        write_line(
            f"The {_NAME} in this folder is not read by default; use --config {_NAME}, or POLYGLOT_CONFIG={_NAME}."
        )
