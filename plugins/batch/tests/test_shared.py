"""Rates that processes share: the protocol of a store, and Redis, which may be away."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

from polyglot_batch import admission
from polyglot_core import ConfigError, Inference, Rate, Retries, TimedOut

pytestmark = pytest.mark.http


class Ledger:
    """A store that answers in a thread of its own: the waits that it was given, and then 0."""

    def __init__(self, *waits):
        self.waits = list(waits)
        self.asked, self.paused = [], []

    def ask(self, account, charges, answer):
        """Answer a question."""
        self.asked.append([(charge.name, charge.cost) for charge in charges])
        threading.Thread(target=answer, args=(self.waits.pop(0) if self.waits else 0.0,)).start()

    def pause(self, account, seconds):
        """Note a pause."""
        self.paused.append(seconds)


def test_a_store_is_asked_before_each_request(flavour, limited):
    """A request is sent when the store grants it; its wait is that of the next ones too."""
    provider, simulator = limited(1000)
    admission.use_store(store := Ledger(0.3))
    rate = Rate(requests_per_minute=60_000, tokens_per_minute=6_000_000)
    inference = flavour.Inference(simulator.connection.with_changes(rate=rate))
    begun = time.monotonic()
    texts = flavour.run(lambda: flavour.texts(inference, ["a", "b", "c"]))
    assert len(texts) == 3
    assert provider.accepted[0] - begun > 0.3
    assert len(store.asked) == 4
    assert [name for name, _ in store.asked[0]] == ["requests", "tokens"]


def test_a_rejection_pauses_the_other_processes(limited):
    """The store is told of the wait."""
    _, simulator = limited(1, 0.2)
    admission.use_store(store := Ledger())
    inference = Inference(simulator.connection.with_changes(rate=Rate(), retries=Retries(max_retries=3)))
    for _ in range(2):
        inference.create("Hi").text()
    assert store.paused
    assert 0 < store.paused[0] <= 0.2


def test_tokens_are_settled(limited):
    """What was estimated too high is not charged for the next requests."""
    _, simulator = limited(1000)
    admission.use_store(store := Ledger())
    inference = Inference(simulator.connection.with_changes(rate=Rate(tokens_per_minute=600_000)))
    for _ in range(3):
        inference.create("Hi", options={"max_tokens": 1000}).text()
    assert [charges[0][1] > 900 for charges in store.asked] == [True, False, False]


# Redis


def closed_port():
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def shared():
    """Return the module, which needs libraries."""
    pytest.importorskip("redis")
    pytest.importorskip("throttled")
    from polyglot_batch import shared

    return shared


def test_a_store_that_is_away_and_open(shared, limited, caplog):
    """Calls go on, and it is logged once; a password is not."""
    _, simulator = limited(1000)
    inference = Inference(simulator.connection.with_changes(rate=Rate(requests_per_minute=6000)))
    with caplog.at_level(logging.WARNING, "polyglot_batch"):
        shared.share_rates(f"redis://:hidden-password@127.0.0.1:{closed_port()}/0")
        assert [inference.create("Hi").text() for _ in range(3)] == ["pong"] * 3
    logged = [record.getMessage() for record in caplog.records if record.name == "polyglot_batch"]
    assert len(logged) == 1
    assert "Redis is away" in logged[0]
    assert "within the rate of this process" in logged[0]
    assert "hidden" not in caplog.text


def test_a_store_that_is_away_and_closed(shared, limited):
    """Calls wait, at most as long as they may take."""
    provider, simulator = limited(1000)
    shared.share_rates(f"redis://127.0.0.1:{closed_port()}/0", fail="closed")
    inference = Inference(simulator.connection.with_changes(rate=Rate()))
    with pytest.raises(TimedOut):
        inference.create("Hi", timeouts={"total": 0.2}).text()
    assert provider.accepted == []


@pytest.mark.parametrize(
    ("url", "fail", "match"),
    [
        ("mysql://:hidden@here", "open", "not one of Redis"),
        ("redis://here", "ajar", "fail is 'open' or 'closed', not 'ajar'"),
    ],
)
def test_what_cannot_be_shared(shared, url, fail, match):
    """A wrong URL is not quoted."""
    with pytest.raises(ConfigError, match=match) as caught:
        shared.share_rates(url, fail=fail)
    assert "hidden" not in str(caught.value)


def test_the_environment_names_a_store(shared, limited, monkeypatch):
    """Processes that are started share their rates without code."""
    _, simulator = limited(1000)
    monkeypatch.setenv("POLYGLOT_RATES", f"redis://127.0.0.1:{closed_port()}/0#open")
    Inference(simulator.connection.with_changes(rate=Rate())).create("Hi").text()
    assert isinstance(admission._store[0], shared.RedisStore)


class Server:
    """A redis-server of its own, which can be killed and started again."""

    def __init__(self, folder):
        self.port, self._folder = closed_port(), folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = None

    def start(self):
        """Start it, and wait until it listens."""
        command = [
            "redis-server",
            "--port",
            str(self.port),
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            str(self._folder),
            "--bind",
            "127.0.0.1",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("redis-server does not listen")

    def kill(self):
        """Kill it."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path):
    """Start a redis-server."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


CALLER = """
import json, logging, sys
from polyglot_core import Connection, Inference, Rate, Retries
from polyglot_batch import map
from polyglot_batch.shared import share_rates
url, redis, rate, number, fail = sys.argv[1:]
logging.basicConfig(level=logging.WARNING)
share_rates(redis, fail=fail)
connection = Connection(name="c", driver="openai", base_url=url, model="m", api_key="k", rate=Rate(requests_per_minute=int(rate)), retries=Retries(max_retries=5))
results = list(map(Inference(connection), [f"p{n}" for n in range(int(number))], concurrency=4, progress=False))
print(json.dumps([result.response is not None for result in results]))
"""


def callers(simulator, server, *, number, rate, fail="open"):
    """Start four processes that make calls."""
    command = [sys.executable, "-c", CALLER, simulator.base_url, server.url, str(rate), str(number), fail]
    return [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]


def answers(processes):
    """Return what each process has printed, and its log."""
    ended = [process.communicate(timeout=120) for process in processes]
    return [json.loads(out) for out, _ in ended], [log for _, log in ended]


@pytest.mark.redis
def test_four_processes_share_a_rate(shared, server, limited):
    """Together they keep to it."""
    provider, simulator = limited(14, 1.0)  # ten a second are allowed
    done, _ = answers(callers(simulator, server, number=15, rate=600))
    assert done == [[True] * 15] * 4
    assert len(provider.rejected) <= 2
    moments = provider.accepted
    assert 59 / (moments[-1] - moments[0]) < 11.5


@pytest.mark.redis
@pytest.mark.parametrize("fail", ["open", "closed"])
def test_redis_is_killed_and_restarted(shared, server, limited, fail):
    """Calls go on: meanwhile within the rate of each process, or afterwards; both is logged."""
    provider, simulator = limited(60, 1.0)
    processes = callers(simulator, server, number=25, rate=600, fail=fail)
    while len(provider.accepted) < 20:
        time.sleep(0.01)
    server.kill()
    killed = time.monotonic()
    time.sleep(2.5)
    meanwhile = sum(moment > killed + 1.2 for moment in provider.accepted)
    server.start()
    done, logs = answers(processes)
    assert done == [[True] * 25] * 4
    assert (meanwhile > 10) is (fail == "open")
    assert all("Redis is away" in log for log in logs)
    if fail == "closed":
        assert all("Redis is back" in log for log in logs)
