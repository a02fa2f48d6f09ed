"""How much code a driver is: ``python -m tests.architecture.sizes`` prints the table.

A driver is the module that its entry point names, and every module of its own package that this one needs. Rows of
presets are data and do not count; neither do docstrings, comments and blank lines, nor the modules in `APART`, which
know nothing of a provider's API.
"""

from __future__ import annotations

import ast
import io
import tokenize
import tomllib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from .passages import CHECKOUT, docstring_lines

APART = frozenset({"eventstream", "framing", "json_pieces", "text_offsets"})
"""Modules that cut bytes into chunks, write JSON text or count in UTF-8: formats of their own, tested by themselves."""

_LAYOUT = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)


class Size(NamedTuple):
    """A driver, and how much code it is.

    Attributes:
        driver: Its name.
        modules: Lines of code, by the names of its modules within its package.
        presets: How many presets use it.
    """

    driver: str
    modules: dict[str, int]
    presets: int

    @property
    def lines(self) -> int:
        """Lines of code in all."""
        return sum(self.modules.values())


def sizes() -> list[Size]:
    """The drivers of all plugins, by name."""
    projects = sorted(CHECKOUT.glob("plugins/*/pyproject.toml"))
    return sorted(size for project in projects for size in _sizes_in(project))


def drivers() -> list[str]:
    """The names of the drivers of all plugins. No module is read."""
    projects = sorted(CHECKOUT.glob("plugins/*/pyproject.toml"))
    return sorted(name for project in projects for name in _entry_points(project).get("polyglot.drivers", {}))


def _entry_points(project: Path) -> dict[str, dict[str, str]]:
    groups: dict[str, dict[str, str]] = tomllib.loads(project.read_text("utf-8"))["project"].get("entry-points", {})
    return groups


def _sizes_in(project: Path) -> list[Size]:
    groups = _entry_points(project)
    sources = project.parent / "src"
    data = set(groups.get("polyglot.presets", {}).values())
    users = [driver for module in data for driver in _drivers_of_rows(_file(sources, module))]
    return [
        Size(name, {part.partition(".")[2]: code_lines(_file(sources, part)) for part in parts}, users.count(name))
        for name, module in groups.get("polyglot.drivers", {}).items()
        for parts in [sorted(_needed(sources, module, set()) - data - _apart(module))]
    ]


def _apart(module: str) -> set[str]:
    return {f"{module.partition('.')[0]}.{name}" for name in APART}


def _file(sources: Path, module: str) -> Path:
    path = sources.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _needed(sources: Path, module: str, known: set[str]) -> set[str]:
    """The module, and all modules of its package that it imports, or that these import, also for types alone."""
    known.add(module)
    package = module.partition(".")[0]
    for node in ast.walk(ast.parse(_file(sources, module).read_bytes())):
        named = node.module if isinstance(node, ast.ImportFrom) else None
        if named and named.partition(".")[0] == package and named not in known:
            _needed(sources, named, known)
    return known


def _drivers_of_rows(file: Path) -> list[str]:
    """The driver of each row of a module of presets."""
    keywords = (node for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.keyword))
    return [node.value.value for node in keywords if node.arg == "driver" and isinstance(node.value, ast.Constant)]


def code_lines(file: Path) -> int:
    """Lines that hold code."""
    text = file.read_text("utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {line for token in tokens if token.type not in _LAYOUT for line in range(token.start[0], token.end[0] + 1)}
    return len(lines - docstring_lines(ast.parse(text)))


def core_sizes() -> dict[str, int]:
    """Return the lines of code of each subpackage of core, the largest first, and of its public modules together."""
    root, found = CHECKOUT / "core/src/polyglot_core", Counter[str]()
    for file in root.rglob("*.py"):
        parts = file.relative_to(root).parts
        found[parts[0] if len(parts) > 1 else "public modules"] += code_lines(file)
    return dict(found.most_common())


def main() -> None:
    """Print the tables."""
    core = core_sizes()
    print("\n".join(f"{name:<18}{lines:>6}" for name, lines in [*core.items(), ("core", sum(core.values()))]) + "\n")
    print(f"{'driver':<18}{'lines':>6}{'presets':>9}  modules")
    for size in sizes():
        modules = ", ".join(f"{module} {lines}" for module, lines in size.modules.items())
        print(f"{size.driver:<18}{size.lines:>6}{size.presets:>9}  {modules}")


if __name__ == "__main__":
    main()
