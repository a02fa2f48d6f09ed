"""Generate a section for each type that drivers and their tests use: its meaning, and a table of its fields."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import msgspec
from draw_reference import draw_fields, in_markdown, meanings

from polyglot_core import plugin, testing
from polyglot_simulator import dialect
from polyglot_testkit import Decoded, DriverHarness, Listed, Recording, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GROUPS", "draw_types"]

GROUPS: dict[str, tuple[type, ...]] = {
    "request": (
        plugin.InferenceRequest,
        plugin.EmbeddingRequest,
        plugin.Message,
        plugin.Tool,
        plugin.RawTool,
        plugin.JSONSchema,
    ),
    "parts": (
        *(plugin.Text, plugin.Image, plugin.Audio, plugin.Document, plugin.Reasoning, plugin.Refusal),
        *(plugin.ToolCall, plugin.ToolResult, plugin.RawPart),
    ),
    "wire": (plugin.WireRequest, plugin.WireResponse, plugin.Chunk, plugin.Follow),
    "results": (plugin.Usage, plugin.Model, plugin.Embeddings),
    "tests": (Recording, Report, DriverHarness, Decoded, testing.Replay, Listed),
    "simulator": (dialect.Access, dialect.Turn, dialect.Problem, dialect.Send, dialect.Reply, dialect.ToolCall),
    "packages": (plugin.AdmissionRequest, plugin.HTTPRequest),
}
"""The types of each section of the page, in order."""


def draw_types(group: str) -> str:
    """Return the sections of a group of types.

    Raises:
        KeyError: A docstring does not describe a field.
    """
    return "\n\n".join(part for kind in GROUPS[group] for part in _section(kind))


def _section(kind: type) -> Iterator[str]:
    yield f"### `{kind.__name__}`"
    text = (inspect.getdoc(kind) or "").partition("\n\nAttributes:")[0].partition("\n\nArgs:")[0]
    yield "\n\n".join(map(in_markdown, text.split("\n\n")))
    yield draw_fields(kind) if issubclass(kind, msgspec.Struct) else _table(kind)


def _table(kind: type) -> str:
    """Return a table of the arguments with which a value of another class is created."""
    described = meanings(kind)
    arguments = list(inspect.signature(kind).parameters.values())
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for each in arguments:
        shown = str(each.annotation).replace("|", "\\|")
        default = "required" if each.default is each.empty else f"`{each.default!r}`"
        name = f"**{each.name}" if each.kind is each.VAR_KEYWORD else each.name
        rows.append(f"| `{name}` | `{shown}` | {'' if name != each.name else default} | {described[each.name]} |")
    return "\n".join(rows)
