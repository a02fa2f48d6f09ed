"""The cache: hits, what is not kept, bounds, broken entries, and several processes."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from polyglot_core import ConfigError, Inference, ProviderError, TransportError, Truncated
from polyglot_simulator import Cut, Drop, RawReply, Reply, Simulator, Stall, Status
from polyglot_testkit import Replay, cached, exchanges_in
from polyglot_testkit.stores import FolderStore, SQLiteStore

from .test_recorder import forms_of

pytestmark = pytest.mark.http

KEY = "sk-Garden+Path/42=xyz"


@pytest.fixture(params=["folder", "cache.sqlite"])
def place(request, tmp_path):
    """Return where a cache is: a folder, or an SQLite file."""
    return tmp_path / request.param


def entries(place):
    """Return the contents of all entries."""
    if place.is_dir():
        return [file.read_bytes() for file in place.glob("*.jsonl")]
    database = sqlite3.connect(place)
    try:
        return [row[0] for row in database.execute("SELECT entry FROM entries")]
    finally:
        database.close()


def echo(request):
    """Return the last message."""
    return Reply(request.body["messages"][-1]["content"])


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_the_second_request_is_a_hit(flavour, place, streamed):
    """It streams, piece by piece as the first did; the transport states it, and nothing is sent."""
    with Simulator("One two three.") as simulator:
        inference = cached(flavour.inference(simulator.connection), place)
        first = flavour.response(inference, stream=streamed)
        second = flavour.response(inference, stream=streamed)
        assert (first.transport != "cache", second.transport) == (True, "cache")
        assert (second.content, second.id, second.usage) == (first.content, first.id, first.usage)
        partials = flavour.partials(inference)
        assert [partial.content_delta for partial in flavour.partials(inference)] == [
            partial.content_delta for partial in partials
        ]
        assert len(simulator.requests) == (1 if streamed else 2)
    mode = (place if place.is_file() else next(place.iterdir())).stat().st_mode
    assert mode & 0o777 == 0o600


def test_styles_and_inferences_share_a_cache(flavour, place):
    """The key is the encoded request, and the same from every client."""
    with Simulator("One two three.") as simulator:
        cached(Inference.from_connection(simulator.connection), place).text("Hello")
        assert flavour.response(cached(flavour.inference(simulator.connection), place)).transport == "cache"


def test_another_request_is_a_miss(flavour, place):
    """Another prompt, option, model or header; not another key, retry setting or user agent."""
    with Simulator(echo) as simulator:
        inference = cached(flavour.inference(simulator.connection), place)
        flavour.response(inference, "one")
        for prompt, arguments in (
            ("two", {}), ("one", {"options": {"temperature": 0}}), ("one", {"model": "other"}), ("one", {"headers": {"x-mode": "b"}}),
        ):  # fmt: skip
            response = flavour.response(inference, prompt, **arguments)
            assert (response.content, response.transport == "cache") == (prompt, False)
        other = inference.with_changes(api_key="sk-another-key", retries=5)
        assert flavour.response(other, "one", headers={"x-request-id": "7"}).transport == "cache"


NOT_KEPT = {
    "truncated": (Cut(after_events=3), Truncated),
    "dropped": (Drop(after_events=3), TransportError),
    "an error status": (Status(500), ProviderError),
    "a stated error": (
        RawReply(writes=[b'data: {"error": {"message": "no", "code": "overloaded"}}\n\n']),
        ProviderError,
    ),
}


@pytest.mark.parametrize("name", NOT_KEPT)
def test_what_failed_is_not_kept(flavour, place, name):
    """The next request is sent, and its response is kept."""
    fault, error_class = NOT_KEPT[name]
    replies, faults = (
        ([fault, "One two three four."], []) if isinstance(fault, RawReply) else ("One two three four.", [fault])
    )
    with Simulator(replies, faults=faults) as simulator:
        inference = cached(flavour.inference(simulator.connection), place)
        with pytest.raises(error_class):
            flavour.response(inference, stream=True)
        assert entries(place) == []
        assert flavour.response(inference, stream=True).transport != "cache"
        assert flavour.response(inference, stream=True).transport == "cache"


def test_what_is_truncated_is_not_kept_where_it_is_accepted(flavour, place):
    """Also if the call ends without an error."""
    with Simulator("One two three four.", fault=Cut(after_events=3)) as simulator:
        inference = cached(flavour.inference(simulator.connection), place)
        assert flavour.response(inference, stream=True, on_truncated="mark").outcome == "truncated"
        assert entries(place) == []


def test_what_is_closed_early_is_not_kept(flavour, place):
    """A part of a stream is no response."""
    with Simulator("One two three four.", faults=[Stall(after_events=3)]) as simulator:
        inference = cached(flavour.inference(simulator.connection), place)
        flavour.partials(inference, count=2)
        assert entries(place) == []


def test_a_hit_that_is_closed_early_stays(flavour, place):
    """And is whole for the next one."""
    with Simulator("One two three four.") as simulator:
        inference = cached(flavour.inference(simulator.connection), place)
        flavour.partials(inference)
        assert len(flavour.partials(inference, count=1)) == 1
        assert flavour.partials(inference)[-1].content == "One two three four."
        assert len(simulator.requests) == 1


def test_observers_see_the_same_events(flavour, place):
    """A hit is a call like others: started, first event, ended."""
    seen = []
    with Simulator("One two three.") as simulator:
        inference = cached(flavour.inference(simulator.connection, observers=[seen.append]), place)
        flavour.partials(inference)
        first = [type(event).__name__ for event in seen]
        seen.clear()
        flavour.partials(inference)
    assert [type(event).__name__ for event in seen] == first
    assert (seen[-1].outcome, seen[-1].attempts, seen[-1].usage.output_tokens > 0) == ("finished", 1, True)


def test_an_entry_that_is_broken_is_a_miss(flavour, place, caplog):
    """It is logged, dropped and written anew."""
    with Simulator("One two three.") as simulator:
        inference = cached(flavour.inference(simulator.connection), place)
        flavour.response(inference)
        for broken in (b"", b"\x00garbage", entries(place)[0][:-40], b'{"polyglot":"recording","version":1}\n'):
            _overwrite(place, broken)
            caplog.clear()
            assert flavour.response(inference).transport != "cache"
            assert "cannot be used" in caplog.text
            assert flavour.response(inference).transport == "cache"


def test_an_entry_that_is_broken_is_dropped(flavour, place):
    """Also if the request that found it fails, so that it is logged once."""
    with Simulator("One two three.", faults=[None, Status(500)]) as simulator:
        inference = cached(flavour.inference(simulator.connection), place)
        flavour.response(inference)
        _overwrite(place, b"garbage")
        with pytest.raises(ProviderError):
            flavour.response(inference)
        assert entries(place) == []


def _overwrite(place, content):
    if place.is_dir():
        next(place.glob("*.jsonl")).write_bytes(content)
    else:
        with sqlite3.connect(place) as database:
            database.execute("UPDATE entries SET entry = ?", (content,))
        database.close()


def test_an_old_entry_is_a_miss(flavour, place):
    """And is replaced."""
    with Simulator("One two three.") as simulator:
        flavour.response(cached(flavour.inference(simulator.connection), place))
        if place.is_dir():
            file = next(place.glob("*.jsonl"))
            os.utime(file, (time.time(), time.time() - 100))
        else:
            with sqlite3.connect(place) as database:
                database.execute("UPDATE entries SET written = written - 100")
            database.close()
        assert flavour.response(cached(flavour.inference(simulator.connection), place)).transport == "cache"
        limited = cached(flavour.inference(simulator.connection), place, max_age=60)
        assert flavour.response(limited).transport != "cache"
        assert flavour.response(limited).transport == "cache"


@pytest.mark.parametrize("kind", [FolderStore, SQLiteStore])
def test_the_size_is_bounded_and_the_least_used_is_dropped(tmp_path, kind):
    """What was read lately stays; an entry that is larger than everything is not kept."""
    store = kind(tmp_path / "cache.sqlite", 10_000, None)
    for number in range(9):
        store.put(f"key{number}", bytes([number]) * 1000)
        time.sleep(0.002)  # so that the times of use differ
        store.get("key0")  # after the first one, most file systems note no further reads by themselves
    assert store.get("key0") == bytes(1000)
    for number in range(9, 15):
        time.sleep(0.002)
        store.put(f"key{number}", bytes([number]) * 1000)
    left = [number for number in range(15) if store.get(f"key{number}") is not None]
    assert 0 in left
    assert left[-4:] == [11, 12, 13, 14]
    assert 1 not in left
    assert len(left) <= 10
    store.put("large", bytes(20_000))
    assert store.get("large") is None
    store.drop("key14")
    assert store.get("key14") is None


def test_a_key_that_is_a_word_changes_no_response(flavour, place):
    """Servers of one's own take any key. A response that has the word is not kept; prompts that differ in it differ."""
    with Simulator(echo) as simulator:
        connection = simulator.connection.with_changes(api_key="test")
        inference = cached(flavour.inference(connection), place)
        for _ in range(2):
            assert flavour.response(inference, "This is a test.", stream=True).content == "This is a test."
        assert entries(place) == []
    with Simulator(["Lower.", "Upper."]) as simulator:
        inference = cached(flavour.inference(connection.with_changes(base_url=simulator.connection.base_url)), place)
        prompts = ("Is test lower?", "Is TEST lower?") * 2
        responses = [flavour.response(inference, prompt, stream=True) for prompt in prompts]
        assert [response.content for response in responses] == ["Lower.", "Upper."] * 2
        assert [response.transport == "cache" for response in responses] == [False, False, True, True]


def test_a_key_is_in_no_entry(flavour, place):
    """Nor are its forms; the prompt repeats it."""
    quiet = False
    with Simulator(lambda request: Reply("No form of it.") if quiet else echo(request)) as simulator:
        connection = simulator.connection.with_changes(api_key=KEY, headers={"x-api-key": KEY})
        inference = cached(flavour.inference(connection), place)
        text = b" ".join(sorted(forms_of(KEY, whole=True))).decode()
        assert text in flavour.response(inference, text, stream=False).content
        assert flavour.response(inference, text, stream=False).transport != "cache"
        quiet = True
        flavour.response(inference, text, stream=False)
        assert flavour.response(inference, text, stream=False).transport == "cache"
        stored = b"".join(
            file.read_bytes()
            for file in (place.iterdir() if place.is_dir() else place.parent.iterdir())
            if file.is_file()
        )
    assert stored
    assert [form for form in forms_of(KEY) if form in stored] == []


def test_an_entry_of_a_folder_is_a_recording(tmp_path):
    """It can be replayed by itself."""
    with Simulator("One two three.") as simulator:
        cached(Inference.from_connection(simulator.connection), tmp_path).text("Hello", stream=True)
    assert Replay(tmp_path, match=()).inference().create("Hello", stream=True, model="any").text() == "One two three."
    assert exchanges_in(tmp_path)[0].end == "complete"


def test_threads_that_miss_at_once_do_not_disturb_each_other(place):
    """Each has the whole response, and the next one is a hit."""
    with Simulator(echo) as simulator:
        inference = cached(Inference.from_connection(simulator.connection), place)
        texts = []
        threads = [
            threading.Thread(target=lambda: texts.append(inference.text("same " * 50, stream=True))) for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert texts == ["same " * 50] * 12
        assert inference.create("same " * 50, stream=True).response().transport == "cache"
    assert len(entries(place)) == 1


PROGRAM = """
import sys
from polyglot_core import Connection, Inference
from polyglot_testkit import cached

url, place, max_bytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = Connection(name="sim", driver="openai", model="m", base_url=url)
inference = cached(Inference.from_connection(connection), place, max_bytes=max_bytes)
hits = 0
for number in range(40):
    text = f"number {number % 10} " * 20
    response = inference.create(text, stream=True).response()
    assert response.content == text, (response.content, text)
    hits += response.transport == "cache"
print(hits)
"""


@pytest.mark.parametrize("max_bytes", [10_000_000, 40_000], ids=["large", "small"])
def test_four_processes_share_a_cache(place, max_bytes):
    """Each response is whole, also while entries are dropped; and there are hits."""
    with Simulator(echo) as simulator:
        arguments = [sys.executable, "-c", PROGRAM, simulator.base_url, str(place), str(max_bytes)]
        processes = [
            subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)
        ]
        ended = [process.communicate(timeout=120) for process in processes]
    assert [(process.returncode, err) for process, (_, err) in zip(processes, ended, strict=True)] == [(0, "")] * 4
    kept = entries(place)
    assert sum(map(len, kept)) <= max_bytes * (1.2 if place.is_dir() else 1)
    for entry in kept:
        assert json.loads(entry.splitlines()[-1])["end"] == "complete"
    if max_bytes > 1_000_000:
        assert sum(int(out) for out, _ in ended) >= 100
        assert len(kept) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_bytes": 0}, "max_bytes is 0"),
        ({"max_bytes": 1.5}, "max_bytes is 1.5"),
        ({"max_age": -1}, "max_age is -1"),
        ({"max_age": "1h"}, "max_age is '1h'"),
    ],
)
def test_wrong_bounds_are_errors(place, arguments, message):
    """They are named, with what is expected."""
    with Simulator() as simulator, pytest.raises(ConfigError, match=message):
        cached(Inference.from_connection(simulator.connection), place, **arguments)


def test_a_file_that_is_no_cache_is_an_error(tmp_path):
    """It is not overwritten."""
    file = tmp_path / "notes.db"
    file.write_text("Dear diary, " * 200)
    with Simulator() as simulator, pytest.raises(ConfigError, match="notes.db cannot be used as a cache"):
        cached(Inference.from_connection(simulator.connection), file)
    assert file.read_text().startswith("Dear diary")


def test_a_hit_waits_for_no_other_process(flavour, tmp_path):
    """An SQLite file that is being written by another process is read at once; only the moment of use is not kept."""
    place = tmp_path / "cache.sqlite"
    with Simulator("One two three.") as simulator:
        inference = cached(flavour.inference(simulator.connection), place)
        flavour.response(inference)
        writer = sqlite3.connect(place, isolation_level=None)
        try:
            writer.execute("BEGIN IMMEDIATE")
            response = flavour.response(inference.with_changes(timeouts={"total": 5.0}))
        finally:
            writer.close()
    assert (response.content, response.transport) == ("One two three.", "cache")
