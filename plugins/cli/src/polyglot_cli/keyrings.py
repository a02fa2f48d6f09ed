"""Keys in the system's keyring, through the package ``keyring``, which is optional."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["check_installed", "command_for", "forget", "holds", "is_available", "store", "stored"]

_SERVICE = "polyglot"
_INDEX = "names of the keys"
"""Entry with the names of all others: keyrings cannot be listed."""


def is_available() -> bool:
    """Return True if the package is installed and has a keyring to use."""
    try:
        ring = _keyring()
        return float(getattr(ring.get_keyring(), "priority", 0)) > 0
    except (click.ClickException, RuntimeError):
        return False


def check_installed() -> None:
    """Raise `click.ClickException` if the package is missing, before a key is asked for."""
    _keyring()


def command_for(name: str) -> list[str]:
    """Return the command that prints a key for the library, to be written into the configuration."""
    return [sys.executable, "-m", "keyring", "get", _SERVICE, name]


def stored() -> list[str]:
    """Return the names of the keys that were stored."""
    return list(json.loads(_read(_INDEX) or "[]"))


def holds(name: str) -> bool:
    """Return True if there is a key of this name."""
    return _read(name) is not None


def store(name: str, key: str) -> None:
    """Store a key.

    Raises:
        click.ClickException: There is no keyring, or it is locked.
    """
    _write(name, key)
    _write(_INDEX, json.dumps(sorted({*stored(), name})))


def forget(name: str) -> None:
    """Remove a key.

    Raises:
        click.ClickException: There is no such key, or no keyring.
    """
    if not holds(name):
        raise click.ClickException(f"The keyring has no key {name!r}. It has: {', '.join(stored()) or 'none'}.")
    ring = _keyring()
    ring.delete_password(_SERVICE, name)
    _write(_INDEX, json.dumps([each for each in stored() if each != name]))


def _keyring() -> ModuleType:
    try:
        import keyring  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 (optional)
    except ImportError:
        msg = "The system's keyring needs the package keyring: install polyglot-cli[keyring]."
        raise click.ClickException(msg) from None
    module: ModuleType = keyring
    return module


def _read(name: str) -> str | None:
    ring = _keyring()
    try:
        found: str | None = ring.get_password(_SERVICE, name)
    except Exception as error:  # noqa: BLE001 (each keyring has errors of its own)
        raise click.ClickException(f"The keyring cannot be read: {type(error).__name__}.") from None
    return found


def _write(name: str, value: str) -> None:
    ring = _keyring()
    try:
        ring.set_password(_SERVICE, name, value)
    except Exception as error:  # noqa: BLE001 (as above)
        # The message of the error is not shown: it might hold the key.
        raise click.ClickException(f"The keyring cannot be written: {type(error).__name__}.") from None
