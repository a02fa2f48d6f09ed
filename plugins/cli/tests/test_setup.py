"""Setting up: connections are added, keys listed and stored, models listed, completion installed."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
import tomllib

import pytest

TEXT = "one two three four"
BASH = shutil.which("bash") or "bash"

OWN = """\
# My connections.
[connections.work]  # the big one
driver = "openai"
base_url = "https://llm.example.com/v1"
api_key_env = "WORK_KEY"
"""

KEYRING = '''
"""A keyring in a file, in the place of the system's."""

import json, pathlib, sys

FILE = pathlib.Path(__file__).with_name("keys.json")


class Ring:
    priority = 1


def get_keyring():
    return Ring()


def _all():
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def get_password(service, name):
    return _all().get(f"{service} {name}")


def set_password(service, name, value):
    FILE.write_text(json.dumps({**_all(), f"{service} {name}": value}))


def delete_password(service, name):
    FILE.write_text(json.dumps({key: value for key, value in _all().items() if key != f"{service} {name}"}))


if __name__ == "__main__":
    print(get_password(*sys.argv[2:]))
'''


@pytest.fixture
def own(command):
    """The user's own configuration file, with a comment in it."""
    file = command.own / "polyglot.toml"
    file.write_text(OWN, "utf-8")
    file.chmod(0o644)
    return file


@pytest.fixture
def keyring(command):
    """A keyring for the command, in a file of the folder that is returned."""
    site = command.home / "ring"
    site.mkdir()
    (site / "keyring.py").write_text(KEYRING, "utf-8")
    command.env["PYTHONPATH"] = str(site)
    return site


def added(command, simulator, *arguments, **more):
    """Add the connection ``new`` to the simulator without questions."""
    flags = ("--preset", "openai", "--base-url", simulator.base_url, "--model", "m", "--env", "NEW_KEY", "--yes")
    del command.env["POLYGLOT_CONFIG"]
    return command.run("connections", "add", "new", *flags, *arguments, NEW_KEY=command.key, **more)


def test_a_connection_is_tested_and_written(command, provider, own):
    """It sends one small request, keeps the comments, and leaves a file that only its owner can read."""
    simulator = provider(TEXT)
    run = added(command, simulator)
    assert run.code == 0, run
    assert "The test succeeded." in run.err
    (request,) = simulator.requests
    assert request.body["max_completion_tokens" if "max_completion_tokens" in request.body else "max_tokens"] <= 16
    text = own.read_text("utf-8")
    assert text.startswith(OWN.rstrip())
    assert command.key not in text
    entry = tomllib.loads(text)["connections"]["new"]
    assert entry == {"preset": "openai", "base_url": simulator.base_url, "api_key_env": "NEW_KEY", "model": "m"}
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    assert command.run("-c", "new", "Hello there", NEW_KEY=command.key).text == TEXT + "\n"


def test_the_first_connection_becomes_the_default(command, provider):
    """Where there is no connection yet, the new one is used from then on."""
    simulator = provider(TEXT)
    assert added(command, simulator, "--no-test").code == 0
    assert simulator.requests == []
    assert command.run("Hello there", NEW_KEY=command.key).text == TEXT + "\n"


def test_a_connection_that_fails_is_not_written(command, provider, own):
    """If the test fails, the error is printed and the file is as it was."""
    simulator = provider(TEXT, api_key="another key")
    run = added(command, simulator)
    assert run.code == 1
    assert "The test failed: " in run.err
    assert command.key not in run.err
    assert own.read_text("utf-8") == OWN
    assert [each.name for each in command.own.iterdir() if each.suffix not in {".toml", ".db"}] == []


def test_a_connection_whose_key_is_not_set_yet_is_written(command):
    """There is nothing to test then; no advice names the command that is running."""
    run = command.run("connections", "add", "later", "--preset", "openai", "--yes", OPENAI_API_KEY="")
    assert run.code == 0, run
    assert (
        "It is not tested yet: Connection 'later' needs a key: set the environment variable OPENAI_API_KEY." in run.err
    )
    assert "connections add" not in run.err
    assert "later" in command.run("connections", OPENAI_API_KEY="x").text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["work", "--preset", "openai", "--yes"], 1, "already"),
        (["--preset", "no-such", "--yes"], 2, "no preset or driver"),
        (["--preset", "azure-v1", "--yes"], 2, "--base-url"),
        (["--preset", "openai", "--env", "A", "--keyring", "--yes"], 2, "has one key"),
        ([], 2, "no terminal"),
    ],
    ids=str,
)
def test_a_connection_that_cannot_be_added(command, own, arguments, code, said):
    """What is missing or taken is an error, and the file is as it was."""
    run = command.run("connections", "add", *arguments)
    assert (run.code, said in run.err) == (code, True), run
    assert own.read_text("utf-8") == OWN


def test_a_person_is_asked(command, provider, own):
    """At a terminal the command asks for provider, name, key and model, and shows the models to choose from."""
    simulator = provider(TEXT, models=["small", "large"])
    del command.env["POLYGLOT_CONFIG"]
    env = {"POLYGLOT_MINE_BASE_URL": simulator.base_url, "MY_KEY": command.key}
    with command.terminal("connections", "add", **env) as terminal:
        for question, reply in (
            ("Provider: ", "openai"),
            ("Name of the connection", "mine"),
            ("Key (", "v"),
            ("Name of the variable", "MY_KEY"),
            ("Models: small, large", "large"),
            ("Use it by default?", "y"),
        ):
            terminal.read_until(question)
            terminal.type(reply + "\n")
        assert terminal.end() == 0, terminal.written
    assert simulator.requests[-1].body["model"] == "large"
    written = tomllib.loads(own.read_text("utf-8"))
    assert written["default"] == "mine"
    assert written["connections"]["mine"] == {"preset": "openai", "api_key_env": "MY_KEY", "model": "large"}
    assert command.key not in terminal.written


def test_a_key_is_kept_in_the_keyring(command, provider, own, keyring):
    """The key is stored in the keyring, and read from it by a command; neither file nor output has it."""
    simulator = provider(TEXT, api_key=command.key)
    flags = ("--preset", "openai", "--base-url", simulator.base_url, "--model", "m", "--keyring", "--yes")
    del command.env["POLYGLOT_CONFIG"]
    run = command.run("connections", "add", "new", *flags, given=f"{command.key}\n".encode())
    assert run.code == 0, run
    assert command.key not in run.text + run.err + own.read_text("utf-8")
    assert command.run("-c", "new", "Hello there").text == TEXT + "\n"
    assert "new  in the keyring" in command.run("keys").text
    assert command.run("keys", "remove", "new").code == 0
    assert "new" not in command.run("keys").text
    assert command.key not in (keyring / "keys.json").read_text("utf-8")
    assert command.run("keys", "remove", "new").code == 1


def test_keys_are_listed_without_their_values(command):
    """Each variable that is set is listed with the names that use it, and never with its value."""
    run = command.run("keys", OPENAI_API_KEY=command.key)
    assert "OPENAI_API_KEY  set" in run.text
    assert "openai" in run.text
    assert "MISTRAL_API_KEY" not in run.text
    assert command.key not in run.text + run.err
    assert "MISTRAL_API_KEY" in command.run("keys", "--all").text


def test_without_a_keyring_the_package_is_named(command):
    """Where the package keyring is missing, storing a key names what to install."""
    (command.home / "keyring.py").write_text("raise ImportError", "utf-8")
    run = command.run("keys", "set", "work", given=b"secret\n", PYTHONPATH=str(command.home))
    assert (run.code, "polyglot-cli[keyring]" in run.err) == (1, True)
    unasked = command.run("keys", "set", "work", PYTHONPATH=str(command.home))  # there is nothing to read
    assert (unasked.code, "polyglot-cli[keyring]" in unasked.err) == (1, True)


def test_models_are_listed(command, provider):
    """The models of a provider are listed one a line, those with a text, or as JSON."""
    provider(TEXT, models=["small-1", "large-1"])
    assert command.run("models").text.split() == ["small-1", "large-1"]
    assert command.run("models", "-c", "test", "LARGE").text == "large-1\n"
    assert [row["id"] for row in json.loads(command.run("models", "--json").out)] == ["small-1", "large-1"]
    run = command.run("models", "huge")
    assert (run.text, "No model has the text" in run.err) == ("", True)


@pytest.mark.skipif(sys.platform == "win32", reason="shells are as on POSIX")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_installs_itself(command, shell):
    """The script is written, and the file that the shell reads at its start has one line about it, once."""
    run = command.run("completion", "install", SHELL=f"/bin/{shell}")
    assert (run.code, "is installed: " in run.err) == (0, True), run
    start = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/completions/polyglot.fish"}[shell]
    before = (command.home / start).read_text("utf-8")
    assert "polyglot" in before
    assert "was installed already" in command.run("completion", "install", shell).err
    assert (command.home / start).read_text("utf-8") == before


@pytest.mark.skipif(shutil.which("bash") is None, reason="it needs bash")
def test_bash_completes(command, provider):
    """After the installation bash knows commands, and connections as options of a prompt without a verb."""
    provider(TEXT)
    assert command.run("completion", "install", "bash").code == 0
    folder = command.home / "bin"
    folder.mkdir()
    (folder / "polyglot").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m polyglot_cli "$@"\n', "utf-8")
    (folder / "polyglot").chmod(0o755)
    line = '. ~/.bashrc; COMP_WORDS=({}); COMP_CWORD={}; _polyglot_completion polyglot; echo "${{COMPREPLY[@]}}"'
    for words, index, expected in (("polyglot con", 1, "connections"), ("polyglot -c te", 2, "test")):
        done = subprocess.run(
            [BASH, "-c", line.format(words, index)],
            env=command.env | {"PATH": f"{folder}:{command.env['PATH']}"},
            capture_output=True,
            timeout=command.patience,
            check=False,
        )
        assert expected in done.stdout.decode().split(), done


def test_a_provider_that_is_unknown_is_asked_for_again(command, own):
    """A slip is followed by what was probably meant, and Ctrl-C ends the questions with its exit code."""
    with command.terminal("connections", "add") as terminal:
        terminal.read_until("Provider: ")
        terminal.type("?\n")
        terminal.read_until("xai-responses")
        terminal.type("opnai\n")
        terminal.read_until("did you mean 'openai'?")
        while terminal.written.count("Provider: ") < 3:
            terminal._read(0.1)
            assert terminal.process.poll() is None
        terminal.interrupt()
        assert terminal.end() == 130, terminal.written
    assert "Aborted" not in terminal.written
    assert own.read_text("utf-8") == OWN


def test_the_list_of_providers_is_broken_between_names(command, own):
    """No name continues on the next row."""
    with command.terminal("connections", "add") as terminal:
        terminal.read_until("Provider: ")
        terminal.type("?\n")
        terminal.read_until("zai")
        terminal.interrupt()
        terminal.end()
    listed = [row for row in terminal.rows if row.count(", ") > 1 and not row.startswith("Which")]
    assert len(listed) > 3
    assert all(row.endswith(",") for row in listed[:-1]), listed


def test_the_default_is_chosen(command, provider):
    """A connection is used without its name afterwards; the rest of the file stays."""
    simulator = provider(TEXT)
    command.configure(simulator, default=False)
    assert command.run("Hello there").code == 3
    chosen = command.run("connections", "default", "test")
    assert (chosen.code, "test is used" in chosen.err) == (0, True), chosen
    assert command.run("Hello there").text == TEXT + "\n"


def test_a_default_that_cannot_be_chosen(command, own):
    """An unknown name is an error, with the one that was probably meant; one that lacks its key is chosen all the same."""
    run = command.run("connections", "default", "wrok")
    assert (run.code, "did you mean 'work'?" in run.err) == (2, True), run
    assert own.read_text("utf-8") == OWN
    run = command.run("connections", "default", "work", POLYGLOT_DEFAULT="other")
    assert (run.code, "cannot be used yet" in run.err, "POLYGLOT_DEFAULT names another" in run.err) == (
        0,
        True,
        True,
    ), run
    assert tomllib.loads(own.read_text("utf-8"))["default"] == "work"
    assert "# the big one" in own.read_text("utf-8")
