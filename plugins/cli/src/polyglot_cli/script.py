"""The script of ``polyglot simulate``: the reply and the faults of each request.

::

    pace = 40                       # tokens per second, or a table with the fields of `Pace`

    [[turns]]                       # the first request
    reply = "Once upon a time"
    faults = [{ name = "Drop", after_events = 3 }]

    [[turns]]                       # the second one
    faults = [{ name = "Status", code = 503 }]

A fault has the name and the fields that it has in `polyglot_simulator`. Unknown keys and values are errors.
"""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import polyglot_simulator
from polyglot_core import ConfigError, Usage
from polyglot_simulator import Fault, Pace, Reply, ToolCall

__all__ = ["Script", "read_script"]

_FAULTS: Mapping[str, type[Fault]] = {
    name: kind
    for name in polyglot_simulator.__all__
    if isinstance(kind := getattr(polyglot_simulator, name), type) and issubclass(kind, Fault) and kind is not Fault
}
_TOP = ("pace", "turns", "faults")
_TURN = ("reply", "reasoning", "refusal", "finish_reason", "tool_calls", "usage", "faults")


class Script(NamedTuple):
    """The content of a script.

    Attributes:
        replies: The replies, in turn; the last one is repeated.
        faults: The faults of each request, in turn.
        always: Faults of every request.
        pace: Speed of the replies; None is without any wait.
    """

    replies: tuple[str | Reply, ...] = ()
    faults: tuple[tuple[Fault, ...], ...] = ()
    always: tuple[Fault, ...] = ()
    pace: Pace | None = None

    def with_pace(self, pace: Pace) -> Script:
        """Return the script with another pace."""
        return self._replace(pace=pace)


def read_script(path: str) -> Script:
    """Read a script.

    Raises:
        ConfigError: It cannot be read, or has an unknown key or value; the message names the position.
    """
    try:
        table = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _error(f"The script {path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise _error(f"{path} is not TOML: {error}.") from error
    return _script(table, path)


def _script(table: Mapping[str, Any], path: str) -> Script:
    _check_keys(table, _TOP, path)
    turns = _tables(table.get("turns", []), f"{path}: turns")
    places = [f"{path}, turn {number}" for number in range(1, len(turns) + 1)]
    faults = tuple(_turn_faults(turn, place) for turn, place in zip(turns, places, strict=True))
    replies = [_reply(turn, place) for turn, place in zip(turns, places, strict=True)]
    for reply, faulty, place in zip(replies, faults, places, strict=True):
        _check_is_sent(reply, faulty, place)
    always = _faults(table.get("faults", []), f"{path}: faults")
    if always and any(faults):
        raise _error(f"{path} has faults for every request and faults in turns; move the former into the turns.")
    pace = _pace(table["pace"], f"{path}: pace") if "pace" in table else None
    return Script(tuple(reply for reply in replies if reply is not None), faults if any(faults) else (), always, pace)


def _reply(turn: Mapping[str, Any], place: str) -> Reply | None:
    """Return the reply of a turn, or None if it has none."""
    _check_keys(turn, _TURN, place)
    content = {name: value for name, value in turn.items() if name != "faults"}
    if not content:
        return None
    content["text"] = content.pop("reply", "")
    if "tool_calls" in content:
        calls = _tables(content["tool_calls"], f"{place}: tool_calls")
        content["tool_calls"] = [_made(ToolCall, call, f"{place}: tool_calls") for call in calls]
    if "usage" in content:
        content["usage"] = _made(Usage, _table(content["usage"], f"{place}: usage"), f"{place}: usage")
    return _made(Reply, content, place, checked=("text", "reasoning", "refusal", "finish_reason"))


def _turn_faults(turn: Mapping[str, Any], place: str) -> tuple[Fault, ...]:
    faults = _faults(turn.get("faults", []), f"{place}: faults")
    if any(fault.times is not None for fault in faults):
        raise _error(f"{place}: a fault of a turn affects one request; repeat the turn instead of using `times`.")
    return faults


def _check_is_sent(reply: Reply | None, faults: Sequence[Fault], place: str) -> None:
    """Raise unless a turn has either a reply or a fault that replaces it; an unsent reply would shift all others."""
    replaced = [type(fault).__name__ for fault in faults if fault.replaces_reply]
    if replaced and reply is not None:
        raise _error(f"{place}: {replaced[0]} sends a response instead of the reply; remove one of them.")
    if not replaced and reply is None:
        raise _error(f"{place} has no response; add a reply, or a fault that replaces it, such as Status.")


def _faults(rows: object, place: str) -> tuple[Fault, ...]:
    return tuple(_fault(row, place) for row in _tables(rows, place))


def _fault(row: Mapping[str, Any], place: str) -> Fault:
    fields = dict(row)
    name = fields.pop("name", None)
    if name not in _FAULTS:
        near = _nearest(str(name), tuple(_FAULTS))
        raise _error(f"{place}: there is no fault {name!r}{near}. There are {', '.join(_FAULTS)}.")
    return _made(_FAULTS[name], fields, f"{place}: {name}")


def _pace(value: object, place: str) -> Pace:
    fields = value if isinstance(value, dict) else {"tokens_per_second": value}
    return _made(Pace, fields, place)


# From a table to an object of the simulator


class _Struct(Protocol):
    """The structs of the simulator."""

    __struct_fields__: ClassVar[tuple[str, ...]]


_Made = TypeVar("_Made", bound=_Struct)


def _made(kind: type[_Made], table: Mapping[str, Any], place: str, checked: Sequence[str] | None = None) -> _Made:
    """Return an object of `kind` with the table's values as its fields.

    Args:
        kind: A struct of the simulator.
        table: Values by field.
        place: Position of the table, for errors.
        checked: Fields whose values are still as read; by default all.
    """
    hints = typing.get_type_hints(kind)
    _check_keys(table, kind.__struct_fields__, place)
    values = {
        name: _converted(value, hints[name], f"{place}: {name}") if checked is None or name in checked else value
        for name, value in table.items()
    }
    try:
        return kind(**values)
    except TypeError as error:  # a field without a default is missing
        raise _error(f"{place}: {error}.") from error
    except ConfigError as error:
        raise _error(f"{place}: {error.message}") from error


def _converted(value: object, hint: object, place: str) -> object:
    """Return the value converted to the type of the field."""
    accepted = _accepted(hint)
    if type(value) in accepted:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and float in accepted:
        return float(value)
    if isinstance(value, str) and bytes in accepted:
        return value.encode()
    names = " or ".join(sorted({_WORDS[kind] for kind in accepted if kind in _WORDS}))
    raise _error(f"{place} is {names}, not {value!r}.")


_WORDS = {
    str: "a text",
    bytes: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
}


def _accepted(hint: object) -> set[type]:
    """Return the types of value that an annotation allows."""
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        return set().union(*map(_accepted, typing.get_args(hint)))
    plain = typing.get_origin(hint) or hint
    return {dict if plain is Mapping else plain} if isinstance(plain, type) else set()


def _tables(value: object, place: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise _error(f"{place} is a list of tables, not {value!r}.")
    return [_table(entry, place) for entry in value]


def _table(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _error(f"{place}: {value!r} is not a table.")
    return value


def _check_keys(table: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    for key in table:
        if key not in known:
            raise _error(f"{place}: unknown key {key!r}{_nearest(key, known)}. Known are {', '.join(known)}.")


def _nearest(word: str, known: Sequence[str]) -> str:
    matches = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def _error(message: str) -> ConfigError:
    return ConfigError(message, phase="configure")
