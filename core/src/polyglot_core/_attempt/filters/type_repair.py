"""Repairs JSON whose values have other types than the dialect specifies: an index as text, a reason in a list.

The exception of msgspec names the field, the type that was expected and the one that was received. The value is
converted if that loses nothing, else left out with a note.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from polyglot_core._values.unreadable import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Retyped", "retyped"]

_PROBLEM = re.compile(r"Expected `(?P<types>[^`]+)`, got `\w+` - at `\$(?P<path>[^`]*)`")
_OTHER_PROBLEM = re.compile(r"- at `\$(?P<path>[^`]*)`")
_STEP = re.compile(r"\.(?P<field>[^.\[\]]+)|\[(?:\d+|\.\.\.)\]")
_SHOWN = 200  # characters of a value that was left out
_ANY = None
_KINDS: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "str": str,
    "bool": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}
_TEXT_FIELDS = ("text", "content", "value", "type", "reason", "name")
_LEFT_OUT = object()


class Retyped(NamedTuple):
    """Repaired JSON.

    Attributes:
        data: The JSON text.
        note: What was done, as a sentence.
    """

    data: bytes
    note: str


def retyped(data: bytes, error: Exception) -> Retyped | None:
    """Return the JSON text without the wrong values that `error` names; None if it names none.

    All elements of a list are repaired at once, so that the number of repairs is that of the fields.
    """
    problem = _PROBLEM.search(str(error)) or _OTHER_PROBLEM.search(str(error))
    if not isinstance(error, msgspec.ValidationError) or problem is None or not problem["path"]:
        return None
    if (payload := parse(data, _LEFT_OUT)) is _LEFT_OUT:
        return None
    steps = [match["field"] for match in _STEP.finditer(problem["path"])]
    types = problem.groupdict().get("types", "").split(" | ")
    name = problem["path"].lstrip(".")
    # a driver may decode an object within the chunk by itself, and then the path begins there
    inner = payload.values() if isinstance(payload, dict) else ()
    for root in (payload, *(value for value in inner if isinstance(value, dict))):
        if changed := [_set(place, types) for place in _places(root, steps)]:
            lost = [what for what in changed if what]
            if not any(what is not None for what in changed):
                continue
            note = f"The field {name} has a wrong type; it was {f'left out: {lost[0]}' if lost else 'converted'}."
            return Retyped(msgspec.json.encode(payload), note)
    return None


class _Place(NamedTuple):
    """A value in an object or a list.

    Attributes:
        holder: The object or list.
        key: Key or index of the value.
    """

    holder: Any
    key: Any


def _places(root: object, steps: list[str | None]) -> Iterator[_Place]:
    """Yield where the path leads; a step of None leads to every element of a list or object. The last come first."""
    places = [_Place([root], 0)]
    for step in steps:
        values = [place.holder[place.key] for place in places]
        places = [_Place(value, key) for value in values for key in _keys(value, step)]
    yield from reversed(places)  # an element that is left out must not move those that follow


def _keys(value: object, step: str | None) -> list[Any]:
    if isinstance(value, dict):
        return list(value) if step is None else [step] if step in value else []
    return list(range(len(value))) if isinstance(value, list) and step is None else []


def _set(place: _Place, types: list[str]) -> str | None:
    """Repair one value. Return None if it is right, an empty text if it was converted, and the value if left out."""
    value = place.holder[place.key]
    if any(_is(value, kind) for kind in types):
        return None
    for kind in types:
        if (found := _converted(value, kind)) is not _LEFT_OUT:
            place.holder[place.key] = found
            return ""
    del place.holder[place.key]
    return msgspec.json.encode(value)[:_SHOWN].decode("utf-8", "replace")


def _is(value: object, kind: str) -> bool:
    wanted = _KINDS.get(kind)
    return wanted is not None and isinstance(value, wanted) and (kind == "bool" or not isinstance(value, bool))


def _converted(value: object, kind: str) -> object:
    """Return the value as another type of JSON; `_LEFT_OUT` if it cannot be converted without a loss."""
    if value in (None, "", [], {}):
        return _LEFT_OUT if kind != "null" else None
    convert = _CONVERSIONS.get(kind)
    return _LEFT_OUT if convert is None else convert(value)


def _number(value: object) -> object:
    if isinstance(value, (str, float)):
        try:
            number = float(value)
        except ValueError:
            return _LEFT_OUT
        return int(number) if number.is_integer() else _LEFT_OUT
    return _single(value, _number)


def _real(value: object) -> object:
    try:
        return float(value) if isinstance(value, str) else _single(value, _real)
    except ValueError:
        return _LEFT_OUT


def _text(value: object) -> object:
    """Return the text of a number, of an object with a text, or of a list of texts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = [_text(each) for each in value]
        return _LEFT_OUT if any(part is _LEFT_OUT for part in parts) else "".join(map(str, parts))
    if isinstance(value, dict):
        return next((found for name in _TEXT_FIELDS if isinstance(found := value.get(name), str)), _LEFT_OUT)
    if isinstance(value, bool):
        return _LEFT_OUT
    return msgspec.json.encode(value).decode()


def _list(value: object) -> object:
    found = parse(value, value) if isinstance(value, str) else value
    return found if isinstance(found, list) else [found] if isinstance(found, dict) else _LEFT_OUT


def _object(value: object) -> object:
    found = parse(value, value) if isinstance(value, str) else value
    return found if isinstance(found, dict) else _single(found, _object)


def _single(value: object, convert: Callable[[object], object]) -> object:
    """Return the only element of a list, converted."""
    if isinstance(value, list) and len(value) == 1:
        return value[0] if isinstance(value[0], (int, dict)) else convert(value[0])
    return _LEFT_OUT


def _truth(value: object) -> object:
    plain = value.strip().lower() if isinstance(value, str) else value
    known: dict[str | int, bool] = {"true": True, "1": True, 1: True, "false": False, "0": False, 0: False}
    return known.get(plain, _LEFT_OUT) if isinstance(plain, (str, int)) else _LEFT_OUT


_CONVERSIONS: dict[str, Callable[[object], object]] = {
    "bool": _truth,
    "int": _number,
    "float": _real,
    "str": _text,
    "object": _object,
    "array": _list,
}
