"""``polyglot simulate`` and its scripts."""

from __future__ import annotations

import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from polyglot_cli.script import Script, read_script
from polyglot_core import ConfigError, Usage
from polyglot_simulator import Drop, ErrorEvent, Garbage, Pace, Reply, Status, ToolCall

SCRIPT = """
pace = 500

[[turns]]
reply = "one two three four"
faults = [{ name = "Drop", after_events = 3 }]

[[turns]]
faults = [{ name = "Status", code = 503, headers = { retry-after = "1" } }]

[[turns]]
reply = "at last"
"""


@pytest.fixture
def script(tmp_path):
    """Writes a script, and reads it as the command would."""

    def read(text):
        file = tmp_path / "script.toml"
        file.write_text(text, "utf-8")
        return read_script(str(file))

    return read


# The command


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")
def test_it_runs_until_ctrl_c(command, tmp_path):
    """It prints its address and a piece of configuration that works, responds by its script, and ends with Ctrl-C."""
    (command.folder / "script.toml").write_text(SCRIPT, "utf-8")
    with command.started("simulate", "--script", "script.toml") as process:
        greeting = "".join(process.stdout.readline().decode() for _ in range(8))
        (command.folder / "config.toml").write_text(greeting[greeting.index("[connections") :], "utf-8")
        runs = [
            command.run("stream", "--retries", "0", "--config", "config.toml", "-c", "simulator", "Hi")
            for _ in range(4)
        ]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=command.patience)
    assert [(run.code, run.text) for run in runs] == [(5, "one two\n"), (4, ""), (0, "at last\n"), (0, "at last\n")]
    assert out.decode().splitlines()[0] == "1: POST /v1/chat/completions, model simulator, stream"
    assert len(out.splitlines()) == 4
    assert (process.returncode, err) == (130, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")
def test_reply_of_the_command_line_is_sent(command):
    """``--reply`` and ``--pace`` need no script, and ``--port`` is the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = command.run("simulate", "--port", str(port))
    assert refused.code == 3
    assert f"Port {port} cannot be used" in refused.err
    with command.started("simulate", "--port", str(port), "--reply", "Good morning", "--pace", "200") as process:
        assert f"http://127.0.0.1:{port}/v1" in process.stdout.readline().decode()
        config = f"[connections.s]\ndriver = 'openai'\nbase_url = 'http://127.0.0.1:{port}/v1'\nmodel = 'm'\n"
        (command.folder / "config.toml").write_text(config, "utf-8")
        assert command.run("stream", "--config", "config.toml", "-c", "s", "Hello").text == "Good morning\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--script", "nowhere.toml"], 3, "nowhere.toml cannot be read"),
        (["--script", "x.toml", "--reply", "x"], 2, "leave --reply out"),
        (["--pace", "0"], 2, "above 0"),
        (["--port", "70000"], 2, "--port"),
    ],
)
def test_what_makes_no_sense_is_refused(command, arguments, code, said):
    """An invalid option or script is reported, and nothing is started."""
    run = command.run("simulate", *arguments)
    assert (run.code, run.out) == (code, b"")
    assert said in run.err


# Scripts


def test_a_script_becomes_replies_faults_and_a_pace(script):
    """Turns become replies and faults of the simulator, with the values that the file has."""
    assert script(SCRIPT) == Script(
        replies=(Reply("one two three four"), Reply("at last")),
        faults=((Drop(after_events=3),), (Status(503, headers={"retry-after": "1"}),), ()),
        pace=Pace(tokens_per_second=500.0),
    )


def test_a_reply_may_hold_all_that_a_reply_can(script):
    """Thinking, refusal, tool calls, finish reason and usage are written as the simulator names them."""
    made = script("""
        [[turns]]
        reply = "text"
        reasoning = "hm"
        refusal = "no"
        finish_reason = "length"
        tool_calls = [{ name = "weather", arguments = { city = "Oslo" } }, { name = "raw", arguments = "{", id = "c1" }]
        usage = { input_tokens = 3, output_tokens = 9 }
    """)
    calls = [ToolCall("weather", {"city": "Oslo"}), ToolCall("raw", "{", "c1")]
    usage = Usage(input_tokens=3, output_tokens=9)
    assert made.replies == (
        Reply("text", reasoning="hm", refusal="no", finish_reason="length", tool_calls=calls, usage=usage),
    )


def test_faults_may_strike_every_request(script):
    """Faults outside of the turns apply to all requests, and may be limited by `times`."""
    made = script("""
        pace = { tokens_per_second = 20, first_delay = 1 }
        faults = [{ name = "Garbage", data = "x" }, { name = "ErrorEvent", times = 2, error = { message = "no" } }]
    """)
    assert made.always == (Garbage(data=b"x"), ErrorEvent(times=2, error={"message": "no"}))
    assert made.pace == Pace(tokens_per_second=20.0, first_delay=1.0)
    assert made.replies == ()


MISTAKES = {
    "no TOML": ("[[turns]\n", "is not TOML"),
    "unknown key": ("pase = 1", "unknown key 'pase' (did you mean 'pace'?)"),
    "unknown key in a turn": ('[[turns]]\nreplay = "x"', "turn 1: unknown key 'replay' (did you mean 'reply'?)"),
    "unknown fault": ('[[turns]]\nreply = "x"\nfaults = [{ name = "Drip" }]', "no fault 'Drip' (did you mean 'Drop'?)"),
    "fault of no kind": ('faults = [{ name = "Fault" }]', "no fault 'Fault'"),
    "fault without name": ('[[turns]]\nreply = "x"\nfaults = [{ after_events = 1 }]', "no fault None"),
    "unknown field": ('faults = [{ name = "Drop", after_event = 1 }]', "(did you mean 'after_events'?)"),
    "field of another type": ('faults = [{ name = "Drop", after_events = "1" }]', "after_events is a whole number"),
    "truth for a number": ('faults = [{ name = "Drop", after_events = true }]', "after_events is a whole number"),
    "truth for a fraction": ("pace = true", "tokens_per_second is a number"),
    "missing field": ('faults = [{ name = "Status" }]', "Status: "),
    "position missing": ('faults = [{ name = "Drop" }]', "needs exactly one position"),
    "pace": ("pace = -1", "above 0"),
    "pace as text": ('pace = "fast"', "tokens_per_second is a number"),
    "turns": ("turns = 3", "a list of tables"),
    "turn": ("turns = [3]", "not a table"),
    "nothing to say": ("[[turns]]\n", "turn 1 has no response"),
    "reply that nobody hears": (
        '[[turns]]\nreply = "x"\nfaults = [{ name = "Status", code = 500 }]',
        "Status sends a response instead of the reply",
    ),
    "times in a turn": ('[[turns]]\nfaults = [{ name = "Status", code = 500, times = 2 }]', "repeat the turn"),
    "faults twice": (
        'faults = [{ name = "Gzip" }]\n[[turns]]\nfaults = [{ name = "Gzip" }]\nreply = "x"',
        "move the former into the turns",
    ),
    "reply": ("[[turns]]\nreply = 3", "turn 1: text is a text"),
    "usage": ('[[turns]]\nreply = "x"\nusage = { tokens = 3 }', "unknown key 'tokens'"),
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.values(), ids=MISTAKES)
def test_invalid_script_is_an_error(script, text, said):
    """Nothing in a script is ignored: the error names the file, the position and the nearest word."""
    with pytest.raises(ConfigError) as caught:
        script(text)
    assert said in caught.value.message
    assert "script.toml" in caught.value.message
    assert re.search(r"[.?]$", caught.value.message.strip())


def test_the_script_in_the_help_is_one(script, command):
    """The example script of the help can be read."""
    shown = command.run("simulate", "--help").text
    lines = shown[shown.index("    pace = 40") : shown.index("Options:")].splitlines()
    made = script("\n".join(line.strip() for line in lines))
    assert made.pace == Pace(tokens_per_second=40.0)
    assert made.faults == ((Drop(after_events=4),), (Status(503),))


def test_the_script_of_the_readme_is_one(script):
    """The example script of the README can be read too."""
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    blocks = re.findall(r"```toml[^\n]*\n(.*?)```", readme, re.DOTALL)
    assert any(script(block).replies for block in blocks if "[[turns]]" in block)
