"""Reads a connection's facts: the fields in which providers differ that speak one dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from polyglot_core._values.importing import import_module
from polyglot_core._values.json_values import plain_text
from polyglot_core._values.suggest import suggestion
from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyglot_core._values.connection import Connection

__all__ = ["config_error", "import_optional", "read_facts"]

_Facts = TypeVar("_Facts", bound=msgspec.Struct)


def read_facts(
    connection: Connection, kind: type[_Facts], defaults: Mapping[str, Any] | None = None, *, shared: bool = False
) -> _Facts:
    """Return the facts of a connection as a struct.

    Args:
        connection: The connection.
        kind: A struct with a field for each fact.
        defaults: Values of facts that the connection does not set. They override the defaults of the struct.
        shared: True if the driver does not change the struct or what is in it: then it is read once for a connection.

    Raises:
        ConfigError: A fact is unknown, or has a value of the wrong type.
    """
    if not shared:
        return _facts_of(connection, kind, defaults)
    try:
        written = _written((connection.facts, defaults))  # they may be changed in place
    except (TypeError, ValueError):  # not JSON
        return _facts_of(connection, kind, defaults)
    kept = connection.kept.get(kind)
    if kept is None or kept[0] != written:
        kept = connection.kept[kind] = written, _facts_of(connection, kind, defaults)
    facts: _Facts = kept[1]
    return facts


_written = msgspec.json.Encoder().encode


def _facts_of(connection: Connection, kind: type[_Facts], defaults: Mapping[str, Any] | None) -> _Facts:
    facts: dict[str, Any] = _plain({**(defaults or {}), **connection.facts})
    known = kind.__struct_encode_fields__
    if unknown := [name for name in facts if name not in known]:
        raise _unreadable(connection, f"there is no fact {unknown[0]!r}{suggestion(unknown[0], known)}", known)
    try:
        return msgspec.convert(facts, kind)
    except msgspec.ValidationError as error:
        raise _unreadable(connection, str(error), known) from error


def _plain(value: Any) -> Any:  # noqa: ANN401 (of any type)
    """Return a value with plain text in place of text of other classes, such as a member of an enumeration."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, Mapping):
        return {_plain(name): _plain(item) for name, item in value.items()}
    return type(value)(map(_plain, value)) if type(value) in {list, tuple} else value


def _unreadable(connection: Connection, why: str, known: Iterable[str]) -> ConfigError:
    return ConfigError(
        f"The facts of connection {connection.name!r} cannot be read: {why}. The facts are {', '.join(known)}.",
        connection=connection.name,
        phase="configure",
    )


def import_optional(connection: Connection, *modules: str, what: str) -> list[Any]:
    """Import modules of a library that only some connections need, and return them.

    Args:
        connection: The connection that needs the library.
        modules: Names of the modules.
        what: What the error states about the connection if a module is not installed; see `config_error`.

    Raises:
        ConfigError: A module is not installed.
    """
    try:
        return [import_module(module) for module in modules]
    except ImportError as missing:
        raise config_error(connection, what) from missing


def config_error(connection: Connection, what: str) -> ConfigError:
    """Return the error for a connection that cannot be used.

    Args:
        connection: The connection.
        what: The rest of the sentence that begins with "Connection 'NAME'", without the full stop.
    """
    return ConfigError(f"Connection {connection.name!r} {what}.", connection=connection.name, phase="configure")
