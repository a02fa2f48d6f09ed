"""The columns of a preset's row, as a driver reads them from a connection's facts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_core.connection import Connection

__all__ = ["imported", "misconfigured", "read_columns"]

_Columns = TypeVar("_Columns", bound=msgspec.Struct)


def read_columns(
    connection: Connection, columns: type[_Columns], defaults: Mapping[str, Any] | None = None
) -> _Columns:
    """The columns of a connection, over `defaults`.

    Args:
        connection: The connection.
        columns: A struct with a field for each column; it refuses others if it has ``forbid_unknown_fields=True``.
        defaults: Columns for connections that say nothing of them.

    Raises:
        ConfigError: The connection's facts hold a column that there is not, or a value that cannot be one.
    """
    try:
        return msgspec.convert({**(defaults or {}), **connection.facts}, columns)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"The facts of connection {connection.name!r} cannot be read: {error}. "
            f"The columns are {', '.join(columns.__struct_fields__)}.",
            connection=connection.name,
            phase="configure",
        ) from error


def imported(connection: Connection, *modules: str, what: str) -> list[Any]:
    """The modules of a library that only some connections need, and that is imported when one does.

    Args:
        connection: The connection.
        modules: Names of the modules.
        what: What to say of the connection where they are not installed.

    Raises:
        ConfigError: They are not installed.
    """
    try:
        return [importlib.import_module(module) for module in modules]
    except ImportError as missing:
        raise misconfigured(connection, what) from missing


def misconfigured(connection: Connection, what: str) -> ConfigError:
    """The error to raise for a connection that cannot be used; `what` goes on after its name."""
    return ConfigError(f"Connection {connection.name!r} {what}.", connection=connection.name, phase="configure")
