"""Batches: files of prompts and results, which survive being killed at any moment."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import anyio
import pytest

from polyglot_batch import batches, jsonl, run_batch
from polyglot_batch.progress import Progress
from polyglot_batch.results import Result
from polyglot_core import AuthenticationError, ConfigError, Inference, InferenceResponse, Outcome, Usage
from polyglot_simulator import Pace, Simulator, Status

pytestmark = pytest.mark.http


@pytest.fixture
def files(tmp_path):
    """Return the paths of an input, which is written by the returned function, and of an output."""
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"

    def write(*lines):
        source.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return source, target

    return write


def lines_of(target):
    """Return the lines of an output, each of which must be whole."""
    text = target.read_text()
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def run(flavour, simulator, source, target, key="right", **options):
    """Run a batch."""
    inference = flavour.Inference(simulator.connection.with_changes(api_key=key))

    async def main():
        return await flavour.wait(run_batch(inference, source, target, **options))

    return flavour.run(main)


def test_each_line_has_a_result(flavour, files):
    """A text or an object is a prompt; a result has the id, which is else the number of the line."""
    source, target = files(
        '"Hello"',
        {"id": "two", "prompt": "Hi", "options": {"temperature": 0.5}},
        "",
        {"messages": [{"role": "user", "content": "Hey"}], "model": "gpt-4o"},
    )
    with Simulator("pong") as simulator:
        summary = run(flavour, simulator, source, target)
        asked = {request.body["messages"][0]["content"]: request.body for request in simulator.requests}
    lines = {line["id"]: line for line in lines_of(target)}
    assert lines.keys() == {1, "two", 4}
    assert {line["content"] for line in lines.values()} == {"pong"}
    assert (asked["Hi"]["temperature"], asked["Hey"]["model"]) == (0.5, "gpt-4o")
    assert (summary.total, summary.done, summary.errors, summary.made) == (3, 3, 0, 3)
    assert (summary.cost.known, summary.cost.unknown) == (1, 2)
    assert lines[4]["cost"]["currency"] == "USD"
    assert InferenceResponse.from_dict(lines[1]["response"]).content == "pong"


def test_a_batch_is_resumed(flavour, files):
    """What has a line is not sent again; half a line is removed, and its call is made once more."""
    source, target = files(*({"id": f"p{number}", "prompt": "Hi"} for number in range(6)))
    with Simulator("pong") as simulator:
        run(flavour, simulator, source, target)
        whole = target.read_bytes().splitlines(keepends=True)
        target.write_bytes(b"".join(whole[:3]) + whole[3][: len(whole[3]) // 2])
        before = len(simulator.requests)
        summary = run(flavour, simulator, source, target)
        assert len(simulator.requests) - before == 3
        assert run(flavour, simulator, source, target).made == 0
    assert Counter(line["id"] for line in lines_of(target)) == {f"p{number}": 1 for number in range(6)}
    assert (summary.done, summary.made) == (6, 3)


def test_errors_are_lines(flavour, files):
    """A call that failed has a line with its error, and is made again on request only."""
    source, target = files('"a"', '"b"', {"id": "odd", "prompt": 5})
    with Simulator("pong", fault=Status(503, times=1)) as simulator:
        summary = run(flavour, simulator, source, target, concurrency=1)
        assert (summary.done, summary.errors) == (3, 2)
        errors = {line["id"]: line["error"] for line in lines_of(target) if "error" in line}
        assert (errors[1]["type"], errors[1]["status"], errors[1]["retryable"]) == ("Overloaded", 503, True)
        assert errors["odd"]["type"] == "RequestError"
        assert run(flavour, simulator, source, target).made == 0
        again = run(flavour, simulator, source, target, retry_errors=True)
    assert (again.done, again.errors, again.made) == (3, 1, 2)
    assert len(lines_of(target)) == 3


def test_an_error_that_all_would_have(flavour, files):
    """A wrong key ends the batch: it is raised, and no line blames the prompts."""
    source, target = files(*['"a"'] * 20)
    with Simulator("pong", api_key="right") as simulator:
        with pytest.raises(AuthenticationError):
            run(flavour, simulator, source, target, key="wrong", concurrency=2)
        assert len(simulator.requests) <= 6  # those of two rounds, and two that were begun
    assert lines_of(target) == []


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        (['"a"', "{"], r"in\.jsonl, line 2: it is no JSON"),
        (["3"], "line 1: a line is a text, or an object"),
        ([{"id": 1}], "neither prompt nor messages"),
        ([{"prompt": "a", "messages": []}], "both prompt and messages"),
        ([{"id": 1.5, "prompt": "a"}], "the id is a text or a whole number"),
        ([{"id": 7, "prompt": "a"}, "", {"id": 7, "prompt": "b"}], "line 3: the id 7 occurs twice"),
        ([{"prompt": "a", "temperature": 1}], "'temperature' is not known; known are data_mode"),
    ],
)
def test_an_input_that_is_wrong(files, flavour, lines, match):
    """It is refused before anything is sent, and the error names the line."""
    source, target = files(*lines)
    with Simulator("pong") as simulator:
        with pytest.raises(ConfigError, match=match):
            run(flavour, simulator, source, target)
        assert simulator.requests == []


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"id": 9, "response": {}}\n', "is of another batch: it has a line with the id 9"),
        ('{"prompt": "a"}\n', r"out\.jsonl, line 1: it is no line of results"),
        ('{"id": 1, "error": {}}\n{"id": 1, "error": {}}\n', "line 2: the id 1 occurs twice"),
        ("no JSON\n", "line 1: it is no line of results"),
    ],
)
def test_an_output_that_is_something_else(files, flavour, text, match):
    """A file that is no output of this batch is not written to."""
    source, target = files('"a"')
    target.write_text(text)
    with Simulator("pong") as simulator, pytest.raises(ConfigError, match=match):
        run(flavour, simulator, source, target)
    assert target.read_text() == text


def test_files_that_cannot_be_used(files, flavour, tmp_path):
    """The errors name the files."""
    source, target = files('"a"')
    with Simulator("pong") as simulator:
        with pytest.raises(ConfigError, match=r"none\.jsonl cannot be read"):
            run(flavour, simulator, tmp_path / "none.jsonl", target)
        with pytest.raises(ConfigError, match="cannot be written"):
            run(flavour, simulator, source, tmp_path / "no" / "folder.jsonl")


@pytest.mark.skipif(sys.platform == "win32", reason="no locks")
def test_two_processes_do_not_share_an_output(files, flavour):
    """The second one is refused, so that nothing is paid twice."""
    import fcntl

    source, target = files('"a"')
    with target.open("ab") as file, Simulator("pong") as simulator:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="is being written by another process"):
            run(flavour, simulator, source, target)
        assert simulator.requests == []


def test_a_cancelled_batch(files):
    """A cancellation ends the calls in progress; their prompts have no line, and are sent again."""
    source, target = files(*(f'"{number}"' for number in range(6)))
    from polyglot_core import AsyncInference

    async def main():
        with anyio.move_on_after(0.3):
            await run_batch(AsyncInference(simulator.connection), source, target, concurrency=2)

    with Simulator("One two three four", pace=Pace(tokens_per_second=30, first_delay=0.1)) as simulator:
        anyio.run(main)
        done = len(lines_of(target))
        assert done < 6
    assert all(line["response"]["outcome"] == "finished" for line in lines_of(target))


# Killed


class Counting:
    """A provider that notes how many responses it has given for each prompt."""

    def __init__(self):
        self.paid = Counter()
        self._lock = threading.Lock()

    def __call__(self, request):
        """Return the reply to a request."""
        with self._lock:
            self.paid[request.body["messages"][-1]["content"]] += 1
        return "pong"


def killed_runs(tmp_path, number, kills, concurrency, seed):
    """Run a batch that is killed at random moments, to its end. Return the provider, the lines and the kills."""
    source, target, config = (tmp_path / name for name in ("in.jsonl", "out.jsonl", "polyglot.toml"))
    source.write_text("".join(json.dumps({"id": f"p{n}", "prompt": f"prompt {n}"}) + "\n" for n in range(number)))
    provider, draw, killed = Counting(), random.Random(seed), 0
    with Simulator(provider) as simulator:
        config.write_text(f'[connections.sim]\ndriver = "openai"\nbase_url = "{simulator.base_url}"\nmodel = "m"\n')
        command = [
            sys.executable,
            "-m",
            "polyglot_cli",
            "batch",
            "-c",
            "sim",
            "--config",
            str(config),
            "-n",
            str(concurrency),
            str(source),
            str(target),
        ]
        while True:
            process = subprocess.Popen(command, stderr=subprocess.PIPE)
            if killed < kills:
                goal = len(provider.paid) + draw.randint(1, max(1, (number - len(provider.paid)) // (kills - killed)))
                while process.poll() is None and len(provider.paid) < goal:
                    time.sleep(0.002)
                if process.poll() is None:
                    os.kill(process.pid, signal.SIGKILL)
                    killed += 1
                    process.communicate()
                    continue
            _, errors = process.communicate()
            assert process.returncode == 0, errors
            return provider, lines_of(target), killed


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
@pytest.mark.parametrize(
    ("number", "kills"), [(60, 3), pytest.param(500, 20, marks=pytest.mark.thorough)], ids=["few", "many"]
)
def test_killed_at_random_moments(tmp_path, number, kills):
    """After resuming, every id has one line, and only what was in progress at a kill was paid twice."""
    concurrency = 4
    provider, lines, killed = killed_runs(tmp_path, number, kills, concurrency, seed=17)
    assert killed == kills
    assert Counter(line["id"] for line in lines) == {f"p{n}": 1 for n in range(number)}
    assert all(line["content"] == "pong" for line in lines)
    assert len(provider.paid) == number
    assert sum(provider.paid.values()) - number <= kills * 2 * concurrency  # responses that wait to be written included


# The progress


class Terminal:
    """A terminal that keeps what is written to it."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        """Return that it is one."""
        return True

    def write(self, text):
        """Keep a text."""
        self.text += text

    def flush(self):
        """Do nothing."""


def test_progress_on_a_terminal(files, flavour, monkeypatch):
    """One line shows what is done, how fast, tokens, cost and errors."""
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    source, target = files(*(json.dumps({"prompt": f"p{n}", "model": "gpt-4o"}) for n in range(5)))
    with Simulator("pong") as simulator:
        run(flavour, simulator, source, target)
    last = terminal.text.rpartition("\x1b[2K")[2]
    assert last.startswith("█" * 24 + " 5/5 · ")
    assert last.endswith("0 errors\n")
    assert "5 + 5 tokens · $0.000062" in last


def test_no_progress_elsewhere(files, flavour, capsys):
    """A pipe gets nothing, nor does a terminal if that is not wanted."""
    source, target = files('"a"')
    with Simulator("pong") as simulator:
        run(flavour, simulator, source, target)
    assert capsys.readouterr().err == ""


def test_the_line_of_progress():
    """It has the time that is left, and short numbers."""
    progress = Progress(10, shown=False, done=2)
    usage = Usage(input_tokens=1_500_000, output_tokens=2500)
    progress.add(Result(0, "a", InferenceResponse(outcome=Outcome.FINISHED, model="unheard-of", usage=usage)))
    line = progress.line()
    assert line.startswith("█" * 7 + "░" * 17 + " 3/10 · ")
    assert "1.5M + 2.5k tokens · 0 errors" in line
    assert line.endswith(" left")
    assert all(len(progress.line(columns)) <= columns for columns in range(1, 100))
    assert progress.line(75).startswith("█")
    assert progress.line(50).startswith("3/10 · ")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_the_line_of_progress_does_not_wrap(files, flavour):
    """On a real terminal of 60 columns every line has at most 59."""
    import fcntl
    import pty
    import struct
    import termios

    source, target = files(*(f'"p{n}"' for n in range(5)))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    with Simulator("pong") as simulator, os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", terminal)
            run(flavour, simulator, source, target)
        text = os.read(ours, 65536).decode()
    os.close(ours)
    lines = text.rstrip().split("\r\x1b[2K")[1:]
    assert lines[-1].startswith("█")
    assert max(map(len, lines)) <= 59


def test_what_had_ended_before_an_interruption_is_written(flavour, files, monkeypatch):
    """Responses that were complete, and waited for their line, are not asked for again; nothing else counts as done."""
    source, target = files(*(f'"p{number}"' for number in range(6)))
    taken, shown = [], []
    take, add = batches._Batch.take, Progress.add

    def interrupted(batch, result):
        if not taken:  # the others end meanwhile
            deadline = time.monotonic() + 20
            while len(simulator.requests) < 6 and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.3)
            taken.append(result)
            raise KeyboardInterrupt
        take(batch, result)

    monkeypatch.setattr(batches._Batch, "take", interrupted)

    def counted(progress, result):
        if progress._total is not None:  # that of the batch
            shown.append(result.index)
        add(progress, result)

    monkeypatch.setattr(Progress, "add", counted)
    with Simulator("Hello") as simulator:
        with pytest.raises(KeyboardInterrupt):
            run(flavour, simulator, source, target, concurrency=6)
        written = len(lines_of(target))  # 5, or fewer on a busy machine
        assert written > 0
        assert shown == []
        monkeypatch.undo()
        assert run(flavour, simulator, source, target).made == 6 - written


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no such device here")  # noqa: PTH110
def test_an_output_is_a_regular_file(flavour, files):
    """A device would be read without end; the input would be overwritten."""
    source, _ = files('"Hello"')
    with Simulator("pong") as simulator:
        for target, words in (("/dev/full", "no regular file"), (source, "is the input")):
            with pytest.raises(ConfigError, match=words):
                run(flavour, simulator, source, target)
    assert (source.read_text(), simulator.requests) == ('"Hello"\n', [])


def test_a_full_disk_is_one_error(files, monkeypatch):
    """Nor does closing the file fail again, with what could not be written."""
    source, target = files('"Hello"', '"Hi"')

    class Full:
        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def __iter__(self):
            return iter(self._file)

        def flush(self):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self):
            self._file.close()
            self.flush()

    opened = jsonl.Output._opened
    monkeypatch.setattr(jsonl.Output, "_opened", lambda output: Full(opened(output)))
    with Simulator("pong") as simulator, pytest.raises(ConfigError, match="cannot be written: No space left") as caught:
        run_batch(Inference.from_connection(simulator.connection), source, target)
    assert isinstance(caught.value.__cause__, OSError)
