"""The pages of the documentation, and the fenced blocks in them."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import ModuleType

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = [CHECKOUT / "core", *sorted(project.parent for project in CHECKOUT.glob("plugins/*/pyproject.toml"))]
README = CHECKOUT / "README.md"
DOCS = CHECKOUT / "docs"
_READMES = [package / "README.md" for package in PACKAGES]
_AT_THE_ROOT = [README, CHECKOUT / "CONTRIBUTING.md", CHECKOUT / "SECURITY.md"]
PAGES = [*_AT_THE_ROOT, *sorted(DOCS.rglob("*.md")), *(page for page in _READMES if page.exists())]
"""Every page; a package without a README fails the tests of the architecture, once."""

_BLOCK = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: the words after the fence, what is in it, and the line of the page on which it begins."""

    words: tuple[str, ...]
    text: str
    line: int

    @property
    def padded(self) -> str:
        """Return the text at its own line, so that a traceback points into the page."""
        return "\n" * (self.line - 1) + self.text


def named(page: Path) -> str:
    """Return the name of a page in test ids."""
    return page.relative_to(CHECKOUT).as_posix()


def blocks(page: Path, *words: str) -> list[Block]:
    """Return the blocks of a page whose fence is followed by exactly these words."""
    text = page.read_text("utf-8")
    found = (Block(tuple(b[1].split()), b[2], text.count("\n", 0, b.start(2)) + 1) for b in _BLOCK.finditer(text))
    return [block for block in found if block.words == words]


def with_blocks(*words: str) -> list[Path]:
    """Return the pages that have such blocks."""
    return [page for page in PAGES if blocks(page, *words)]


def prose(page: Path) -> str:
    """Return a page without its blocks."""
    return _BLOCK.sub("", page.read_text("utf-8"))


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the rows of the table whose first heading is `heading`."""
    lines = page.read_text("utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|")])
    return rows


def script(name: str) -> ModuleType:
    """Import a script that generates parts of the pages."""
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(DOCS))
