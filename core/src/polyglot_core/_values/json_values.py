"""Values as JSON: what JSON cannot hold is reported by its place, instead of being written as something else."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, TypeVar

import msgspec

from polyglot_core.errors import RequestError

__all__ = ["encode_json", "is_plain", "json_problem", "plain_text", "restored", "text_problem"]

_KindT = TypeVar("_KindT", bound=msgspec.Struct)

_DEEPEST = 100  # levels; a value that contains itself has no end


def encode_json(value: object, where: str) -> bytes:
    """Return a value as JSON. Numbers of other libraries are written as numbers, mappings of other kinds as objects.

    Args:
        value: The value.
        where: Its place, for messages.

    Raises:
        RequestError: The value, or something in it, cannot be written as JSON.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, NotImplementedError, RecursionError) as error:
        problem = json_problem(value, where) or f"{where} cannot be written as JSON: {error}"
        raise RequestError(f"{problem}.", phase="encode") from error


def restored(fields: Mapping[str, Any], kind: type[_KindT]) -> _KindT:
    """Return the value of a class from the dict of its `to_dict`.

    Raises:
        RequestError: The dict is not one of `to_dict`.
    """
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise RequestError(f"A dict of {kind.__name__}.to_dict is invalid: {error}.", phase="encode") from error


def plain_text(text: str) -> str:
    """Return a text as a `str`: for a text of another class, such as a member of an enum, its characters."""
    return text if type(text) is str else str.__str__(text)


def _plain(value: object) -> object:
    if isinstance(value, str):  # of another class, such as the text that a template makes
        return plain_text(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"{type(value).__name__} is no JSON value"
    raise NotImplementedError(msg)


_encode = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number").encode


def json_problem(value: object, where: str, depth: int = 0) -> str | None:
    """Return a clause on the first thing in a value that JSON cannot hold; None if there is none.

    Args:
        value: The value.
        where: Its place, with which the clause begins, such as ``extra``.
        depth: Number of values that it is in.
    """
    if is_plain(value):
        return None
    if isinstance(value, str):
        return text_problem(value, where)
    if depth > _DEEPEST:
        return f"{where} is more than {_DEEPEST} levels deep, or contains itself"
    for kinds, check in _CHECKS:
        if isinstance(value, kinds):
            return check(value, where, depth)
    return _leaf_problem(value, where)


_PLAIN = frozenset({int, bool, type(None)})


def is_plain(value: object) -> bool:
    """Return True for a value of one of the types without problems, or ASCII text; the quick way for most values."""
    kind = type(value)
    return kind in _PLAIN or (kind is str and value.isascii())  # type: ignore[attr-defined]  # a str


def text_problem(text: str, where: str) -> str | None:
    """Return a clause on the first lone surrogate in a text, which UTF-8 cannot encode; None if there is none."""
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return (
            f"{where} has a lone surrogate, {text[error.start]!r}, at index {error.start}, which cannot be sent as "
            "UTF-8; replace it, as in text.encode('utf-8', 'replace').decode()"
        )
    return None


def _number_problem(value: Any, where: str, _depth: int) -> str | None:  # noqa: ANN401 (a real number)
    try:
        finite = math.isfinite(value)
    except (OverflowError, ValueError):  # a fraction that is too large for a float, or a signaling NaN
        finite = False
    return None if finite else f"{where} is {value!r:.60}, which is no number in JSON"


def _mapping_problem(value: Mapping[Any, object], where: str, depth: int) -> str | None:
    for name, item in value.items():
        if not isinstance(name, (str, int)) or isinstance(name, bool):
            return f"{where} has a name of type {type(name).__name__}; the names in a JSON object are text"
        if is_plain(name) and is_plain(item):
            continue
        place = f"{where}[{name!r}]"
        if problem := json_problem(name, f"a name in {where}", depth) or json_problem(item, place, depth + 1):
            return problem
    return None


def _list_problem(value: list[object], where: str, depth: int) -> str | None:
    others = ((index, item) for index, item in enumerate(value) if not is_plain(item))
    items = (json_problem(item, f"{where}[{index}]", depth + 1) for index, item in others)
    return next(filter(None, items), None)


def _struct_problem(value: msgspec.Struct, where: str, depth: int) -> str | None:
    return _fields_problem(value, value.__struct_fields__, where, depth)


def _fields_problem(value: object, names: tuple[str, ...], where: str, depth: int) -> str | None:
    fields = ((name, getattr(value, name)) for name in names)
    found = (json_problem(item, f"{where}.{name}", depth + 1) for name, item in fields)
    return next(filter(None, found), None)


def _bytes_problem(value: object, where: str, _depth: int) -> str:
    return f"{where} is {type(value).__name__}, which JSON does not have; encode it as text, in base64 for example"


def _leaf_problem(value: Any, where: str) -> str | None:  # noqa: ANN401 (of any type)
    """Return a clause unless msgspec writes a value as one JSON value, as it does a date or a member of an enum."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields_problem(value, tuple(field.name for field in dataclasses.fields(value)), where, 0)
    try:
        if not isinstance(value, (set, frozenset, type)):  # a set has no order, and JSON no sets
            msgspec.json.encode(value)
            return None
    except (TypeError, ValueError):
        pass
    return f"{where} is of type {type(value).__name__}, which is no JSON value"


_CHECKS: tuple[tuple[type | tuple[type, ...], Callable[[Any, str, int], str | None]], ...] = (
    (dict, _mapping_problem),
    ((list, tuple), _list_problem),
    (Mapping, _mapping_problem),
    (msgspec.Struct, _struct_problem),
    ((Real, Decimal), _number_problem),
    ((bytes, bytearray, memoryview), _bytes_problem),
)
"""Check of each kind of value, besides texts and whole numbers."""
