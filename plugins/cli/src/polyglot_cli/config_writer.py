"""Adding a connection to the configuration file, whose comments and order stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from polyglot_cli.folders import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["add", "text_with"]


def text_with(text: str, name: str, fields: Mapping[str, Any], *, default: bool = False) -> str:
    """Return the text of a configuration file with a connection in it; one of the same name is replaced.

    Args:
        text: The file as it is.
        name: Name of the connection.
        fields: Its fields.
        default: Whether it becomes the default connection.

    Raises:
        click.ClickException: The text is not TOML, or its connections are no table.
    """
    import tomlkit  # noqa: PLC0415 (needed to write alone)
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415 (as above)

    try:
        document = tomlkit.parse(text)
        if "connections" not in document:
            document["connections"] = tomlkit.table(is_super_table=True)
        entry = tomlkit.table()
        entry.update({field: value for field, value in fields.items() if value is not None})
        connections: Any = document["connections"]
        connections[name] = entry
        if default:
            document["default"] = name
        return tomlkit.dumps(document)
    except (TOMLKitError, TypeError, AttributeError) as error:
        raise click.ClickException(f"The configuration file cannot be changed: {error}.") from error


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
