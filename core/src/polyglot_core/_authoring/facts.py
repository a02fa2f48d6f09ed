"""The facts of a preset's row, as a driver reads them from its connection."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from polyglot_core._values.connection import Connection

__all__ = ["imported", "misconfigured", "read_facts"]

_Facts = TypeVar("_Facts", bound=msgspec.Struct)


def read_facts(connection: Connection, kind: type[_Facts], defaults: Mapping[str, Any] | None = None) -> _Facts:
    """Return the facts of a connection, over `defaults`.

    Args:
        connection: The connection.
        kind: A struct with a field for each fact.
        defaults: Facts of connections that do not set them.

    Raises:
        ConfigError: A fact is unknown, or its value is of a wrong type.
    """
    facts = {**(defaults or {}), **connection.facts}
    known = kind.__struct_encode_fields__
    if unknown := [name for name in facts if name not in known]:
        raise _unreadable(connection, f"there is no fact {unknown[0]!r}", known)
    try:
        return msgspec.convert(facts, kind)
    except msgspec.ValidationError as error:
        raise _unreadable(connection, str(error), known) from error


def _unreadable(connection: Connection, why: str, known: Iterable[str]) -> ConfigError:
    return ConfigError(
        f"The facts of connection {connection.name!r} cannot be read: {why}. The facts are {', '.join(known)}.",
        connection=connection.name,
        phase="configure",
    )


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
