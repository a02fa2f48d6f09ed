"""The graph of imports of a package: who imports whom at run time, in how many levels, and where in a loop."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Graph", "graph_of", "levels", "loops", "parts"]

Graph = Mapping[str, AbstractSet[str]]
"""What each module imports."""


def graph_of(sources: Path, package: str, *, for_types: bool = False) -> dict[str, set[str]]:
    """Return the imports between the modules of a package; those for type checkers alone only on request."""
    files = {_name(file, sources): file for file in sorted((sources / package).rglob("*.py"))}
    nodes = ast.walk if for_types else _at_run_time
    return {name: _imports(file, name, files, nodes) - {name} for name, file in files.items()}


def _name(file: Path, sources: Path) -> str:
    parts = file.relative_to(sources).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(
    file: Path, name: str, files: Mapping[str, Path], nodes: Callable[[ast.AST], Iterator[ast.AST]]
) -> set[str]:
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in nodes(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in files}
        elif isinstance(node, ast.ImportFrom):
            found |= set(_imported_from(node, package, files))
    return found


def _imported_from(node: ast.ImportFrom, package: str, files: Mapping[str, Path]) -> Iterator[str]:
    """Yield the modules of an import: a name is a module of its own or stands in the one before it."""
    base = package.split(".")
    outer = ".".join(base[: len(base) - node.level + 1]) if node.level else ""
    module = ".".join(filter(None, (outer, node.module)))
    for alias in node.names:
        within = f"{module}.{alias.name}"
        yield from (each for each in [within if within in files else module] if each in files)


def _at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below, without what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        yield child
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from (other, *_at_run_time(other))
        else:
            yield from _at_run_time(child)


def parts(graph: Graph) -> dict[str, set[str]]:
    """Return the imports between the parts directly below the package, modules and subpackages."""
    found: dict[str, set[str]] = {}
    for module, imported in graph.items():
        part = _part(module)
        found.setdefault(part, set()).update({_part(each) for each in imported} - {part})
    return found


def _part(module: str) -> str:
    return ".".join(module.split(".")[:2])


def loops(graph: Graph) -> list[list[str]]:
    """Return the modules that reach each other, a list for each loop."""
    reached = {module: _reached(graph, module) for module in graph}
    found = {frozenset(other for other in reached[module] if module in reached[other]) for module in graph}
    return sorted(sorted(loop) for loop in found if loop)


def _reached(graph: Graph, module: str) -> set[str]:
    found: set[str] = set()
    waiting: list[str] = [*graph[module]]
    while waiting:
        if (each := waiting.pop()) not in found:
            found.add(each)
            waiting += graph[each]
    return found


def levels(graph: Graph) -> int:
    """Return how many modules the longest path of imports has; a loop counts as one."""
    loop_of = {module: "/".join(loop) for loop in loops(graph) for module in loop}
    condensed: dict[str, set[str]] = {}
    for module, imported in graph.items():
        node = loop_of.get(module, module)
        condensed.setdefault(node, set()).update({loop_of.get(each, each) for each in imported} - {node})
    return max(_depths(condensed).values(), default=0)


def _depths(graph: Graph) -> dict[str, int]:
    """Return the length of the longest path from each node of a graph without loops."""
    depths: dict[str, int] = {}

    def depth(node: str) -> int:
        if node not in depths:
            depths[node] = 1 + max(map(depth, graph[node]), default=0)
        return depths[node]

    return {node: depth(node) for node in graph}
