"""Changes of the configuration file, whose comments and order stay as they are."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import click

from polyglot_cli.folders import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["add", "set_default", "text_with", "text_with_default"]


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
            changed = _with_default(changed, name)
        if tomllib.loads(changed) == expected:
            return changed
    except (TOMLKitError, ValueError, TypeError, AttributeError):
        pass
    raise click.ClickException(f"The configuration file cannot be changed safely. Add this to it yourself:\n\n{added}")


def text_with_default(text: str, name: str) -> str:
    """Return the text of a configuration file in which a connection is the default.

    Raises:
        click.ClickException: The file is not TOML, or cannot be changed without a risk.
    """
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415 (needed to write alone)

    try:
        expected = {**tomllib.loads(text), "default": name}
        changed = _with_default(text, name)
        if tomllib.loads(changed) == expected:
            return changed
    except (TOMLKitError, ValueError):
        pass
    raise click.ClickException(
        f"The configuration file cannot be changed safely. Write `default = {name!r}` at its top."
    )


def _with_default(text: str, name: str) -> str:
    import tomlkit  # noqa: PLC0415 (needed to write alone)

    document = tomlkit.parse(text)
    document["default"] = name
    return tomlkit.dumps(document)


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
    write_private(file, text_with(_read(file), name, fields, default=default))


def set_default(file: Path, name: str) -> None:
    """Make a connection the default one of a file, which only its owner can read afterwards.

    Raises:
        click.ClickException: The file cannot be read, changed or written.
    """
    write_private(file, text_with_default(_read(file), name))


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"The configuration file {file} cannot be read: {error}.") from error
