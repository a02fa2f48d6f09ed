"""Asking for a key without showing it."""

from __future__ import annotations

import sys

import click

from polyglot_cli.output import is_terminal

__all__ = ["ask_for_key"]


def ask_for_key(name: str) -> str:
    """Return a key: typed on the terminal without an echo, or the first line that is piped in.

    Raises:
        click.UsageError: It is empty.
    """
    if is_terminal(sys.stdin):
        key = str(click.prompt(f"Key for {name}", hide_input=True, err=True))
    else:
        key = sys.stdin.readline() if sys.stdin is not None else ""
    if not key.strip():
        raise click.UsageError("The key is empty.")
    return key.strip()
