"""Which of core's modules may name which foreign module: in an import, for type checkers alone, or as a text."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
CORE = CHECKOUT / "core/src/polyglot_core"
OTHERS = [file for folder in CHECKOUT.glob("plugins/*/src/*/") for file in folder.rglob("*.py")]

MAY_NAME = {
    "httpx": {"_http/httpx_options", "_http/httpx_replies", "_http/httpx_transport", "_http/transports"},
    "httpx2": {"_http/httpx_options"},
    "importlib_metadata": {"_values/entry_points"},
    "pluggy": {"hookspecs", "_drivers/bound"},
}


def names_of(node):
    """The modules that a node of the syntax tree imports, or the text that it is."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


@cache
def all_names(file):
    """All that a file imports, and all of its texts."""
    return frozenset(name for node in ast.walk(ast.parse(file.read_bytes())) for name in names_of(node))


def names(file, module):
    """Whether a file names a module or a part of it."""
    return any(name == module or name.startswith(f"{module}.") for name in all_names(file))


@pytest.mark.parametrize(("module", "expected"), MAY_NAME.items(), ids=MAY_NAME)
def test_a_foreign_module_is_named_in_its_own_place_alone(module, expected):
    """The HTTP client, pluggy and the reader of metadata are each named in the one or two modules that wrap them."""
    found = {file.relative_to(CORE).with_suffix("").as_posix() for file in CORE.rglob("*.py") if names(file, module)}
    assert found <= expected


@pytest.mark.parametrize("module", MAY_NAME)
@pytest.mark.parametrize("file", OTHERS, ids=lambda file: file.relative_to(CHECKOUT).as_posix())
def test_a_plugin_leaves_clients_and_discovery_to_core(module, file):
    """No plugin names an HTTP client or the plugin machinery."""
    assert not names(file, module)
