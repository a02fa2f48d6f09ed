"""Rates: calls of one account wait for each other, across threads and event loops, and 429 pauses all of them."""

from __future__ import annotations

import threading
import time

import anyio
import pytest

from polyglot_batch import admission
from polyglot_batch.account import Account
from polyglot_core import AsyncInference, Inference, Rate, RateLimited, Retries, TimedOut
from polyglot_core.plugin import Secret
from polyglot_simulator import RawReply, Simulator

pytestmark = pytest.mark.http

PROMPTS = [f"prompt {number}" for number in range(12)]


def connection(simulator, rate, **fields):
    """Return the connection of a simulator, with a rate."""
    return simulator.connection.with_changes(rate=rate, **fields)


def test_requests_keep_to_the_rate(flavour, limited):
    """No request is rejected, although all are made at once."""
    provider, simulator = limited(10, 0.5)
    inference = flavour.Inference(connection(simulator, Rate(requests_per_minute=900)))
    begun = time.monotonic()
    texts = flavour.run(lambda: flavour.texts(inference, PROMPTS))
    assert (set(texts.values()), len(texts), provider.rejected) == ({"pong"}, 12, [])
    assert provider.accepted[-1] - begun > 0.6  # at 15 a second


def test_a_rejection_pauses_everyone(flavour, limited):
    """Without numbers the rate is learnt: a few are rejected, once, and all end well after few retries."""
    provider, simulator = limited(4, 0.3)
    inference = flavour.Inference(connection(simulator, Rate(), retries=Retries(max_retries=4)))
    texts = flavour.run(lambda: flavour.texts(inference, PROMPTS))
    assert (set(texts.values()), len(texts)) == ({"pong"}, 12)
    assert len(provider.rejected) <= 16  # eight at once, and some while the rate is found


def test_an_account_is_shared(limited):
    """Threads and event loops, sync and async inferences of one account have one allowance; another key has its own."""
    provider, simulator = limited(100, 1.0)
    rate = Rate(requests_per_minute=600)
    one, other = connection(simulator, rate), connection(simulator, rate, name="other", model="else")
    begun = time.monotonic()
    thread = threading.Thread(target=lambda: [Inference(one).create("Hi").text() for _ in range(4)])
    thread.start()

    async def main():
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(AsyncInference(other).create("Hi").text)

    anyio.run(main, backend="trio")
    thread.join()
    assert time.monotonic() - begun > 0.6  # eight at ten a second
    assert len(admission._accounts) == 1
    Inference(one.with_changes(api_key="another")).create("Hi").text()
    assert len(admission._accounts) == 2
    assert len(provider.accepted) == 9


def test_idle_accounts_are_forgotten(limited, monkeypatch):
    """A server that calls with many keys does not collect them."""
    monkeypatch.setattr(admission, "_MOST", 3)
    _, simulator = limited(1000)
    for number in range(8):
        Inference(connection(simulator, Rate(), api_key=f"key {number}")).create("Hi").text()
    assert len(admission._accounts) <= 3


def test_a_wait_that_is_too_long_is_not_shared(limited):
    """A limit of a day makes each call fail with its own error; it does not hold up the others."""
    _, simulator = limited(1, 500.0)
    inference = Inference(connection(simulator, Rate(), retries=Retries(max_retries=1)))
    assert inference.create("Hi").text() == "pong"
    begun = time.monotonic()
    for _ in range(3):
        with pytest.raises(RateLimited):
            inference.create("Hi").text()
    assert time.monotonic() - begun < 30.0


def test_no_key_is_kept(limited):
    """What identifies an account holds a hash of its credentials."""
    _, simulator = limited()
    Inference(
        connection(simulator, Rate(), api_key=Secret("sk-very-secret"), headers={"x-api-key": "hidden-too"})
    ).create("Hi").text()
    (key,) = admission._accounts
    assert "secret" not in key
    assert "hidden" not in key
    assert key.startswith(f"http://127.0.0.1:{simulator.port} ")


def test_requests_in_progress_are_bounded(flavour):
    """`concurrency` bounds the streams that are open, not the requests that are sent."""
    most = []

    def reply(request):
        time.sleep(0.05)
        most.append(sum(each.closed_at is None for each in simulator.requests))
        return "pong"

    with Simulator(reply) as simulator:
        inference = flavour.Inference(connection(simulator, Rate(concurrency=2)))
        texts = flavour.run(lambda: flavour.texts(inference, PROMPTS[:6]))
    assert len(texts) == 6
    held = [permit for account in admission._accounts.values() for permit in account._in_progress]
    assert held == []


def test_first_come_first_served(limited):
    """Requests are sent in the order in which they came."""
    order = []

    def reply(request):
        order.append(request.body["messages"][0]["content"])
        return "pong"

    _, simulator = limited(1000, reply=reply)
    inference = AsyncInference(connection(simulator, Rate(requests_per_minute=1200)))

    async def main():
        async with anyio.create_task_group() as tasks:
            for prompt in PROMPTS:
                tasks.start_soon(inference.create(prompt).text)
                await anyio.sleep(0.005)

    anyio.run(main)
    assert order == PROMPTS


def test_a_cancelled_wait_lets_the_next_one_go(limited):
    """A request that leaves the queue, by a cancellation, a clock or `close`, is not waited for."""
    provider, simulator = limited(1000)
    inference = AsyncInference(connection(simulator, Rate(concurrency=1)))

    async def main():
        async with inference.stream("first") as stream:
            await anext(aiter(stream))
            with anyio.move_on_after(0.05):
                await inference.create("cancelled").text()
            with pytest.raises(TimedOut):
                await inference.create("late", timeouts={"total": 0.05}).text()
            async with anyio.create_task_group() as tasks:
                closed = inference.stream("closed")
                tasks.start_soon(closed.response)
                await anyio.sleep(0.05)
                await closed.close()
        return await inference.create("last").text()

    assert anyio.run(main) == "pong"
    assert len(provider.accepted) == 2


def test_one_whose_event_loop_has_ended(limited):
    """A loop that ends while its task waits does not hold up the others."""
    _, simulator = limited(1000)
    made = connection(simulator, Rate(concurrency=1))
    stream = Inference(made).stream("first")
    next(iter(stream))

    async def main():
        with anyio.move_on_after(0.02):
            await AsyncInference(made).create("gone").text()

    anyio.run(main)
    account = next(iter(admission._accounts.values()))

    def raising():
        raise RuntimeError("Event loop is closed")

    lost = account.enter(_request(made), raising)
    stream.close()
    assert Inference(made).create("last").text() == "pong"
    assert lost.sent is None


def test_one_that_left_without_a_word(limited, monkeypatch):
    """A request that finds the first one overdue takes its place; if that asks again, it is the first."""
    monkeypatch.setattr("polyglot_batch.account._OVERDUE", 0.0)
    monkeypatch.setattr("polyglot_batch.account._COME_BACK", 0.05)
    _, simulator = limited(1000)
    made = connection(simulator, Rate(concurrency=1))
    stream = Inference(made).stream("first")
    next(iter(stream))
    account = next(iter(admission._accounts.values()))
    lost = account.enter(_request(made), lambda: None)
    assert lost.wait() > 0
    stream.close()
    assert Inference(made).create("last").text() == "pong"
    assert lost.wait() == 0.0
    lost.release()


def test_who_is_woken(limited):
    """One at a time: the next in the queue, when the one before is admitted, ends, or learns that more may be sent."""
    _, simulator = limited()
    account, woken = Account("account"), []
    made = connection(simulator, Rate(requests_per_minute=60_000, concurrency=2))
    one, two, three, four = (account.enter(_request(made), lambda n=n: woken.append(n)) for n in range(1, 5))
    assert [two.wait() > 0, three.wait() > 0, one.wait()] == [True, True, 0.0]
    assert woken == [2]
    assert [two.wait(), three.wait() > 0, four.wait() > 0] == [0.0, True, True]
    assert woken == [2, 3]
    one.responded(200, {"x-ratelimit-remaining-requests": "100"})
    assert woken == [2, 3, 3]
    one.release()
    assert woken == [2, 3, 3, 3]
    three.release()
    assert woken == [2, 3, 3, 3, 4]


def _request(made):
    from polyglot_core.plugin import AdmissionRequest, InferenceRequest

    asked = InferenceRequest(model="m", messages=())
    return AdmissionRequest(made, made.base_url.removesuffix("/v1"), asked)


def test_headers_are_heeded():
    """A provider that states how much is left is not asked for more before it refills."""
    moments = []

    def reply(request):
        moments.append(time.monotonic())
        left = max(0, 3 - len(moments))
        headers = [
            ("content-type", "application/json"),
            ("x-ratelimit-limit-requests", "4"),
            ("x-ratelimit-remaining-requests", str(left)),
            ("x-ratelimit-reset-requests", "800ms"),
        ]
        body = (
            b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "pong"}, "finish_reason": "stop"}]}'
        )
        return RawReply(headers=headers, writes=[body], end="length")

    with Simulator(reply) as simulator:
        inference = Inference(connection(simulator, Rate()))
        for _ in range(4):
            inference.create("Hi").text()
    assert moments[3] - moments[2] > 0.15


def test_the_usage_corrects_the_estimate(limited):
    """A request that states a high limit holds up the next one only until its usage is known."""
    _, simulator = limited(1000)
    inference = Inference(connection(simulator, Rate(tokens_per_minute=60_000)))
    begun = time.monotonic()
    for _ in range(4):
        inference.create("Hi", options={"max_tokens": 10_000}).text()
    assert time.monotonic() - begun < 8.0  # else ten seconds for each


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="forks")
def test_a_child_has_queues_of_its_own(limited):
    """No request waits in the child of a fork."""
    import os

    _, simulator = limited()
    Inference(connection(simulator, Rate())).create("Hi").text()
    if (child := os.fork()) == 0:
        os._exit(len(admission._accounts))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
