"""Records: one JSON line each, sorted, so that two runs over the same code give files that are equal byte by byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Key", "Record", "read_records", "write_records"]


class Key(NamedTuple):
    """What a record is of.

    Attributes:
        kind: ``exchange``, ``row``, ``dialect``, ``case`` or ``attack``.
        group: Dialect of an exchange, number of a row, name of a driver; empty for a script.
        name: Path of an exchange, part of a row, file of a script.
        style: ``sync``, ``async``, or empty.
    """

    kind: str
    group: str
    name: str
    style: str = ""

    def __str__(self) -> str:
        return ", ".join(part for part in self if part)


class Record(NamedTuple):
    """The public result of one thing.

    Attributes:
        key: What it is of.
        facts: What must stay the same.
        texts: Texts for people, which may be written anew.
        position: Its number among those of its kind, by which a record is found again under another name.
    """

    key: Key
    facts: dict[str, Any]
    texts: list[str]
    position: int = 0

    @property
    def line(self) -> str:
        """The record as JSON, without a line end."""
        fields = {**self.key._asdict(), **self._asdict()}
        del fields["key"]
        return json.dumps(fields, sort_keys=True, ensure_ascii=True)


def write_records(records: Iterable[Record], path: Path) -> int:
    """Write records to a file, sorted by key; returns how many there are."""
    lines = [record.line for record in sorted(records, key=lambda record: record.key)]
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return len(lines)


def read_records(path: Path) -> list[Record]:
    """Read the records of a file."""
    with path.open(encoding="utf-8") as lines:
        return [_read(json.loads(line)) for line in lines]


def _read(fields: dict[str, Any]) -> Record:
    return Record(Key(*(fields[name] for name in Key._fields)), *(fields[name] for name in Record._fields[1:]))
