"""Every public name of every package has an entry in the reference."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from .pages import DOCS, PACKAGES

REFERENCE = DOCS / "reference"
_DIRECTIVE = re.compile(r"^\.\. (automodule|autoclass|py:data):: (\S+)\n((?:   .*\n)*)", re.MULTILINE)
OPTIONAL = {"polyglot_batch.daft"}
"""Modules that cannot be imported here; the site is built without their library."""


def _described_by_themselves(module):
    """Return the names that autodoc shows: classes and functions, and no constants of other modules."""
    values = {name: getattr(module, name) for name in module.__all__}
    return {name for name, value in values.items() if inspect.isclass(value) or inspect.isroutine(value)}


def described():
    """Return the public modules with an entry, and the names that the reference shows of each."""
    shown = {}
    for page in sorted(REFERENCE.glob("*.rst")):
        for kind, target, options in _DIRECTIVE.findall(page.read_text("utf-8")):
            if kind == "py:data":
                shown.setdefault(re.search(r":module: (\S+)", options)[1], set()).add(target)
            elif kind == "autoclass":
                module, _, name = target.rpartition(".")
                shown.setdefault(module, set()).add(name)
            elif target in OPTIONAL:
                shown[target] = set()
            else:
                left_out = re.search(r":exclude-members: (.*)", options)
                names = _described_by_themselves(importlib.import_module(target)) if ":members:" in options else set()
                shown.setdefault(target, set()).update(names - set(left_out[1].split(", ") if left_out else ()))
    return shown


SHOWN = described()


@pytest.mark.parametrize("module", sorted(set(SHOWN) - OPTIONAL))
def test_every_public_name_has_an_entry(module):
    """Each name in `__all__` is shown with its module, or with another one that has the same object."""
    values = importlib.import_module(module)
    elsewhere = [(importlib.import_module(each), names) for each, names in SHOWN.items() if each not in OPTIONAL]
    for name in values.__all__:
        value = getattr(values, name)
        homes = [other for other, names in elsewhere if name in names and getattr(other, name) is value]
        assert homes, name


@pytest.mark.parametrize("module", sorted(set(SHOWN) - OPTIONAL))
def test_every_public_name_has_a_docstring(module):
    """Each class and function is described."""
    values = importlib.import_module(module)
    for name in values.__all__:
        value = getattr(values, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert getattr(value, "__doc__", None), name


def test_every_package_with_public_names_is_in_the_reference():
    """Packages whose own module has `__all__` are in the reference, and so are the modules that pages import."""
    roots = [f"polyglot_{package.name}" for package in PACKAGES]
    assert {root for root in roots if hasattr(importlib.import_module(root), "__all__")} <= set(SHOWN)
    texts = [page.read_text("utf-8") for page in DOCS.rglob("*.md")]
    imported = {
        name for text in texts for name in re.findall(r"^from (polyglot_\w+(?:\.\w+)?) import", text, re.MULTILINE)
    }
    ours = {name for name in imported if name.partition(".")[0] in roots}
    drivers = {
        f"polyglot_{package.name}" for package in PACKAGES if (DOCS / "providers" / f"{package.name}.md").exists()
    }
    assert {name for name in ours if name.partition(".")[0] not in drivers} <= set(SHOWN)


def test_the_index_names_every_page():
    """The table of the reference has a link to each of its pages."""
    index = (REFERENCE / "index.md").read_text("utf-8")
    assert [page.name for page in REFERENCE.glob("*.rst") if f"({page.name})" not in index] == []
