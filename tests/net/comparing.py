"""Compares two files of records: what differs in facts, and what in texts alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from .records import Key, Record
from .values import without

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Comparison", "Difference", "Renames", "compare_records"]

_CLASS_FIELDS = frozenset({"class", "cause", "error", "events"})
"""Fields whose values are names of classes."""

_ABSENT = "(absent)"


class Renames:
    """Names that have changed.

    ``old=new`` renames a field, or a class where its name is recorded; ``field:old=new`` renames a value of one field.

    Args:
        specs: The renames in this form; empty ones and those that begin with ``#`` are skipped.

    Raises:
        ValueError: A rename is not in this form.
    """

    def __init__(self, specs: Iterable[str] = ()) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, dict[str, str]] = defaultdict(dict)
        for spec in filter(_is_rename, specs):
            old, separator, new = spec.strip().partition("=")
            if not separator:
                raise ValueError(f"{spec!r} is neither old=new nor field:old=new")
            field, colon, value = old.partition(":")
            (self._values[field] if colon else self._names)[value if colon else old] = new

    def apply(self, value: Any, field: str = "") -> Any:
        """Return plain data with the new names."""
        if isinstance(value, dict):
            return {self._names.get(name, name): self.apply(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [self.apply(each, field) for each in value]
        if not isinstance(value, str):
            return value
        named = self._names.get(value, value) if field in _CLASS_FIELDS else value
        return self._values.get(field, {}).get(value, named)


def _is_rename(spec: str) -> bool:
    return bool(spec.strip()) and not spec.lstrip().startswith("#")


class Difference(NamedTuple):
    """A fact that differs.

    Attributes:
        key: What the record is of.
        field: Path to the fact within the record.
        old: Its old value.
        new: Its new value.
    """

    key: Key
    field: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}\n    {self.field}: {_short(self.old)} -> {_short(self.new)}"


def _short(value: Any, width: int = 160) -> str:
    text = repr(value)
    return text if len(text) <= width else f"{text[:width]}..."


class Comparison:
    """What differs between two lists of records.

    Attributes:
        equal: How many records are equal.
        facts: Facts that differ.
        texts: Records that differ in texts alone, with the texts that have changed.
        renamed: Records whose name is another one, compared with the one in the same position.
        missing: Old records without a new one.
        added: New records without an old one.
    """

    def __init__(self) -> None:
        self.equal = 0
        self.facts: list[Difference] = []
        self.texts: dict[Key, list[tuple[str, str]]] = {}
        self.renamed: list[tuple[Key, Key]] = []
        self.missing: list[Key] = []
        self.added: list[Key] = []

    @property
    def same(self) -> bool:
        """True if nothing differs but texts and names."""
        return not (self.facts or self.missing or self.added)

    def report(self, listed: int, texts: int) -> str:
        """Return what differs: at most `listed` facts, and the `texts` most frequent changes of texts."""
        differing = len({difference.key for difference in self.facts})
        counts = {
            "equal": self.equal,
            "texts only": len(self.texts),
            "facts differ": differing,
            "missing": len(self.missing),
            "added": len(self.added),
            "under another name": len(self.renamed),
        }
        lines = [
            ", ".join(f"{name} {count}" for name, count in counts.items()),
            *_section("facts", map(str, self.facts), listed),
            *_section("missing", map(str, self.missing), listed),
            *_section("added", map(str, self.added), listed),
            *_section("under another name", (f"{old} -> {new.name}" for old, new in self.renamed), texts),
            *_section("texts only", _frequent(self.texts.values()), texts),
        ]
        return "\n".join(lines)


def _section(title: str, entries: Iterable[str], listed: int) -> list[str]:
    found = list(entries)
    if not found or not listed:
        return []
    more = [f"and {len(found) - listed} more"] if len(found) > listed else []
    return ["", f"{title}:", *found[:listed], *more]


def _frequent(changes: Iterable[list[tuple[str, str]]]) -> Iterator[str]:
    counts = Counter(change for changed in changes for change in changed)
    for (old, new), count in counts.most_common():
        yield f"{count} x  {_short(old, 400)}\n    ->  {_short(new, 400)}"


def compare_records(
    old: Sequence[Record], new: Sequence[Record], renames: Renames | None = None, ignored: Iterable[str] = ()
) -> Comparison:
    """Compare old records, with their names renamed, with new ones; `ignored` fields are left out of both."""
    found = Comparison()
    names, left_out = renames or Renames(), frozenset(ignored)
    for before, after in _paired(old, new, found):
        facts = list(_facts(without(names.apply(before.facts), left_out), without(after.facts, left_out)))
        if facts:
            found.facts += [Difference(after.key, *fact) for fact in facts]
        elif before.texts != after.texts:
            found.texts[after.key] = list(_changed_texts(before.texts, after.texts))
        else:
            found.equal += 1
    return found


def _paired(old: Sequence[Record], new: Sequence[Record], found: Comparison) -> Iterator[tuple[Record, Record]]:
    """Pair records by key; those of one group that are left on both sides, in equal number, by their order."""
    by_key = {record.key: record for record in new}
    left_old, left_new = defaultdict(list), defaultdict(list)
    for record in old:
        if record.key in by_key:
            yield record, by_key.pop(record.key)
        else:
            left_old[_group(record)].append(record)
    for record in by_key.values():
        left_new[_group(record)].append(record)
    for group in left_old | left_new:
        if len(left_old[group]) == len(left_new[group]):
            pairs = list(zip(_in_order(left_old[group]), _in_order(left_new[group]), strict=True))
            found.renamed += [(before.key, after.key) for before, after in pairs]
            yield from pairs
        else:
            found.missing += [record.key for record in left_old[group]]
            found.added += [record.key for record in left_new[group]]


def _group(record: Record) -> tuple[str, str, str]:
    return record.key.kind, record.key.group, record.key.style


def _in_order(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.position)


def _facts(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the paths at which plain data differs, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _facts(old.get(name, _ABSENT), new.get(name, _ABSENT), f"{path}.{name}" if path else name)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for position, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _facts(before, after, f"{path}[{position}]")
    elif type(old) is not type(new) or (old != new and repr(old) != repr(new)):  # NaN differs from itself
        yield path, old, new


def _changed_texts(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(old) != len(new):
        yield "\n".join(old), "\n".join(new)
        return
    yield from ((before, after) for before, after in zip(old, new, strict=True) if before != after)
