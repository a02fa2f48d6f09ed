"""Errors around the requests of a call: secrets in error bodies, calls that are closed in every phase, resumes."""

from __future__ import annotations

import socket
import threading
import time
import traceback

import anyio
import pytest

from polyglot_core import (
    AuthenticationError,
    ConfigError,
    Connection,
    Inference,
    PluginError,
    PolyglotError,
    Retries,
    TransportError,
    Truncated,
    register,
)
from polyglot_core._attempt.lifecycle import LIFE, Signal, State
from polyglot_core._values.events import Failure, Finish, ReasoningDelta, ResponseStarted, TextDelta, UsageReport
from polyglot_core._values.limits import Limits, Timeouts
from polyglot_core.plugin import Secret, hookimpl

from .test_resume import SOON, Continuing, outcome

pytestmark = pytest.mark.http

KEY = "test-key-0123456789"


# Secrets that come back


def refused(http, said):
    return http.plain(b'{"error": {"message": "%s", "code": "%s"}}' % (said.encode(), said.encode()), 401)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"Bad key {KEY}.", "Bad key ***."),
        (f"Bad Bearer {KEY}.", "Bad "),
        ("x" * 500 + f" {KEY} " + "y" * 600, None),
    ],
)
@pytest.mark.parametrize("given", ["key", "header", "authorize"])
def test_secret_in_an_error_body_is_redacted(flavour, loopback, http, toy, given, said, shown):
    """Whatever was sent as a secret is in no error and in no failed attempt, whole or cut short."""

    class Authorizing(toy.Driver):
        @hookimpl
        def authorize(self, wire):
            return type(wire)(**{**{name: getattr(wire, name) for name in wire.__struct_fields__},
                                 "headers": {**wire.headers, "authorization": Secret(f"Bearer {KEY}")}})  # fmt: skip

    server = loopback(refused(http, said))
    fields = {
        "key": {"api_key": KEY},
        "header": {"headers": {"x-api-key": KEY}},
        "authorize": {"driver": "authorizing"},
    }[given]
    other = server.connection(name="there", **fields)
    with register(Authorizing(), "authorizing"):
        _, error = outcome(flavour, server.connection(fallbacks=[other], **fields))
    for attempt in (error, *error.partial.failed_attempts):
        assert KEY[:6] not in f"{attempt.message} {attempt.code}"
        assert shown is None or attempt.message.startswith(shown)
    assert KEY[:6] not in f"{error!s} {error!r} {error.__notes__}"


@pytest.mark.parametrize(
    "fields", [{"api_key": f"{KEY} "}, {"api_key": f" {KEY}"}, {"headers": {"x-api-key": f"{KEY} "}}]
)
def test_key_with_trailing_space_is_rejected_without_quoting_it(fields):
    """The HTTP client would reject it too, and print it."""
    with pytest.raises(ConfigError, match="begins or ends with a space") as caught:
        Connection(name="here", driver="toy", **fields)
    assert KEY not in str(caught.value)


def test_nothing_of_a_request_is_kept_when_it_has_failed(loopback, toy):
    """The HTTP client's request, which contains the key in the clear, is released with the attempt."""
    stream = Inference(loopback(("close",)).connection(api_key=KEY)).stream("Hi")
    with pytest.raises(TransportError):
        list(stream)
    assert KEY not in repr(vars(stream._pump._backend._opening))


# Requests that count


def test_failed_authorization_is_retried_like_a_request(flavour, loopback, toy):
    """What `authorize` raises is a failed attempt like any other: `limit` and `total` hold."""
    calls = []

    class Failing(toy.Driver):
        @hookimpl
        def authorize(self, wire):
            calls.append(wire)
            raise TransportError("The way to the tokens is broken.")

    connection = Connection(name="here", driver="failing", model="m", base_url="http://127.0.0.1:1")
    with register(Failing(), "failing"):
        _, error = outcome(flavour, connection.with_changes(retries=SOON))
        assert (len(calls), error.attempts, error.phase) == (3, 0, "encode")
        slow = connection.with_changes(
            retries=Retries(max_retries=99, initial_backoff=0.2), timeouts=Timeouts(total=0.5)
        )
        outcome(flavour, slow)
        assert len(calls) < 8


def test_a_request_that_was_worked_on_is_not_sent_again_without_a_word(flavour, loopback, http, toy):
    """A kept connection that lives on for a while and then ends is a failure, not a connection that went stale."""
    answer = http.streamed(*toy.story, toy.done)
    server = loopback(answer, (0.5, "close"), answer)

    async def main():
        async with flavour.inside(flavour.Inference(server.connection())) as inference:
            await flavour.wait(inference.create("Hi", stream=True).response())
            with pytest.raises(TransportError):
                await flavour.wait(inference.create("Hi", stream=True).response())

    flavour.run(main)
    assert len(server.asked) == 2


# Closing at an odd moment


@pytest.mark.parametrize("signal", [signal for state, signal in LIFE if state is State.HELD])
def test_a_session_that_was_closed_meanwhile_takes_nothing_on(toy, signal):
    """An attempt that another thread has cancelled keeps its outcome, whatever its reader reports later."""
    attempt = toy.attempt()
    attempt.cancel(0.0)
    attempt._move(signal)
    assert (attempt.state, attempt.outcome) == (State.ENDED, "cancelled")
    assert attempt._settle(Signal.FAILURE, 0.0) == "cancelled"
    assert list(attempt.finish(0.0)) == []


def test_closing_from_another_thread_at_any_moment(loopback, http, toy):
    """However the moments fall, a reader whose stream is closed under its hands just ends."""
    server = loopback(http.streamed(*[toy.say(TextDelta("x"))] * 50, toy.done))
    failures = []

    def read(stream):
        try:
            list(stream)
        except Exception as error:  # noqa: BLE001 (what comes out is what is to be seen)
            failures.append(error)

    for moment in range(60):
        stream = Inference(server.connection()).stream("Hi")
        reader = threading.Thread(target=read, args=(stream,))
        reader.start()
        time.sleep(moment * 0.0002)
        stream.close()
        reader.join(10.0)
        assert not reader.is_alive()
    assert failures == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("phase", ["authorize", "release"])
def test_an_async_close_is_not_forgotten(loopback, http, toy, backend, phase):
    """A call that is closed while nothing waits ends before the next wait begins."""
    from polyglot_core import AsyncInference

    begun = threading.Event()

    class Slow(toy.Driver):
        @hookimpl
        def authorize(self, wire):
            begun.set()
            time.sleep(0.3)
            return wire

    server = loopback(http.plain(b"{}", 503)) if phase == "release" else loopback(("hang",))
    retries = Retries(max_retries=2, initial_backoff=30.0, max_backoff=30.0)
    driver = "slow" if phase == "authorize" else "toy"

    async def main():
        stream = AsyncInference(server.connection(driver=driver, retries=retries)).stream("Hi")
        async with anyio.create_task_group() as group:
            if phase == "release":
                stream.on_seam(lambda _: group.start_soon(stream.close))
            group.start_soon(drain, stream)
            while phase == "authorize" and not begun.is_set():
                await anyio.sleep(0.01)
            if phase == "authorize":
                await stream.close()
        return await stream.response()

    async def drain(stream):
        async for _ in stream:
            pass

    with register(Slow(), "slow"):
        started = time.perf_counter()
        assert anyio.run(main, backend=backend).outcome == "cancelled"
        assert time.perf_counter() - started < 10.0
    assert len(server.asked) <= 1


def test_a_callback_that_raises_ends_the_call(flavour, loopback, http):
    """An exception of a callback is raised and ends the call: no further request is sent."""
    server = loopback(http.plain(b"{}", 503))

    async def main():
        stream = flavour.Inference(server.connection(retries=SOON)).stream("Hi")

        def refuse(_):
            raise ValueError("No more.")

        with pytest.raises(ValueError, match="No more"):
            await flavour.all(stream.on_seam(refuse))
        return await flavour.wait(stream.response())

    assert flavour.run(main).outcome == "cancelled"
    assert len(server.asked) == 1


# Going on


def test_a_fallback_that_cannot_go_on_raises_its_own_failure(flavour, loopback, http, toy):
    """If the driver of the fallback cannot resume, the interruption is raised, and not the missing support."""
    driver = type("GoingOn", (Continuing, toy.Driver), {"decode_chunk": Continuing.decode_chunk})
    driver.encode_request = toy.Driver.encode_request
    failing, other = loopback(http.plain(b"{}", 401)), loopback(http.streamed(toy.story[0]))
    with register(driver(), "going-on"):
        connection = failing.connection(driver="going-on", fallbacks=[other.connection(name="there", retries=SOON)])
        for how in ("prefill", "provider"):
            _, error = outcome(flavour, connection, resume=how)
            assert isinstance(error, Truncated)
            assert error.partial.content == "Once "


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        (["Hello \n\n"], [" \n", "\n", "world"], "Hello \n\nworld"),
        (["Hello "], ["  world"], "Hello  world"),
        (["Hello\n"], ["world"], "Hello\nworld"),
        ([" \n"], None, " \n"),
    ],
)
def test_whitespace_between_the_parts_of_a_resumed_response(flavour, loopback, http, toy, first, then, expected):
    """White space that ended the one part and begins the other is there once; from it alone nothing is written on."""
    driver = type("GoingOn", (Continuing, toy.Driver), {"decode_chunk": Continuing.decode_chunk})
    driver.encode_request = toy.Driver.encode_request
    rest = [toy.say(TextDelta(text)) for text in then or ()]
    server = loopback(
        http.streamed(toy.say(UsageReport({"in": 1})), *[toy.say(TextDelta(text)) for text in first]),
        http.streamed(*rest, toy.say(Finish("stop", "stop")), toy.done),
    )
    with register(driver(), "going-on"):
        connection = server.connection(driver="going-on", retries=SOON)
        _, end = outcome(flavour, connection, resume="prefill")
    came = end.partial if then is None else end
    assert came.content == expected
    assert then is None or came.usage is None  # what the first request counted is not the answer's
    assert len(server.asked) == (1 if then is None else 2)


def test_several_choices_are_not_resumed(flavour, loopback, http, toy):
    """With more than one choice the others would lose their beginning."""
    driver = type("GoingOn", (Continuing, toy.Driver), {"decode_chunk": Continuing.decode_chunk})
    driver.encode_request = toy.Driver.encode_request
    server = loopback(http.streamed(toy.story[0]))
    with register(driver(), "going-on"):
        _, error = outcome(
            flavour, server.connection(driver="going-on", retries=SOON), resume="prefill", options={"n": 2}
        )
    assert isinstance(error, Truncated)


@pytest.mark.parametrize("second", ["refused", "cut"])
def test_restart_without_content_keeps_the_partial(flavour, loopback, http, toy, second):
    """If the second request fails before content is received, the partial is that of the first one."""
    then = {"refused": http.plain(b"{}", 401), "cut": http.streamed(toy.say(ResponseStarted("2")))}[second]
    server = loopback(http.streamed(*toy.story[:2]), then)
    _, error = outcome(
        flavour, server.connection(retries=Retries(max_retries=1, initial_backoff=0.01)), resume="restart"
    )
    assert error.partial.content == "Once upon "
    if second == "cut":
        server = loopback(http.streamed(*toy.story[:2]), then)
        connection = server.connection(retries=Retries(max_retries=1, initial_backoff=0.01))
        _, response = outcome(flavour, connection, resume="restart", on_truncated="mark")
        assert (response.outcome, response.content) == ("truncated", "Once upon ")


# What is held back


@pytest.mark.parametrize(
    ("said", "content", "thought"),
    [(["<"], "<", ""), (["<think>ab</th"], "", "ab</th"), (["<think>ab", "</thi"], "", "ab</thi")],
)
@pytest.mark.parametrize("then", ["eof", "broken"])
def test_text_held_back_is_flushed_at_the_end(toy, said, content, thought, then):
    """Text that was held back is part of the response, of the events and of the partial, however the stream ends."""
    attempt = toy.attempt(think_tags=("<think>", "</think>"))
    events = toy.watch_events(attempt)
    error = TransportError("broken")
    with pytest.raises((Truncated, TransportError)) as caught:
        for text in said:
            list(attempt.feed(toy.say(TextDelta(text)), 0.0))
        list(attempt.finish(0.0) if then == "eof" else attempt.interrupt(Signal.BROKEN, error, 0.0))
    partial = caught.value.partial
    assert (partial.content, partial.reasoning_content) == (content, thought)
    texts = [event.text for event in events if isinstance(event, (TextDelta, ReasoningDelta))]
    assert "".join(texts) == content + thought
    assert attempt.committed


# Rows of numbers


@pytest.mark.parametrize(
    "fields",
    [
        {"retries": Retries(max_retries=None)},
        {"retries": Retries(max_retries=-1)},
        {"retries": Retries(initial_backoff="1")},
        {"limits": Limits(response="x")},
        {"limits": Limits(event=1.5)},
        {"timeouts": Timeouts(idle=True)},
    ],
)
def test_numbers_that_are_none_are_found_when_the_connection_is_made(fields):
    """A row that was made in code is looked at like one of the file."""
    with pytest.raises(ConfigError, match=next(iter(fields))):
        Connection(name="here", driver="toy", **fields)


def test_a_codes_control_characters_are_not_shown(flavour, loopback, http):
    """The code of a provider's error is made printable, like its message."""
    server = loopback(http.plain(b'{"error": {"message": "No.", "code": "\\u001b[31m%s"}}' % (b"x" * 3000), 401))
    _, error = outcome(flavour, server.connection())
    assert isinstance(error, AuthenticationError)
    assert error.code.isprintable()
    assert len(error.code) < 600


def test_one_wait_that_cannot_be_ended_leaves_the_others_their_clocks(monkeypatch):
    """What goes wrong while one wait is ended does not end the thread that watches all of them."""
    import functools

    from polyglot_core._attempt.clocks import Clocks
    from polyglot_core._http import watchdog
    from polyglot_core._http.watchdog import Watch, shut_down

    monkeypatch.setattr(watchdog, "_thread", watchdog._WatchdogThread())
    first, second = socket.socketpair()
    with first, second:
        now = time.perf_counter()
        clocks = Clocks(Timeouts(first=0.1), now)
        clocks.asked = now + 1e-6
        Watch(lambda: 1 / 0, clocks).arm()
        later = Clocks(Timeouts(first=0.3), now)
        later.asked = now + 1e-6
        Watch(functools.partial(shut_down, first), later).arm()
        first.settimeout(5.0)
        assert first.recv(1) == b""


# Hooks that return something of a wrong type


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("hook", "returned", "message"),
    [
        ("encode_request", {"model": "m"}, "returned dict from encode_request instead of a WireRequest"),
        ("decode_chunk", None, "returned NoneType from decode_chunk instead of a list"),
        ("decode_chunk", TextDelta("a"), "returned TextDelta from decode_chunk instead of a list"),
        ("decode_chunk", "text", "returned str from decode_chunk, which is not an event"),
        ("extract_usage", {"in": 1}, "returned dict from extract_usage instead of a Usage"),
        ("authorize", None, "returned NoneType from authorize instead of a WireRequest"),
    ],
)
def test_wrong_type_of_a_hook_is_named(flavour, loopback, http, toy, hook, returned, message, stream):
    """Sync and async, streamed and plain, the error names the hook, the type, and the driver."""
    wrong = toy.Driver()
    setattr(wrong, hook, hookimpl(specname=hook)(lambda: returned))
    body = b'[["TextDelta", {"text": "Hi"}], ["UsageReport", {"payload": {"in": 1}}], ["Finish", {"reason": "stop", "raw": "stop"}]]'
    server = loopback(http.streamed(b"data: " + body + b"\n\n") if stream else http.plain(body))

    async def main():
        inference = flavour.Inference(server.connection(driver="wrong"))
        response = await flavour.wait(inference.create("Hi", stream=stream).response())
        return response.usage

    with register(wrong, "wrong"), pytest.raises(PluginError, match="Driver 'wrong' ") as caught:
        flavour.run(main)
    assert message in caught.value.message


@pytest.mark.parametrize("pieces", [1, 3])
def test_key_that_a_failure_quotes_is_in_no_frame(flavour, loopback, http, toy, pieces):
    """Neither alone in a read nor behind text: the frames that have decoded it are removed from the traceback."""
    failure = toy.say(Failure("wrong key test-key"))
    scripts = http.streamed(*toy.story[:2], failure) if pieces == 3 else http.streamed(toy.story[0] + failure)
    server = loopback(scripts)

    async def main():
        inference = flavour.Inference(server.connection())
        return await flavour.wait(inference.create("Hi", stream=True, retries=0).response())

    with pytest.raises(PolyglotError) as caught:
        flavour.run(main)
    stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    own = [frame for frame in stack if "polyglot_core" in frame.filename]
    assert own
    assert not [frame.name for frame in own if "test-key" in str(frame.locals)]
    assert "wrong key ***" in str(caught.value)
