"""Styles on a terminal: bold, dimmed and coloured text, and none of them where the user wants none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "dimmed", "is_dumb", "is_plain"]


def is_dumb() -> bool:
    """Return True if the terminal cannot move its cursor, as ``TERM=dumb`` states."""
    return os.environ.get("TERM", "") in {"dumb", "unknown"}


def is_plain() -> bool:
    """Return True if text is written without any style: with ``NO_COLOR``, or on a terminal that has none."""
    return bool(os.environ.get("NO_COLOR")) or is_dumb()


def console(*, stderr: bool = False) -> Console:
    """Return a console of rich for standard output or standard error.

    rich keeps bold and dimmed text with ``NO_COLOR``; this one writes no style at all then.
    """
    from rich.console import Console  # noqa: PLC0415 (a pipe does not need it)

    return Console(stderr=stderr, color_system=None if is_plain() else "auto")


def dimmed() -> tuple[str, str]:
    """Return the codes before and after a dimmed text; empty where text has no style."""
    return ("", "") if is_plain() else ("\x1b[2m", "\x1b[0m")
