"""Measures the structure and the language of the project, of the work tree or of commits, beside each other.

From the checkout's folder::

    python -m tests.architecture.measure
    python -m tests.architecture.measure --ref OLD --ref HEAD

Imports are those at run time, unless "also for types" stands there; a level is a module on the longest path of imports. Lengths of functions count their
docstrings. Attributes of a class are those that its methods set on ``self`` and its annotated fields, without those
that it inherits. Shares of lines are of the lines that are not blank.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import sys
from typing import TYPE_CHECKING

from .importing import graph_of, levels, loops, parts
from .passages import KINDS, comment_lines, docstring_lines, passages, python_files, tree_of
from .sizes import code_lines
from .words import FAMILIES, FUNCTION_KINDS, per_thousand, verb_share, word_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["attributes", "class_attributes", "figures", "function_lengths", "share_of_lines", "side_by_side"]

CORE = ("core/src/**/*.py",)
PLUGINS = ("plugins/*/src/**/*.py",)
LARGEST = 10

Figures = dict[str, str]
"""What was measured, by its name, in the order of the table."""


def main() -> None:
    """Read the arguments, measure, and print."""
    arguments = _arguments()
    columns = {}
    for ref in arguments.ref or [None]:
        with tree_of(ref) as root:
            columns[ref or "work tree"] = figures(root)
    print(side_by_side(columns))


def figures(root: Path) -> Figures:
    """Measure a folder that is laid out as the checkout is."""
    core, plugins = python_files(root, CORE), python_files(root, PLUGINS)
    return {
        **_structure(root / "core" / "src", core),
        **_functions("core", core),
        **_functions("plugins", plugins),
        **_largest_classes(core),
        **_lines("core", core),
        **_lines("plugins", plugins),
        **_language(root),
    }


def _structure(sources: Path, files: Sequence[Path]) -> Figures:
    graph = graph_of(sources, "polyglot_core")
    between = parts(graph)
    typed = graph_of(sources, "polyglot_core", for_types=True)
    found = loops(graph)
    return {
        "core: files": str(len(files)),
        "core: subpackages": str(sum(file.name == "__init__.py" for file in files) - 1),
        "core: lines of code": str(sum(map(code_lines, files))),
        "core: arrows between modules": str(sum(map(len, graph.values()))),
        "core: arrows between modules, also for types": str(sum(map(len, typed.values()))),
        "core: parts (modules and subpackages at the top)": str(len(between)),
        "core: arrows between parts": str(sum(map(len, between.values()))),
        "core: arrows between parts, also for types": str(sum(map(len, parts(typed).values()))),
        "core: levels of modules": str(levels(graph)),
        "core: levels of parts": str(levels(between)),
        "core: loops of modules": _listed(found),
        "core: loops of parts": _listed(loops(between)),
    }


def _listed(found: Sequence[Sequence[str]]) -> str:
    names = "; ".join(" ".join(name.removeprefix("polyglot_core.") for name in loop) for loop in found)
    return f"{len(found)} ({names})" if found else "0"


def _functions(name: str, files: Iterable[Path]) -> Figures:
    lengths = [length for file in files for length in function_lengths(ast.parse(file.read_bytes()))]
    tenths = statistics.quantiles(lengths, n=10, method="inclusive") if len(lengths) > 1 else [0.0] * 9
    return {
        f"{name}: functions": str(len(lengths)),
        f"{name}: length of functions, median": f"{tenths[4]:g}",
        f"{name}: length of functions, 90 % at most": f"{tenths[8]:g}",
        f"{name}: length of functions, longest": str(max(lengths, default=0)),
    }


def function_lengths(tree: ast.Module) -> list[int]:
    """Return the lines of each function of a module, without its decorators."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in nodes]


def _largest_classes(files: Iterable[Path]) -> Figures:
    found = [
        (len(held), name) for file in files for name, held in class_attributes(ast.parse(file.read_bytes())).items()
    ]
    largest = sorted(found, key=lambda pair: (-pair[0], pair[1]))[:LARGEST]
    ranked = {
        f"core: attributes, class {rank}": f"{count} {name}" for rank, (count, name) in enumerate(largest, start=1)
    }
    return {**ranked, f"core: attributes, {LARGEST} largest classes": str(sum(count for count, _ in largest))}


def class_attributes(tree: ast.Module) -> dict[str, set[str]]:
    """Return the attributes of each class of a module, by the name of the class."""
    return {node.name: attributes(node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def attributes(node: ast.ClassDef) -> set[str]:
    """Return what the methods of a class set on ``self``, and its annotated fields but class variables."""
    fields = {
        statement.target.id
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and "ClassVar" not in ast.unparse(statement.annotation)
    }
    methods = (each for each in node.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return fields | {each.attr for method in methods for each in ast.walk(method) if _is_set_on_self(each)}


def _is_set_on_self(node: ast.AST) -> bool:
    stored = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    return stored and isinstance(node.value, ast.Name) and node.value.id == "self"


def _lines(name: str, files: Sequence[Path]) -> Figures:
    comments, docstrings = share_of_lines([file.read_text("utf-8") for file in files])
    return {f"{name}: lines with a comment": f"{comments:.1%}", f"{name}: lines of docstrings": f"{docstrings:.1%}"}


def share_of_lines(texts: Iterable[str]) -> tuple[float, float]:
    """Return the shares of lines with a comment and of lines of docstrings, in those that are not blank."""
    lines = comments = docstrings = 0
    for text in texts:
        filled = {number for number, line in enumerate(text.splitlines(), start=1) if line.strip()}
        lines += len(filled)
        comments += len(comment_lines(text))
        docstrings += len(docstring_lines(ast.parse(text)) & filled)
    return (comments / lines, docstrings / lines) if lines else (0.0, 0.0)


def _language(root: Path) -> Figures:
    found = passages(root)
    measured: Figures = {}
    for kind in KINDS:
        of = [passage for passage in found if passage.kind == kind]
        measured[f"{kind}: words"] = str(word_count(of))
        measured |= {f"{kind}: {family} in 1,000 words": f"{per_thousand(of, family):.2f}" for family in FAMILIES}
    for kind in KINDS:
        functions = [passage for passage in found if passage.kind == kind and passage.of == "function"]
        if kind in FUNCTION_KINDS:
            measured[f"{kind}: of functions"] = str(len(functions))
            measured[f"{kind}: of functions, open with a verb"] = f"{verb_share(functions):.0%}"
    return measured


def side_by_side(columns: Mapping[str, Figures]) -> str:
    """Return a table with a line for each figure and a column for each commit."""
    names = list(dict.fromkeys(name for measured in columns.values() for name in measured))
    rows = [("", *columns), *((name, *(measured.get(name, "-") for measured in columns.values())) for name in names)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.architecture.measure", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--ref", action="append", metavar="COMMIT", help="a commit instead of the work tree; twice for two columns"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
