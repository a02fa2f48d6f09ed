"""The columns of a row for a place that speaks OpenAI Responses, and the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection

__all__ = ["Columns", "read_columns"]


class Columns(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row's facts, read. The columns are explained where the rows are, in `polyglot_openai.responses_presets`."""

    own_calls: tuple[str, ...] = ()
    query: dict[str, str] = {}
    thinking: Literal["summary_text", "reasoning_text"] = "summary_text"


def read_columns(connection: Connection) -> Columns:
    """The columns of a connection.

    Raises:
        ConfigError: The connection's facts hold a column that there is not, or a value that cannot be one.
    """
    try:
        return msgspec.convert(connection.facts, Columns)
    except msgspec.ValidationError as error:
        msg = (
            f"The facts of connection {connection.name!r} cannot be read: {error}. "
            f"The columns are {', '.join(Columns.__struct_fields__)}."
        )
        raise ConfigError(msg, connection=connection.name, phase="configure") from error
