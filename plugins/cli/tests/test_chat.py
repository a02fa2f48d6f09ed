"""``polyglot chat`` at a terminal and in pipes, against a provider on real sockets."""

from __future__ import annotations

import json
import os
import stat
import sys

import pyte
import pytest

from polyglot_cli.chat.slash import COMMANDS, completions, parse, unknown
from polyglot_simulator import Drop, Reply, Stall, Status, ToolCall

TEXT = "one two three four"
PROMPT = "\x1b[?2004h"  # reports pasted text from now on
NO_PROMPT_TOOLKIT = "import sys\nsys.modules['prompt_toolkit'] = None\n"
at_a_terminal = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are as on POSIX")


def keys(terminal, text):
    """Press keys."""
    os.write(terminal._master, text.encode())


def ready(terminal, shown):
    """Read until `shown` was written, and then the prompt, which reads keys from then on."""
    terminal.read_until(shown)
    while PROMPT not in terminal.written.partition(shown)[2]:
        terminal._read(0.1)
        assert terminal.process.poll() is None
    return terminal.written


def say(terminal, text, shown):
    """Type a message, and read to the next prompt."""
    terminal.written = ""
    keys(terminal, text + "\r")
    return ready(terminal, shown)


def turns(request):
    """Return role and text of the messages of a request."""
    return [(each["role"], each["content"]) for each in request.body["messages"]]


def rows(written):
    """Return the rows that a terminal shows."""
    screen = pyte.HistoryScreen(80, 24, history=1000)
    screen.set_mode(pyte.modes.LNM)
    pyte.Stream(screen).feed(written)
    return [row.rstrip() for row in screen.display]


@pytest.fixture
def chatting(command):
    """Starts chats at a terminal, whose prompt is there."""

    def start(*arguments, **env):
        return command.terminal("chat", *arguments, PROMPT_TOOLKIT_NO_CPR="1", **env)

    return start


@at_a_terminal
def test_each_message_is_sent_with_the_turns_before(chatting, provider):
    """A second message follows the first and its response; Ctrl-D ends the chat with exit code 0."""
    simulator = provider(["the **first**", "the second"])
    with chatting("-s", "Be brief.", "-o", "temperature=0.5", "-m", "other") as terminal:
        ready(terminal, "/help")
        shown = say(terminal, "Hello", " out")
        assert "the \x1b[1mfirst\x1b[0m" in shown
        assert "first token" in shown
        say(terminal, "More", "the second")
        keys(terminal, "\x04")
        assert terminal.end() == 0
    first, second = simulator.requests
    assert turns(first) == [("system", "Be brief."), ("user", "Hello")]
    assert turns(second) == [*turns(first), ("assistant", "the **first**"), ("user", "More")]
    assert (second.body["temperature"], second.body["model"]) == (0.5, "other")


@at_a_terminal
def test_ctrl_c_stops_the_response_and_keeps_its_text(chatting, provider):
    """Ctrl-C ends a response, each time; what was received is sent with the next message."""
    simulator = provider(TEXT, faults=[[Stall(after_events=3)], [Stall(after_events=2)], []])
    with chatting() as terminal:
        ready(terminal, "/help")
        for message, received in (("Hello", "one two"), ("Again", "one")):
            terminal.written = ""
            keys(terminal, message + "\r")
            terminal.read_until(received)
            terminal.interrupt()
            ready(terminal, "cancelled; the text is kept")
        say(terminal, "Last", "three four")
        keys(terminal, "\x03")  # at an empty prompt
        assert terminal.end() == 0
    assert simulator.requests[0].wait_closed() is not None
    received = ["user", "assistant"] * 2 + ["user"]
    assert [role for role, _ in turns(simulator.requests[2])] == received
    assert turns(simulator.requests[2])[1][1].strip() == "one two"


@at_a_terminal
def test_the_simulator_can_be_chosen(chatting, provider):
    """By its name, at the beginning and within the chat."""
    provider(TEXT)
    with chatting("-c", "simulator") as terminal:
        shown = ready(terminal, "/help")
        assert "Chat with simulator" in shown
        say(terminal, "Hello", "I am the simulator")
        say(terminal, "/connection test", "Now with test")
        say(terminal, "Again", "one two")
        say(terminal, "/connection simulator", "Now with simulator")
        say(terminal, "/connection absent", "absent")
        keys(terminal, "\x04")
        assert terminal.end() == 0


@at_a_terminal
def test_an_error_does_not_end_the_chat(chatting, provider):
    """A turn that fails is shown and is not part of the conversation; /retry sends it again."""
    simulator = provider(TEXT, faults=[[Status(500)], []])
    with chatting() as terminal:
        ready(terminal, "/help")
        say(terminal, "Hello", "sends it again.")
        assert "status 500" in terminal.written
        say(terminal, "/retry", "three four")
        keys(terminal, "\x04")
        assert terminal.end() == 0
    assert turns(simulator.requests[1]) == turns(simulator.requests[0]) == [("user", "Hello")]


@at_a_terminal
def test_a_cut_response_is_kept_and_marked(chatting, provider):
    """A response that is cut off is shown with its error, and sent with the next message; /retry replaces it."""
    simulator = provider([TEXT, "whole", "next"], faults=[[Drop(after_events=3)], [], []])
    with chatting() as terminal:
        ready(terminal, "/help")
        say(terminal, "Hello", "the text is kept, /retry replaces it")
        assert "one two" in terminal.written
        say(terminal, "/retry", "whole")
        say(terminal, "More", "next")
        keys(terminal, "\x04")
        assert terminal.end() == 0
    assert turns(simulator.requests[1]) == [("user", "Hello")]
    assert turns(simulator.requests[2])[1] == ("assistant", "whole")


@at_a_terminal
def test_tool_calls_and_waits_are_shown(chatting, provider):
    """A tool call is shown with its arguments, and why a request is sent again."""
    provider(Reply(tool_calls=[ToolCall("weather", {"city": "Oslo"})]))
    with chatting() as terminal:
        ready(terminal, "/help")
        say(terminal, "Hello", '→ weather({"city":"Oslo"})')
        keys(terminal, "\x04")
        assert terminal.end() == 0


@at_a_terminal
@pytest.mark.parametrize("typed", ["a\\\rb", "a\x1b\rb"], ids=["backslash", "Alt-Enter"])
def test_a_message_has_several_lines(chatting, provider, typed):
    """A backslash at the end of a line, or Alt-Enter, begins another line of the message."""
    simulator = provider(TEXT)
    with chatting() as terminal:
        ready(terminal, "/help")
        say(terminal, typed, "three four")
        keys(terminal, "\x04")
        terminal.end()
    assert turns(simulator.requests[0]) == [("user", "a\nb")]


@at_a_terminal
def test_what_is_typed_is_kept_for_its_owner(command, chatting, provider):
    """The next chat has the messages of the one before, in a file that only its owner can read; or not, if not wanted."""
    simulator = provider(TEXT)
    for arguments in ((), ("--no-history",)):
        with chatting(*arguments) as terminal:
            ready(terminal, "/help")
            say(terminal, f"Hello{len(arguments)}", "three four")
            keys(terminal, "\x04")
            terminal.end()
    with chatting() as terminal:
        ready(terminal, "/help")
        say(terminal, "\x1b[A", "three four")
        keys(terminal, "\x04")
        terminal.end()
    assert turns(simulator.requests[2]) == [("user", "Hello0")]
    (file,) = command.home.rglob("chat-history")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "Hello1" not in file.read_text()


@at_a_terminal
def test_without_prompt_toolkit_it_is_named(command, chatting, provider):
    """Where prompt_toolkit is not installed, the chat states the command that installs it."""
    provider(TEXT)
    site = command.home / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(NO_PROMPT_TOOLKIT)
    with chatting(PYTHONPATH=str(site)) as terminal:
        assert terminal.end() == 2
    assert "pip install 'polyglot-cli[chat]'" in terminal.written
    assert command.run("chat", given=b"Hello\n", PYTHONPATH=str(site)).text == TEXT + "\n"


@at_a_terminal
@pytest.mark.parametrize(("env", "styled"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_and_dumb_terminals(chatting, provider, env, styled):
    """Markdown is styled; with ``NO_COLOR`` it has no styles; a dumb terminal gets the text as it is."""
    provider("- **bold** and `code`\n")
    with chatting(**env) as terminal:
        ready(terminal, "/help")
        say(terminal, "Hello", "code")
        keys(terminal, "\x04")
        terminal.end()
        written = terminal.written
    assert ("\x1b[1mbold" in written) is styled
    assert ("- **bold** and `code`" in written) is ("TERM" in env)
    if "NO_COLOR" in env:
        assert any(row.startswith("• bold and code") for row in rows(written))


# In pipes


def test_each_line_of_a_pipe_is_a_message_or_a_command(command, provider):
    """Standard output has the responses and nothing else; commands report on standard error."""
    simulator = provider(["the **first**", "the second"])
    run = command.run("chat", given=b"Hello\n\n/model other\nTwo \\\nlines\n/tokens\n//slash\n/exit\nnever\n")
    assert (run.code, run.out) == (0, b"the **first**\nthe second\nthe second\n")
    assert "2 turns" in run.err
    assert [turns(request)[-1][1] for request in simulator.requests] == ["Hello", "Two \nlines", "/slash"]
    assert [request.body["model"] for request in simulator.requests] == ["test-model", "other", "other"]


def test_a_failed_turn_of_a_pipe_is_its_exit_code(command, provider):
    """The chat continues after an error, and ends with the exit code of the first."""
    provider(TEXT, faults=[[Status(500)], []])
    run = command.run("chat", given=b"Hello\nMore\n")
    assert (run.code, run.text) == (4, TEXT + "\n")
    assert "status 500" in run.err


def test_a_saved_chat_is_continued(command, provider):
    """A file of /save holds the turns and the settings but no key, for its owner alone; /load continues it."""
    simulator = provider([TEXT, "next"])
    saving = command.run("chat", "-s", "Be brief.", given=b"/connection test\nHello\n/save talk.json\n")
    file = command.folder / "talk.json"
    assert saving.code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 or sys.platform == "win32"
    saved = file.read_text("utf-8")
    assert command.key not in saved
    assert json.loads(saved)["connection"] == "test"
    run = command.run("chat", given=b"/load talk.json\nMore\n/save\n/load nowhere.json\n")
    assert "No such file" in run.err
    assert turns(simulator.requests[1]) == [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", TEXT),
        ("user", "More"),
    ]
    assert len(json.loads(file.read_text("utf-8"))["messages"]) == 4


@pytest.mark.parametrize(
    "text", ["no json", "{}", '[{"role": "assistant", "content": "x"}]', "[1]", '[{"content": 1}]']
)
def test_what_is_no_conversation_is_refused(command, provider, text):
    """A file that holds something else is an error, and the chat continues."""
    provider(TEXT)
    (command.folder / "talk.json").write_text(text)
    run = command.run("chat", given=b"/load talk.json\nHello\n")
    assert run.text == TEXT + "\n"
    assert run.code != 0
    assert "Error: " in run.err


def test_a_file_is_sent_with_the_next_message(command, provider):
    """An attached image is sent with one message, and a file that is not there is an error."""
    simulator = provider(TEXT)
    (command.folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 20)
    run = command.run("chat", "-a", "a.png", given=b"What?\n/attach nowhere.png\n/attach a.png\nAnd now?\nMore\n")
    assert "No such file" in run.err
    kinds = [[part["type"] for part in request.body["messages"][-1]["content"]] for request in simulator.requests[:2]]
    assert kinds == [["image_url", "text"]] * 2
    assert turns(simulator.requests[2])[-1] == ("user", "More")


def test_a_file_of_the_command_line_must_be_there(command, provider):
    """A file that cannot be read, or is of no known type, ends the command before any request."""
    simulator = provider(TEXT)
    run = command.run("chat", "-a", "nowhere.png", given=b"Hello\n")
    assert (run.code, run.out) == (1, b"")
    assert "nowhere.png cannot be read: No such file or directory" in run.err
    (command.folder / "a.bin").write_bytes(b"\x00\x01\x02\xff")
    assert command.run("chat", "-a", "a.bin", given=b"Hello\n").code == 1
    assert not simulator.requests


def test_another_connection_continues_the_conversation(command, provider):
    """After an unknown name the connection is the one before; a known one takes over."""
    simulator = provider(TEXT)
    run = command.run("chat", given=b"Hello\n/connection tset\nMore\n/connection test/bigger\nLast\n")
    assert run.text == f"{TEXT}\n" * 3
    assert "tset" in run.err
    assert [request.body["model"] for request in simulator.requests] == ["test-model", "test-model", "bigger"]
    assert len(turns(simulator.requests[2])) == 5


def test_a_chat_can_begin_anew(command, provider):
    """/clear removes the turns, /system changes the system message, and /retry without a message is an error."""
    simulator = provider(TEXT)
    run = command.run("chat", given=b"Hello\n/clear\n/retry\n/system Be kind.\nMore\n/help\n/nonsense\n")
    assert turns(simulator.requests[1]) == [("system", "Be kind."), ("user", "More")]
    assert "There is no message to send again." in run.err
    assert all(f"/{name}" in run.err for name in COMMANDS)


@at_a_terminal
def test_the_help_of_a_chat_fits_the_terminal(chatting, provider):
    """What is too long for a row continues below itself, and not at the left."""
    provider(TEXT)
    with chatting() as terminal:
        ready(terminal, "/help")
        shown = rows(say(terminal, "/help", "/exit"))
    first = next(index for index, row in enumerate(shown) if row.startswith("/save"))
    assert shown[first + 1].startswith(" " * shown[first].index("save the")), shown


def test_messages_of_a_chat_are_for_a_person(command, provider):
    """One turn is singular, and an error advises a command and no function."""
    provider(TEXT)
    run = command.run("chat", given=b"Hello\n/tokens\n/connection nope\n")
    assert "1 turn," in run.err
    assert "`polyglot connections` lists all names" in run.err
    assert "connections()" not in run.err


# Commands


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("Hello", None),
        ("//x", None),
        ("/exit", ("exit", "")),
        ("/quit", ("exit", "")),
        ("/model  a b ", ("model", "a b")),
        ("/", ("", "")),
    ],
)
def test_commands_begin_with_one_slash(text, parsed):
    """A slash begins a command, and two a message."""
    assert parse(text) == parsed


def test_a_misspelt_command_is_suggested():
    """A name that is close to that of a command is suggested."""
    assert "did you mean /model?" in unknown("modle")
    assert "/help" in unknown("xyzzy")


def test_commands_are_completed(tmp_path, monkeypatch):
    """Names of commands, of connections and of files are offered, with what they replace."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.json").touch()
    (tmp_path / "talks").mkdir()

    def offered(text):
        return [(each.text, each.replaced) for each in completions(text, lambda: ["openai", "ollama"])]

    assert offered("/s") == [("system", 1), ("save", 1)]
    assert offered("/connection op") == [("openai", 2)]
    assert offered("/load ta") == [("talk.json", 2), ("talks/", 2)]
    assert offered(f"/load {tmp_path}/talk.") == [("talk.json", 5)]
    assert offered("/load nowhere/x") == offered("Hello /s") == offered("/s\nx") == []
