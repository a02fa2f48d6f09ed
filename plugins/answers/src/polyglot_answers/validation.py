"""Converts plain JSON into the value of a type."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, Unpack, get_args, get_origin, get_type_hints

import msgspec

from polyglot_answers.schemas import is_model
from polyglot_core.errors import ResponseFormatError

if TYPE_CHECKING:
    from polyglot_core.errors import ErrorFacts

__all__ = ["element_type", "validated"]

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<place>.*)`)?$", re.DOTALL)


def validated(
    value: Any,
    kind: Any,
    text: str,
    *,
    place: str = "$",
    **facts: Unpack[ErrorFacts],
) -> Any:
    """Return a JSON value as a value of a type.

    Args:
        value: The JSON value.
        kind: The type; `Any` for the value as it is.
        text: The text that it was read from, for the error.
        place: Place of the value in the JSON, for the error.
        facts: Facts for the error.

    Raises:
        ResponseFormatError: The value does not fit.
    """
    try:
        return _converted(value, kind, place)
    except _Misfit as misfit:
        msg = f"The response is JSON that does not fit: {misfit.what}, at {misfit.place}."
        raise ResponseFormatError(msg, text, path=misfit.place, cause="type", **facts) from misfit.__cause__


class _Misfit(Exception):
    def __init__(self, what: str, place: str) -> None:
        super().__init__(what)
        self.what = what.rstrip(".")
        self.place = place


def _converted(value: Any, kind: Any, place: str) -> Any:
    if kind is Any:
        return value
    if is_model(kind):
        return _as_model(value, kind, place)
    if get_origin(kind) is list and is_model(get_args(kind)[0]) and isinstance(value, list):
        return [_as_model(each, get_args(kind)[0], f"{place}[{index}]") for index, each in enumerate(value)]
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        match = _PLACE.match(str(error))
        inner = (match and match["place"]) or "$"
        raise _Misfit(match["what"] if match else str(error), place + inner.removeprefix("$")) from error


def _as_model(value: Any, kind: Any, place: str) -> Any:
    try:
        return kind.model_validate(value)
    except ValueError as error:
        problems: list[Any] = getattr(error, "errors", list)()
        if not problems:
            raise _Misfit(str(error), place) from error
        inner = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problems[0]["loc"])
        raise _Misfit(str(problems[0]["msg"]), place + inner) from error


def element_type(kind: Any, path: Sequence[str]) -> Any:
    """Return the type of the elements of the list at a path within a type; `Any` where it is not known.

    Raises:
        LookupError: The type has no such member, or it is no list.
    """
    for name in path:
        if (kind := _member_type(_without_none(kind), name)) is Any:
            return Any
    kind = _without_none(kind)
    if kind is Any:
        return Any
    if get_origin(kind) not in _LISTS or not get_args(kind):
        raise LookupError(f"{kind!r:.60} is no list of elements of one type")
    return get_args(kind)[0]


_LISTS = frozenset({list, tuple, set, frozenset, Sequence, Collection, Iterable})


def _without_none(kind: Any) -> Any:
    """Return a type without ``None`` and without annotations of it."""
    if get_origin(kind) is Annotated:
        return _without_none(get_args(kind)[0])
    if get_origin(kind) in {Union, UnionType}:
        others = [each for each in get_args(kind) if each is not type(None)]
        return _without_none(others[0]) if len(others) == 1 else Any
    return kind


def _member_type(kind: Any, name: str) -> Any:
    """Return the type of a member, by its name in the JSON; `Any` where the type does not state it.

    Raises:
        LookupError: The type has no such member.
    """
    members: dict[str, Any] = {}
    if kind is Any or is_model(kind):  # whose names may be aliases
        return Any
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        members = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    elif isinstance(kind, type):
        with contextlib.suppress(Exception):  # whatever a foreign annotation raises
            members = get_type_hints(kind)
    if not members:
        return Any
    if name not in members:
        raise LookupError(f"{kind.__name__} has no member {name!r}; its members are {', '.join(members)}")
    return members[name]
