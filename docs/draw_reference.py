"""Generate tables of configuration fields, of events, and of the core's layers, from the code and its docstrings."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

from polyglot_core._values.events import Event

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

__all__ = ["draw_events", "draw_fields", "draw_layers", "in_markdown", "meanings", "shown_default"]

_PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def draw_fields(kind: type[msgspec.Struct], besides: Container[str] = ()) -> str:
    """Return a table of a struct's fields: name, type, default, and description from the docstring.

    Args:
        kind: The struct.
        besides: Names of fields to omit.

    Raises:
        KeyError: The docstring does not describe a field.
    """
    described = meanings(kind)
    types = {name: value for each in reversed(kind.__mro__) for name, value in inspect.get_annotations(each).items()}
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for field in msgspec.structs.fields(kind):
        if field.name in besides:
            continue
        shown = str(types[field.name]).replace("|", "\\|")
        rows.append(f"| `{field.name}` | `{shown}` | {shown_default(field)} | {described[field.name]} |")
    return "\n".join(rows)


def meanings(kind: type) -> dict[str, str]:
    """Return the descriptions of a class's fields, from its docstring; the first of each name."""
    found: dict[str, str] = {}
    for name, meaning in _attributes(inspect.getdoc(kind) or ""):
        found.setdefault(name, meaning)
    return found


_OF_CONTENT = frozenset({"choice", "block"})
"""Fields that many events share, with the same meaning."""


def draw_events() -> str:
    """Return a section for each event: its signature, its meaning, and a table of its fields."""
    return "\n\n".join(part for kind in get_args(Event) for part in _event(kind))


def _event(kind: type[msgspec.Struct]) -> Iterator[str]:
    fields = msgspec.structs.fields(kind)
    made = ", ".join(field.name if field.required else f"{field.name}={field.default!r}" for field in fields)
    yield f"#### `{kind.__name__}({made})`"
    yield in_markdown((inspect.getdoc(kind) or "").partition("\n\nAttributes:")[0])
    if {field.name for field in fields} - _OF_CONTENT:
        yield draw_fields(kind, _OF_CONTENT)


def in_markdown(text: str) -> str:
    """Return the text of a docstring on one line, with the backquotes of Markdown."""
    return " ".join(text.split()).replace("``", "`")


def shown_default(field: msgspec.structs.FieldInfo) -> str:
    """Return the default of a field as code, or ``required``."""
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{field.default_factory()!r}`"
    if isinstance(field.default, msgspec.Struct):
        usual = type(field.default)()
        changed = {name: getattr(field.default, name) for name in usual.__struct_fields__}
        changed = {name: value for name, value in changed.items() if value != getattr(usual, name)}
        return f"`{type(usual).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})`"
    return f"`{field.default!r}`"


def _attributes(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield name and description of each attribute and argument in a docstring of Google's style."""
    for section in re.finditer(r"^(?:Attributes|Args):\n((?:    .*\n?|\n)+)", docstring, re.MULTILINE):
        for entry in re.split(r"\n(?=\S)", inspect.cleandoc(section[1])):
            name, _, meaning = entry.partition(":")
            yield name, in_markdown(meaning).replace("|", "\\|")


def draw_layers() -> str:
    """Return the layers of the core from the top, as listed in the import rules."""
    contracts = tomllib.loads(_PROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["id"] == "layers")
    return "\n".join(["```", *layers, "```"])
