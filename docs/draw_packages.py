"""Generate the command's list of names by package, so that it can name the package that is not installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

from draw_providers import presets

__all__ = ["FILE", "draw_packages"]

_PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
FILE = _PLUGINS / "cli" / "src" / "polyglot_cli" / "known_packages.toml"


def draw_packages() -> str:
    """Return TOML: for each package the names of its presets and drivers, with the variable of the key."""
    lines = ["# Written by `python docs/generate.py`: a name of a package, and the variable of its key."]
    variables = {name: preset.api_key_env or "" for name, preset in presets().items()}
    for project in sorted(_PLUGINS.glob("*/pyproject.toml")):
        facts = tomllib.loads(project.read_text("utf-8"))["project"]
        points = facts.get("entry-points", {})
        names = sorted({*points.get("polyglot.presets", {}), *points.get("polyglot.drivers", {})})
        if names:
            lines += ["", f"[{facts['name']}]", *(f'{name} = "{variables.get(name, "")}"' for name in names)]
    return "\n".join(lines) + "\n"
