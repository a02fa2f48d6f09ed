"""``polyglot compare`` at a terminal and in pipes, against providers on real sockets."""

from __future__ import annotations

import contextlib
import json
import sys

import pyte
import pytest

from polyglot_simulator import Drop, Reply, Simulator, Stall, Status

ONE, TWO = "one **two** three", "first second third fourth"
at_a_terminal = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are as on POSIX")


@pytest.fixture
def providers(command):
    """Starts simulators, and configures each as a connection, by the names ``a``, ``b`` and ``c``."""
    with contextlib.ExitStack() as opened:

        def start(*settings):
            started = [opened.enter_context(Simulator(**each)) for each in settings]
            lines = []
            for name, simulator in zip("abc", started, strict=False):
                lines += [
                    f"[connections.{name}]",
                    'driver = "openai"',
                    f'base_url = "{simulator.base_url}"',
                    'api_key_env = "TEST_KEY"',
                    'model = "test-model"',
                    "retries = { max_retries = 1, initial_backoff = 0.01 }",
                ]
            file = command.home / "own.toml"
            file.write_text("\n".join(lines), "utf-8")
            command.env |= {"POLYGLOT_CONFIG": str(file), "TEST_KEY": command.key}
            return started

        yield start


def rows(written, columns=80):
    """Return the rows that a terminal has at the end, with those that have scrolled off."""
    screen = pyte.HistoryScreen(columns, 24, history=1000)
    screen.set_mode(pyte.modes.LNM)
    pyte.Stream(screen).feed(written)
    above = ["".join(line[column].data for column in range(columns)).rstrip() for line in screen.history.top]
    return [*above, *(row.rstrip() for row in screen.display)]


def cells(run):
    """Return the cells of the table of a run, by the name of the response."""
    lines = [[cell.strip() for cell in line.split("│")] for line in run.text.splitlines() if "│" in line]
    return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[1:]}


@at_a_terminal
def test_responses_are_side_by_side(command, providers):
    """On a wide terminal each response has columns, with Markdown, and a table follows."""
    first, second = providers({"reply": ONE}, {"reply": TWO})
    with command.terminal(
        "compare", "-c", "a", "-c", "b", "-s", "Be brief.", "-o", "temperature=0", "Hello"
    ) as terminal:
        assert terminal.end() == 0
    shown = rows(terminal.written)
    assert any(row.startswith("a/test-model  finished") and "│ b/test-model  finished" in row for row in shown)
    assert any(row.startswith("one two three") and row.endswith(f"│ {TWO}") for row in shown)
    assert any(row.startswith("a/test-model │") and row.endswith("│ finished") for row in shown)
    for simulator in (first, second):
        body = simulator.requests[0].body
        assert [each["content"] for each in body["messages"]] == ["Be brief.", "Hello"]
        assert body["temperature"] == 0


@at_a_terminal
def test_responses_are_received_at_once_and_kept_at_ctrl_c(command, providers):
    """All are streamed at once; Ctrl-C ends them, and shows what was received of each."""
    first, second = providers(
        {"reply": ONE, "fault": Stall(after_events=3)}, {"reply": TWO, "fault": Stall(after_events=3)}
    )
    with command.terminal("compare", "-c", "a", "-c", "b", "Hello") as terminal:
        terminal.read_until("one")
        terminal.read_until("first second")
        terminal.interrupt()
        assert terminal.end() == 130
    assert first.requests[0].wait_closed() is not None
    assert second.requests[0].wait_closed() is not None
    shown = rows(terminal.written)
    assert any(row.startswith("one ") and row.endswith("│ first second") for row in shown)
    assert [row.rpartition(" ")[2] for row in shown if row.startswith(("a/test-model ", "b/test-model "))][-2:] == [
        "cancelled"
    ] * 2


@at_a_terminal
def test_three_responses_are_below_each_other_where_columns_are_narrow(command, providers):
    """Where the terminal is too narrow for columns, each response has rows."""
    providers({"reply": ONE}, {"reply": TWO}, {"reply": "last"})
    with command.terminal("compare", "-c", "a", "-c", "b", "-c", "c", "Hello") as terminal:
        assert terminal.end() == 0
    shown = rows(terminal.written)
    at = [shown.index(row) for row in ("one two three", TWO, "last")]
    assert at == sorted(at)
    assert shown[at[0] - 1] == "a/test-model  finished"


def test_a_pipe_gets_sections_and_a_table(command, providers):
    """Piped output has the text of each response as it was received, in order, and the table."""
    providers({"reply": ONE}, {"reply": TWO})
    run = command.run("compare", "-c", "a", "-c", "b", "Hello")
    assert run.code == 0
    assert run.text.startswith(f"## a/test-model\n\n{ONE}\n\n## b/test-model\n\n{TWO}\n\n")
    table = cells(run)
    assert {name: row["outcome"] for name, row in table.items()} == {
        "a/test-model": "finished",
        "b/test-model": "finished",
    }
    assert table["b/test-model"]["out"] == "4"
    assert table["a/test-model"]["first"].endswith(" s")
    assert "\x1b" not in run.text


def test_each_model_is_compared_on_each_connection(command, providers):
    """Models given with ``-m`` are requested from each of the connections."""
    first, second = providers({"reply": ONE}, {"reply": TWO})
    run = command.run("compare", "-c", "a", "-c", "b", "-m", "small", "-m", "big", given=b"Hello")
    assert list(cells(run)) == ["a/small", "a/big", "b/small", "b/big"]
    for simulator in (first, second):
        assert sorted(request.body["model"] for request in simulator.requests) == ["big", "small"]


@pytest.mark.parametrize(
    ("fault", "code", "error"), [(Status(400), 4, "InvalidRequest"), (Drop(after_events=2), 5, "")]
)
def test_the_exit_code_is_the_highest(command, providers, fault, code, error):
    """One response that fails gives its exit code; the others are complete, and its error is reported."""
    providers({"reply": ONE}, {"reply": TWO, "fault": fault})
    run = command.run("compare", "-c", "a", "-c", "b", "Hello")
    assert run.code == code
    table = cells(run)
    assert table["a/test-model"]["outcome"] == "finished"
    assert error in table["b/test-model"]["outcome"]
    assert "Error: b/test-model: " in run.err


def test_the_cost_is_that_of_a_package_that_knows_prices(command, providers):
    """The cost is from the package in the group of costs; without such a package, or a price, it is not known."""
    providers({"reply": ONE}, {"reply": TWO})
    arguments = ("compare", "-c", "a/gpt-4o-mini", "-c", "b/unheard-of", "Hello")
    table = cells(command.run(*arguments))
    assert table["a/gpt-4o-mini"]["cost"].startswith("$")
    assert table["b/unheard-of"]["cost"] == "-"
    without = command.run(*arguments, POLYGLOT_DRIVERS="polyglot-openai")
    assert cells(without)["a/gpt-4o-mini"]["cost"] == "-"


def test_json_has_an_object_for_each(command, providers):
    """``--json`` prints texts, figures, outcomes and errors, and nothing else."""
    providers({"reply": Reply(ONE, reasoning="hm")}, {"reply": TWO, "fault": Status(503)})
    run = command.run("compare", "-c", "a", "-c", "b", "--json", "Hello")
    good, bad = json.loads(run.text)
    assert run.code == 4
    assert (good["name"], good["text"], good["outcome"], good["finish_reason"]) == (
        "a/test-model",
        ONE,
        "finished",
        "stop",
    )
    assert good["output_tokens"] > 0
    assert good["first_token"] <= good["duration"]
    assert (bad["outcome"], bad["error"]["type"], bad["text"]) == ("failed", "Overloaded", "")
    assert command.key not in run.text + run.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "at least two connections"),
        (["-c", "a"], 2, "at least two connections"),
        (["-c", "a", "-c", "nowhere"], 3, "nowhere"),
    ],
)
def test_nothing_is_sent_for_a_wrong_command_line(command, providers, arguments, code, words):
    """Fewer than two responses, or a connection that is unknown, are errors before any request."""
    simulator, _ = providers({"reply": ONE}, {"reply": TWO})
    run = command.run("compare", *arguments, "Hello")
    assert (run.code, run.out) == (code, b"")
    assert words in run.err
    assert not simulator.requests
