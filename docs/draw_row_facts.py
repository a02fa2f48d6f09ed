"""Generate tables of the facts that each driver reads: name, type, default and meaning."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from draw_reference import in_markdown, meanings, shown_default

import polyglot_anthropic.facts
import polyglot_bedrock.region
import polyglot_google.vertex
import polyglot_openai.chat.facts
import polyglot_openai.responses.facts

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["SOURCES", "Source", "draw_row_facts", "explained"]


class Source(NamedTuple):
    """Where the facts of some drivers are declared, and where they are explained.

    Attributes:
        kind: The struct that the driver reads, or None if it reads the facts one by one.
        presets: Module whose last docstring explains the facts; None if the docstring of the struct does.
    """

    kind: type[msgspec.Struct] | None
    presets: str | None


SOURCES = {
    "anthropic": Source(polyglot_anthropic.facts.Facts, None),
    "bedrock": Source(polyglot_bedrock.region.Facts, "polyglot_bedrock.presets"),
    "ollama": Source(None, "polyglot_ollama.presets"),
    "openai": Source(polyglot_openai.chat.facts.Facts, "polyglot_openai.chat.presets"),
    "openai-responses": Source(polyglot_openai.responses.facts.Facts, "polyglot_openai.responses.presets"),
    "vertex": Source(polyglot_google.vertex._Facts, "polyglot_google.presets"),  # noqa: SLF001 (its only declaration)
}
"""The facts by driver. Those of ``azure-openai`` are those of ``openai``; other drivers have none."""


def draw_row_facts(driver: str) -> str:
    """Return the table of the facts of a driver.

    Raises:
        KeyError: A fact is not explained, or there is no such driver.
    """
    kind, presets = SOURCES[driver]
    described = explained(importlib.import_module(presets)) if presets else meanings(kind or msgspec.Struct)
    if kind is None:
        return "\n".join(
            ["| fact | meaning |", "|---|---|", *(f"| `{name}` | {text} |" for name, text in described.items())]
        )
    types = inspect.get_annotations(kind)
    rows = ["| fact | type | default | meaning |", "|---|---|---|---|"]
    for field in msgspec.structs.fields(kind):
        shown = str(types[field.name]).replace("|", "\\|")
        rows.append(f"| `{field.name}` | `{shown}` | {shown_default(field)} | {described[field.name]} |")
    return "\n".join(rows)


_FACT = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


_DEFAULT = re.compile(r"(?:;|(?<=\.)) (?:none|nothing|true|false|`[^`]*`(?:, `[^`]*`)*)\.$", re.IGNORECASE)
"""The default at the end of a meaning, which has a field of its own in the table."""


def explained(module: ModuleType) -> dict[str, str]:
    """Return the facts that the text below the rows of a module explains, with their meanings."""
    *_, last = ast.parse(inspect.getsource(module)).body
    text = ast.literal_eval(last.value) if isinstance(last, ast.Expr) else ""
    return {name: _meaning(in_markdown(meaning)) for name, meaning in _FACT.findall(text)}


def _meaning(text: str) -> str:
    return f"{_DEFAULT.sub('', text).rstrip('.')}.".replace("|", "\\|")
