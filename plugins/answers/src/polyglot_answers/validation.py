"""Converts plain JSON into the value of a type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Unpack, get_args, get_origin, get_type_hints

import msgspec

from polyglot_answers.schemas import is_model
from polyglot_core.errors import ErrorFacts, ResponseFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Return the type of the elements of the list at a path within a type; `Any` where it is not known."""
    for name in path:
        try:
            kind = get_type_hints(kind).get(name, Any)
        except Exception:  # noqa: BLE001 (whatever a foreign annotation raises: its elements stay plain JSON)
            return Any
    return get_args(kind)[0] if get_origin(kind) in {list, tuple} and get_args(kind) else Any
