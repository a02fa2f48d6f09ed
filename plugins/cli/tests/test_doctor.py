"""``polyglot doctor``: what it finds, what it never prints, and its exit code."""

from __future__ import annotations

import json

import pytest

DRIVER = """
from polyglot_core.plugin import Usage, hookimpl, json_request

@hookimpl
def encode_request(connection, request):
    return json_request(f"{connection.base_url}/words", {"model": request.model}, stream=request.stream)

@hookimpl
def decode_chunk(chunk):
    return []

@hookimpl
def extract_usage(payload):
    return Usage(raw=payload)
"""


def configure(command, text, mode=0o600):
    """Write the user's configuration file."""
    file = command.home / "own.toml"
    file.write_text(text, "utf-8")
    file.chmod(mode)
    command.env["POLYGLOT_CONFIG"] = str(file)
    return file


def report(run):
    """Return the report of ``polyglot doctor --json``; the exit code is 1 exactly if it has problems."""
    found = json.loads(run.text)
    assert run.code == (1 if found["problems"] else 0)
    return found


def fits(text):
    """Return whether no line is longer than 80 columns, apart from paths, which are not broken."""
    return all(len(line) <= 80 or "/" in line for line in text.splitlines())


def test_nothing_is_wrong(command):
    """The exit code is 0 where nothing is configured, and every driver is listed with its hooks."""
    run = command.run("doctor")
    assert (run.code, run.err) == (0, "")
    assert run.text.endswith("\nNo problem found.\n")
    assert "polyglot-openai " in run.text
    assert "encode_prefill" in run.text
    assert fits(run.text)


def test_json_has_every_part(command):
    """The keys of the object, and what some of them contain."""
    found = report(command.run("doctor", "--json"))
    assert found.keys() == {
        "problems", "notes", "python", "platform", "packages", "drivers", "contested", "connections", "extensions",
        "file", "variables", "transport", "proxies", "certificates", "online",
    }  # fmt: skip
    assert {"polyglot-core", "httpx", "pluggy", "importlib-metadata"} <= found["packages"].keys()
    assert next(row for row in found["drivers"] if row["name"] == "openai")["usable"]
    assert found["file"]["exists"] is False
    assert {"transport", "observer", "formats", "admission", "command"} >= {row["kind"] for row in found["extensions"]}
    assert found["transport"] in {"built in", *(row["name"] for row in found["extensions"])}
    assert report(command.run("doctor", "--json", POLYGLOT_TRANSPORT="httpx"))["transport"] == "httpx"


def test_source_of_a_key_is_shown_and_never_its_value(command):
    """Keys from the environment, the file and a command, in text and as JSON."""
    configure(
        command,
        '[connections.work]\ndriver = "openai"\nmodel = "m"\napi_key_env = "WORK_KEY"\n'
        f'[connections.own]\ndriver = "openai"\nmodel = "m"\napi_key = "{command.key}"\n'
        '[connections.vault]\ndriver = "openai"\nmodel = "m"\napi_key_command = "no-such-command"\n'
        '[connections.gone]\ndriver = "openai"\nmodel = "m"\napi_key_env = "NO_SUCH_KEY"\n',
    )
    texts = [
        command.run("doctor", *more, WORK_KEY=command.key, OPENAI_API_KEY=command.key) for more in ([], ["--json"])
    ]
    keys = {row["name"]: row["key"] for row in report(texts[1])["connections"]}
    assert keys["work"] == "the environment variable WORK_KEY"
    assert keys["own"] == "the configuration file"
    assert keys["vault"] == "a command"
    assert keys["openai"] == "the environment variable OPENAI_API_KEY"
    (problem,) = report(texts[1])["problems"]
    assert "'gone'" in problem
    assert "NO_SUCH_KEY" in problem
    assert not any(command.key in run.text + run.err for run in texts)


def test_file_that_others_can_read(command):
    """It is a problem if it holds a key, and none otherwise."""
    text = '[connections.own]\ndriver = "openai"\nmodel = "m"\nbase_url = "http://127.0.0.1:9"\n'
    configure(command, text, 0o644)
    found = report(command.run("doctor", "--json"))
    assert (found["problems"], found["file"]["permissions"]) == ([], "0644")
    file = configure(command, f'{text}api_key = "{command.key}"\n', 0o644)
    found = report(command.run("doctor", "--json", PYTHONWARNINGS="ignore"))
    assert found["problems"] == [f"{file} holds a key and can be read by others; run chmod 600 on it."]


def test_file_that_cannot_be_read(command):
    """The mistake is the first problem, and everything else is still examined."""
    configure(command, "[connections.own]\ndrivr = 'openai'\n")
    found = report(command.run("doctor", "--json"))
    assert "did you mean 'driver'?" in found["problems"][0]
    assert found["drivers"]


def test_proxies_have_no_credentials(command):
    """User name and password of a proxy are removed."""
    run = command.run(
        "doctor", "--json", HTTPS_PROXY="http://user:test-password@proxy.example.com:8080/x", no_proxy="a"
    )
    assert report(run)["proxies"] == {"https": "http://proxy.example.com:8080"}
    assert "test-password" not in run.text


def test_certificates_that_are_missing(command):
    """A variable that names no file is a problem."""
    found = report(command.run("doctor", "--json", SSL_CERT_FILE="/nowhere/ca.pem"))
    assert found["problems"] == ["SSL_CERT_FILE is /nowhere/ca.pem, which does not exist."]


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("import os\nos._exit(9)\n", "the import ended the process, with exit code 9"),
        ("raise KeyboardInterrupt\n", "the import ended the process"),
        ("import sys\nsys.exit('no')\n", "SystemExit: no"),
        ("import threading\nthreading.Event().wait()\n", "the import did not end within 5 s"),
        (
            "import threading\nthreading.Thread(target=threading.Event().wait).start()\nraise ValueError(5)\n",
            "ValueError: 5",
        ),
    ],
    ids=["_exit", "KeyboardInterrupt", "SystemExit", "hang", "thread"],
)
def test_driver_with_a_hostile_import(command, module, why):
    """It is named with its distribution and the reason, and every other driver is listed as usable."""
    command.install("odd", module)
    found = report(command.run("doctor", "--json"))
    (problem,) = found["problems"]
    assert problem.startswith("Driver 'odd' of polyglot-odd 0.1 could not be imported: ")
    assert why in problem
    assert {row["usable"] for row in found["drivers"] if row["name"] != "odd"} == {True}


def test_package_around_the_driver_hangs(command):
    """An import that does not end in the package above the driver's module is found too."""
    command.install("odd", "")
    site = command.home / "site"
    (site / "polyglot_odd.py").unlink()
    (site / "polyglot_odd").mkdir()
    (site / "polyglot_odd" / "__init__.py").write_text("import threading\nthreading.Event().wait()\n", "utf-8")
    (site / "polyglot_odd" / "driver.py").write_text(DRIVER, "utf-8")
    entry = site / "polyglot_odd-0.1.dist-info" / "entry_points.txt"
    entry.write_text("[polyglot.drivers]\nodd = polyglot_odd.driver\n", "utf-8")
    (problem,) = report(command.run("doctor", "--json"))["problems"]
    assert "Driver 'odd' of polyglot-odd 0.1 could not be imported" in problem
    assert "did not end within 5 s" in problem


def test_excluded_package_is_not_imported(command):
    """The allow list holds for the lists too."""
    command.install("odd", "import pathlib\npathlib.Path.home().joinpath('imported').touch()\n" + DRIVER)
    names = {row["name"] for row in report(command.run("doctor", "--json", POLYGLOT_DRIVERS="openai"))["drivers"]}
    assert names == {"openai"}
    assert not (command.home / "imported").exists()


def test_facts_that_no_driver_reads(command):
    """A misspelt fact gets a suggestion, and a fact of a driver that reads none is reported."""
    command.install("plain", DRIVER)
    configure(
        command,
        '[connections.misspelt]\ndriver = "openai"\nbase_url = "http://127.0.0.1:9"\nfacts = { token_limt = "x" }\n'
        '[connections.unread]\ndriver = "plain"\nbase_url = "http://127.0.0.1:9"\nfacts = { colour = "red" }\n',
    )
    first, second = report(command.run("doctor", "--json"))["problems"]
    assert "there is no fact 'token_limt' (did you mean 'token_limit'?)" in first
    assert second == "The driver 'plain' does not read the fact 'colour' of 'unread'."


def test_name_of_two_packages(command):
    """The problem has the line to write; the file that has it is without the problem."""
    command.install("one", DRIVER)
    command.install("two", DRIVER)
    for one in ("one", "two"):
        entry = command.home / f"site/polyglot_{one}-0.1.dist-info/entry_points.txt"
        entry.write_text(f"[polyglot.drivers]\nsame = polyglot_{one}\n", "utf-8")
    found = report(command.run("doctor", "--json"))
    assert found["contested"] == {"same": ["polyglot-one", "polyglot-two"]}
    assert 'configuration file: same = "polyglot-one" or same = "polyglot-two";' in found["problems"][0]
    configure(command, '[packages]\nsame = "polyglot-two"\n')
    found = report(command.run("doctor", "--json"))
    assert (found["problems"], found["contested"]) == ([], {})
    assert found["file"]["packages"] == {"same": "polyglot-two"}


def test_calls(command, provider):
    """``--online`` makes a small call over each usable connection; one that fails is a problem."""
    simulator = provider(reply="yes")
    file = command.home / "own.toml"
    refused = '\n[connections.refused]\ndriver = "openai"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n'
    unusable = '\n[connections.unusable]\ndriver = "openai"\nmodel = "m"\napi_key_env = "NO_SUCH_KEY"\n'
    file.write_text(file.read_text("utf-8") + refused + unusable, "utf-8")
    found = report(command.run("doctor", "--online", "--json"))
    trials = {trial["connection"]: trial for trial in found["online"]}
    assert set(trials) == {"test", "refused"}
    assert (trials["test"]["error"], trials["test"]["model"]) == ("", "test-model")
    assert trials["test"]["first"] is not None
    assert "TransportError" in trials["refused"]["error"]
    assert any(problem.startswith("A call over 'refused' failed") for problem in found["problems"])
    (request,) = simulator.requests
    assert request.body["stream"] is True
    assert 16 in request.body.values()
    run = command.run("doctor", "--online")
    assert "ok, test-model" in run.text
    assert command.key not in run.text + run.err


def test_terminal_of_80_columns(command):
    """The report fits, its headings are bold, and progress of calls is shown."""
    with command.terminal("doctor") as terminal:
        assert terminal.end() == 0
    assert "\x1b[1mSystem" in terminal.written
    assert fits(terminal.plain)


def test_terminal_without_colour(command):
    """``NO_COLOR`` is respected."""
    with command.terminal("doctor", NO_COLOR="1") as terminal:
        assert terminal.end() == 0
    assert "\x1b" not in terminal.written


def test_progress_of_calls(command, provider):
    """On a terminal each call is reported when it has ended."""
    provider(reply="yes")
    with command.terminal("doctor", "--online") as terminal:
        assert terminal.end() == 0
    assert "1 of 1 calls: test, ok, test-model" in terminal.plain
