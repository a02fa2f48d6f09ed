"""The template files, as package data: which files a package has, and their text.

A path below ``template_files/KIND`` is the path in the package, with three changes: ``PACKAGE`` stands for the import
name, ``DOT-`` at the beginning of a name for a dot, and the suffix ``.tmpl`` is dropped. The text has the placeholders
of `string.Template`.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import PurePosixPath
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

__all__ = ["files_of"]

_SHARED = "both"
_SUFFIX = ".tmpl"


def files_of(template: str, values: Mapping[str, str]) -> dict[PurePosixPath, str]:
    """Return the files of a package: their text by path.

    Args:
        template: ``driver`` or ``row``.
        values: Values of the placeholders.

    Raises:
        KeyError: A template has a placeholder without a value.
    """
    folder = files("polyglot_testkit.scaffold").joinpath("template_files")
    return {
        _path(parts, values): Template(file.read_text("utf-8")).substitute(values)
        for kind in (_SHARED, template)
        for parts, file in _walk(folder.joinpath(kind))
    }


def _walk(folder: Traversable, parts: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            yield from _walk(entry, (*parts, entry.name))
        elif entry.name.endswith(_SUFFIX):
            yield (*parts, entry.name.removesuffix(_SUFFIX)), entry


def _path(parts: tuple[str, ...], values: Mapping[str, str]) -> PurePosixPath:
    names = (f".{part[4:]}" if part.startswith("DOT-") else part for part in parts)
    return PurePosixPath(*(values["package"] if name == "PACKAGE" else name for name in names))
