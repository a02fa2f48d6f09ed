"""Reads the data of one response while it is received."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Unpack

from polyglot_answers.json_reader import NOTHING, JSONFault, JSONReader
from polyglot_answers.validation import validated
from polyglot_core.errors import ErrorFacts, ResponseFormatError

if TYPE_CHECKING:
    from polyglot_answers.schemas import TypeSchema

__all__ = ["TypeReader", "no_json"]

_START = re.compile(r"(?:(?:^|\n)[ \t\r]*|```\w*\s*)(?=[{\[])")
_LONGEST_START = 64  # characters that are kept to find a start that arrives in pieces


class TypeReader:
    """Reads one JSON value in pieces.

    Args:
        schema: The schema of the value.
        kind: The type of the elements of the list.
        path: Names of the members that lead to the list; empty for the value itself.
        searches: True if the value may stand among other words. It then begins at an object or a list that begins a
            line or a fenced block.
    """

    def __init__(self, schema: TypeSchema, kind: Any, path: tuple[str, ...], *, searches: bool) -> None:
        self._schema = schema
        self._kind = kind
        self._place = ".".join(("$", *path))
        self._path = path if schema.wrapped is None else (schema.wrapped, *path)
        self._reader = JSONReader(self._path, or_bare=schema.wrapped is not None and not path)
        self._fault: JSONFault | None = None
        self._searches = searches
        self._start: str | None = "" if searches else None  # the end of what was read, until the value begins
        self._read = 0  # elements

    @property
    def value(self) -> Any:
        """Return the value received so far, which grows in place; None before its first character."""
        value, name = self._reader.value, self._schema.wrapped
        if name is not None and isinstance(value, dict):
            return value.get(name)
        return None if value is NOTHING else value

    def feed(self, text: str) -> None:
        """Read the next characters. What is no JSON ends the reading, and what follows the value is ignored."""
        if self._start is not None:
            text = self._after_start(text)
        if self._fault is not None or (self._searches and self._reader.complete):
            return
        try:
            self._reader.feed(text)
        except JSONFault as fault:
            if not (self._searches and self._reader.complete):
                self._fault = fault

    def elements(self) -> list[Any]:
        """Return the elements of the list that have been completed since the last call, as validated values.

        Raises:
            ResponseFormatError: An element does not fit the type.
        """
        new = self._reader.closed[self._read :]
        self._read += len(new)
        first = self._read - len(new)
        return [self._element(value, first + index) for index, value in enumerate(new)]

    def close(self) -> None:
        """End the text.

        Raises:
            ResponseFormatError: It is no JSON, or has no list at the path.
        """
        if self._fault is None:
            try:
                self._reader.close()
            except JSONFault as fault:
                self._fault = fault
        if self._fault is not None:
            raise no_json(self._fault, "")
        value = self._reader.value
        if isinstance(value, dict):
            for name in self._path:
                value = value.get(name) if isinstance(value, dict) else None
        if not isinstance(value, list):
            msg = f"The response is JSON, and has no list at {self._place}."
            raise ResponseFormatError(msg, path=self._place, cause="type")

    def _element(self, value: Any, index: int) -> Any:
        value = self._schema.element_without_absent(value, self._path)
        return validated(value, self._kind, "", place=f"{self._place}[{index}]")

    def _after_start(self, text: str) -> str:
        """Return the text from the beginning of the value on; empty if it has not begun."""
        before = self._start or ""
        text = before + text
        match = _START.search(text)
        if match is None:
            tail = text[-_LONGEST_START:]
            self._start = tail if len(tail) == len(text) and not before.startswith("\0") else f"\0{tail}"
            return ""
        self._start = None
        return text[match.end() :]


def no_json(fault: JSONFault, text: str, **facts: Unpack[ErrorFacts]) -> ResponseFormatError:
    """Return the error for a text that is no JSON."""
    excerpt = f" {text[max(0, fault.position - 20) : fault.position + 20]!r}" if text else ""
    msg = f"The response is no JSON: {fault.reason}, at character {fault.position}{excerpt}."
    return ResponseFormatError(msg, text, position=fault.position, cause="json", **facts)
