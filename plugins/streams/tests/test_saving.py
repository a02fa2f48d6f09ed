"""save: the file while it is written, at the end, and after a cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import anyio
import pytest

from polyglot_core import AsyncInference, Inference, Outcome, Retries, StreamError
from polyglot_simulator import Cut, Drop, Reply, Simulator, ToolCall
from polyglot_streams import save, smooth, stop_when

from .conftest import STORY
from .playing import each_style, play, text_of

pytestmark = pytest.mark.http


def names(folder):
    """Return the names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


@each_style
def test_text_is_saved(style, story, tmp_path):
    """Check that the file grows while the stream is read, and has its name at the end only."""
    path, growing = tmp_path / "story.txt", tmp_path / "story.txt.partial"
    path.write_text("before")
    read = []

    def look(_):
        read.append(growing.read_text("utf-8") if growing.exists() else None)
        assert path.read_text("utf-8") == "before"

    played = play(style, story, lambda stream: save(stream, path), look)
    assert played.error is None
    assert read == [item.content for item in played.items]
    assert path.read_text("utf-8") == STORY
    assert names(tmp_path) == ["story.txt"]


@each_style
def test_cut_leaves_partial_file(style, tmp_path):
    """Check that the text of a cut stream is beside the file, which is unchanged."""
    path = tmp_path / "story.txt"
    path.write_text("before")
    with Simulator(STORY, fault=Cut(after_events=6)) as simulator:
        played = play(style, simulator, lambda stream: save(stream, str(path)))
    assert played.error is not None
    assert path.read_text("utf-8") == "before"
    assert (tmp_path / "story.txt.partial").read_text("utf-8") == played.error.partial.content != ""


@each_style
def test_close_leaves_partial_file(style, story, tmp_path):
    """Check that a reader that leaves leaves the text so far."""

    def leave(item):
        if "fox" in item.content:
            raise LookupError

    played = play(style, story, lambda stream: save(stream, tmp_path / "a"), leave)
    assert names(tmp_path) == ["a.partial"]
    assert (tmp_path / "a.partial").read_text("utf-8") == played.items[-1].content


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancellation_leaves_partial_file(backend, endless, tmp_path):
    """Check that a cancelled reader leaves the text so far, in a file that is closed."""

    async def main():
        async with AsyncInference.from_connection(endless.connection) as inference:
            with anyio.move_on_after(0.05):
                async for _ in save(inference.stream("Hi."), tmp_path / "a"):
                    pass

    anyio.run(main, backend=backend)
    assert STORY.startswith((tmp_path / "a.partial").read_text("utf-8"))


def test_stop_rule_completes_the_file(story, tmp_path):
    """Check that a stream that a rule has ended is complete as the caller wanted it."""
    source = Inference.from_connection(story.connection).stream("Hi.")
    stream = save(stop_when(source, "fox"), tmp_path / "a")
    assert stream.response().outcome is Outcome.CANCELLED
    assert (tmp_path / "a").read_text("utf-8") == STORY[: STORY.index("fox") + 3]
    source = Inference.from_connection(story.connection).stream("Hi.")
    text_of(stop_when(save(source, tmp_path / "b"), "fox"))
    assert names(tmp_path) == ["a", "b.partial"]


@each_style
def test_events_are_saved(style, tmp_path):
    """Check the lines of a stream with reasoning, a tool call and two choices: deltas, and the rest at the end."""
    reply = Reply("See: ", reasoning="Hm.", tool_calls=[ToolCall("weather", {"city": "Oslo"})])
    with Simulator(Reply(choices=[reply, Reply("No.")])) as simulator:
        played = play(style, simulator, lambda stream: save(stream, tmp_path / "a.jsonl", "events"))
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    for choice in (0, 1):
        mine = [line for line in lines if line["choice"] == choice]
        response = played.response.choices[choice]
        assert "".join(line.get("content_delta", "") for line in mine) == response.content
        assert "".join(line.get("reasoning_delta", "") for line in mine) == response.reasoning_content
        assert mine[-1]["finish_reason"] == response.finish_reason
        assert [call["arguments_raw"] for call in mine[-1]["tool_calls"]] == [
            c.arguments_raw for c in response.tool_calls
        ]
    assert lines[-1]["usage"]["output_tokens"] == played.response.usage.output_tokens


def test_events_of_a_cut_stream_keep_tool_calls(tmp_path):
    """Check that the half tool call of a cut stream is in the partial file, without a finish reason."""
    reply = Reply(tool_calls=[ToolCall("weather", {"city": "Oslo", "unit": "celsius"})])
    with Simulator(reply, fault=Cut(after_events=3)) as simulator:
        play("sync", simulator, lambda stream: save(stream, tmp_path / "a", "events"))
    *_, line = (json.loads(line) for line in (tmp_path / "a.partial").read_text().splitlines())
    assert line["finish_reason"] is None
    assert line["tool_calls"][0]["name"] == "weather"
    assert line["tool_calls"][0]["complete"] is False


@each_style
def test_restarted_response_is_written_anew(style, tmp_path):
    """Check that the file of a response that was resumed by a restart has the new text alone."""
    path = tmp_path / "a"
    with Simulator([STORY, "No."], fault=Drop(after_events=12, times=1)) as simulator:
        connection = simulator.connection.with_changes(retries=Retries(initial_backoff=0.01))

        def stream_of(inference):
            return inference.create("Hi.", resume="restart").stream()

        if style == "sync":
            stream = save(stream_of(Inference.from_connection(connection)), path)
            response = stream.response()
        else:

            async def main():
                async with AsyncInference.from_connection(connection) as inference:
                    return await save(stream_of(inference), path).response()

            response = anyio.run(main, backend=style)
    assert path.read_text("utf-8") == response.content == "No."


def test_folder_that_is_not_there(story, tmp_path):
    """Check that a file that cannot be created is an error at once, before a request is sent."""
    before = len(story.requests)
    with pytest.raises(FileNotFoundError):
        save(Inference.from_connection(story.connection).stream("Hi."), tmp_path / "no" / "a")
    assert len(story.requests) == before


def test_two_streams_with_one_path(story, tmp_path):
    """Check that of two streams that are saved to one path one is told, and the file is one of them, whole."""
    first, second = (save(Inference.from_connection(story.connection).stream("Hi."), tmp_path / "a") for _ in "12")
    next(first)
    assert text_of(second) == STORY
    with pytest.raises(StreamError, match="Another stream was saved"):
        list(first)
    assert (tmp_path / "a").read_text("utf-8") == STORY


def test_relative_path_is_that_of_the_start(story, tmp_path, monkeypatch):
    """Check that a change of the working directory does not move the file."""
    monkeypatch.chdir(tmp_path)
    stream = save(Inference.from_connection(story.connection).stream("Hi."), "a")
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    text_of(stream)
    assert (tmp_path / "a").read_text("utf-8") == STORY


def test_close_by_another_thread_closes_file(endless, tmp_path):
    """Check that a stream that another thread closes leaves a closed file with the text so far."""
    stream = save(smooth(Inference.from_connection(endless.connection).stream("Hi."), delay=0.0001), tmp_path / "a")
    threading.Timer(0.02, stream.close).start()
    text = text_of(stream)
    assert (tmp_path / "a.partial").read_text("utf-8").startswith(text)  # it is written before it is emitted
    assert stream._flow.stage._file.closed


KILLED = """
import os, sys
from polyglot_core import Connection, Inference
from polyglot_streams import save
connection = Connection(name="x", driver="openai", base_url=sys.argv[1], model="m", api_key="test-key")
for partial in save(Inference.from_connection(connection).stream("Hi."), sys.argv[2]):
    if "fox" in partial.content:
        os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
def test_killed_process_leaves_partial_file(story, tmp_path):
    """Check that a process that is killed leaves what it has received."""
    command = [sys.executable, "-c", KILLED, story.connection.base_url, str(tmp_path / "a")]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9
    assert (tmp_path / "a.partial").read_text("utf-8").endswith("fox")


def test_a_directory_is_refused_before_the_request(tmp_path, story):
    """The response is not paid for in vain."""
    requests = len(story.requests)
    with pytest.raises(IsADirectoryError):
        save(Inference.from_connection(story.connection).stream("Hi"), tmp_path)
    assert len(story.requests) == requests
    assert list(tmp_path.parent.glob("*.partial")) == []
