"""Writing of the JSON text of an object that is received value by value, each with its path.

Some dialects send no text for the arguments of a tool call. They send each value with its JSON path
(``$.items[0].name``), in the order in which the model writes them, and a long text as several values of one path. The
output is the text that the model wrote, as far as it was received.
"""

from __future__ import annotations

import re

import msgspec

__all__ = ["JSONPieces"]

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\[(["'])((?:\\.|(?!\3)[^\\])*)\3\]""", re.DOTALL)

Step = str | int
"""A name in an object, or an index in an array."""


class JSONPieces:
    """Writes one object; each method returns the next characters of its JSON text."""

    __slots__ = ("_in_text", "_path", "_written")

    def __init__(self) -> None:
        self._path: list[Step] = []  # of the last value; every object and array along it is open
        self._in_text = False  # the last value is a text that will be continued
        self._written: set[tuple[Step, ...]] = set()  # paths of the objects and arrays so far

    def add(self, path: str, value: str | float | bool | None, *, continues: bool = False) -> str:  # noqa: FBT001 (any value)
        """Return the text of a value that is no object and no array, or of a piece of a string.

        Args:
            path: JSON path of the value.
            value: The value.
            continues: True if it is a string that will be continued.

        Raises:
            DecodeError: The path is invalid, or leads back into an object or array that was closed.
        """
        steps = _steps(path)
        goes_on = self._in_text and steps == self._path and isinstance(value, str)
        before = "" if goes_on else self._go_to(steps)
        if not isinstance(value, str):
            return before + _json(value)
        self._in_text = continues
        return before + ("" if goes_on else '"') + _json(value)[1:-1] + ("" if continues else '"')

    def close(self) -> str:
        """Close all that is still open. Return an empty text for an object without values."""
        rest = self._close_text() + "".join(map(_closing, reversed(self._path)))
        self._path = []
        return rest

    def _close_text(self) -> str:
        was_open, self._in_text = self._in_text, False
        return '"' if was_open else ""

    def _go_to(self, steps: list[Step]) -> str:
        """Return the text between the end of the last value and the start of the next."""
        shared = 0
        while shared < min(len(steps), len(self._path)) - 1 and steps[shared] == self._path[shared]:
            shared += 1
        left = self._close_text() + "".join(map(_closing, reversed(self._path[shared + 1 :])))
        if self._path:
            left += "," + _key(steps[shared], after=self._path[shared])
            shared += 1
        opened = (self._open(steps, depth) for depth in range(shared, len(steps)))
        self._path, text = steps, left + "".join(opened)
        return text

    def _open(self, steps: list[Step], depth: int) -> str:
        """Open an object or array, and return it with the key of its first value."""
        inside = tuple(steps[:depth])
        if inside in self._written:
            raise msgspec.DecodeError(f"the values return to {list(inside)}, which has been closed")
        self._written.add(inside)
        return ("{" if isinstance(steps[depth], str) else "[") + _key(steps[depth], after=-1)


def _steps(path: str) -> list[Step]:
    matches = list(_STEP.finditer(path))
    if not matches or "$" + "".join(match[0] for match in matches) != path:
        raise msgspec.DecodeError(f"{path!r} is no path to a value")
    return [
        int(index) if index else name or re.sub(r"\\(.)", r"\1", quoted)
        for name, index, _, quoted in map(re.Match.groups, matches)
    ]


def _key(step: Step, *, after: Step) -> str:
    """Return the key before a value, or only the comma in an array, whose indexes are consecutive."""
    if isinstance(step, str) and (isinstance(after, str) or after == -1):
        return f"{_json(step)}:"
    if isinstance(step, int) and isinstance(after, int) and step == after + 1:
        return ""
    raise msgspec.DecodeError(f"a value at {step!r} cannot follow {after!r}")


def _closing(step: Step) -> str:
    return "}" if isinstance(step, str) else "]"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
