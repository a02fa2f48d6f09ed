"""Generate the command's lists of names and subcommands, so that it can name the package that is not installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

from draw_providers import presets

__all__ = ["FILE", "draw_packages"]

_PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
FILE = _PLUGINS / "cli" / "src" / "polyglot_cli" / "known_packages.toml"


def draw_packages() -> str:
    """Return TOML: the package of each subcommand; for each package its presets and drivers, and variables of keys."""
    lines = ["# Written by `python docs/generate.py`: subcommands; a name of a package, and the variable of its key."]
    lines += ["", "[commands]"]
    variables = {name: preset.api_key_env or "" for name, preset in presets().items()}
    projects = [tomllib.loads(file.read_text("utf-8"))["project"] for file in sorted(_PLUGINS.glob("*/pyproject.toml"))]
    for facts in projects:
        commands = facts.get("entry-points", {}).get("polyglot.commands", {})
        lines += [f'{name} = "{facts["name"]}"' for name in sorted(commands)]
    for facts in projects:
        points = facts.get("entry-points", {})
        names = sorted({*points.get("polyglot.presets", {}), *points.get("polyglot.drivers", {})})
        if names:
            lines += ["", f"[{facts['name']}]", *(f'{name} = "{variables.get(name, "")}"' for name in names)]
    return "\n".join(lines) + "\n"
