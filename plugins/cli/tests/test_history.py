"""The history of calls and the templates: what is kept, where, and what never is."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import stat
import sys

import pytest

from polyglot_simulator import Drop

TEXT = "one two three four"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def logged(command, provider):
    """The command with a provider and a history that is kept."""
    command.simulator = provider(TEXT)
    assert command.run("logs", "on").code == 0
    return command


def test_nothing_is_kept_before_it_was_chosen(command, provider):
    """Without a choice no call is kept, and one line mentions on a terminal that it can be; once."""
    provider(TEXT)
    (command.own / "history.db").unlink()
    assert command.run("Hello there").err == ""
    assert not (command.own / "history.db").exists()
    for mentioned in (True, False):
        with command.terminal("Hello there") as terminal:
            assert terminal.end() == 0
        assert ("polyglot logs on" in terminal.written) is mentioned
    assert command.run("logs", "--json").text == ""


def test_calls_are_kept_listed_and_searched(logged):
    """Each call is a line, the newest first; a text selects those with it in prompt or response."""
    for prompt in ("Sun and sky", "Rain 100%", "Rain_2"):
        assert logged.run("-s", "Be brief.", prompt).code == 0
    assert [line.split()[0] for line in logged.run("logs").text.splitlines()] == ["3", "2", "1"]
    assert [line.split()[0] for line in logged.run("logs", "-n", "1").text.splitlines()] == ["3"]
    assert [line.split()[0] for line in logged.run("logs", "100%").text.splitlines()] == ["2"]
    assert [line.split()[0] for line in logged.run("logs", "n_2").text.splitlines()] == ["3"]
    assert len(logged.run("logs", "two three").text.splitlines()) == 3
    (call,) = map(json.loads, logged.run("logs", "--json", "-n", "1").text.splitlines())
    assert (call["prompt"], call["response"], call["system"]) == ("Rain_2", TEXT, "Be brief.")
    assert (call["connection"], call["model"], call["outcome"]) == ("test", "test-model", "finished")
    assert call["output_tokens"] > 0
    shown = logged.run("logs", "show", "2").text
    assert all(words in shown for words in ("Rain 100%", TEXT, "Be brief."))
    assert "Sun" not in shown


def test_only_the_owner_can_read_it_and_no_key_is_in_it(logged):
    """The file has the mode 0600, and neither it nor what is printed has the key."""
    assert logged.run("Hello there", "-o", "temperature=0.5").code == 0
    file = logged.own / "history.db"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert logged.key.encode() not in file.read_bytes()
    assert logged.run("logs", "path").text == f"{file}\n"


def test_a_call_can_be_left_out(logged):
    """``--no-log`` keeps no call, ``logs off`` none from then on, and ``--log`` this one all the same."""
    assert logged.run("--no-log", "Left out").code == 0
    assert logged.run("logs", "off").code == 0
    assert logged.run("Left out").code == 0
    assert logged.run("--log", "Kept now").code == 0
    assert [json.loads(line)["prompt"] for line in logged.run("logs", "--json").text.splitlines()] == ["Kept now"]


def test_a_failed_call_is_kept_with_its_outcome(command, provider):
    """A response that was interrupted is kept as it is, and marked."""
    provider(TEXT, fault=Drop(after_events=3))
    assert command.run("--log", "Hello there").code == 5
    assert "[failed] Hello there" in command.run("logs").text
    assert json.loads(command.run("logs", "--json").out)["response"] == "one two"


def test_a_conversation_is_continued(logged):
    """``-C`` sends the turns so far, with attachments, to the same connection and model; ``--conversation`` any other."""
    (logged.folder / "picture.png").write_bytes(PNG)
    assert logged.run("-s", "Be brief.", "-m", "other", "-a", "picture.png", "First one").code == 0
    assert logged.run("Unrelated one").code == 0
    assert logged.run("--conversation", "1", "Second one").code == 0
    assert logged.run("-C", "Third one").code == 0
    first, *_, third = [request.body for request in logged.simulator.requests]
    assert third["model"] == "other"
    assert [message["role"] for message in third["messages"]] == [
        *("system", "user", "assistant", "user", "assistant", "user")
    ]
    assert third["messages"][:2] == first["messages"]
    assert third["messages"][2]["content"] == TEXT
    assert third["messages"][-1]["content"] == "Third one"
    calls = [json.loads(line) for line in logged.run("logs", "--json").text.splitlines()]
    assert [call["conversation"] for call in calls] == [1, 1, 2, 1]
    assert logged.run("logs", "show").text.count(TEXT) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="folders that cannot be written are as on POSIX")
def test_a_folder_that_cannot_be_written_is_no_matter(command, provider):
    """Where the hint about the history cannot be noted, nothing is said; a file is in the place of the folder."""
    provider(TEXT)
    (command.own / "history.db").unlink()
    command.own.rmdir()
    command.own.touch()
    with command.terminal("Hello there") as terminal:
        assert terminal.end() == 0
    assert terminal.rows == [TEXT]
    assert command.run("--log", "Hello there").code == 1


def test_calls_are_kept_side_by_side(logged):
    """Several commands that run at once keep their calls, each as a conversation of its own."""
    with contextlib.ExitStack() as opened:
        running = [opened.enter_context(logged.started(f"Number {index} of them")) for index in range(4)]
        assert [process.wait(logged.patience) for process in running] == [0] * 4
    calls = [json.loads(line) for line in logged.run("logs", "--json").text.splitlines()]
    assert sorted(call["prompt"] for call in calls) == [f"Number {index} of them" for index in range(4)]
    assert all(call["conversation"] == call["id"] for call in calls)


@pytest.mark.parametrize("arguments", [["-C"], ["--conversation", "7"]], ids=" ".join)
def test_there_is_nothing_to_continue(logged, arguments):
    """A conversation that does not exist is an error, and nothing is sent."""
    run = logged.run(*arguments, "Hello there")
    assert (run.code, run.out) == (1, b"")
    assert logged.simulator.requests == []


def test_conversations_are_deleted(logged):
    """A conversation, or all, can be deleted; the text is then no longer in the file."""
    for prompt in ("An embarrassing prompt", "Another one"):
        assert logged.run(prompt).code == 0
    assert logged.run("logs", "delete").code == 2
    assert logged.run("logs", "delete", "1").err == "Deleted 1 call.\n"
    assert b"embarrassing" not in (logged.own / "history.db").read_bytes()
    assert logged.run("logs", "delete", "--all").err == "Deleted 1 call.\n"
    assert logged.run("logs").text == ""


def test_a_history_that_cannot_be_read_loses_no_response(logged):
    """If the file is damaged, the response is printed all the same; the lists report it."""
    (logged.own / "history.db").write_bytes(b"this is no database" * 100)
    run = logged.run("Hello there")
    assert (run.code, run.text) == (0, TEXT + "\n")
    assert "The history" in run.err
    assert logged.run("logs").code == 1


def test_it_is_a_plain_database(logged):
    """The file is an SQLite database that other tools can read."""
    assert logged.run("Hello there").code == 0
    with sqlite3.connect(logged.own / "history.db") as database:
        assert database.execute("select prompt, response from calls").fetchall() == [("Hello there", TEXT)]


# Templates


def test_a_template_is_saved_and_used(command, provider):
    """A prompt and options are saved as TOML, and used with values for their variables."""
    simulator = provider(TEXT)
    saved = command.run("-s", "Use $language. It costs $5.", "-m", "other", "-o", "temperature=0.5", "--save", "tr")
    assert (saved.code, saved.out) == (0, b"")
    assert simulator.requests == []
    run = command.run("-t", "tr", "-p", "language=French", "-o", "temperature=1", "Good morning")
    assert run.code == 0
    body = simulator.requests[0].body
    assert (body["model"], body["temperature"]) == ("other", 1)
    assert body["messages"] == [
        {"role": "system", "content": "Use French. It costs $5."},
        {"role": "user", "content": "Good morning"},
    ]
    assert command.run("templates").text.startswith("tr  Use $language.")
    assert "temperature = 0.5" in command.run("templates", "show", "tr").text
    assert stat.S_IMODE((command.own / "templates" / "tr.toml").stat().st_mode) == 0o600
    assert command.run("templates", "delete", "tr").code == 0
    assert command.run("templates").text == ""


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [("Review this:", "Review this:\n\nthe text"), ("<t>$input</t>", "<t>the text</t>")],
)
def test_a_template_takes_the_input(command, provider, prompt, sent):
    """The input follows the prompt of a template, or replaces ``$input`` in it."""
    simulator = provider(TEXT)
    assert command.run(prompt, "--save", "review").code == 0
    assert command.run("-t", "review", given=b"the text\n").code == 0
    assert simulator.requests[0].body["messages"][-1]["content"] == sent


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-t", "tr", "Hello"], 2, "-p language="),
        (["-t", "tr", "-p", "langage=French", "Hello"], 2, "language"),
        (["-t", "nowhere", "Hello"], 1, "There are: broken, odd, tr"),
        (["-t", "../tr", "Hello"], 2, "no name of a template"),
        (["-t", "broken", "Hello"], 1, "not TOML"),
        (["-t", "odd", "Hello"], 1, "unknown key 'promt'"),
        (["-p", "language=French", "Hello"], 2, "--template"),
        (["--save", "new"], 2, "something to save"),
    ],
    ids=str,
)
def test_a_template_that_cannot_be_used(command, provider, arguments, code, said):
    """What is missing or misspelt is named, and nothing is sent."""
    simulator = provider(TEXT)
    folder = command.own / "templates"
    folder.mkdir()
    (folder / "tr.toml").write_text('system = "Use $language."\n', "utf-8")
    (folder / "broken.toml").write_text("system = \n", "utf-8")
    (folder / "odd.toml").write_text('promt = "Hello"\n', "utf-8")
    run = command.run(*arguments)
    assert (run.code, said in run.err) == (code, True), run
    assert simulator.requests == []
