"""Kept responses: a reader that lost its connection continues, within bounds of memory and time."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import aclosing

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_core import AsyncInference, RequestError
from polyglot_simulator import ErrorEvent, Simulator, Stall
from polyglot_streams import NotKept, Replays, StreamResponse, as_sse
from polyglot_streams.frames import PING
from polyglot_streams.replays import EventId, _Log

from .serving import STYLES, Server, events_in, lifted, new_stream, read_all, read_to, run, text_of, wait_for

WORDS = "Once upon a time there was a stream."


def last_id(received: bytes) -> str:
    """Return the id that a reader of these bytes sends when it reconnects."""
    return received.rpartition(b"id: ")[2].partition(b"\n")[0].decode()


@pytest.fixture
def kept(request):
    """Starts readers of one registry: the first of a response, and those that continue one."""

    class Kept:
        def __init__(self, style, simulator, **bounds):
            self.style, self.simulator, self.replays = style, simulator, Replays(**bounds)

        def read(self, after=None, **options):
            stream = new_stream(self.style, self.simulator)
            return as_sse(stream, replays=self.replays, last_event_id=after, **options)

    return Kept


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("fault", [None, ErrorEvent(after_events=6)], ids=["finished", "failed"])
def test_a_reader_that_is_cut_anywhere_misses_nothing(style, fault, kept):
    """After a cut at each event in turn, what the readers got together is the response, once, from one request."""
    with Simulator(WORDS, fault=fault) as simulator:
        site = kept(style, simulator)

        async def story():
            whole = events_in(await read_all(site.read()))
            for cut in [b".0\n", *(b".%d\n" % n for n in range(1, len(whole), 3)), b".end\n"]:
                before = len(simulator.requests)
                first = await read_to(site.read(), cut)
                rest = await read_all(site.read(last_id(first)))
                events = events_in(first + rest)
                assert [event.data for event in events] == [event.data for event in whole]
                assert [event.id.partition(".")[2] for event in events] == [e.id.partition(".")[2] for e in whole]
                assert len(simulator.requests) == before + 1

        run(style, story)


@pytest.mark.parametrize("style", STYLES)
def test_a_response_can_be_read_again_from_its_beginning(style, kept):
    """A reader that was reloaded sends number 0 and gets everything, also after the end, as often as it likes."""
    with Simulator(WORDS) as simulator:
        site = kept(style, simulator)

        async def story():
            first = await read_to(site.read(), b" upon")
            key = last_id(first).partition(".")[0]
            for _ in range(2):
                assert text_of(events_in(await read_all(site.read(f"{key}.0")))) == WORDS

        run(style, story)
        assert len(simulator.requests) == 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("after", ["unknown.3", "KEY.99", "", "no id", "💥", "x" * 500])
def test_an_id_that_is_not_kept_is_an_error_event(style, after, kept):
    """A reader whose id is unknown, malformed or too high gets an error event, and no request is sent for it."""
    with Simulator(WORDS) as simulator:
        site = kept(style, simulator)

        async def story():
            key = last_id(await read_to(site.read(), b" upon")).partition(".")[0]
            return events_in(await read_all(site.read(after.replace("KEY", key) or "?")))

        (event,) = run(style, story)
        assert (event.data["type"], event.data["error"]) == ("error", "NotKept")
        assert event.id.endswith(".end")
        assert len(simulator.requests) == 1


@pytest.mark.parametrize("style", STYLES)
def test_without_a_registry_a_reader_that_reconnects_is_told(style):
    """Without `replays`, a reconnect gets an error event instead of a second response, and nothing after the end."""
    with Simulator(WORDS) as simulator:

        async def story():
            first = await read_to(as_sse(new_stream(style, simulator)), b" upon")
            (event,) = events_in(await read_all(as_sse(new_stream(style, simulator), last_event_id=last_id(first))))
            end = await read_all(as_sse(new_stream(style, simulator), last_event_id="abc.end"))
            return event.data["error"], end

        assert run(style, story) == ("NotKept", b"")
        assert len(simulator.requests) == 1


@pytest.mark.parametrize("style", STYLES)
def test_a_response_without_readers_is_closed_after_its_time(style, kept):
    """A response without a reader for `seconds` is removed, and its request is closed; before that it is not."""
    with Simulator(WORDS, fault=Stall(after_events=3)) as simulator:
        site = kept(style, simulator, seconds=0.3)

        async def story():
            first = await read_to(site.read(), b" upon")
            assert len(site.replays) == 1
            assert simulator.requests[0].closed_at is None
            while len(site.replays):
                await anyio.sleep(0.02)
            while simulator.requests[0].closed_at is None:
                await anyio.sleep(0.02)
            return events_in(await read_all(site.read(last_id(first))))

        (event,) = run(style, story)
        assert event.data["error"] == "NotKept"
        assert site.replays.size == 0


@pytest.mark.parametrize("style", STYLES)
def test_stop_ends_a_response_for_its_readers(style, kept):
    """`stop` closes the request, and a reader gets the outcome ``cancelled``. A second one changes nothing."""
    with Simulator(WORDS, fault=Stall(after_events=3)) as simulator:
        site = kept(style, simulator)

        async def story():
            received = b""
            async for piece in lifted(site.read(ping=0.02)):
                if PING in piece and PING not in received:
                    assert site.replays.stop(last_id(received))
                received += piece
            assert not site.replays.stop(last_id(received))
            return events_in(received)

        events = run(style, story)
        assert (events[-1].data["type"], events[-1].data["outcome"]) == ("end", "cancelled")
        assert simulator.requests[0].wait_closed(5)
        assert not site.replays.stop("unknown")


@pytest.mark.parametrize("style", STYLES)
def test_two_readers_of_a_response_get_the_same(style, kept):
    """A second reader joins in the middle, and both get all events; the provider gets one request."""
    with Simulator(WORDS) as simulator:
        site = kept(style, simulator)

        async def story():
            async with aclosing(lifted(site.read())) as first:
                received = await anext(first)
                received += await anext(first)
                key = last_id(received).partition(".")[0]
                second = await read_all(site.read(f"{key}.0"))
                received += b"".join([piece async for piece in first])
            return events_in(received), events_in(second)

        one, other = run(style, story)
        assert one == other
        assert text_of(one) == WORDS
        assert len(simulator.requests) == 1


def test_sync_readers_in_threads_get_the_same(kept):
    """Several threads follow one response, and a ping is due while another thread waits for the provider."""
    with Simulator(WORDS, fault=Stall(after_events=3, seconds=0.3)) as simulator:
        site = kept("sync", simulator)
        first = site.read(ping=0.05)
        key = last_id(next(first)).partition(".")[0]
        received = [next(first)]
        results = {}

        def follow(number):
            results[number] = b"".join(site.read(f"{key}.0", ping=0.05))

        threads = [threading.Thread(target=follow, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        received.extend(first)
        for thread in threads:
            thread.join()
    whole = events_in(b"".join(received))
    assert text_of(whole) == WORDS
    assert [events_in(result) for result in results.values()] == [whole] * 3
    assert all(PING in result for result in results.values())


def test_readers_in_threads_lose_no_event(kept):
    """Readers that take turns with the provider's stream at any instruction each get every event."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with Simulator("word " * 400) as simulator:
            site = kept("sync", simulator)
            first = site.read()
            key = last_id(next(first)).partition(".")[0]
            results = []
            threads = [
                threading.Thread(target=lambda: results.append(b"".join(site.read(f"{key}.0")))) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            whole = events_in(b"".join(first))
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert text_of(whole) == "word " * 400
    assert [events_in(result) for result in results] == [whole] * 4


@pytest.mark.parametrize("style", STYLES)
def test_the_bytes_of_all_responses_are_bounded(style, kept):
    """A response that is larger than the bound loses its oldest events, and a reader from before them is told."""
    with Simulator("word " * 300) as simulator:
        site = kept(style, simulator, max_bytes=5000)

        async def story():
            whole = await read_all(site.read())
            assert site.replays.size <= 5000
            key = last_id(whole).partition(".")[0]
            early = events_in(await read_all(site.read(f"{key}.5")))
            late = events_in(await read_all(site.read(f"{key}.299")))
            return events_in(whole), early, late

        whole, early, late = run(style, story)
    assert text_of(whole) == "word " * 300
    assert [event.data["error"] for event in early] == ["NotKept"]
    assert [event.data for event in late] == [event.data for event in whole[299:]]


@pytest.mark.parametrize("style", STYLES)
def test_the_number_of_responses_is_bounded(style, kept):
    """The response that was left longest ago is removed, complete ones first; what is being read never is."""
    with Simulator([WORDS], faults=[None, Stall(after_events=3), Stall(after_events=3), None]) as simulator:
        site = kept(style, simulator, max_streams=2)

        async def story():
            complete = await read_all(site.read())
            left = await read_to(site.read(), b" upon")
            async with aclosing(lifted(site.read())) as reader:
                assert (await anext(reader)).endswith(b"retry: 1000\n\n")
                await anext(reader)
                gone = events_in(await read_all(site.read(last_id(complete).replace("end", "0"))))
                assert [event.data["error"] for event in gone] == ["NotKept"]
                assert simulator.requests[1].closed_at is None
                assert text_of(events_in(await read_all(site.read()))) == WORDS
                gone = events_in(await read_all(site.read(last_id(left))))
                assert [event.data["error"] for event in gone] == ["NotKept"]
            assert len(site.replays) == 2

        run(style, story)
        assert simulator.requests[1].wait_closed(5)


@pytest.mark.parametrize("style", STYLES)
def test_a_response_beyond_the_number_is_sent_and_not_kept(style, kept):
    """If all kept responses are being read, a further one is sent, and closed when its reader leaves."""
    with Simulator(WORDS, faults=[Stall(after_events=3), Stall(after_events=3)]) as simulator:
        site = kept(style, simulator, max_streams=1)

        async def story():
            async with aclosing(lifted(site.read())) as reader:
                await anext(reader)
                await anext(reader)
                await read_to(site.read(), b" upon")
                assert len(site.replays) == 1
                while simulator.requests[1].closed_at is None:
                    await anyio.sleep(0.01)
                assert simulator.requests[0].closed_at is None

        run(style, story)


@pytest.mark.parametrize("arguments", [{"max_streams": 0}, {"max_bytes": "1"}, {"seconds": -1}])
def test_bounds_are_checked(arguments):
    """A bound that is no number, or too small, is refused by its name."""
    with pytest.raises(RequestError, match=next(iter(arguments))):
        Replays(**arguments)


def test_a_registry_shows_how_much_it_holds(kept):
    """Its length and its size are those of what is kept."""
    with Simulator(WORDS) as simulator:
        site = kept("sync", simulator)
        assert (len(site.replays), repr(site.replays)) == (0, "Replays(0 streams, 0 bytes)")
        b"".join(site.read())
        assert len(site.replays) == 1
        assert 500 < site.replays.size < 3000


@settings(max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda text: b"\n" not in text), max_size=30), st.data())
def test_a_log_returns_what_follows_any_event(texts, data):
    """After dropping any number of oldest events, the log has the rest, and raises for what it does not have."""
    log = _Log()
    for text in texts:
        log.append(text + b"\n\n")
    dropped = sum(log.drop_oldest() for _ in range(data.draw(st.integers(0, 40))))
    assert dropped <= max(0, len(texts) - 1)
    number = data.draw(st.integers(-1, len(texts) + 1))
    if dropped <= number <= len(texts):
        assert log.after(number) == b"".join(text + b"\n\n" for text in texts[number:])
    else:
        with pytest.raises(NotKept):
            log.after(number)


@settings(max_examples=30)
@given(st.text())
def test_any_text_is_read_as_an_id(text):
    """What is no id of an event belongs to no response."""
    found = EventId.read(text)
    assert found == ("", 0) or text in {f"{found.key}.{found.number}", f"{found.key}.end"} or found.number is not None


# --- behind a server ---------------------------------------------------------------------------------------------------


def test_a_client_continues_with_its_last_event_id():
    """A client that disconnects and sends Last-Event-ID gets the rest; after the end it gets a 204."""
    replays = Replays()
    with Simulator(WORDS) as simulator:
        inference = AsyncInference.from_connection(simulator.connection)

        async def app(scope, receive, send):
            await StreamResponse(inference.create("Hi.").stream(), replays=replays)(scope, receive, send)

        with Server(app) as server, httpx.Client() as client:
            received = b""
            with client.stream("GET", server.url) as response:
                for piece in response.iter_bytes(50):
                    received += piece
                    if b" upon" in received:
                        break
            whole = received.rpartition(b"\n\n")[0] + b"\n\n"
            rest = client.get(server.url, headers={"last-event-id": last_id(whole)})
            ended = client.get(server.url, headers={"last-event-id": last_id(rest.content)})
        assert text_of(events_in(whole + rest.content)) == WORDS
        assert ended.status_code == 204
        assert len(simulator.requests) == 1


def test_a_disconnect_leaves_a_kept_response_open_for_its_time():
    """A client of a kept response that disconnects does not close it at once; the time without a reader does."""
    replays = Replays(seconds=0.5)
    with Simulator(WORDS, fault=Stall(after_events=3)) as simulator:
        inference = AsyncInference.from_connection(simulator.connection)

        async def app(scope, receive, send):
            await StreamResponse(inference.create("Hi.").stream(), replays=replays)(scope, receive, send)

        with Server(app) as server, httpx.Client() as client:
            with client.stream("GET", server.url) as response:
                pieces, received = response.iter_bytes(), b""
                while b" upon" not in received:
                    received += next(pieces)
            left = time.monotonic()
            wait_for(lambda: simulator.requests[0].closed_at is not None)
            assert time.monotonic() - left > 0.3
