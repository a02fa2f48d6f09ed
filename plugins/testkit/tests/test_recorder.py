"""Recordings of real sockets: what is written, where reads end, how responses end, and that no key is in a file."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from urllib.parse import quote

import anyio
import httpx
import pytest

import polyglot_openai.chat.driver
from polyglot_core import (
    AsyncInference,
    ConfigError,
    Connection,
    Inference,
    PolyglotError,
    ProviderError,
    Retries,
    TimedOut,
    TransportError,
    Truncated,
)
from polyglot_core.plugin import Secret
from polyglot_simulator import Cut, Drop, Gzip, Pace, RawReply, Reply, Simulator, Stall, Status
from polyglot_testkit import (
    Recorder,
    Recording,
    RecordingError,
    Replay,
    cached,
    check_driver,
    exchanges_in,
    recorded,
    recordings,
)
from polyglot_testkit.exchanges import dump, load

pytestmark = pytest.mark.http

KEY = 'sk-Garden+Path/42"9=xyz'
TOKENS = [
    b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": word}}]}).encode() + b"\n\n"
    for word in ("One", " two", " thr\u00e9e")
]
FINISH = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'


def plain(partials):
    """Return what a caller sees of partials."""
    return [partial.to_dict() for partial in partials]


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_a_recording_has_request_response_reads_and_end(flavour, tmp_path, streamed):
    """It is one file, for its owner only; the request is as it was sent, and the bytes as they were received."""
    with Simulator("One two three.") as simulator:
        inference = recorded(flavour.inference(simulator.connection), tmp_path / "new" / "folder")
        response = flavour.response(inference, stream=streamed)
    (file,) = (tmp_path / "new" / "folder").iterdir()
    assert file.suffix == ".jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    (exchange,) = exchanges_in(file)
    assert exchange.request.method == "POST"
    assert exchange.request.url.endswith("/v1/chat/completions")
    assert json.loads(exchange.request.body) == simulator.requests[0].body
    assert exchange.request.headers["content-type"] == "application/json"
    assert (exchange.status, exchange.end, exchange.streamed) == (200, "complete", streamed)
    assert exchange.transport == response.transport != "recorder"
    assert exchange.connection["driver"] == "openai"
    assert response.content == "One two three."
    moments = [exchange.seconds, *(read.seconds for read in exchange.reads), exchange.ended]
    assert moments == sorted(moments)
    assert exchange.reads


def test_boundaries_of_reads_are_kept(flavour, tmp_path):
    """Also within a character; each read is a line of the file, and of the replay."""
    whole = b"".join(TOKENS) + FINISH
    at = whole.index(b"\\u00e9") if b"\\u00e9" in whole else whole.index("é".encode()) + 1
    writes = [whole[:10], whole[10:at], whole[at:]]
    with Simulator(RawReply(writes=writes, delay=0.2)) as simulator:
        flavour.partials(recorded(flavour.inference(simulator.connection), tmp_path))
    (exchange,) = exchanges_in(tmp_path)
    assert exchange.body == whole
    assert [read.data for read in exchange.reads] == writes


def test_bytes_that_are_no_text_are_kept(flavour, tmp_path):
    """A character that is cut by a read is written as base64."""
    words = "é".encode()
    body = b'data: {"choices": [{"index": 0, "delta": {"content": "' + words + b'"}}]}\n\n' + FINISH
    at = body.index(words) + 1
    with Simulator(RawReply(writes=[body[:at], body[at:]], delay=0.2)) as simulator:
        (first, *_) = flavour.partials(recorded(flavour.inference(simulator.connection), tmp_path))
    assert first.content == "é"
    (exchange,) = exchanges_in(tmp_path)
    assert [read.data for read in exchange.reads] == [body[:at], body[at:]]
    assert plain(flavour.partials(_replayed(flavour, Replay(tmp_path))))[0]["content"] == "é"


def _replayed(flavour, replay):
    return replay.inference() if flavour.backend is None else replay.async_inference()


ENDINGS = {
    "truncated": (Cut(after_events=3), "eof", Truncated),
    "dropped": (Drop(after_events=3), "error", TransportError),
    "an error status": (Status(500), "eof", ProviderError),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_how_a_response_ended_is_written_and_replayed(flavour, tmp_path, name):
    """The replay raises the same class of error, with the same partial."""
    fault, end, error_class = ENDINGS[name]
    with Simulator("One two three four.", fault=fault) as simulator, pytest.raises(error_class) as original:
        flavour.response(recorded(flavour.inference(simulator.connection), tmp_path), stream=True)
    (exchange,) = exchanges_in(tmp_path)
    assert exchange.end == end
    replay = Replay(tmp_path)
    with pytest.raises(error_class) as replayed:
        flavour.response(_replayed(flavour, replay).with_changes(retries=Retries(max_retries=0)), stream=True)
    assert type(replayed.value) is type(original.value)
    assert replayed.value.partial.content == original.value.partial.content
    assert replay.remaining == []


def test_a_stream_that_is_closed_early_is_cut(flavour, tmp_path):
    """The recording states it, and its replay ends with an error instead of pretending to be complete."""
    with Simulator("One two three four.", fault=Stall(after_events=3)) as simulator:
        found = flavour.partials(recorded(flavour.inference(simulator.connection), tmp_path), count=2)
    (exchange,) = exchanges_in(tmp_path)
    assert exchange.end == "cut"
    with pytest.raises(TransportError, match="cut here") as replayed:
        flavour.response(_replayed(flavour, Replay(tmp_path, retries=0)), stream=True)
    assert replayed.value.partial.content.startswith(found[-1].content)


def test_a_stream_that_is_dropped_is_written_too(tmp_path):
    """It is cut; the next exchange, `close` or the exit of the process writes it."""
    with (
        Simulator("One two three four.", faults=[Stall(after_events=3), None]) as simulator,
        Recorder(tmp_path) as recorder,
    ):
        inference = recorder.attach(Inference.from_connection(simulator.connection))
        stream = iter(inference.create("Hello", stream=True).stream())
        next(stream)
        del stream
        _until(lambda: recorder._lost)
        assert list(tmp_path.iterdir()) == []
        inference.create("Hello", stream=True).text()
    assert [exchange.end for exchange in exchanges_in(tmp_path)] == ["cut", "complete"]
    assert recorder.count == 2


def _until(holds, seconds=60.0):
    import gc

    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        gc.collect()
        time.sleep(0.01)


def test_a_connection_that_is_refused_is_recorded(flavour, tmp_path):
    """There is no response; the replay fails to connect as well."""
    connection = Connection(
        name="gone", driver="openai", model="m", base_url="http://127.0.0.1:9/v1", retries=Retries(max_retries=0)
    )
    with pytest.raises(TransportError) as original:
        flavour.response(recorded(flavour.inference(connection), tmp_path))
    (exchange,) = exchanges_in(tmp_path)
    assert (exchange.status, exchange.end, exchange.reads) == (None, "error", ())
    with pytest.raises(TransportError) as replayed:
        flavour.response(_replayed(flavour, Replay(tmp_path, retries=0)))
    assert (replayed.value.phase, replayed.value.kind) == (original.value.phase, original.value.kind)


def test_retries_and_fallbacks_are_exchanges_in_order(flavour, tmp_path):
    """In one file, with the connection of each; the replay makes the same attempts."""
    file = tmp_path / "call.jsonl"
    quick = Retries(max_retries=1, initial_backoff=0.0)
    with Simulator("Late.", faults=[Status(503), Status(503)]) as first, Simulator("From the other.") as second:
        fallback = second.connection_for("anthropic").with_changes(name="other")
        connection = first.connection.with_changes(retries=quick, fallbacks=[fallback], name="first")
        with Recorder(file) as recorder:
            response = flavour.response(recorder.attach(flavour.inference(connection)), stream=True)
            assert not file.exists()
    assert response.content == "From the other."
    found = exchanges_in(file)
    assert [exchange.status for exchange in found] == [503, 503, 200]
    assert [exchange.connection["driver"] for exchange in found] == ["openai", "openai", "anthropic"]
    assert file.stat().st_mode & 0o777 == 0o600
    replay = Replay(file, retries=quick)
    replayed = flavour.response(_replayed(flavour, replay), stream=True)
    assert replayed.content == "From the other."
    assert len(replayed.failed_attempts) == len(response.failed_attempts) == 2
    assert replay.remaining == []


def test_concurrent_streams_are_not_mixed(tmp_path):
    """Each file has the reads of one exchange."""
    with Simulator(lambda request: Reply(request.body["messages"][0]["content"] * 20)) as simulator:
        inference = recorded(Inference.from_connection(simulator.connection), tmp_path)
        threads = [
            threading.Thread(target=inference.text, args=[f"{word} "], kwargs={"stream": True})
            for word in ("one", "two", "six", "ten")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    for exchange in exchanges_in(tmp_path):
        word = json.loads(exchange.request.body)["messages"][0]["content"]
        assert Replay([exchange]).inference().create(word, stream=True).text() == word * 20
    assert len(list(tmp_path.iterdir())) == 4


def forms_of(key, *, whole=False):
    """Return every form of a key that must be in no file; `whole` base64 texts have the padding and what precedes it."""
    forms = {
        key,
        json.dumps(key)[1:-1],
        json.dumps(json.dumps(key))[3:-3],
        quote(key),
        quote(key, safe=""),
        quote(quote(key, safe=""), safe=""),
    }
    forms |= {
        "".join(f"%{ord(each):02x}" for each in key),
        "".join(f"\\u{ord(each):04x}" for each in key),
        key.encode().hex(),
    }
    for before in ("", "a", "ab", "user:", "Bearer "):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            coded = encode((before + key).encode()).decode()
            start = -(-len(before) * 8 // 6)
            coded = coded if whole else coded[start:-4]
            forms |= {coded, quote(coded, safe="")}
    return {form.encode() for form in {*forms, key.upper(), quote(key.lower())}}


def files_below(folder):
    """Return the content of every file, also of hidden ones."""
    return [file.read_bytes() for file in folder.rglob("*") if file.is_file()]


def keys_found(folder, key=KEY):
    """Return the forms of a key that are in a file; also those that appear once its escapes for JSON are read."""
    found = set()
    for content in files_below(folder):
        lines = [json.dumps(json.loads(line), ensure_ascii=False).encode() for line in content.splitlines()]
        found |= {form for form in forms_of(key) for text in (content, *lines) if form in text}
    return found


def echo(request):
    """Return a stream that repeats the key in every form, one of them over the boundaries of writes."""
    text = b" ".join(forms_of(KEY, whole=True))
    whole = b'data: {"choices": [{"index": 0, "delta": {"content": ' + json.dumps(text.decode()).encode() + b"}}]}\n\n"
    head = [("content-type", "text/event-stream"), ("x-request-id", f"id-{KEY}"), ("set-cookie", f"key={KEY}")]
    return RawReply(
        headers=head, writes=[whole[at : at + 40] for at in range(0, len(whole), 40)] + [FINISH], delay=0.001
    )


@pytest.mark.parametrize("how", ["folder", "file", "plain text of an error", "gzip"])
def test_a_planted_key_is_in_no_file(flavour, tmp_path, how):
    """It is in headers, in the URL, in the prompt, in fields of the body, and in what the provider repeats of it."""
    quoted = quote(KEY, safe="")
    prompt = f"{KEY} {quoted} {json.dumps(KEY)} {base64.b64encode(KEY.encode()).decode()} {KEY.upper()}"
    error = Status(
        401, body=json.dumps({"error": {"message": f"Incorrect API key provided: {KEY[:12]}\u2026 or {KEY}"}})
    )
    faults = {"plain text of an error": {"fault": error}, "gzip": {"fault": Gzip()}}
    target = tmp_path / "call.jsonl" if how == "file" else tmp_path
    with Simulator(echo, **faults.get(how, {})) as simulator, Recorder(target) as recorder:
        connection = simulator.connection.with_changes(
            api_key=KEY,
            base_url=f"{simulator.base_url}/{quoted}/v1",
            headers={"x-api-key": KEY, "x-session-token": Secret(KEY)},
        )
        inference = recorder.attach(flavour.inference(connection))
        extra = {
            "tools": [{"type": "mcp", "authorization": f"Bearer {KEY}", "headers": {"Authorization": KEY}}],
            "metadata": {"user": KEY},
        }
        try:
            flavour.response(inference, prompt, stream=True, extra=extra, headers={"x-own-token": KEY})
        except ProviderError:
            assert how == "plain text of an error"
    assert files_below(tmp_path)
    assert keys_found(tmp_path) == set()
    assert KEY[4:12].encode() not in b"".join(files_below(tmp_path))
    assert b"***" in b"".join(files_below(tmp_path))


def test_other_keys_than_that_of_the_connection_are_removed(flavour, tmp_path):
    """That of a header of the call, and texts that are named as secrets."""
    with Simulator("Known: sk-meadow-7777 and rosebud-8888.") as simulator:
        inference = recorded(flavour.inference(simulator.connection), tmp_path, secrets=["rosebud-8888"])
        flavour.response(inference, headers={"x-team-token": "sk-meadow-7777"})
    content = b"".join(files_below(tmp_path))
    assert b"Known: *** and ***." in content
    assert b"meadow" not in content
    assert b"rosebud" not in content


def test_a_body_that_a_clock_ends_is_cut(flavour, tmp_path):
    """Although its end looks regular once the socket is shut down, where the end of the connection is that of the body."""
    with Simulator(RawReply(writes=TOKENS, delay=30.0, end="close")) as simulator:
        inference = recorded(flavour.inference(simulator.connection), tmp_path)
        with pytest.raises(TimedOut):
            flavour.response(inference, stream=True, timeouts={"idle": 0.3})
    (exchange,) = exchanges_in(tmp_path)
    assert exchange.end == "cut"


def test_headers_are_those_of_the_allow_lists(flavour, tmp_path):
    """Further ones can be named; one that carries a key is never written."""
    headers = [
        ("content-type", "text/event-stream"),
        ("x-request-id", "r1"),
        ("x-cluster", "eu"),
        ("set-cookie", "a=b"),
        ("server", "s"),
    ]
    with Simulator(RawReply(headers=headers, writes=[*TOKENS, FINISH])) as simulator:
        connection = simulator.connection.with_changes(headers={"x-team": "garden", "x-app": "web"})
        more = {"request_headers": ["x-team", "auth*"], "response_headers": ["x-cluster", "set-*"]}
        flavour.partials(recorded(flavour.inference(connection), tmp_path, **more))
    (exchange,) = exchanges_in(tmp_path)
    assert exchange.headers == {"content-type": "text/event-stream", "x-request-id": "r1", "x-cluster": "eu"}
    assert exchange.request.headers["x-team"] == "garden"
    assert not exchange.request.headers.keys() & {"x-app", "authorization"}


def test_a_compressed_body_is_written_inflated(flavour, tmp_path):
    """So that keys can be found in it; the replay does not inflate it a second time."""
    with Simulator("One two three.", fault=Gzip()) as simulator:
        flavour.partials(recorded(flavour.inference(simulator.connection), tmp_path))
    (exchange,) = exchanges_in(tmp_path)
    assert b"One" in exchange.body
    assert "content-encoding" not in exchange.headers
    assert flavour.response(_replayed(flavour, Replay(tmp_path)), stream=True).content == "One two three."


def test_a_folder_that_cannot_be_written_fails_no_call(tmp_path, caplog):
    """The failure is logged, and raised by `close`."""
    folder = tmp_path / "folder"
    with Simulator("One.") as simulator:
        recorder = Recorder(folder)
        folder.rmdir()
        folder.write_text("in the way")
        assert recorder.attach(Inference.from_connection(simulator.connection)).text("Hello") == "One."
        assert "could not be recorded" in caplog.text
        with pytest.raises(OSError):
            recorder.close()
        recorder.close()


KILLED = """
import sys
from pathlib import Path
from polyglot_testkit.private_files import write_private
content = b"x" * 30_000_000
print("ready", flush=True)
for number in range(100_000):
    write_private(Path(sys.argv[1]) / f"{number % 3}.jsonl", content)
"""


def test_a_kill_while_writing_leaves_no_half_file(tmp_path):
    """Each file is whole or not there; what is left of the one that was being written is no recording."""
    for pause in (0.05, 0.1, 0.15):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        process.stdout.close()
        assert {file.stat().st_size for file in tmp_path.glob("*.jsonl")} <= {30_000_000}
        assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} <= {0o600}


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    """Once they are old; a new one may be of a process that still writes."""
    for name, age in ((".a.jsonl.1.part", 7200), (".b.jsonl.1.part", 0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    Recorder(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [".b.jsonl.1.part"]


def test_the_exam_takes_recordings(tmp_path):
    """One for each response, with its status; a cut one is left out."""
    with Simulator("One two three.", faults=[None, Status(429), Stall(after_events=3)]) as simulator:
        inference = recorded(Inference.from_connection(simulator.connection), tmp_path)
        inference.text("Hello", stream=True)
        with pytest.raises(ProviderError):
            inference.text("Hello")
        stream = inference.stream("Hello")
        next(iter(stream))
        stream.close()
    streamed, failed = recordings(tmp_path)
    assert (streamed.streamed, streamed.status, streamed.fails) == (True, 200, False)
    assert (failed.streamed, failed.status, failed.fails) == (False, 429, True)
    first = min(tmp_path.iterdir())
    assert Recording.from_file(first, same_as="another").same_as == "another"
    with pytest.raises(RecordingError, match="has 0 responses"):
        Recording.from_file(sorted(tmp_path.iterdir())[2])


def test_a_file_is_read_as_it_was_written(tmp_path):
    """Every field, and bodies of any bytes."""
    with Simulator("One.") as simulator, Recorder(tmp_path / "a.jsonl") as recorder:
        recorder.attach(Inference.from_connection(simulator.connection)).text("Hello", stream=True)
    content = (tmp_path / "a.jsonl").read_bytes()
    assert dump(load(content, "a.jsonl")) == content
    for line in content.splitlines():
        assert json.loads(line)


BROKEN = {
    "nothing": (b"", "is not a recording"),
    "another format": (b'{"a": 1}\n', "is not a recording"),
    "a later version": (b'{"polyglot":"recording","version":2}\n', "version 2"),
    "an odd line": (
        b'{"polyglot":"recording","version":1}\n{"request":{"method":"GET","url":"u"}}\n{"data":5}\n',
        "line 3",
    ),
    "odd base64": (b'{"polyglot":"recording","version":1}\n{"request":null}\n{"base64":"?"}\n', "line 3"),
    "no request": (b'{"polyglot":"recording","version":1}\n{"data":"x"}\n', "line 2"),
    "no exchange": (b'{"polyglot":"recording","version":1}\n', "has no exchange"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_named_with_its_line(tmp_path, name):
    """The error is one of the configuration."""
    content, message = BROKEN[name]
    (tmp_path / "broken.jsonl").write_bytes(content)
    with pytest.raises(RecordingError, match=message) as raised:
        Replay(tmp_path / "broken.jsonl")
    assert "broken.jsonl" in str(raised.value)
    assert isinstance(raised.value, ConfigError)


def test_a_missing_file_or_an_empty_folder_is_an_error(tmp_path):
    """Both are named."""
    with pytest.raises(RecordingError, match=r"away.jsonl cannot be read: No such file"):
        exchanges_in(tmp_path / "away.jsonl")
    with pytest.raises(RecordingError, match="has no file"):
        exchanges_in(tmp_path)


def test_an_exchange_without_its_end_is_cut(tmp_path):
    """As a file would be that was copied in part."""
    with Simulator("One two three.") as simulator, Recorder(tmp_path / "a.jsonl") as recorder:
        recorder.attach(Inference.from_connection(simulator.connection)).text("Hello", stream=True)
    lines = (tmp_path / "a.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "b.jsonl").write_bytes(b"".join(lines[:-1]))
    (exchange,) = exchanges_in(tmp_path / "b.jsonl")
    assert exchange.end == "cut"


def test_the_exam_passes_with_recordings_of_a_stream_and_a_plain_response(tmp_path):
    """They are what the exam takes, with their headers and their status."""
    with Simulator("One two three.") as simulator:
        inference = recorded(Inference.from_connection(simulator.connection), tmp_path)
        inference.text("Hello", stream=True)
        inference.text("Hello", stream=False)
    left_out = {"Reasoning with signature": "this API takes no thinking of earlier turns"}
    report = check_driver(polyglot_openai.chat.driver, recordings(tmp_path), left_out=left_out)
    assert report.passed


@pytest.mark.parametrize("wrap", [recorded, cached], ids=["recorded", "cached"])
def test_a_client_of_your_own_is_beneath(flavour, tmp_path, wrap):
    """It sends the request; the file is written all the same."""
    seen = []
    with Simulator("One two three.") as simulator:
        if flavour.backend is None:
            with httpx.Client(event_hooks={"request": [seen.append]}) as client:
                inference = wrap(flavour.inference(simulator.connection, client=client), tmp_path)
                assert inference.text("Hello", stream=True) == "One two three."
        else:
            anyio.run(_with_client, simulator, lambda inner: wrap(inner, tmp_path), seen, backend=flavour.backend)
    assert len(seen) == 1
    (exchange,) = exchanges_in(tmp_path)
    assert (exchange.transport, exchange.end) == ("httpx", "complete")


async def _with_client(simulator, wrap, seen):
    async def see(request):
        seen.append(request)

    async with httpx.AsyncClient(event_hooks={"request": [see]}) as client:
        inference = wrap(AsyncInference.from_connection(simulator.connection, client=client))
        assert await inference.text("Hello", stream=True) == "One two three."


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks_at_once_are_recorded_apart(tmp_path, backend):
    """Each file has one exchange, also of tasks that are cancelled: these are cut."""

    async def main(simulator):
        inference = recorded(AsyncInference.from_connection(simulator.connection), tmp_path)
        async with anyio.create_task_group() as tasks:
            for word in ("one", "two", "six"):
                tasks.start_soon(partial(inference.text, f"{word} ", stream=True))
            with anyio.CancelScope() as scope:
                async with inference.stream("ten ") as stream:
                    async for _ in stream:
                        scope.cancel()

    def reply(request):
        word = request.body["messages"][0]["content"]
        return Reply(word * (9 if word != "ten " else 20_000))  # the last one is cancelled long before its end

    with Simulator(reply, pace=Pace(tokens_per_second=200)) as simulator:
        anyio.run(main, simulator, backend=backend)
    ends = {
        json.loads(exchange.request.body)["messages"][0]["content"]: exchange.end for exchange in exchanges_in(tmp_path)
    }
    assert ends == {"one ": "complete", "two ": "complete", "six ": "complete", "ten ": "cut"}


def test_a_function_records_to_a_folder_only(tmp_path):
    """A file would have to be closed."""
    with Simulator() as simulator, pytest.raises(ConfigError, match="use Recorder for a file"):
        recorded(Inference.from_connection(simulator.connection), tmp_path / "a.jsonl")


AT_EXIT = """
import sys
from polyglot_core import Connection, Inference
from polyglot_testkit import Recorder

recorder = Recorder(sys.argv[2])
connection = Connection(name="sim", driver="openai", model="m", base_url=sys.argv[1])
inference = recorder.attach(Inference.from_connection(connection))
inference.text("Hello", stream=True)
stream = inference.stream("Hello")
next(iter(stream))
"""


@pytest.mark.parametrize("name", ["folder", "a.jsonl"])
def test_what_is_left_is_written_at_the_exit(tmp_path, name):
    """A file that was not closed, and a stream that was not."""
    with Simulator("One two three four.", faults=[None, Stall(after_events=3)]) as simulator:
        command = [sys.executable, "-c", AT_EXIT, simulator.base_url, str(tmp_path / name)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [exchange.end for exchange in exchanges_in(tmp_path / name)] == ["complete", "cut"]


def test_a_body_that_cannot_be_searched_is_not_written(flavour, tmp_path):
    """Its encoding is not known, so it may hold a key."""
    headers = [("content-type", "application/json"), ("content-encoding", "zstd")]
    with Simulator(RawReply(headers=headers, writes=[b"(sk-garden"], end="length")) as simulator:
        inference = recorded(flavour.inference(simulator.connection), tmp_path)
        with pytest.raises(PolyglotError):
            flavour.response(inference)
    (exchange,) = exchanges_in(tmp_path)
    assert (exchange.reads, exchange.end, exchange.error) == ((), "error", "NotInflated")


def test_a_recorder_that_is_closed_writes_nothing_more(tmp_path, monkeypatch):
    """Neither at a second close nor where the working directory has changed; a further exchange is added."""
    monkeypatch.chdir(tmp_path)
    with Simulator("One.") as simulator:
        recorder = Recorder("a.jsonl")
        inference = recorder.attach(Inference.from_connection(simulator.connection))
        inference.text("Hello")
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path / "other")
        recorder.close()
        (tmp_path / "a.jsonl").unlink()
        recorder.close()
        assert [file.name for file in tmp_path.rglob("*")] == ["other"]
        inference.text("Hello")
        recorder.close()
    assert len(exchanges_in(tmp_path / "a.jsonl")) == 2
