"""``--tools``: functions of a file that the model may call, each after a confirmation."""

from __future__ import annotations

import json

import pytest

from polyglot_simulator import Reply, ToolCall

pytest.importorskip("polyglot_answers", reason="it is an extra of the package")

TOOLS = '''
from pathlib import Path
from os.path import join


def weather(city: str) -> str:
    """Return the weather of a city."""
    Path("called").write_text(city)
    return f"rain in {city}"


def _hidden():
    pass
'''


@pytest.fixture
def tools(command, provider):
    """The command in a folder with a file of tools, and a provider that calls one and then replies."""
    (command.folder / "tools.py").write_text(TOOLS, "utf-8")
    call = Reply(tool_calls=[ToolCall("weather", {"city": "Oslo"})])
    command.simulator = provider([call, "It rains."])
    return command


def test_tools_run_without_a_question(tools):
    """With ``--yes`` a tool call is run, its result is sent, and only the text is printed."""
    run = tools.run("--tools", "tools.py", "-y", "What is the weather in Oslo?")
    assert (run.code, run.text) == (0, "It rains.\n")
    assert "Tool call: weather" in run.err
    first, second = [request.body for request in tools.simulator.requests]
    assert [tool["function"]["name"] for tool in first["tools"]] == ["weather"]
    assert second["messages"][-1]["content"] == "rain in Oslo"


@pytest.mark.parametrize(("reply", "ran"), [("y", True), ("n", False), ("", False)])
def test_each_tool_call_is_confirmed(tools, reply, ran):
    """At a terminal a tool call is shown and run if the user agrees; else the model learns that it was not."""
    with tools.terminal("--tools", "tools.py", "What is the weather in Oslo?") as terminal:
        assert '"Oslo' in terminal.read_until("Run it? ")
        terminal.type(reply + "\n")
        assert terminal.end() == 0
    assert terminal.rows[-1] == "It rains."
    assert (tools.folder / "called").exists() is ran
    result = tools.simulator.requests[1].body["messages"][-1]["content"]
    assert ("rain in Oslo" in result) is ran


def test_without_a_terminal_nothing_is_sent(tools):
    """Where no one can confirm a tool call, ``--yes`` is required."""
    import subprocess

    done = subprocess.run(
        tools.arguments("--tools", "tools.py", "What is the weather in Oslo?"),
        capture_output=True,
        input=b"",
        cwd=tools.folder,
        env=tools.env,
        start_new_session=True,
        timeout=tools.patience,
        check=False,
    )
    assert (done.returncode, b"--yes" in done.stderr) == (2, True)
    assert tools.simulator.requests == []


def test_steps_of_tools_are_lines_of_json(tools):
    """With ``--json`` tool calls and their results are lines, and the last one has the tokens of all calls."""
    run = tools.run("--tools", "tools.py", "-y", "--json", "What is the weather in Oslo?")
    lines = [json.loads(line) for line in run.text.splitlines()]
    assert [line["type"] for line in lines if line["type"] != "partial"] == ["tool_call", "tool_result", "end"]
    assert next(line for line in lines if line["type"] == "tool_result")["content"] == "rain in Oslo"
    assert lines[-1]["outcome"] == "finished"


def test_a_conversation_with_tools_is_continued(tools):
    """The history has the tool calls and results, so that a conversation with them can be continued."""
    assert tools.run("--log", "--tools", "tools.py", "-y", "What is the weather in Oslo?").code == 0
    assert tools.run("-C", "And tomorrow?").code == 0
    roles = [message["role"] for message in tools.simulator.requests[-1].body["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("x = 1\n", "defines no function"), ("1 / 0\n", "ZeroDivisionError"), ("def f(a): pass\n", "'a'")],
)
def test_a_file_without_tools(tools, text, said):
    """A file that cannot be imported, or whose functions cannot be tools, is an error before anything is sent."""
    (tools.folder / "other.py").write_text(text, "utf-8")
    run = tools.run("--tools", "other.py", "-y", "What is the weather?")
    assert run.code in {1, 4}
    assert said in run.err, run.err
    assert tools.simulator.requests == []
