"""The columns of a preset's row: what the driver knows of a place that speaks the dialect, and the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection

__all__ = ["Columns", "read_columns"]


class Columns(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row's facts, read.

    Attributes:
        max_tokens: Most tokens to generate where the request says nothing, since the dialect wants a number. Every
            model can generate as many as the default.
        path: What is added to the base URL; ``{model}`` stands for the model.
        stream_path: The same for a stream; None is `path`.
        body_version: Version of the dialect where it stands in the body, and the model in the path; None is a header.
        unsigned_thinking: Whether the place gives thinking without a signature, and takes it back so.
    """

    max_tokens: int = 4096
    path: str = "/messages"
    stream_path: str | None = None
    body_version: str | None = None
    unsigned_thinking: bool = False


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
