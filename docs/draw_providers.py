"""Generate tables of the drivers and presets of the checkout, and of the options that drivers translate."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from polyglot_core._values.options import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from polyglot_core._values.connection import Preset

__all__ = ["draw_drivers", "draw_options", "draw_presets", "drivers", "page_of", "presets"]

_PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
_PAGES = {"openai": "compatible"}
"""Page of a driver's other endpoints, if it is not the driver's own."""


def draw_drivers() -> str:
    """Return a table of the drivers: name, first sentence of the module's docstring, and package."""
    rows = ["| driver | dialect | package |", "|---|---|---|"]
    for driver, (module, plugin) in sorted(_entries("polyglot.drivers")):
        source = (plugin / "src" / Path(*module.split("."))).with_suffix(".py")
        first, *_ = (ast.get_docstring(ast.parse(source.read_bytes())) or "").splitlines()
        sentence = first.rstrip(".").removeprefix(f"The driver ``{driver}``: ").replace("``", "`")
        link = f"[polyglot-{plugin.name}](../plugins/{plugin.name}/README.md)"
        rows.append(f"| [`{driver}`](providers/{driver}.md) | {sentence} | {link} |")
    return "\n".join(rows)


def draw_presets() -> str:
    """Return a table of the presets: name, driver, variable of the key, model and base URL."""
    rows = ["| preset | driver | key variable | model | base URL |", "|---|---|---|---|---|"]
    for name, preset in presets().items():
        cells = _code(preset.driver), _code(preset.api_key_env), _code(preset.model), preset.base_url or "per account"
        rows.append(f"| [`{name}`](providers/{page_of(name, preset)}) | {' | '.join(cells)} |")
    return "\n".join(rows)


def draw_options() -> str:
    """Return a table of the options: name and meaning."""
    rows = ["| option | meaning |", "|---|---|"]
    return "\n".join([*rows, *(f"| `{name}` | {meaning} |" for name, meaning in NAMES.items())])


def _entries(group: str) -> Iterator[tuple[str, tuple[str, Path]]]:
    """Yield name, module and directory of each entry point of the checkout's packages, installed or not."""
    for project in sorted(_PLUGINS.glob("*/pyproject.toml")):
        points = tomllib.loads(project.read_text("utf-8"))["project"].get("entry-points", {})
        yield from ((name, (module, project.parent)) for name, module in points.get(group, {}).items())


def presets() -> dict[str, Preset]:
    """Return all presets, by name."""
    return {name: _imported(*found).PRESETS[name] for name, found in sorted(_entries("polyglot.presets"))}


def drivers() -> dict[str, ModuleType]:
    """Return the modules of all drivers, by name."""
    return {name: _imported(*found) for name, found in sorted(_entries("polyglot.drivers"))}


def _imported(module: str, plugin: Path) -> ModuleType:
    """Import a module from the checkout, not from an installed copy."""
    source = str(plugin / "src")
    if source not in sys.path:
        sys.path.insert(0, source)
    return import_module(module)


def page_of(name: str, preset: Preset) -> str:
    """Return page and anchor of a preset: a driver's own endpoint has a page, the others have sections."""
    if name == preset.driver:
        return f"{name}.md"
    return f"{_PAGES.get(preset.driver, preset.driver)}.md#{name}"


def _code(text: str | None) -> str:
    return f"`{text}`" if text else "\N{EN DASH}"
