"""``polyglot connections`` and ``polyglot drivers``."""

from __future__ import annotations

import contextlib
import json

import pytest

TEXT = "one two three four"

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


def states(run):
    """The lines of a list of connections, by name."""
    return {line.split()[0]: line for line in run.text.splitlines() if line.startswith(" ")}


def rows(run):
    """The cells of each line of a list, by its first cell."""
    heading, *lines = run.text.splitlines()
    return {line.split()[0]: dict(zip(heading.split(), line.split(), strict=False)) for line in lines}


def test_connections_are_listed_one_a_line_in_groups(work):
    """Every name is a line with state, model and host, in the groups: yours, on this machine, hosted."""
    run = work.run("connections", "--all")
    assert (run.code, run.err) == (0, "")
    found = states(run)
    assert found["local"].split() == ["local", "not", "running", "qwen3", "127.0.0.1:11434"]
    assert "needs WORK_KEY" in found["work"]
    assert "cannot be used" in found["gone"]
    assert "needs OPENAI_API_KEY" in found["openai"]
    headings = [line for line in run.text.splitlines() if not line.startswith(" ")]
    assert headings == ["Yours", "On this machine", "Hosted"]


def test_a_server_that_runs_is_told_from_one_that_does_not(command, provider):
    """The state of a server on this machine is whether it accepts connections, not whether it is configured."""
    with contextlib.closing(provider(TEXT)):
        assert states(command.run("connections"))["test"].split()[1] == "running"
    assert states(command.run("connections"))["test"].split()[1:3] == ["not", "running"]


def test_providers_without_a_key_are_counted(work):
    """Without ``--all`` a preset that lacks its key is not listed; their number is reported next to the list."""
    run = work.run("connections", OPENAI_API_KEY=work.key)
    assert set(states(run)) >= {"local", "work", "gone", "openai"}
    assert "key set" in states(run)["openai"]
    assert "groq" not in states(run)
    known = len(json.loads(work.run("connections", "--json", OPENAI_API_KEY=work.key).out))
    assert "polyglot connections add" not in run.err  # there is one already
    assert run.err.startswith(f"Hosted providers whose key is not set: {known - len(states(run))} more")


def test_credentials_of_a_cloud_are_not_taken_for_granted(command):
    """A provider whose credentials the library cannot see is not checked, rather than usable."""
    assert "not checked" in states(command.run("connections"))["bedrock"]


def test_a_text_filters_the_connections(work):
    """With a text only names with it are listed, usable or not; one alone is listed with its reason."""
    assert list(states(work.run("connections", "WORK"))) == ["work", "fireworks"]
    assert list(states(work.run("connections", "work"))) == ["work", "Connection"]
    assert "set the environment variable WORK_KEY" in work.run("connections", "work").text
    run = work.run("connections", "no such thing")
    assert (run.code, run.text) == (0, "")
    assert "No connection has the text 'no such thing'" in run.err


def test_check_sends_a_request(command, provider):
    """``--check`` states whether the provider accepts the key, and the exit code is 4 if one of yours fails."""
    simulator = provider(TEXT)
    run = command.run("connections", "test", "--check")
    assert run.code == 0
    assert "works, 1 model " in run.text
    assert [request.method for request in simulator.requests] == ["GET"]
    provider(TEXT, api_key="another key")
    run = command.run("connections", "test", "--check")
    assert (run.code, "key rejected" in run.text) == (4, True)


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


def test_without_a_connection_the_list_states_how_to_add_one(command):
    """A new user learns the command that adds a connection."""
    assert "`polyglot connections add`" in command.run("connections").err
