"""The text of a docstring, and what it states about each argument, in the styles of Google, NumPy and Sphinx."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Docstring", "read_docstring"]

_ARGUMENTS = frozenset({
    "args", "arguments", "parameters", "params", "other parameters", "keyword args", "keyword arguments",
})  # fmt: skip
_OTHERS = frozenset({
    "attributes", "example", "examples", "note", "notes", "raise", "raises", "references", "return", "returns",
    "see also", "todo", "warning", "warnings", "warns", "yield", "yields",
})  # fmt: skip
_FIELDS = frozenset({"param", "parameter", "arg", "argument", "key", "keyword"})
_OTHER_FIELDS = frozenset({
    "type", "return", "returns", "rtype", "raise", "raises", "except", "exception", "yield", "yields", "meta", "var",
    "ivar", "cvar", "vartype",
})  # fmt: skip

_HEADING = re.compile(r"([A-Za-z ]+?)(:?)\s*")
_RULE = re.compile(r"-{3,}\s*")
_FIELD = re.compile(r"[:@](\w+)(?:\s+([^:]*))?:\s*(.*)")
_ENTRY = re.compile(r"(\s+)\*{0,2}(\w+)\s*(?:\((?:[^()]|\([^()]*\))*\))?\s*:\s*(.*)")
_NAMES = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")


class Docstring(NamedTuple):
    """What a docstring states.

    Attributes:
        text: The text outside of its sections.
        arguments: The description of each argument.
    """

    text: str
    arguments: dict[str, str]


class _Section(NamedTuple):
    """A part of a docstring.

    Attributes:
        kind: ``text``, ``entries`` (Google), ``names`` (NumPy), ``field`` (Sphinx), or ``other``.
        lines: Its lines.
        name: Name of the argument of a field.
    """

    kind: str
    lines: list[str]
    name: str = ""


def read_docstring(doc: str) -> Docstring:
    """Return the text of a docstring and the descriptions of arguments.

    Args:
        doc: A docstring whose indentation is removed, as `inspect.getdoc` returns it.
    """
    arguments: dict[str, list[str]] = {}
    sections = list(_sections(doc.splitlines()))
    for section in sections:
        for name, line in _READERS.get(section.kind, _no_arguments)(section):
            arguments.setdefault(name, []).append(line.strip())
    text = "\n".join(line for section in sections if section.kind == "text" for line in section.lines)
    return Docstring(text.strip(), {name: " ".join(filter(None, lines)) for name, lines in arguments.items()})


def _sections(lines: list[str]) -> Iterator[_Section]:
    section, rule = _Section("text", []), False
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        if rule:  # the dashes below a heading
            rule = False
        elif (begun := _begun(line, following)) is not None:
            yield section
            section, rule = begun, bool(_RULE.fullmatch(following))
        elif section.kind in {"entries", "other"} and line[:1].strip():  # not indented: the section has ended
            yield section
            section = _Section("text", ["", line])
        else:
            section.lines.append(line)
    yield section


def _begun(line: str, following: str) -> _Section | None:
    """Return the section that begins with a line; None if none does."""
    if (field := _FIELD.fullmatch(line)) is not None and field[1] in _FIELDS | _OTHER_FIELDS:
        name = (field[2] or "").split()[-1:]  # a type may precede it
        is_argument = field[1] in _FIELDS and name
        return _Section("field", [field[3]], name[0].lstrip("*")) if is_argument else _Section("hidden", [field[3]])
    heading = _HEADING.fullmatch(line)
    if heading is None:
        return None
    title, ruled = heading[1].lower(), bool(_RULE.fullmatch(following))
    if not (ruled or heading[2]) or title not in _ARGUMENTS | _OTHERS:
        return None
    if title in _ARGUMENTS:
        return _Section("names" if ruled else "entries", [])
    return _Section("hidden" if ruled else "other", [])


def _no_arguments(_: _Section) -> Iterable[tuple[str, str]]:
    return ()


def _entries(section: _Section) -> Iterator[tuple[str, str]]:
    """Yield the lines of Google's section: its names precede a colon, and have one indentation."""
    indent, name = "", ""
    for line in section.lines:
        entry = _ENTRY.fullmatch(line)
        if entry is not None and entry[1] == (indent or entry[1]):
            indent, name = entry[1], entry[2]
            yield name, entry[3]
        elif name:
            yield name, line


def _names(section: _Section) -> Iterator[tuple[str, str]]:
    """Yield the lines of NumPy's section: names on lines without indentation, which others follow."""
    names: list[str] = []
    for line in section.lines:
        if line[:1].strip():
            heading = _NAMES.fullmatch(line)
            names = [name.strip().lstrip("*") for name in heading[1].split(",")] if heading else []
        else:
            yield from ((name, line) for name in names)


def _field(section: _Section) -> Iterator[tuple[str, str]]:
    yield from ((section.name, line) for line in section.lines)


_READERS = {"entries": _entries, "names": _names, "field": _field}
"""Function that yields the name of an argument with each line about it, by the kind of section."""
