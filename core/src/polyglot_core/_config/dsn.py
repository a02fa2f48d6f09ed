"""Connection lines: a connection in one line of text (a DSN)."""

from __future__ import annotations

from typing import Any

from polyglot_core._config.layers import MAPPINGS, Layer, preset_layer, read_text
from polyglot_core._config.resolve import folded, installed_preset
from polyglot_core._values.connection import Connection, guard
from polyglot_core._values.limits import NUMBERS, WAITS
from polyglot_core._values.secret import Secret
from polyglot_core._values.suggest import config_error, nearest
from polyglot_core._values.unreadable import parse

__all__ = ["read_line"]

_FIELDS = (*Connection.__struct_fields__, "preset")
_NAMED_VALUES = frozenset({*MAPPINGS, *NUMBERS})
_MEANT = {"retries": ("max_retries",), "timeouts": WAITS}
"""Items that a field without a dot stands for."""


def read_line(line: Secret) -> Connection:
    """Return the connection that a line describes: fields as ``name=value``, separated by commas.

    Raises:
        ConfigError: The line names neither a driver nor a preset, or has something that is not a field.
    """
    fields = _fields_of(line)
    if isinstance(fields, str):
        raise config_error(fields)
    if "allow_http" in fields:
        fields["allow_http"] = read_text("allow_http", fields["allow_http"], "the connection line")
    starts = {key: fields.pop(key) for key in ("driver", "preset") if key in fields}
    if len(starts) != 1:
        raise config_error("A connection line needs either driver= or preset=, as in preset=openai,model=NAME.")
    ((kind, start),) = starts.items()
    name = fields.pop("name", None) or start
    lowest: Layer = {"driver": start} if kind == "driver" else preset_layer(installed_preset(start, name))
    return Connection(**folded(name, lowest, fields))


def _fields_of(line: Secret) -> dict[str, Any] | str:
    """Return the fields of a connection line, or the error message.

    Do not raise: the frame holds the line, and a traceback shows frames. The message does not quote what it rejects,
    which may be the rest of a key with a comma in it.
    """
    fields: dict[str, Any] = {}
    for number, part in enumerate(line.reveal().split(","), 1):
        field, equals, value = part.partition("=")
        field, dot, inner = field.strip().partition(".")
        value = value.strip()
        inners = (inner,) if dot else _MEANT.get(field, ("",))
        if not equals or not field or (dot and not inner):
            return (
                f"A DSN consists of name=value pairs separated by commas; part {number} is not such a pair. "
                "A value cannot contain a comma."
            )
        if problem := _problem(field, inners[0], number):
            return problem
        for each in filter(None, inners):
            fields.setdefault(field, {})[each] = value if field == "headers" else parse(value, value)
        if not inners[0]:
            fields[field] = value
    if "api_key" in fields:
        fields["api_key"] = Secret(fields["api_key"], "the connection line")
    start = {"preset": fields.pop("preset")} if "preset" in fields else {}
    guard(fields)
    return {**fields, **start}


def _problem(field: str, inner: str, number: int) -> str | None:
    """Return what is wrong with the name of a part of the line; None if nothing is."""
    if field not in _FIELDS:
        match = nearest(field, _FIELDS)
        hint = f" (did you mean {match!r}?)" if match else f". Known are {', '.join(_FIELDS)}"
        return f"The name in part {number} of the connection line is not a field of a connection{hint}."
    if bool(inner) == (field in _NAMED_VALUES):
        return None
    how = f"a mapping, given as {field}.NAME=value" if field in _NAMED_VALUES else f"given as {field}=value"
    return f"{field} in part {number} of the connection line is {how}."
