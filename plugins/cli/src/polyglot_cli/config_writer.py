"""Adding a connection to the configuration file, whose comments and order stay as they are."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import click

from polyglot_cli.folders import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["add", "text_with"]


def text_with(text: str, name: str, fields: Mapping[str, Any], *, default: bool = False) -> str:
    """Return the text of a configuration file with a connection in it; the fields of one of this name are replaced.

    Args:
        text: The file as it is.
        name: Name of the connection.
        fields: Its fields; None leaves one out.
        default: Whether it becomes the default connection.

    Raises:
        click.ClickException: The file is not TOML, or is written in a way that cannot be changed without a risk.
    """
    import tomlkit  # noqa: PLC0415 (needed to write alone)
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415 (as above)

    entry = {field: value for field, value in fields.items() if value is not None}
    added = tomlkit.dumps({"connections": {name: entry}}).removeprefix("[connections]\n")
    try:
        expected = _expected(tomllib.loads(text), name, entry, default=default)
        changed = _changed(text, name, entry, added)
        if default:
            document = tomlkit.parse(changed)
            document["default"] = name
            changed = tomlkit.dumps(document)
        if tomllib.loads(changed) == expected:
            return changed
    except (TOMLKitError, ValueError, TypeError, AttributeError):
        pass
    raise click.ClickException(f"The configuration file cannot be changed safely. Add this to it yourself:\n\n{added}")


def _expected(before: dict[str, Any], name: str, entry: Mapping[str, Any], *, default: bool) -> dict[str, Any]:
    after = {**before, "connections": {**before.get("connections", {}), name: entry}}
    return {**after, "default": name} if default else after


def _changed(text: str, name: str, entry: Mapping[str, Any], added: str) -> str:
    """Return the text with the entry changed in it, or added at its end, where all before stays as it is."""
    import tomlkit  # noqa: PLC0415 (as above)

    if name not in tomllib.loads(text).get("connections", {}):
        return f"{text.rstrip()}\n\n{added}" if text.strip() else added
    document: Any = tomlkit.parse(text)
    table = document["connections"][name]
    for field in set(table) - set(entry):
        del table[field]
    for field, value in entry.items():
        table[field] = value
    return tomlkit.dumps(document)


def add(file: Path, name: str, fields: Mapping[str, Any], *, default: bool) -> None:
    """Add a connection to a file, which only its owner can read afterwards.

    Raises:
        click.ClickException: The file cannot be read, changed or written.
    """
    try:
        before = file.read_text("utf-8-sig") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"The configuration file {file} cannot be read: {error}.") from error
    write_private(file, text_with(before, name, fields, default=default))
