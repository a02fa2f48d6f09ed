"""Rows of the endpoints that speak the dialect."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import polyglot_anthropic.driver
from polyglot_anthropic.presets import PRESETS
from polyglot_core._client.arguments import as_messages
from polyglot_core.plugin import Connection, InferenceRequest
from polyglot_core.testing import bind

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]


def test_rows_equal_entry_points():
    """A row without one cannot be found; an entry point without a row fails when used."""
    entries = PROJECT["entry-points"]["polyglot.presets"]
    assert set(entries) == set(PRESETS)
    assert set(entries.values()) == {"polyglot_anthropic.presets"}


@pytest.mark.parametrize("name", PRESETS)
def test_every_row_can_be_used(name):
    """Its facts are known, and it names this driver."""
    row = PRESETS[name]
    assert row.driver in PROJECT["entry-points"]["polyglot.drivers"]
    connection = Connection(
        name=name, driver=row.driver, base_url=row.base_url or "https://example.com/x", facts=row.facts
    )
    driver = bind(polyglot_anthropic.driver, connection)
    wire = driver.encode(InferenceRequest(model="claude-garden-1", messages=as_messages("Hi")))
    assert wire.url.startswith(f"{connection.base_url}/")


def test_vertex_has_the_model_in_the_path():
    """The version is a field of the body, and a stream has its own path."""
    row = PRESETS["vertex-anthropic"]
    connection = Connection(name="v", driver="anthropic", base_url="https://example.com/p", facts=row.facts)
    driver = bind(polyglot_anthropic.driver, connection)
    ask = InferenceRequest(model="claude-garden@1", messages=as_messages("Hi"), stream=True)
    assert driver.encode(ask).url == (
        "https://example.com/p/publishers/anthropic/models/claude-garden@1:streamRawPredict"
    )
    assert b'"anthropic_version":"vertex-2023-10-16"' in driver.encode(ask).body
