"""Tables of the configuration's fields, and of the core's layers, from the code and its docstrings."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["draw_fields", "draw_layers"]

_PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def draw_fields(kind: type[msgspec.Struct]) -> str:
    """A table of a struct's fields: name, type, default, and what its docstring says of it.

    Raises:
        KeyError: The docstring does not say anything of a field.
    """
    meanings = dict(_attributes(inspect.getdoc(kind) or ""))
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for field in msgspec.structs.fields(kind):
        shown = str(kind.__annotations__[field.name]).replace("|", "\\|")
        rows.append(f"| `{field.name}` | `{shown}` | {_default(field)} | {meanings[field.name]} |")
    return "\n".join(rows)


def _default(field: msgspec.structs.FieldInfo) -> str:
    """The default as one would write it; nothing where the field has to be given."""
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{field.default_factory()!r}`"
    if isinstance(field.default, msgspec.Struct):
        return f"`{type(field.default).__name__}()`"
    return f"`{field.default!r}`"


def _attributes(docstring: str) -> Iterator[tuple[str, str]]:
    """Name and description of each attribute, as Google's style has them, with backquotes as Markdown has them."""
    section = re.search(r"^Attributes:\n((?:    .*\n?|\n)+)", docstring, re.MULTILINE)
    text = inspect.cleandoc(section[1]) if section else ""
    for entry in re.split(r"\n(?=\S)", text):
        name, _, meaning = entry.partition(":")
        yield name, " ".join(meaning.split()).replace("``", "`").replace("|", "\\|")


def draw_layers() -> str:
    """The core's layers from the top, as the import rules have them."""
    contracts = tomllib.loads(_PROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["id"] == "layers")
    return "\n".join(["```", *layers, "```"])
