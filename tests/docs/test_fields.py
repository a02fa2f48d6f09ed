"""Every field that an author can set or read is on a page."""

from __future__ import annotations

import importlib
import re

import msgspec
import pytest

from polyglot_core import drivers, plugin, testing
from polyglot_core.plugin import Connection

from .pages import DOCS, script

ELSEWHERE = {"Connection", "Preset", "Retries", "Timeouts"}
"""Types whose fields are on the page of the configuration."""


def types(module):
    """Return the public classes of a module with fields, by name."""
    found = {name: getattr(module, name) for name in module.__all__}
    has_fields = (name for name, value in found.items() if isinstance(value, type) and _fields(value))
    return {name: found[name] for name in has_fields}


def _fields(kind):
    return kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else getattr(kind, "_fields", ())


@pytest.mark.parametrize(("name", "kind"), [*types(plugin).items(), *types(testing).items()])
def test_type_is_on_a_page(name, kind):
    """Each type that an author imports has a heading, with a row for each of its fields."""
    pages = "\n".join((DOCS / page).read_text("utf-8") for page in ("fields.md", "drivers.md", "configuration.md"))
    heading = re.search(rf"^#+ .*`?{name}\b.*\n((?:(?!#).*\n)*)", pages, re.MULTILINE)
    assert heading or name in ELSEWHERE
    shared = {"choice", "block"}  # of events; they are explained once
    missing = [field for field in _fields(kind) if field not in shared and f"| `{field}` |" not in pages]
    assert not missing
    if name not in ELSEWHERE:
        assert not [field for field in _fields(kind) if field not in shared and f"| `{field}` |" not in heading[1]]


@pytest.mark.parametrize("driver", [row.name for row in drivers() if row.usable])
def test_facts_of_a_driver_are_on_the_page(driver):
    """Each fact that a driver names in its error for an unknown one is in its table."""
    from polyglot_core import ConfigError
    from polyglot_core._drivers.discovery import load_driver

    source = {"azure-openai": "openai"}.get(driver, driver)
    page = (DOCS / "facts.md").read_text("utf-8")
    table = re.search(rf"^## {source}\n((?:(?!## ).*\n)*)", page, re.MULTILINE)
    base_url = "https://resource.openai.azure.com" if driver == "azure-openai" else None
    connection = Connection(name="mine", driver=driver, model="m", base_url=base_url, facts={"no_such_fact": 1})
    request = plugin.InferenceRequest(model="m", messages=(plugin.Message(role="user", content="Hello"),))
    try:
        load_driver(driver).bind(connection).encode(request)
    except ConfigError as error:
        listed = re.search(r"The facts are ([\w, ]+)\.", str(error))[1]
        assert table
        assert set(listed.split(", ")) == set(re.findall(r"^\| `(\w+)` \|", table[1], re.MULTILINE))
    else:
        assert table is None or driver == "ollama"  # the one that reads its fact by name


def test_explained_facts_exist():
    """Each fact that the text below the rows explains is one that the driver has."""
    rows = script("draw_row_facts")
    for driver, (kind, presets) in rows.SOURCES.items():
        if kind is not None and presets is not None:
            explained = rows.explained(importlib.import_module(presets))
            assert set(explained) == set(kind.__struct_fields__), driver
