"""Changes of the configuration file: what is in it stays as it is, whatever way it is written in."""

from __future__ import annotations

import tomllib

import click
import pytest

from polyglot_cli.config_writer import text_with, text_with_default

FIELDS = {"preset": "openai", "api_key_command": ["pass", "show"], "model": None}
ENTRY = {"preset": "openai", "api_key_command": ["pass", "show"]}

FILES = {
    "nothing": "",
    "a comment": "# mine\n",
    "tables": "[connections.a]\ndriver = 'x'  # one\n\n[connections.a.facts]\nx = 1  # two\n# three",
    "a table of tables": "[connections]\n[connections.a]\ndriver = 'x'\n[connections.a.options]\ntemperature = 0\n",
    "dotted keys": "connections.a.driver = 'x'\nconnections.a.model = 'm'  # one\n",
    "an odd name": "default = 'odd name'\n[connections.'odd name']\ndriver = 'x'\n",
    "line ends of Windows": "# mine\r\n[connections.a]\r\ndriver = 'x'\r\n",
}


@pytest.mark.parametrize("default", [False, True])
@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_a_connection_is_added(text, default):
    """The new connection is there with its fields, the others are as before, and so is every comment."""
    before = tomllib.loads(text)
    changed = text_with(text, "new", FIELDS, default=default)
    after = tomllib.loads(changed)
    assert after["connections"].pop("new") == ENTRY
    assert after["connections"] == before.get("connections", {})
    assert after.get("default") == ("new" if default else before.get("default"))
    for comment in ("# mine", "# one", "# two", "# three"):
        assert (comment in changed) is (comment in text)


def test_a_connection_is_replaced():
    """Its fields are those given; comments in it stay."""
    text = "[connections.new]\ndriver = 'x'\nmodel = 'old'\n# mine\n[connections.z]\ndriver = 'y'\n"
    changed = text_with(text, "new", FIELDS)
    assert tomllib.loads(changed)["connections"] == {"new": ENTRY, "z": {"driver": "y"}}
    assert "# mine" in changed


@pytest.mark.parametrize("text", ["connections = { a = { driver = 'x' } }\n", "connections = 1\n", "[connections\n"])
def test_a_file_that_cannot_be_changed_safely_is_left(text):
    """Rather than a changed meaning there is an error, with what to add."""
    with pytest.raises(click.ClickException, match="Add this to it yourself") as caught:
        text_with(text, "new", FIELDS)
    assert tomllib.loads(caught.value.message.partition("\n\n")[2])["connections"] == {"new": ENTRY}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_the_default_is_changed(text):
    """Only the default changes, and comments stay."""
    changed = text_with_default(text, "a")
    assert tomllib.loads(changed) == {**tomllib.loads(text), "default": "a"}
    for comment in ("# mine", "# one", "# two", "# three"):
        assert (comment in changed) is (comment in text)


def test_a_file_that_is_no_toml_keeps_its_default():
    """There is an error, with the line to write."""
    with pytest.raises(click.ClickException, match="default = 'a'"):
        text_with_default("[connections\n", "a")
