"""Reads the prose of the project: comments, docstrings, error strings and docs, of the work tree or of a commit."""

from __future__ import annotations

import ast
import io
import re
import shutil
import subprocess
import tarfile
import tempfile
import tokenize
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

__all__ = [
    "CHECKOUT",
    "KINDS",
    "Passage",
    "comment_lines",
    "comment_text",
    "doc_passages",
    "docstring_lines",
    "is_docstring",
    "passages",
    "python_files",
    "python_passages",
    "tree_of",
]

_GIT = shutil.which("git") or "git"
CHECKOUT = Path(__file__).resolve().parents[2]

KINDS = ("comments", "docstrings", "error strings", "other strings", "docs", "docstrings of tests")
"""The kinds of prose, each counted apart.

Error strings stand in ``raise``, in the construction of an error, in a note, or in a variable such as ``msg``. Other
strings are those of `WORDS` words and more: hints that messages are made of, and help texts. Of tests only the
docstrings of functions are read.
"""

WORDS = 4

SOURCES = ("core/src/**/*.py", "plugins/*/src/**/*.py")
TESTS = ("core/tests/**/*.py", "plugins/*/tests/**/*.py", "tests/**/*.py")
DOCS = ("*.md", "docs/**/*.md", "core/*.md", "plugins/*/*.md")

_MESSAGES = frozenset({"msg", "message", "hint", "note"})
"""Names of variables whose strings are messages."""

_MESSAGE_CALLS = frozenset({"add_note", "explain", "warn"})
"""Functions whose strings are messages."""

_PRAGMA = re.compile(
    r"\s*(noqa\b(: *[A-Z]+[0-9]+(, *[A-Z]+[0-9]+)*)?|type: *ignore(\[[\w, -]*\])?|fmt: *\w+|pragma: *no \w+|"
    r"pyright: *\w+(\[[\w, -]*\])?)\s*"
)
_VALUE = re.compile(r"\{[^{}]*\}")
_SIGNS = re.compile(r"[\\^|<>]|\(\?|[\[\]{}]\W*$|^\W*[\[\]{}<]")
"""What marks a string as a pattern, as code or as a page, and not as prose."""

_QUOTED = re.compile(r"<!-- words: off -->.*?<!-- words: on -->", re.DOTALL)  # a page that lists the words to avoid
_FENCED = re.compile(r"^( *)(```|~~~).*?^\1\2[^\n]*$", re.MULTILINE | re.DOTALL)
_LINK_TARGET = re.compile(r"\]\([^)\n]*\)|<https?://[^>\n]*>|https?://\S+")

_OWNERS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Passage(NamedTuple):
    """A piece of prose.

    Attributes:
        kind: One of `KINDS`.
        path: File, from the checkout's folder on.
        line: Line in which it begins, from 1.
        owner: Qualified name of the class or function that it stands in; empty at the level of the module.
        ordinal: Its number among the passages of its kind and owner in the file, from 0.
        text: The text.
        of: For a docstring ``module``, ``class``, ``function`` or ``attribute``, else empty.
    """

    kind: str
    path: str
    line: int
    owner: str
    ordinal: int
    text: str
    of: str = ""

    @property
    def prose(self) -> str:
        """Return the text; of a string without the expressions of its values."""
        return _VALUE.sub("{}", self.text) if self.kind in {"error strings", "other strings"} else self.text


@contextmanager
def tree_of(ref: str | None) -> Iterator[Path]:
    """Yield the folder of the work tree, or a temporary one with the files of a commit.

    Raises:
        subprocess.CalledProcessError: Git does not know the commit.
    """
    if ref is None:
        yield CHECKOUT
        return
    packed = subprocess.run([_GIT, "archive", ref], cwd=CHECKOUT, stdout=subprocess.PIPE, check=True).stdout
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
        yield Path(folder)


def python_files(root: Path, patterns: Iterable[str] = SOURCES) -> list[Path]:
    """Return the files of these patterns, in order; those of virtual environments are left out."""
    found = {path for pattern in patterns for path in root.glob(pattern)}
    return sorted(path for path in found if not {".venv", ".tox"} & set(path.relative_to(root).parts))


def passages(root: Path) -> list[Passage]:
    """Read all prose under a folder that is laid out as the checkout is."""
    found: list[Passage] = []
    for file in python_files(root):
        found += python_passages(file.read_text("utf-8"), file.relative_to(root).as_posix())
    for file in python_files(root, TESTS):
        of_tests = python_passages(file.read_text("utf-8"), file.relative_to(root).as_posix(), docstrings_alone=True)
        found += (each._replace(kind="docstrings of tests") for each in of_tests if each.of == "function")
    for file in python_files(root, DOCS):
        found += doc_passages(file.read_text("utf-8"), file.relative_to(root).as_posix())
    return found


def doc_passages(text: str, path: str) -> list[Passage]:
    """Return the paragraphs of a page in Markdown, without code blocks, targets of links and what stands between marks."""
    for left_out in (_QUOTED, _FENCED):
        text = left_out.sub(lambda block: "\n" * block[0].count("\n"), text)
    bare = _LINK_TARGET.sub(" ", text)
    found, line = [], 1
    for paragraph in re.split(r"(\n\s*\n)", bare):
        if paragraph.strip():
            found.append(Passage("docs", path, line, "", len(found), paragraph))
        line += paragraph.count("\n")
    return found


def python_passages(text: str, path: str, *, docstrings_alone: bool = False) -> list[Passage]:
    """Return comments, docstrings and strings of a module, in this order, or its docstrings alone."""
    tree = ast.parse(text)
    owners = _owners(tree)
    found = [("docstrings", *docstring) for docstring in _docstrings(tree)]
    if not docstrings_alone:
        comments = [("comments", line, comment, "") for line, comment in _comments(text)]
        found = [*comments, *found, *((kind, line, string, "") for kind, line, string in _texts(tree))]
    counts: dict[tuple[str, str], int] = {}
    numbered = []
    for kind, line, prose, of in found:
        owner = owners.get(line, "")
        ordinal = counts.get((kind, owner), 0)
        counts[kind, owner] = ordinal + 1
        numbered.append(Passage(kind, path, line, owner, ordinal, prose, of))
    return numbered


def _owners(tree: ast.Module) -> dict[int, str]:
    """Return the innermost class or function of each line."""
    found: dict[int, str] = {}
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    for node, outer in waiting:  # grows while it is read: outer ones stand before inner ones, which overwrite them
        for child in ast.iter_child_nodes(node):
            name = outer
            if isinstance(child, _OWNERS):
                name = f"{outer}.{child.name}" if outer else child.name
                found |= dict.fromkeys(range(child.lineno, (child.end_lineno or child.lineno) + 1), name)
            waiting.append((child, name))
    return found


# Comments


def comment_text(token: str) -> str:
    """Return what a comment says, without ``#`` and pragmas of tools."""
    return _PRAGMA.sub(" ", token.lstrip("#:!")).strip(" -#")


def comment_lines(text: str) -> set[int]:
    """Return the lines of a module that hold a comment, pragmas of tools alone left out."""
    return {line for line, _ in _comments(text)}


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and (said := comment_text(token.string)):
            yield token.start[0], said


# Docstrings: every text that stands alone


def is_docstring(node: ast.AST) -> bool:
    """Return whether a node is a text that stands alone, as docstrings and the texts behind constants do."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the lines of all docstrings of a module."""
    found = (node for node in ast.walk(tree) if is_docstring(node))
    return {line for node in found for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        of = _DOCUMENTED.get(type(node))
        for position, statement in enumerate(node.body if of else ()):
            if is_docstring(statement):
                yield statement.lineno, statement.value.value, of if position == 0 else "attribute"


_DOCUMENTED = {
    ast.Module: "module",
    ast.ClassDef: "class",
    ast.FunctionDef: "function",
    ast.AsyncFunctionDef: "function",
}


# Strings


def _texts(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """Yield error strings, then other strings, each kind in the order of the text."""
    errors: dict[tuple[int, int], str] = {}
    standing_alone = set()
    for node in ast.walk(tree):
        for expression in _messages(node):
            errors |= _strings(expression)
        if is_docstring(node):
            standing_alone.add(node.value)
    others = {
        position: text
        for position, text in _strings(tree, standing_alone).items()
        if position not in errors and len(text.split()) >= WORDS and not _SIGNS.search(_VALUE.sub("", text))
    }
    for kind, found in (("error strings", errors), ("other strings", others)):
        yield from ((kind, line, text) for (line, _), text in sorted(found.items()))


def _messages(node: ast.AST) -> list[ast.expr]:
    """Return the expressions within a node whose strings are messages."""
    if isinstance(node, ast.Raise):
        return [] if node.exc is None else [node.exc]
    if isinstance(node, (ast.Assign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [node.value] if any(isinstance(each, ast.Name) and each.id in _MESSAGES for each in targets) else []
    return [node] if isinstance(node, ast.Call) and _makes_messages(_called(node)) else []


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _makes_messages(name: str) -> bool:
    return name in _MESSAGE_CALLS or name.endswith("Error") or name in _errors_of_core()


@cache
def _errors_of_core() -> frozenset[str]:
    """Return the names of the public errors, most of which do not end in ``Error``."""
    from polyglot_core import errors

    return frozenset(errors.__all__)


def _strings(tree: ast.AST, left_out: Collection[ast.AST] = ()) -> dict[tuple[int, int], str]:
    """Return the strings below a node that hold white space between words, by line and column."""
    found: dict[tuple[int, int], str] = {}
    within_fstring: set[ast.AST] = set()
    for node in ast.walk(tree):  # outer ones first
        if node in within_fstring or node in left_out:
            continue
        if isinstance(node, ast.JoinedStr):
            within_fstring |= set(ast.walk(node))
            found[node.lineno, node.col_offset] = "".join(_shown(part) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found[node.lineno, node.col_offset] = node.value
    return {position: text for position, text in found.items() if " " in text.strip()}


def _shown(part: ast.expr) -> str:
    """Return a part of an f-string: text as it is, and a value as its expression in braces."""
    return str(part.value) if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"
