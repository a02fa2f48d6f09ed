"""A JSON object as text, decoded when it is read: most usage reports of a stream are replaced before that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["JSONText"]

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class JSONText(Mapping[str, Any]):
    """A mapping of the members of a JSON object, decoded at the first access.

    Args:
        text: The object as JSON.

    Raises:
        msgspec.DecodeError: At the first access: the text is not a JSON object.
    """

    __slots__ = ("_members", "_text")

    def __init__(self, text: bytes) -> None:
        self._text = text

    def _read(self) -> dict[str, Any]:
        try:
            return self._members
        except AttributeError:  # not set by `__init__`: most objects are not read, and some streams make one per chunk
            self._members: dict[str, Any] = _decode(self._text)
            return self._members

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 (any JSON value)
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())
