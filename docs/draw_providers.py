"""Tables of the drivers and presets of the checkout, and of the options that they translate."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from polyglot_core.options import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_core.connection import Preset

__all__ = ["draw_drivers", "draw_options", "draw_presets"]

_PLUGINS = Path(__file__).resolve().parents[1] / "plugins"


def draw_drivers() -> str:
    """A table of the drivers: name, what the module says of itself, and the package."""
    rows = ["| driver | what it speaks | package |", "|---|---|---|"]
    for driver, (module, plugin) in sorted(_entries("polyglot.drivers")):
        source = (plugin / "src" / Path(*module.split("."))).with_suffix(".py")
        first, *_ = (ast.get_docstring(ast.parse(source.read_bytes())) or "").splitlines()
        sentence = first.rstrip(".").removeprefix(f"The driver ``{driver}``: ").replace("``", "`")
        link = f"[polyglot-{plugin.name}](../plugins/{plugin.name}/README.md)"
        rows.append(f"| `{driver}` | {sentence} | {link} |")
    return "\n".join(rows)


def draw_presets() -> str:
    """A table of the presets: name, driver, variable of the key, model and address."""
    rows = ["| preset | driver | key variable | model | address |", "|---|---|---|---|---|"]
    for name, (module, plugin) in sorted(_entries("polyglot.presets")):
        preset = _preset(module, name, plugin)
        address = preset.base_url or "yours"
        rows.append(
            f"| `{name}` | `{preset.driver}` | {_code(preset.api_key_env)} | {_code(preset.model)} | {address} |"
        )
    return "\n".join(rows)


def draw_options() -> str:
    """A table of the options: name and meaning."""
    rows = ["| option | meaning |", "|---|---|"]
    return "\n".join([*rows, *(f"| `{name}` | {meaning} |" for name, meaning in NAMES.items())])


def _entries(group: str) -> Iterator[tuple[str, tuple[str, Path]]]:
    """Name, module and folder of each entry point of the checkout's packages, installed or not."""
    for project in sorted(_PLUGINS.glob("*/pyproject.toml")):
        points = tomllib.loads(project.read_text("utf-8"))["project"].get("entry-points", {})
        yield from ((name, (module, project.parent)) for name, module in points.get(group, {}).items())


def _preset(module: str, name: str, plugin: Path) -> Preset:
    """A row of a module of presets."""
    source = str(plugin / "src")
    if source not in sys.path:
        sys.path.insert(0, source)  # what the checkout says counts, not a copy that is installed
    preset: Preset = import_module(module).PRESETS[name]
    return preset


def _code(text: str | None) -> str:
    return f"`{text}`" if text else "\N{EN DASH}"
