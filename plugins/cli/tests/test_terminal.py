"""The command at a terminal: what a person sees, and what the terminal is spared."""

from __future__ import annotations

import functools
import os
import re
import sys

import pytest

from polyglot_simulator import Drop, Pace, Stall, Status

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are as on POSIX")

TEXT = "one two three four"

THINKER = """
from polyglot_core.plugin import ReasoningDelta, TextDelta, hookimpl
from polyglot_openai.chat import driver

encode_request, extract_usage = driver.encode_request, driver.extract_usage


@hookimpl
def decode_chunk(connection, state, chunk):
    events = []
    for event in driver.decode_chunk(connection=connection, state=state, chunk=chunk):
        if isinstance(event, TextDelta) and not state.get("has_thought"):
            thought, bar, text = event.text.partition("|")
            state["has_thought"] = bool(bar)
            events += [ReasoningDelta(thought), TextDelta(text)]
        else:
            events.append(event)
    return events
"""


@pytest.fixture
def thinker(command, provider):
    """Starts a provider whose driver takes the text before a bar for thinking."""
    command.install("thinker", THINKER)
    return functools.partial(provider, driver="thinker")


COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")

STYLE = re.compile(r"\x1b\[[0-9;]*m")
BELOW = "\x1b8\x1b[B\r\x1b[2K"  # to the line below the text, which is then empty


def test_control_sequences_of_the_model_do_not_reach_the_terminal(command, provider):
    """Control sequences are removed, even if split across pieces; direction marks are shown."""
    provider("a\x1b]52;c;aGVsbG8=\x07b\x1b[2Jc\x9b1md\x07\re\u202ef")
    with command.terminal("stream", "Hello") as terminal:
        assert terminal.end() == 0
    assert terminal.rows == ["abcde<U+202E>f"]


def test_raw_lets_them_through(command, provider):
    """With ``--raw`` the terminal gets the text as it was received."""
    provider("a\x1b[1mb\u202ec")
    with command.terminal("stream", "--raw", "Hello") as terminal:
        assert terminal.end() == 0
    assert terminal.left == "a\x1b[1mb\u202ec\n"


def test_json_on_a_terminal_steers_nothing(command, provider):
    """JSON lines hold what would steer the terminal as escapes."""
    provider("a\x1b[1m\x9b2Jb\u202ec")
    with command.terminal("stream", "--json", "Hello") as terminal:
        assert terminal.end() == 0
    assert not set("\x1b\x9b\u202e") & set(terminal.left)


def test_text_is_shown_as_it_arrives(command, provider):
    """The text received so far is on the screen while the model is still silent."""
    provider(TEXT, fault=Stall(after_events=3))
    with command.terminal("stream", "Hello") as terminal:
        terminal.read_until("one two")
        assert terminal.process.poll() is None


def test_ctrl_c_keeps_the_text_and_closes_the_connection(command, provider):
    """Ctrl-C ends with exit code 130 on a new line, without a word, and the provider sees the socket close."""
    simulator = provider(TEXT, fault=Stall(after_events=3))
    with command.terminal("stream", "Hello") as terminal:
        terminal.read_until("one two")
        terminal.interrupt()
        assert terminal.end() == 130
    assert terminal.rows == ["one two"]
    assert simulator.requests[0].wait_closed() is not None


def test_an_error_begins_on_a_line_of_its_own(command, provider):
    """After a text without a line break the error is on a new line."""
    provider(TEXT, fault=Drop(after_events=3))
    with command.terminal("stream", "Hello") as terminal:
        assert terminal.end() == 5
    assert terminal.rows[0] == "one two"
    assert terminal.rows[1].startswith("Error: ")
    assert COLOUR.search(terminal.written)


def test_a_long_wait_is_spoken_of_and_leaves_no_trace(command, provider):
    """The target of the wait is shown after a moment, and removed before the first word of the response."""
    provider(TEXT, fault=Stall(after_events=0, seconds=1.5))
    with command.terminal("stream", "Hello") as terminal:
        terminal.read_until("waiting for test")
        assert terminal.end() == 0
    assert terminal.rows == [TEXT]
    assert terminal.written.count("\x1b[?25l") == terminal.written.count("\x1b[?25h")  # the cursor is there again


def test_thinking_that_is_not_shown_is_a_wait(command, thinker):
    """While a model thinks, the line states so; it is not a blank screen."""
    thinker(f"first this, then that|{TEXT}", fault=Stall(after_events=2))
    with command.terminal("stream", "Hello") as terminal:
        terminal.read_until("test is thinking…")
        terminal.interrupt()
        assert terminal.end() == 130
    assert terminal.left == ""


def test_a_stall_is_shown_below_the_text(command, provider):
    """A response that has stopped arriving is noted on the line below; then it is removed."""
    provider(TEXT, fault=Stall(after_events=3))
    with command.terminal("stream", "Hello") as terminal:
        terminal.read_until("waiting for test to continue…")
        assert terminal.rows[0] == "one two"
        assert terminal.rows[1].startswith("waiting for test to continue…")
        terminal.interrupt()
        assert terminal.end() == 130
    assert terminal.rows == ["one two"]
    assert terminal.written.count("\x1b[?25l") == terminal.written.count("\x1b[?25h")


def test_a_stall_is_shown_below_text_that_is_not_drawn(command, provider):
    """With ``--raw`` the wait is on the line below; then the cursor is behind the text again."""
    provider(TEXT, fault=Stall(after_events=3))
    with command.terminal("stream", "--raw", "Hello") as terminal:
        assert "one two" in terminal.read_until("waiting for test to continue…").partition("\x1b7")[0]
        terminal.interrupt()
        assert terminal.end() == 130
    assert terminal.left == "\x1b8\n"
    assert BELOW in terminal.written
    assert terminal.written.count("\x1b[?25l") == terminal.written.count("\x1b[?25h")


def test_markdown_is_shown_as_it_is_received(command, provider):
    """The text is Markdown on a terminal, and as it was received with ``--raw``, on a dumb terminal and in a pipe."""
    text = "- **bold** and `code`"
    provider(text)
    with command.terminal("stream", "Hello") as terminal:
        assert terminal.end() == 0
    assert terminal.rows == ["• bold and code"]
    for arguments, env in ((["--raw"], {}), ([], {"TERM": "dumb"})):
        with command.terminal("stream", *arguments, "Hello", **env) as terminal:
            assert terminal.end() == 0
        assert terminal.left == text + "\n"
    assert command.run("stream", "Hello").text == text + "\n"


def test_the_wait_is_shown_where_the_text_goes_to_a_file(command, provider):
    """With standard output in a file, the wait and the reason of a retry are on the terminal, and not in the file."""
    provider(TEXT, fault=Status(429, times=1, headers={"retry-after": "1.5"}))
    target = command.folder / "out.txt"
    with (
        target.open("wb") as file,
        command.terminal("stream", "--retries", "1", "Hello", stdout=file.fileno()) as terminal,
    ):
        terminal.read_until("Retrying in 1.5 s")
        assert terminal.end() == 0
    assert terminal.left == ""
    assert target.read_text("utf-8") == TEXT + "\n"


@pytest.mark.parametrize("how", [[], ["--no-stream"]], ids=["stream", "plain"])
def test_why_it_takes_longer_is_shown_while_it_does(command, provider, how):
    """Between two requests the wait shows the failure, and is removed like any other."""
    provider(TEXT, fault=Status(503, times=1, headers={"retry-after": "1.5"}))
    with command.terminal("stream", "--retries", "1", *how, "Hello") as terminal:
        terminal.read_until("Retrying in 1.5 s")
        assert terminal.end() == 0
    assert terminal.rows == [TEXT]


def test_the_wait_for_a_retry_is_counted_down(command, provider):
    """The seconds that are left are shown, whatever the length of the message; Ctrl-C ends the wait."""
    body = {"error": {"message": "The rate limit is reached. " * 10, "code": "rate_limit_exceeded"}}
    provider(TEXT, fault=Status(429, body=body, headers={"retry-after": "30"}))
    with command.terminal("stream", "--retries", "1", "Hello") as terminal:
        terminal.read_until("The rate limit is reached. The rate")
        terminal.read_until("… Retrying in 30.0 s… 2")
        terminal.read_until(" s left")
        terminal.interrupt()
        assert terminal.end() == 130


def test_ctrl_c_while_waiting_gives_the_cursor_back(command, provider):
    """A wait that is interrupted leaves an empty line and a visible cursor."""
    provider(TEXT, fault=Stall(before_headers=True))
    with command.terminal("stream", "Hello") as terminal:
        terminal.read_until("waiting for test")
        terminal.interrupt()
        assert terminal.end() == 130
    assert terminal.left == ""
    assert terminal.written.count("\x1b[?25l") == terminal.written.count("\x1b[?25h")


def test_a_dumb_terminal_gets_plain_text(command, thinker):
    """With ``TERM=dumb`` nothing but text is written: no colour, no wait that is drawn anew."""
    thinker(f"hm|{TEXT}", fault=Stall(after_events=0, seconds=0.8))
    with command.terminal("stream", "--reasoning", "Hello", TERM="dumb") as terminal:
        assert terminal.end() == 0
    assert terminal.written == f"hm\n\n{TEXT}\n"


@pytest.mark.parametrize(("content", "fault", "shown"), [
    (f"hm|{TEXT}", Stall(before_headers=True, seconds=2.6), f"waiting for test…\n{TEXT}\n"),
    (f"hm|{TEXT}", Stall(after_events=2, seconds=2.6), f"test is thinking…\n{TEXT}\n"),
])  # fmt: skip
def test_a_dumb_terminal_shows_long_waits(command, thinker, content, fault, shown):
    """A line of its own says once what is waited for: the connection, or a model whose thinking is not printed."""
    thinker(content, fault=fault)
    with command.terminal("stream", "Hello", TERM="dumb") as terminal:
        assert terminal.end() == 0
    assert terminal.written == shown


def test_thinking_is_dimmed_before_the_text(command, thinker):
    """With ``--reasoning`` the thinking is dimmed, cleaned and above the text, which is not dimmed."""
    thinker(f"first\x1b[2J this|{TEXT}")
    with command.terminal("stream", "--reasoning", "Hello") as terminal:
        assert terminal.end() == 0
    assert terminal.rows == ["┆ first this", "", TEXT]
    assert "\x1b[2m┆ first" in terminal.written
    assert f"\x1b[2m{TEXT[:3]}" not in terminal.written


def test_thinking_is_not_shown_unless_asked_for(command, thinker):
    """Without ``--reasoning`` only the text is shown, and a pipe never gets anything else."""
    thinker(f"first this|{TEXT}")
    with command.terminal("stream", "Hello") as terminal:
        assert terminal.end() == 0
    assert terminal.rows == [TEXT]
    assert command.run("stream", "--reasoning", "Hello").text == TEXT + "\n"


def test_no_color_is_honoured(command, provider):
    """With ``NO_COLOR`` no error and no list has a style: neither a colour nor bold text."""
    provider(TEXT, fault=Drop(after_events=3))
    for arguments in (["stream", "Hello"], ["connections"]):
        with command.terminal(*arguments, NO_COLOR="1") as terminal:
            terminal.end()
        assert not STYLE.search(terminal.written)
        assert terminal.plain


def test_messages_and_lists_fit_80_columns(command, provider):
    """Errors, lists and figures are broken between words at 80 columns."""
    provider(TEXT, pace=Pace(first_delay=0.1), fault=Drop(after_events=3))
    for arguments in (
        ["connections"],
        ["connections", "--all"],
        ["drivers"],
        ["stream", "--usage", "Hello"],
        ["stream", "-c", "nobody", "Hello"],
    ):
        with command.terminal(*arguments) as terminal:
            terminal.end()
        assert max(map(len, terminal.plain.splitlines())) <= 80


def test_a_pipe_that_does_not_end_is_reported(command, provider):
    """A person who waits for standard input to end learns what the command waits for."""
    provider(TEXT)
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe, command.terminal("stream", "Hello", stdin=pipe.fileno()) as terminal:
        terminal.read_until("Reading standard input")
        os.close(writing)
        assert terminal.end() == 0
    assert terminal.rows[-1] == TEXT


def test_without_a_prompt_nobody_waits(command, provider):
    """At a terminal a missing prompt is reported, instead of a silent wait for input."""
    provider(TEXT)
    with command.terminal("stream") as terminal:
        assert terminal.end() == 2
    assert "There is no prompt." in terminal.written


@pytest.mark.parametrize(
    "arguments",
    [
        ["connections", "default", "no-such-connection"],
        ["strem"],
        ["stream", "--no-such-option-is-known-to-this-command-and-it-is-far-too-long", "x"],
    ],
    ids=["in a command", "no command", "no option"],
)
def test_errors_of_the_command_line_are_broken_between_words(command, provider, arguments):
    """A message that is longer than a row continues with a whole word, and the exit code is the same."""
    provider(TEXT)
    with command.terminal(*arguments) as terminal:
        assert terminal.end() == 2
    written = re.sub(r"\x1b\[[0-9;]*m", "", terminal.written)
    assert written.startswith("Usage: polyglot")
    assert "Error: " in written
    assert max(map(len, written.splitlines())) <= 80
