"""`map`: results as they end, errors as values, and what happens to calls in progress."""

from __future__ import annotations

import gc
import json
import threading
import time

import anyio
import pytest

import polyglot_batch
from polyglot_batch import Total, admission, cost
from polyglot_core import AsyncInference, Inference, Rate, RequestError
from polyglot_core.errors import ServerError
from polyglot_simulator import RawReply, Simulator, Stall

pytestmark = pytest.mark.http

ASYNC = pytest.mark.parametrize("flavour", ["asyncio", "trio"], indirect=True)


async def collect(flavour, results):
    """Return all results."""
    return list(results) if flavour.name == "sync" else [result async for result in results]


def plain(text, status=200, delay=0.0):
    """Return a plain response, in two writes with a delay between them."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice]} if status == 200 else {"error": {"message": text}}).encode()
    headers = [("content-type", "application/json")]
    return RawReply(status=status, headers=headers, writes=[body[:5], body[5:]], delay=delay, end="length")


def echo(request):
    """Reply with the prompt; slowly if it says so."""
    prompt = request.body["messages"][-1]["content"]
    return plain("broken", 500) if prompt == "bad" else plain(f"echo {prompt}", delay=0.2 * prompt.startswith("slow"))


def test_results_as_they_end(flavour):
    """Each prompt has one result, with its number; a slow one does not hold up the others."""
    prompts = ["slow", *(f"p{number}" for number in range(20))]

    def reply(request):
        prompt = request.body["messages"][-1]["content"]
        return plain(f"echo {prompt}", delay=1.5 * (prompt == "slow"))  # long, because the machine may be busy

    with Simulator(reply) as simulator:
        inference = flavour.Inference(simulator.connection)
        results = flavour.run(lambda: collect(flavour, polyglot_batch.map(inference, prompts, concurrency=4)))
    assert sorted(result.index for result in results) == list(range(21))
    assert {result.response.content for result in results} == {f"echo {prompt}" for prompt in prompts}
    assert all(prompts[result.index] == result.prompt for result in results)
    assert results[0].index != 0


def test_results_in_order(flavour):
    """On request they have the order of the prompts."""
    with Simulator(echo) as simulator:
        inference = flavour.Inference(simulator.connection)
        prompts = (f"slow {number}" if number % 5 == 0 else f"p{number}" for number in range(12))
        results = flavour.run(
            lambda: collect(flavour, polyglot_batch.map(inference, prompts, concurrency=4, ordered=True))
        )
    assert [result.index for result in results] == list(range(12))


def test_errors_are_values(flavour):
    """A call that fails, and a prompt that cannot be sent, have a result too."""
    with Simulator(echo) as simulator:
        inference = flavour.Inference(simulator.connection)
        prompts = ["one", "bad", 17, "two"]
        results = flavour.run(lambda: collect(flavour, polyglot_batch.map(inference, prompts, ordered=True)))
    assert [type(result.error) for result in results] == [type(None), ServerError, RequestError, type(None)]
    assert results[0].get().content == "echo one"
    with pytest.raises(ServerError, match="broken"):
        results[1].get()


def test_at_most_so_many_at_once(flavour):
    """No more calls are in progress than `concurrency`, and prompts are taken as they are needed."""
    taken, most = [], []

    def reply(_):
        most.append(sum(len(account._in_progress) for account in admission._accounts.values()))
        return plain("pong", delay=0.03)

    def prompts():
        for number in range(24):
            taken.append(number)
            yield f"slow {number}"

    async def main():
        inference = flavour.Inference(simulator.connection.with_changes(rate=Rate()))
        results = polyglot_batch.map(inference, prompts(), concurrency=3)
        if flavour.name == "sync":
            next(results)
            time.sleep(0.6)
            ahead = len(taken)
            list(results)
        else:
            await anext(results)
            await anyio.sleep(0.6)
            ahead = len(taken)
            [result async for result in results]
        return ahead

    with Simulator(reply) as simulator:
        ahead = flavour.run(main)
    assert max(most) == 3
    assert ahead <= 1 + 2 * 3
    assert len(taken) == 24


def test_closing_early(flavour):
    """It ends the calls in progress: their connections are closed, and no further request is sent."""
    fault = Stall(after_events=1)

    async def main():
        results = polyglot_batch.map(flavour.Inference(simulator.connection), ["a", "b", "c", "d"], concurrency=2)
        if flavour.name == "sync":
            closing = threading.Timer(0.0, lambda: (simulator.wait_for_request(2), workers_close(results)))
            reader = threading.Thread(target=lambda: list(results))
            reader.start()
            closing.start()
            closing.join()
            reader.join(5)
            return
        async with results:
            with anyio.move_on_after(0.2):
                await anext(results)

    def workers_close(results):
        results.gi_frame.f_locals["workers"].stop()

    with Simulator("Once upon a time", fault=fault) as simulator:
        flavour.run(main)
        for request in list(simulator.requests):
            request.wait_closed()
        assert len(simulator.requests) == 2


def test_a_generator_that_is_closed_between_two_results():
    """`close` of the generator ends what is in progress, in the middle of a stream that would never end."""
    piece = b'data: {"choices": [{"index": 0, "delta": {"content": "Once"}}]}\n\n'

    def reply(request):
        return RawReply(writes=[piece], end="open") if request.body["messages"][-1]["content"] == "long" else "short"

    with Simulator(reply) as simulator:
        results = polyglot_batch.map(Inference(simulator.connection), ["short", "long", "long"], concurrency=3)
        assert next(results).response.content == "short"
        simulator.wait_for_request(3)
        begun = time.monotonic()
        results.close()
        assert time.monotonic() - begun < 5.0
        for request in list(simulator.requests):
            if request.body["messages"][-1]["content"] == "long":
                request.wait_closed()
        assert sum(thread.name == "polyglot-map" for thread in threading.enumerate()) == 0


@ASYNC
@pytest.mark.parametrize("leaving", ["break", "error", "cancelled", "collected"])
def test_leaving_the_loop(flavour, leaving):
    """However the loop is left, the tasks end; in asyncio and in trio nothing is left to clean up by hand."""

    async def read(results):
        async for _ in results:
            if leaving == "break":
                break
            if leaving == "error":
                raise KeyError
            await anyio.sleep(0)

    async def main():
        results = polyglot_batch.map(AsyncInference(simulator.connection), ["a"] * 6, concurrency=3)
        if leaving == "collected":
            await anext(results)
        elif leaving == "cancelled":
            with anyio.move_on_after(0.1):
                await read(results)
        elif leaving == "error":
            with pytest.raises(KeyError):
                await read(results)
        else:
            await read(results)
        del results
        gc.collect()
        before = len(simulator.requests)
        with anyio.fail_after(5):
            while any(request.closed_at is None for request in list(simulator.requests)[2:]):
                await anyio.sleep(0.01)
        assert len(simulator.requests) <= before + 3

    faults = [None] * 2 + [Stall(after_events=1)] * 8
    with Simulator("Once", faults=faults) as simulator:
        flavour.run(main)


def test_what_the_prompts_raise(flavour):
    """An error of the iterator of prompts is raised, after which no call is in progress."""

    def prompts():
        yield "one"
        raise KeyError("two")

    with Simulator(echo) as simulator:
        inference = flavour.Inference(simulator.connection)
        with pytest.raises(KeyError, match="two"):
            flavour.run(lambda: collect(flavour, polyglot_batch.map(inference, prompts(), concurrency=1)))


def test_no_prompts(flavour):
    """Nothing is sent, and the iterator ends."""
    with Simulator(echo) as simulator:
        assert (
            flavour.run(lambda: collect(flavour, polyglot_batch.map(flavour.Inference(simulator.connection), []))) == []
        )
        assert simulator.requests == []


@pytest.mark.parametrize("streamed", [None, True, False])
def test_streamed_and_plain(flavour, streamed):
    """Requests are streamed unless plain ones are wanted; the results and their costs are the same."""
    arguments = {} if streamed is None else {"stream": streamed}
    with Simulator("pong") as simulator:
        inference = flavour.Inference(simulator.connection)
        results = flavour.run(
            lambda: collect(flavour, polyglot_batch.map(inference, ["Hi"] * 3, model="gpt-4o", **arguments))
        )
        assert {bool(request.body.get("stream")) for request in simulator.requests} == {streamed is not False}
    total = Total.of(cost(result.get()) for result in results)
    assert (total.known, total.unknown) == (3, 0)


@pytest.mark.parametrize(
    ("prompts", "concurrency", "match"),
    [("one prompt", 8, "not str"), ([], 0, "from 1, not 0"), (["a"], True, "not True"), (3, 1, "not int")],
)
def test_what_cannot_be_mapped(prompts, concurrency, match):
    """It is refused at once."""
    with pytest.raises(RequestError, match=match):
        polyglot_batch.map(
            Inference.from_dsn("driver=openai,base_url=http://127.0.0.1:1/v1,model=m"), prompts, concurrency=concurrency
        )
