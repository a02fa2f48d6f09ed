"""``polyglot batch``: its output, its exit codes, and how the command finds it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from polyglot_cli.commands import polyglot as polyglot_command
from polyglot_simulator import Pace, Simulator, Status

pytestmark = pytest.mark.http


PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
sys.argv[0] = "polyglot"
from polyglot_cli.main import main
main()
"""


@pytest.fixture
def polyglot(tmp_path):
    """Return a function that runs the command over a simulator, in a folder of its own."""

    def run(*arguments, simulator=None, lines=('"Hello"',), wait=True):
        (tmp_path / "in.jsonl").write_text("".join(f"{line}\n" for line in lines))
        config = tmp_path / "polyglot.toml"
        url = "http://127.0.0.1:1/v1" if simulator is None else simulator.base_url
        config.write_text(f'[connections.sim]\ndriver = "openai"\nbase_url = "{url}"\nmodel = "gpt-4o"\n')
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "POLYGLOT_CONFIG": str(config)},
        )  # fmt: skip
        if not wait:
            return process
        stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    return run


def test_a_batch(polyglot, tmp_path):
    """It writes the results, says what was done and what it cost, and resumes by itself."""
    with Simulator("pong") as simulator:
        ended = polyglot("batch", "-c", "sim", "in.jsonl", "out.jsonl", simulator=simulator)
        assert (ended.returncode, ended.stdout) == (0, "")
        assert ended.stderr == "1 of 1 done; 1 call made now. $0.000012.\n"
        again = polyglot("batch", "-c", "sim", "--quiet", "in.jsonl", "out.jsonl", simulator=simulator)
        assert (again.returncode, again.stderr, len(simulator.requests)) == (0, "", 1)
    assert json.loads((tmp_path / "out.jsonl").read_text())["content"] == "pong"


def test_exit_codes(tmp_path, monkeypatch):
    """Errors of lines are 4; a wrong command line is 2, a wrong configuration or input 3."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('"Hello"\n')
    (tmp_path / "wrong.jsonl").write_text("{\n")

    def run(*arguments):
        return CliRunner().invoke(polyglot_command, ["batch", *arguments])

    with Simulator("pong", fault=Status(400)) as simulator:
        config = tmp_path / "polyglot.toml"
        config.write_text(f'[connections.sim]\ndriver = "openai"\nbase_url = "{simulator.base_url}"\nmodel = "m"\n')
        monkeypatch.setenv("POLYGLOT_CONFIG", str(config))
        failed = run("-c", "sim", "in.jsonl", "failed.jsonl")
    assert (failed.exit_code, "1 with an error (--retry-errors makes these calls again)" in failed.output) == (4, True)
    assert run("in.jsonl").exit_code == 2
    assert run("-c", "nothing", "in.jsonl", "out.jsonl").exit_code == 3
    wrong = run("-c", "sim", "wrong.jsonl", "out.jsonl")
    assert (wrong.exit_code, "wrong.jsonl, line 1: it is no JSON" in wrong.output) == (3, True)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c(polyglot, tmp_path):
    """It ends the calls in progress, exits with 130, and the batch can be resumed."""
    with Simulator("One two three", pace=Pace(tokens_per_second=5)) as simulator:
        process = polyglot(
            "batch", "-c", "sim", "-n", "2", "in.jsonl", "out.jsonl", simulator=simulator, lines=['"a"'] * 4, wait=False
        )
        simulator.wait_for_request(2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
        assert "Traceback" not in errors
        assert "the same command makes the calls that are left" in errors
        for request in list(simulator.requests):
            request.wait_closed()
        assert len(simulator.requests) == 2
    assert (tmp_path / "out.jsonl").read_text() == ""


def test_the_command_is_found(polyglot):
    """It is listed, unless the allow list leaves its package out."""
    assert "\n  batch " in polyglot("--help").stdout
