"""``polyglot record`` and ``polyglot replay``, as processes: output, files and exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from polyglot_simulator import Cut, Drop, Pace, Reply, Simulator, Stall, Status
from polyglot_testkit import exchanges_in

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
    """Return a function that runs the command in a folder of its own."""

    def run(*arguments, simulator=None, wait=True, stdin=subprocess.DEVNULL):
        config = tmp_path / "polyglot.toml"
        lines = [
            "[connections.sim]",
            'driver = "openai"',
            'model = "m"',
            "retries = { initial_backoff = 0.0 }",
            'api_key_env = "SIM_KEY"',
        ]
        config.write_text("\n".join([*lines, f'base_url = "{simulator.base_url}"' if simulator else "", ""]))
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=stdin,
            text=True, env={**os.environ, "POLYGLOT_CONFIG": str(config), "SIM_KEY": "sk-garden-123456"},
        )  # fmt: skip
        if not wait:
            return process
        stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    return run


@pytest.mark.parametrize("shown", [(), ("--json",), ("--events",)], ids=["text", "json", "events"])
def test_a_replay_prints_what_stream_printed(polyglot, tmp_path, shown):
    """The text, the partials or the events; the file has no key."""
    reply = Reply("Rain, rain.", reasoning="A haiku.")
    with Simulator(reply) as simulator:
        recorded = polyglot("record", "-c", "sim", *shown, "-o", "rain.jsonl", "About rain", simulator=simulator)
    assert (recorded.returncode, recorded.stderr) == (0, "")
    assert "Rain, rain" in recorded.stdout.replace('", "', "") or shown
    replayed = polyglot("replay", "rain.jsonl", *shown)
    assert (replayed.returncode, untimed(replayed.stdout), replayed.stderr) == (0, untimed(recorded.stdout), "")
    paced = polyglot("replay", "rain.jsonl", "--pace", "1", *shown)
    assert (paced.returncode, untimed(paced.stdout)) == (0, untimed(recorded.stdout))
    content = (tmp_path / "rain.jsonl").read_bytes()
    assert b"garden" not in content
    assert (tmp_path / "rain.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_plain_response_is_replayed_as_one(polyglot):
    """With all options of `stream`."""
    with Simulator("Rain.") as simulator:
        recorded = polyglot(
            "record",
            "-c",
            "sim",
            "--no-stream",
            "--usage",
            "--option",
            "temperature=0",
            "-o",
            "a.jsonl",
            "Hi",
            simulator=simulator,
        )
        assert simulator.requests[0].body["temperature"] == 0
    assert (recorded.returncode, recorded.stdout) == (0, "Rain.\n")
    assert "1 token in · 2 out" in recorded.stderr
    assert polyglot("replay", "a.jsonl").stdout == "Rain.\n"


def untimed(text):
    """Return what was printed, without the times of the last line."""
    return re.sub(r'"timing": \{[^}]*\}', "", text)


EXIT_CODES = {"truncated": (Cut(after_events=3), 5), "dropped": (Drop(after_events=3), 5), "an error": (Status(400), 4)}


@pytest.mark.parametrize("name", EXIT_CODES)
def test_exit_codes_are_those_of_stream(polyglot, name):
    """Of the recording, whose file is written all the same, and of the replay."""
    fault, code = EXIT_CODES[name]
    with Simulator("One two three four.", faults=[fault] * 4) as simulator:
        recorded = polyglot("record", "-c", "sim", "--retries", "0", "-o", "a.jsonl", "Hi", simulator=simulator)
    assert recorded.returncode == code
    replayed = polyglot("replay", "a.jsonl")
    assert (replayed.returncode, replayed.stdout) == (code, recorded.stdout)


def test_retries_are_in_the_file_and_in_the_replay(polyglot, tmp_path):
    """Two exchanges, one text."""
    with Simulator("One two.", faults=[Status(503), None]) as simulator:
        recorded = polyglot("record", "-c", "sim", "-o", "a.jsonl", "Hi", simulator=simulator)
    assert (recorded.returncode, recorded.stdout) == (0, "One two.\n")
    assert [exchange.status for exchange in exchanges_in(tmp_path / "a.jsonl")] == [503, 200]
    replayed = polyglot("replay", "a.jsonl")
    assert (replayed.returncode, replayed.stdout) == (0, "One two.\n")


def test_ctrl_c_leaves_a_file_that_is_cut(polyglot, tmp_path):
    """Its replay ends as a truncated stream does."""
    with Simulator("One two three four.", fault=Stall(after_events=3), pace=Pace()) as simulator:
        process = polyglot("record", "-c", "sim", "-o", "a.jsonl", "Hi", simulator=simulator, wait=False)
        assert process.stdout.read(3) == "One"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert exchanges_in(tmp_path / "a.jsonl")[-1].end == "cut"
    replayed = polyglot("replay", "a.jsonl")
    assert replayed.returncode == 5
    assert replayed.stdout.startswith("One")


def test_a_body_needs_a_driver(polyglot, tmp_path):
    """The error states which option is missing."""
    (tmp_path / "a.sse").write_bytes(
        b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\n'
    )
    assert polyglot("replay", "a.sse", "--driver", "openai").stdout == "Hi\n"
    failed = polyglot("replay", "a.sse")
    assert (failed.returncode, "names no driver" in failed.stderr) == (3, True)


WRONG = {
    "no file": (("replay", "away.jsonl"), 2, "does not exist"),
    "no recording": (("replay", "polyglot.toml"), 3, "is not a recording"),
    "no output": (("record", "-c", "sim", "Hi"), 2, "--output"),
    "another name": (("record", "-c", "sim", "-o", "a.txt", "Hi"), 2, "ends with .jsonl"),
    "no such folder": (("record", "-c", "sim", "-o", "/proc/none/a.jsonl", "Hi"), 1, "/proc/none"),
    "a negative pace": (("replay", "polyglot.toml", "--pace", "-1"), 2, "pace"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(polyglot, name):
    """Nothing is sent; the message names what is wrong."""
    arguments, code, words = WRONG[name]
    ended = polyglot(*arguments)
    assert (ended.returncode, words in ended.stderr) == (code, True), ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_has_the_options_of_stream(polyglot):
    """And is printed without importing the library."""
    ended = polyglot("record", "--help")
    assert "--output" in ended.stdout
    assert "--fallback" in ended.stdout
    assert "--pace" in polyglot("replay", "--help").stdout
    program = "import sys, polyglot_testkit.recording_command; print(json := 'polyglot_core' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "False\n"


def test_partials_are_json(polyglot):
    """One object a line."""
    with Simulator("One two.") as simulator:
        polyglot("record", "-c", "sim", "-o", "a.jsonl", "Hi", simulator=simulator)
    lines = polyglot("replay", "a.jsonl", "--json").stdout.splitlines()
    assert "".join(json.loads(line).get("content_delta", "") for line in lines) == "One two."
