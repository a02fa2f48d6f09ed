"""Rows of presets agree with the entry points, the facts and the documentation."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from polyglot_core import ConfigError
from polyglot_core.plugin import Connection, read_facts
from polyglot_core.testing import OPTIONS as OPTION_NAMES
from polyglot_openai.chat import presets
from polyglot_openai.chat.facts import Facts
from polyglot_openai.chat.presets import PRESETS

PACKAGE = Path(__file__).parents[2]
ENTRY_POINTS = tomllib.loads((PACKAGE / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
SOURCE = Path(presets.__file__).read_text("utf-8")
FEATURES = {
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "json",
    "json_schema",
    "image",
    "audio",
    "document",
    "name",
}

each_row = pytest.mark.parametrize("name", PRESETS)


def facts_of(name):
    return read_facts(Connection(name=name, driver=PRESETS[name].driver, facts=PRESETS[name].facts), Facts)


def test_rows_equal_entry_points():
    """The rows are the entry points that name their module, in the same order apart from the alphabet."""
    lines = [
        name for name, module in ENTRY_POINTS["polyglot.presets"].items() if module == "polyglot_openai.chat.presets"
    ]
    assert sorted(lines) == sorted(PRESETS)
    assert lines == sorted(lines)


@each_row
def test_driver_of_a_row_exists(name):
    """The driver of a row has an entry point here."""
    assert PRESETS[name].driver in ENTRY_POINTS["polyglot.drivers"]


@each_row
def test_facts_of_a_row_are_known(name):
    """Every fact of a row is known and valid; a misspelt one would be dropped silently."""
    assert isinstance(facts_of(name), Facts)


@each_row
def test_unsupported_fields_in_presets_are_known(name):
    """A misspelt option or feature would be sent all the same."""
    assert set(facts_of(name).unsupported) <= FEATURES | set(OPTION_NAMES)
    assert set(facts_of(name).options) <= set(OPTION_NAMES)


@each_row
def test_defaults_are_not_repeated(name):
    """A row states only differences."""
    facts, usual = facts_of(name), Facts()
    assert [fact for fact in PRESETS[name].facts if getattr(facts, fact) == getattr(usual, fact)] == []


@each_row
def test_base_url_uses_tls_or_is_local(name):
    """Keys are sent encrypted. A row has no base URL if each account has its own."""
    preset = PRESETS[name]
    if preset.base_url is not None:
        parts = urlsplit(preset.base_url)
        assert parts.scheme == "https" or (parts.scheme, parts.hostname) == ("http", "localhost")
        assert not preset.base_url.endswith("/")
        assert (preset.api_key_env is None) == (parts.hostname == "localhost")


@each_row
def test_key_variable(name):
    """Names of variables have a form that shells accept, and only the usual header has a scheme before the key."""
    preset = PRESETS[name]
    assert preset.api_key_env is None or re.fullmatch(r"[A-Z][A-Z0-9_]+", preset.api_key_env)
    assert (preset.auth_header == "authorization") == (preset.auth_scheme == "Bearer")
    assert preset.auth_header == preset.auth_header.lower()


def test_every_fact_is_explained():
    """The text below the rows explains each fact, and no other."""
    explained = re.findall(r"^    (\w+): ", SOURCE.split('"""Rows by preset name.')[1], re.MULTILINE)
    assert explained == list(Facts.__struct_fields__)


def test_readme_lists_every_row():
    """Each row is in the table of the README, with the variable of its key."""
    rows = re.findall(r"^\| `([\w-]+)` \| .*? \| (.*?) \|", (PACKAGE / "README.md").read_text("utf-8"), re.MULTILINE)
    expected = {name: f"`{preset.api_key_env}`" if preset.api_key_env else "–" for name, preset in PRESETS.items()}
    assert dict(rows) == expected


def test_no_endpoint_is_named_in_the_code():
    """Special features of an endpoint are in its row; the code branches on facts, never on names."""
    names = set(PRESETS) - {"openai", "azure-openai", "github", "meta", "writer", "inception", "venice", "vercel"}
    code = "".join(
        (PACKAGE / "src/polyglot_openai/chat" / f"{module}.py").read_text("utf-8").lower()
        for module in ("body", "facts", "deltas", "driver", "messages", "usage")
    )
    assert [name for name in names if re.search(rf"\b{name}\b", code)] == []


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.base_url is None])
def test_missing_base_url_is_reported(name, monkeypatch):
    """A row without base URL is an error that names ``base_url``, before any other setting is missed."""
    from polyglot_core._config import resolve
    from polyglot_core._drivers import discovery

    monkeypatch.setattr(discovery, "load_preset", PRESETS.get)
    monkeypatch.setattr(discovery, "find_presets", lambda: dict.fromkeys(PRESETS))
    with pytest.raises(ConfigError, match="base_url"):
        resolve.resolve(name)
    monkeypatch.setenv(str(PRESETS[name].api_key_env), "test-key")
    connection = resolve.resolve(name, base_url="https://mine.example/v1")
    assert connection.secret is not None
    assert connection.facts == PRESETS[name].facts
