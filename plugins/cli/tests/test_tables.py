"""``polyglot connections`` and ``polyglot drivers``."""

from __future__ import annotations

import json

import pytest

WORK = """
[connections.local]
driver = "openai"
base_url = "http://127.0.0.1:11434/v1"
model = "qwen3"

[connections.work]
driver = "openai"
base_url = "https://llm.example.com/v1"
api_key_env = "WORK_KEY"

[connections.gone]
driver = "no-such-driver"
base_url = "https://llm.example.com/v1"
"""


@pytest.fixture
def work(command):
    """The command with a configuration of three connections, two of which cannot be used."""
    file = command.home / "work.toml"
    file.write_text(WORK, "utf-8")
    command.env["POLYGLOT_CONFIG"] = str(file)
    return command


def rows(run):
    """The cells of each line of a list, by its first cell."""
    heading, *lines = run.text.splitlines()
    return {line.split()[0]: dict(zip(heading.split(), line.split(), strict=False)) for line in lines}


def test_connections_are_listed_one_a_line(work):
    """Every usable name is a line with its source, driver, model and state."""
    run = work.run("connections", "--all")
    assert (run.code, run.err) == (0, "")
    found = rows(run)
    assert found["local"] == {
        "NAME": "local",
        "USABLE": "yes",
        "SOURCE": "file",
        "DRIVER": "openai",
        "MODEL": "qwen3",
        "BASE": "http://127.0.0.1:11434/v1",
    }
    assert found["local"]["USABLE"] == "yes"
    assert {found[name]["USABLE"] for name in ("work", "gone", "openai", "groq")} == {"no"}


def test_what_nobody_configured_and_nobody_can_use_is_counted(work):
    """Without ``--all`` a preset that lacks its key is not listed; their number is reported next to the list."""
    run = work.run("connections", OPENAI_API_KEY=work.key)
    assert set(rows(run)) >= {"local", "work", "gone", "openai"}
    assert "groq" not in rows(run)
    known = len(json.loads(work.run("connections", "--json", OPENAI_API_KEY=work.key).out))
    assert run.err.startswith(f"Known, but not usable now: {known - len(rows(run))} more. ")


def test_unusable_connection_is_listed_with_its_reason(work):
    """The line of an unusable connection ends in the reason, which names what is missing."""
    lines = {line.split()[0]: line for line in work.run("connections", "--all").text.splitlines()}
    assert "WORK_KEY" in lines["work"]
    assert "no-such-driver" in lines["gone"]
    assert "OPENAI_API_KEY" in lines["openai"]


def test_connections_as_json_have_all_fields(work):
    """``--json`` prints an array of objects with the fields that people see."""
    found = {row["name"]: row for row in json.loads(work.run("connections", "--json").out)}
    assert found["local"] == {
        "name": "local",
        "source": "file",
        "driver": "openai",
        "model": "qwen3",
        "base_url": "http://127.0.0.1:11434/v1",
        "usable": True,
        "reason": "",
        "key": "",
    }
    assert "WORK_KEY" in found["work"]["reason"]


def test_a_key_is_not_listed(work):
    """A connection whose key is set is usable, and the key is nowhere in the list."""
    for arguments in (["connections"], ["connections", "--json"]):
        run = work.run(*arguments, WORK_KEY=work.key, OPENAI_API_KEY=work.key)
        assert "set the environment variable WORK_KEY" not in run.text
        assert work.key not in run.text + run.err
    found = {row["name"]: row["key"] for row in json.loads(run.text)}
    assert found["work"] == "the environment variable WORK_KEY"


def test_a_configuration_that_cannot_be_read_lists_nothing(work):
    """An error of the configuration is one line, with exit code 3."""
    run = work.run("connections", "--config", "nowhere.toml")
    assert (run.code, run.out) == (3, b"")
    assert "nowhere.toml" in run.err


def test_names_cannot_steer_a_terminal(command):
    """What a configuration file calls things is cleaned before it is shown."""
    file = command.folder / "odd.toml"
    file.write_text('[connections."a\\u001b[2Jb"]\ndriver = "openai"\nmodel = "m\\u009b1m"\n', "utf-8")
    run = command.run("connections", "--config", "odd.toml")
    assert "ab " in run.text
    assert not set("\x1b\x9b") & set(run.text)


def test_drivers_are_listed_with_their_distribution(command):
    """Every driver is a line with its distribution and version."""
    run = command.run("drivers")
    assert run.code == 0
    row = rows(run)["openai"]
    assert (row["USABLE"], row["DISTRIBUTION"]) == ("yes", "polyglot-openai")
    assert f" {row['VERSION']}" in command.run("--version").text


def test_drivers_as_json_have_all_fields(command):
    """``--json`` prints an array of objects with the fields that people see."""
    row = next(row for row in json.loads(command.run("drivers", "--json").out) if row["name"] == "openai")
    assert row["usable"] is True
    assert row.keys() == {"name", "distribution", "version", "usable", "reason", "hooks", "notes"}
    assert "decode_chunk" in row["hooks"]


def test_driver_that_cannot_be_imported_is_listed_with_its_reason(command):
    """A broken driver is listed as such, with its reason, and the others stay usable."""
    command.install("broken", "import no_such_module_at_all\n")
    lines = {line.split()[0]: line for line in command.run("drivers").text.splitlines()}
    assert "no_such_module_at_all" in lines["broken"]
    assert "polyglot-broken" in lines["broken"]
    assert " yes " in lines["openai"]


def test_empty_list_of_drivers_is_reported(command):
    """Where no driver may be used the list is empty, and standard error reports it."""
    run = command.run("drivers", POLYGLOT_DRIVERS="")
    assert (run.code, run.out) == (0, b"")
    assert run.err == "There is nothing to list.\n"
