"""Retries, fallbacks and resumes after a request that failed, and how callers observe them."""

from __future__ import annotations

import copy
import itertools
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
import pytest

from polyglot_core import (
    AuthenticationError,
    ConfigError,
    Connection,
    Inference,
    ProviderError,
    RequestError,
    Retries,
    TimedOut,
    TransportError,
    Truncated,
    register,
)
from polyglot_core._config.resolve import resolve
from polyglot_core._engine.backends import SyncBackend
from polyglot_core._values.events import (
    Failure,
    Finish,
    Ping,
    ResponseStarted,
    Seam,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from polyglot_core._values.limits import NUMBERS
from polyglot_core.errors import LimitExceeded, Overloaded, ServerError
from polyglot_core.plugin import hookimpl

pytestmark = pytest.mark.http

BUSY = b'{"error": {"message": "Busy."}}'
SOON = Retries(max_retries=2, initial_backoff=0.01)
STORY = "Once upon a time"


class Continuing:
    """A driver that can resume: with a prefill, and from a provider that stores the rest of the response."""

    @hookimpl
    def encode_prefill(self, connection, request, text):
        wire = self.encode_request(connection, request)
        return msgspec.structs.replace(wire, body=text.encode(), url=f"{connection.base_url}/prefill")

    @hookimpl
    def encode_resume(self, connection, request, state):
        wire = self.encode_request(connection, request)
        return msgspec.structs.replace(wire, url=f"{connection.base_url}/rest/{state.get('seen', 0)}")

    @hookimpl
    def decode_chunk(self, chunk, state):
        state["seen"] = state.get("seen", 0) + 1
        return super().decode_chunk(chunk)


@pytest.fixture
def going_on(toy):
    """The toy dialect with ways to go on, as the driver ``going-on``."""
    driver = type("GoingOn", (Continuing, toy.Driver), {"decode_chunk": Continuing.decode_chunk})
    driver.encode_request = toy.Driver.encode_request
    with register(driver(), "going-on"):
        yield


def outcome(flavour, connection, **asked):
    """The partials of a stream, and its response or its error."""

    async def main():
        stream = flavour.Inference(connection).create("Hi", stream=True, **asked).stream()
        partials = []
        try:
            async for partial in flavour.each(stream):
                partials.append(partial)
            return partials, await flavour.wait(stream.response())
        except (ProviderError, TransportError, Truncated, TimedOut) as error:
            return partials, error

    return flavour.run(main)


# Elsewhere


@pytest.fixture
def two(loopback, http, toy):
    """A connection whose server fails, and a fallback whose server responds."""

    def make(script, **fields):
        failing, answering = loopback(script), loopback(http.streamed(*toy.story, toy.done))
        other = answering.connection(name="there", model="other")
        fields = {"retries": SOON, "fallbacks": (other,), **fields}
        return failing.connection(**fields), failing, answering

    return make


def test_fallback_is_used_after_the_retries(flavour, two, http):
    """After the last retry the fallback receives the request, with its own model; `failed_attempts` lists the failures."""
    connection, failing, answering = two(http.plain(BUSY, 503))
    _, response = outcome(flavour, connection, model="mine")
    assert (response.content, response.connection) == (STORY, "there")
    assert [(each.connection, each.error, each.status) for each in response.failed_attempts] == (
        [("here", "Overloaded", 503)] * 3
    )
    assert [each.wait > 0 for each in response.failed_attempts] == [True, True, False]
    assert [asked.json["model"] for asked in (*failing.asked, *answering.asked)] == ["mine"] * 3 + ["other"]


@pytest.mark.parametrize(
    ("retries", "asked_here"),
    [(None, 3), ({"max_retries": 0}, 1), ({"max_retries": 1}, 2), (Retries(max_retries=0), 1)],
)
def test_a_call_may_have_retries_of_its_own(flavour, two, http, retries, asked_here):
    """They are laid over those of each connection, and a call without any has the connections' own."""
    connection, failing, answering = two(http.plain(BUSY, 503))
    _, response = outcome(flavour, connection, retries=retries)
    assert (response.content, response.connection) == (STORY, "there")
    assert (len(failing.asked), len(answering.asked)) == (asked_here, 1)


def test_an_exhausted_budget_is_named_in_the_error(flavour, loopback, http):
    """Without it, it would be unclear why `max_retries` was not reached."""
    server = loopback(http.plain(BUSY, 503))
    _, error = outcome(flavour, server.connection(retries=Retries(max_retries=5, initial_backoff=0.01, budget=1)))
    assert len(server.asked) == 2
    assert "Not retried: all calls to this origin share 1 retries a minute, retries.budget, all used up." in str(error)


def test_the_budget_is_not_named_in_a_later_error(flavour, two, loopback, http):
    """The fallback fails for a reason of its own."""
    refusing = loopback(http.plain(b'{"error": {"message": "No."}}', 400)).connection(name="there")
    connection, *_ = two(http.plain(BUSY, 503), fallbacks=(refusing,), retries=Retries(budget=0))
    _, error = outcome(flavour, connection)
    assert error.connection == "there"
    assert "budget" not in str(error)


@pytest.mark.parametrize(
    ("configured", "called", "most"),
    [
        (None, None, 1),
        (None, {"initial_backoff": 0.0}, 1),
        (None, 4, 5),
        (None, {"max_retries": 4}, 5),
        (None, {"max_retries": 4, "budget": 2}, 3),
        (Retries(max_retries=4), None, 5),
        (Retries(max_retries=4, budget=2), None, 3),
        (Retries(max_retries=4, budget=2), {"max_retries": 3}, 4),
        ({"max_retries": 4}, {"initial_backoff": 0.0}, 5),
    ],
)
def test_retries_that_are_set_win_over_the_budget(loopback, http, monkeypatch, configured, called, most):
    """The budget limits the retries of a default; beside `max_retries` there is one if it is set."""
    monkeypatch.setattr(SyncBackend, "sleep", lambda *_: None)
    monkeypatch.setitem(NUMBERS, "retries", Retries(budget=0))
    server = loopback(http.plain(BUSY, 503))
    made = server.connection(retries=configured or Retries(budget=0))
    with pytest.raises(Overloaded):
        Inference(made).create("Hi", retries=called).response()
    assert len(server.asked) == most


def test_the_default_has_a_budget():
    """Where no retries are set, 35 are shared."""
    assert Connection(name="x", driver="toy").retries == Retries(max_retries=2, budget=35)
    assert Connection(name="x", driver="toy", retries=2).retries == Retries(max_retries=2)


@pytest.mark.parametrize("retries", [2, 0])
def test_a_retry_after_above_the_limit_is_named(flavour, loopback, http, retries):
    """An error that is not retried because the provider asks for a longer wait than allowed says so."""
    server = loopback(http.plain(BUSY, 429, retry_after="90"))
    _, error = outcome(flavour, server.connection(retries=retries))
    said = "Not retried: it asks to wait 90 s, and retries.max_retry_after is 60 s."
    assert (said in str(error), len(server.asked)) == (retries > 0, 1)


def test_auth_error_notes_that_no_key_was_sent(flavour, loopback, http):
    """If the key was not sent, the message of the provider alone would mislead."""
    server = loopback(http.plain(b'{"error": {"message": "Incorrect key."}}', 401))
    _, error = outcome(flavour, server.connection(api_key=None, retries=Retries(max_retries=0)))
    assert "No API key was sent: the connection has none." in error.message
    _, error = outcome(flavour, server.connection(retries=Retries(max_retries=0)))
    assert "No API key was sent" not in error.message


def test_unknown_retry_settings_are_rejected(flavour, two, http):
    """Before anything is sent, with the nearest name."""
    connection, failing, _ = two(http.plain(BUSY, 503))
    with pytest.raises(ConfigError, match="did you mean 'max_retries'"):
        flavour.Inference(connection).create("Hi", retries={"max_retrys": 1})
    assert not failing.asked


@pytest.mark.parametrize("stream", [False, True])
def test_on_seam_is_called_for_further_requests(flavour, loopback, http, toy, stream):
    """A callback set on the pending call is called, for a stream and for a plain response."""
    whole = http.plain(toy.body(TextDelta(STORY), Finish("stop", "stop")))
    server = loopback(http.plain(BUSY, 503), http.streamed(*toy.story, toy.done) if stream else whole)
    told = []

    async def main():
        pending = flavour.Inference(server.connection(retries=SOON)).create("Hi", stream=stream)
        return await flavour.wait(pending.on_seam(told.append).text())

    assert flavour.run(main) == STORY
    assert [(seam.how, seam.error, seam.connection) for seam in told] == [("retry", "Overloaded", "here")]


def test_auth_error_is_not_retried_but_falls_back(flavour, two, http):
    """What would be the same again here may not be elsewhere; each key goes to its own server."""
    connection, failing, answering = two(http.plain(b'{"error": {"message": "No test-key here."}}', 401))
    other = connection.fallbacks[0].with_changes(api_key="another-key")
    _, response = outcome(flavour, connection.with_changes(fallbacks=(other,)))
    assert response.content == STORY
    assert [each.message for each in response.failed_attempts] == ["No *** here."]
    assert failing.asked[0].headers["authorization"] == "Bearer test-key"
    assert answering.asked[0].headers["authorization"] == "Bearer another-key"


def test_a_request_that_is_wrong_is_wrong_everywhere(flavour, two, http):
    """A 400 is raised at once, without a fallback."""
    connection, failing, answering = two(http.plain(b'{"error": {"message": "No."}}', 400))
    _, error = outcome(flavour, connection)
    assert (error.status, len(failing.asked), len(answering.asked)) == (400, 1, 0)


def test_no_fallback_after_content_is_received(flavour, two, http, toy):
    """An interrupted response is raised with its partial."""
    connection, _, answering = two(http.streamed(toy.story[0]))
    _, error = outcome(flavour, connection)
    assert (type(error), error.partial.content, answering.asked) == (Truncated, "Once ", [])


def test_when_every_connection_fails(flavour, loopback, http):
    """The last error is raised; it counts all requests, and a note lists the earlier attempts."""
    first, second = loopback(http.plain(BUSY, 503)), loopback(http.plain(b"{}", 401))
    connection = first.connection(retries=SOON, fallbacks=[second.connection(name="there", retries=SOON)])
    _, error = outcome(flavour, connection)
    assert isinstance(error, AuthenticationError)
    assert (error.connection, error.attempts) == ("there", 4)
    assert [each.error for each in error.partial.failed_attempts] == ["Overloaded"] * 3
    assert "here: Overloaded" in error.__notes__[0]


def test_unsupported_request_of_a_fallback_fails_before_sending(flavour, two, http, toy):
    """The driver of every fallback encodes the request first."""

    class Strict(toy.Driver):
        @hookimpl
        def encode_request(self, connection, request):
            raise RequestError("This cannot be said.")

    connection, failing, _ = two(http.plain(BUSY, 503))
    other = Connection(name="there", driver="strict", model="m", base_url="http://localhost")
    with register(Strict(), "strict"):
        with pytest.raises(RequestError):
            outcome(flavour, connection.with_changes(fallbacks=[other]))
        assert failing.asked == []


def test_another_connection_without_a_model_is_found_out_when_the_call_is_made(flavour, two, http):
    """A call's own model is for its own connection, so each of the others needs one."""
    connection, _, _ = two(http.plain(BUSY, 503))
    other = connection.fallbacks[0].with_changes(model=None)
    inference = flavour.Inference(connection.with_changes(fallbacks=[other]))
    with pytest.raises(ConfigError, match="'there' has no model"):
        inference.create("Hi", model="mine")


# On from there


def test_restart_sends_the_request_anew(flavour, loopback, http, toy):
    """With `restart` the response starts anew; a partial shows the seam, and the response is the second one alone."""
    server = loopback(http.streamed(*toy.story[:2]), http.streamed(*toy.story, toy.done))
    partials, response = outcome(flavour, server.connection(retries=SOON), resume="restart")
    assert [partial.content for partial in partials] == [
        "Once ", "Once upon ", "", "Once ", "Once upon ", STORY, STORY,
    ]  # fmt: skip
    (seam,) = [partial.seam for partial in partials if partial.seam]
    assert (seam.how, seam.error, seam.keeps) == ("restart", "Truncated", False)
    assert (response.content, response.outcome) == (STORY, "finished")
    assert response.failed_attempts[0].partial.content == "Once upon "


def test_the_model_writes_on_from_what_had_come(flavour, loopback, http, toy, going_on):
    """With `prefill` the text so far is sent, without the space at its end, and what follows is joined to it."""
    rest = (
        toy.say(ResponseStarted("second"), TextDelta(" ")),
        toy.say(TextDelta("a time")),
        toy.say(Finish("stop", "stop")),
    )
    server = loopback(http.streamed(*toy.story[:2], then=("reset",)), http.streamed(*rest, toy.done))
    connection = server.connection(driver="going-on", retries=SOON)
    partials, response = outcome(flavour, connection, resume="prefill")
    assert server.asked[1].path.endswith("/prefill")
    assert server.asked[1].body == b"Once upon"
    assert response.content == STORY
    assert "".join(partial.content_delta for partial in partials) == STORY
    assert [partial.seam.keeps for partial in partials if partial.seam] == [True]
    assert [each.error for each in response.failed_attempts] == ["TransportError"]


def test_the_provider_sends_the_rest(flavour, loopback, http, toy, going_on):
    """With `provider` the driver requests the rest, and decodes it with the state of the first attempt."""
    server = loopback(http.streamed(*toy.story[:2]), http.streamed(*toy.story[2:], toy.done))
    connection = server.connection(driver="going-on", retries=SOON)
    partials, response = outcome(flavour, connection, resume="provider")
    assert server.asked[1].path.endswith("/rest/2")
    assert response.content == STORY
    assert [partial.content for partial in partials if partial.seam] == ["Once upon "]


def test_it_breaks_off_again_and_again(flavour, loopback, http, toy, going_on):
    """Each resume counts as a retry. Error responses in between count too, and lose no content."""
    server = loopback(
        http.streamed(toy.story[0]), http.plain(BUSY, 503), http.streamed(toy.story[1]), http.plain(BUSY, 503)
    )
    connection = server.connection(driver="going-on", retries=Retries(max_retries=3, initial_backoff=0.01))
    partials, error = outcome(flavour, connection, resume="provider")
    assert isinstance(error, Overloaded)
    assert error.partial.content == "Once upon "
    assert "".join(partial.content_delta for partial in partials) == "Once upon "
    assert (error.attempts, len(server.asked)) == (4, 4)


def test_failed_restart_keeps_the_partial(flavour, loopback, http, toy):
    """Where the second request brings nothing, the error has what the first one did."""
    server = loopback(http.streamed(*toy.story[:2]), http.plain(b"{}", 401))
    _, error = outcome(flavour, server.connection(retries=SOON), resume="restart")
    assert isinstance(error, AuthenticationError)
    assert error.partial.content == "Once upon "


@pytest.mark.parametrize("how", ["prefill", "provider"])
def test_unsupported_resume_mode_fails_before_sending(flavour, loopback, http, toy, how):
    """A way to go on is checked against the driver when the call is made, not when it is needed."""
    server = loopback(http.streamed(*toy.story, toy.done))
    with pytest.raises(RequestError, match=f"resume='{how}' is not supported: the driver 'toy'"):
        outcome(flavour, server.connection(), resume=how)
    assert server.asked == []


def test_a_model_cannot_write_on_from_a_tool_call(flavour, loopback, http, toy, going_on):
    """A response with more than text is not resumed by `prefill`: its error is raised."""
    call = toy.say(ToolCallDelta(index=0, id="1", name="look", arguments="{"))
    server = loopback(http.streamed(toy.story[0], call))
    _, error = outcome(flavour, server.connection(driver="going-on", retries=SOON), resume="prefill")
    assert isinstance(error, Truncated)
    assert len(server.asked) == 1


def test_leaving_between_two_requests_keeps_what_had_come(loopback, http, toy):
    """A stream that is closed while it waits to go on is cancelled, with the text so far."""
    from polyglot_core import Inference

    server = loopback(http.streamed(*toy.story[:2]))
    stream = (
        Inference(server.connection(retries=Retries(initial_backoff=30.0, max_backoff=30.0)))
        .create("Hi", resume="restart")
        .stream()
    )
    threading.Timer(0.3, stream.close).start()
    started = time.perf_counter()
    assert [partial.content for partial in stream] == ["Once ", "Once upon "]
    assert time.perf_counter() - started < 10
    assert (stream.response().outcome, stream.response().content) == ("cancelled", "Once upon ")


# Events


def test_every_further_request_is_an_event(flavour, loopback, http, toy):
    """Events include a seam for each further request: its cause, its wait and its connection."""
    failing = loopback(http.plain(BUSY, 503))
    other = loopback(http.streamed(toy.say(Ping()), *toy.story[:1]), http.streamed(*toy.story, toy.done))
    connection = failing.connection(
        retries=Retries(max_retries=1, initial_backoff=0.01), fallbacks=[other.connection(name="there", retries=SOON)]
    )

    async def main():
        stream = flavour.Inference(connection).create("Hi", stream=True, resume="restart").stream()
        called = []
        return await flavour.all(stream.on_seam(called.append).events()), called

    events, called = flavour.run(main)
    seams = [event for event in events if isinstance(event, Seam)]
    assert called == seams
    assert [(seam.how, seam.error, seam.connection) for seam in seams] == [
        ("retry", "Overloaded", "here"),
        ("fallback", "Overloaded", "there"),
        ("restart", "Truncated", "there"),
    ]


def test_a_driver_cannot_make_a_seam(toy):
    """A driver must not return a seam, which only core makes."""
    attempt = toy.attempt()
    with pytest.raises(Exception, match="is not an event"):
        toy.read(attempt, toy.say(Seam("retry", "X", "y")))


# A cut answer that is wanted


def test_truncated_response_can_be_accepted(flavour, loopback, http, toy):
    """With `mark` a truncated stream ends without an error, and the outcome is ``truncated``."""
    server = loopback(http.streamed(toy.story[0], toy.say(UsageReport({"in": 3}))))
    partials, response = outcome(flavour, server.connection(), on_truncated="mark")
    assert [partial.content for partial in partials] == ["Once "]
    assert (response.outcome, response.content, response.finish_reason) == ("truncated", "Once ", None)
    assert response.usage.input_tokens == 3


def test_broken_response_is_raised_despite_mark(flavour, loopback, http, toy):
    """`mark` is for a stream that ended in good order; one whose connection broke raises."""
    server = loopback(http.streamed(toy.story[0], 0.05, then=("reset",)))
    _, error = outcome(flavour, server.connection(), on_truncated="mark")
    assert isinstance(error, TransportError)


# Told by the provider


@pytest.mark.parametrize(("status", "told", "requests"), [(400, "true", 2), (503, "false", 1), (503, "maybe", 2)])
def test_x_should_retry_overrides_the_status(flavour, loopback, http, toy, status, told, requests):
    """The header ``x-should-retry`` overrides the status."""
    server = loopback(http.plain(BUSY, status, x_should_retry=told), http.streamed(*toy.story, toy.done))
    outcome(flavour, server.connection(retries=SOON))
    assert len(server.asked) == requests


def test_it_does_not_overrule_the_longest_wait(flavour, loopback, http, toy):
    """A retry that the provider wants in an hour is not made."""
    server = loopback(http.plain(BUSY, 503, x_should_retry="true", retry_after="3600"))
    _, error = outcome(flavour, server.connection(retries=SOON))
    assert (error.retry_after, len(server.asked)) == (3600.0, 1)


def test_an_outage_is_not_met_with_more_load(flavour, loopback, http):
    """All calls to one origin share a retry budget; once it is exhausted, each sends its request once."""
    server = loopback(http.plain(BUSY, 500))
    inference = flavour.Inference(server.connection(retries=Retries(max_retries=2, initial_backoff=0.0, budget=35)))

    async def main():
        for _ in range(40):
            with pytest.raises(ServerError):
                await flavour.wait(inference.create("Hi").response())

    flavour.run(main)
    assert 40 + 35 <= len(server.asked) <= 60 + 35  # time gives a little back


# A connection that went stale


@pytest.mark.parametrize("retries", [0, 1])
def test_a_kept_connection_that_the_server_closed(flavour, loopback, http, toy, retries):
    """A request on a kept connection is sent again if that is closed, as a retry: not where retries are off."""
    answer = http.streamed(*toy.story, toy.done)
    server = loopback(answer, ("close",), answer)

    async def main():
        connection = server.connection(retries=Retries(max_retries=retries, initial_backoff=0.01))
        async with flavour.inside(flavour.Inference(connection)) as inference:
            for _ in range(2):
                response = await flavour.wait(inference.create("Hi", stream=True).response())
        return response

    if retries:
        response = flavour.run(main)
        assert (response.content, response.failed_attempts) == (STORY, ())
        assert (len(server.asked), server.connections) == (3, 2)
    else:  # the server may have read the request, and may bill it
        with pytest.raises(TransportError) as caught:
            flavour.run(main)
        assert (caught.value.attempts, len(server.asked)) == (1, 2)


def test_a_fresh_connection_that_the_server_closed_is_an_error(flavour, loopback):
    """A server that accepts connections and closes them gets one request."""
    server = loopback(("close",))
    _, error = outcome(flavour, server.connection())
    assert isinstance(error, TransportError)
    assert len(server.asked) == 1


# Limits


def limited(flavour, server, **limits):
    from polyglot_core._values.limits import Limits

    async def main():
        stream = flavour.Inference(server.connection(limits=Limits(**limits))).create("Hi", stream=True).stream()
        with pytest.raises(LimitExceeded) as caught:
            await flavour.all(stream)
        return caught.value

    return flavour.run(main)


def test_response_beyond_its_limit_is_ended(flavour, loopback, http, toy):
    """A response beyond `limits.response` is ended; the content received before is kept."""
    server = loopback(http.streamed(toy.story[0], 0.05, *[toy.say(TextDelta("x" * 500))] * 10, toy.done))
    error = limited(flavour, server, response=2000)
    assert error.partial.content.startswith("Once ")
    assert "limits.response" in str(error)


def test_an_event_may_be_no_larger_than_allowed(flavour, loopback, http, toy):
    """A line that has no end is not kept for ever."""
    server = loopback(http.streamed(toy.story[0], *[b"data: " + b"x" * 900] * 4))
    error = limited(flavour, server, event=2000)
    assert error.partial.content == "Once "
    assert "limits.event" in str(error)


def test_a_head_may_be_no_larger_than_allowed(flavour, loopback, http, toy):
    """Headers beyond `limits.headers` are an error."""
    server = loopback(http.streamed(*toy.story, toy.done, x_long="x" * 3000))
    assert "limits.headers" in str(limited(flavour, server, headers=2000))


def test_there_may_be_no_more_choices_than_allowed(flavour, loopback, http, toy):
    """However a server numbers its choices, a huge number costs nothing, and too many are an error."""
    many = [toy.say(TextDelta("x", choice=10**9 + number)) for number in range(5)]
    server = loopback(http.streamed(*many, toy.done))
    error = limited(flavour, server, choices=3)
    assert len(error.partial.choices) == 3
    assert "limits.choices" in str(error)


def test_there_may_be_no_more_tool_calls_than_allowed(flavour, loopback, http, toy):
    """The same holds for calls to tools."""
    many = [toy.say(ToolCallDelta(index=10**9 + number, id=str(number), name="look")) for number in range(5)]
    server = loopback(http.streamed(*many, toy.done))
    error = limited(flavour, server, tool_calls=3)
    assert len(error.partial.tool_calls) == 3
    assert "limits.tool_calls" in str(error)


def test_closing_a_finished_stream_leaves_its_connection_alone(flavour, loopback, http, toy):
    """A connection that has gone back to the pool is no longer the stream's to shut down."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        async with flavour.inside(flavour.Inference(server.connection())) as inference:
            for _ in range(3):
                async with flavour.inside(inference.create("Hi", stream=True).stream()) as stream:
                    await flavour.all(stream)

    flavour.run(main)
    assert (len(server.asked), server.connections) == (3, 1)


# What a failure says


def test_finish_beside_a_failure_is_a_failure(flavour, loopback, http, toy):
    """Where the first event is a failure, the request is sent again, though a finish stood beside it."""
    failed = toy.say(Finish("error", "ERROR"), Failure("Oh no.", type="overloaded"))
    server = loopback(http.streamed(failed), http.streamed(*toy.story, toy.done))
    _, response = outcome(flavour, server.connection(retries=SOON))
    assert (response.content, len(server.asked)) == (STORY, 2)


def test_auth_error_names_the_source_of_the_key(flavour, loopback, http, monkeypatch):
    """An error of authentication names where the key was found, never the key."""
    server = loopback(http.plain(b'{"error": {"message": "Wrong key.", "param": "authorization"}}', 401))
    monkeypatch.setenv("POLYGLOT_TOY_API_KEY", "test-key")
    connection = resolve("toy", model="m", base_url=server.url)
    _, error = outcome(flavour, connection)
    assert error.message == "Wrong key. The key was read from the environment variable POLYGLOT_TOY_API_KEY."
    assert error.param == "authorization"
    assert "test-key" not in f"{error!s}{error!r}"


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_what_holds_connections_is_not_copied(flavour, loopback, toy_driver, take):
    """Neither an inference nor a call nor a stream is pickled or copied, and the error states why."""
    connection = Connection(name="here", driver="toy", model="m", base_url="http://localhost")
    inference = flavour.Inference(connection)
    for thing in (inference, inference.create("Hi"), inference.create("Hi").stream()):
        with pytest.raises(TypeError, match=f"{type(thing).__name__} holds connections"):
            take(thing)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "gopher://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_a_matter_of_the_configuration(flavour, loopback, http, proxy):
    """A kind of proxy that the HTTP client does not know is no broken line, and nothing is sent again."""
    server = loopback(("close",))
    with pytest.raises(ConfigError, match="proxy"):
        outcome(flavour, server.connection(proxy=proxy, retries=SOON))


def test_a_head_that_the_client_does_not_read_is_too_large(flavour, loopback, http, toy):
    """A head beyond the HTTP client's own limit is LimitExceeded and is not retried."""
    server = loopback(http.streamed(*toy.story, toy.done, x_long="x" * 300_000))

    async def main():
        with pytest.raises(LimitExceeded, match="head") as caught:
            await flavour.wait(flavour.Inference(server.connection(retries=SOON)).create("Hi").response())
        return caught.value

    assert flavour.run(main).attempts == 1


def test_exhausted_pool_of_a_client_is_explained(flavour, loopback, http, toy):
    """With a client of one's own that is full, waiting ends with `connect`, and the message states what to do."""
    server = loopback(http.streamed(toy.story[0], then=("hang",)))
    client_class = httpx.Client if flavour.name == "sync" else httpx.AsyncClient

    async def main():
        async with flavour.inside(client_class(limits=httpx.Limits(max_connections=1))) as client:
            inference = flavour.Inference(server.connection(retries=SOON), client)
            async with flavour.inside(inference.create("Hi").stream()) as held:
                await flavour.next(held)
                with pytest.raises(TransportError, match="in use") as caught:
                    await flavour.wait(inference.create("Hi", timeouts={"connect": 0.2}).response())
        return caught.value

    error = flavour.run(main)
    assert (error.kind, error.retryable, len(server.asked)) == ("pool", False, 1)


# Many calls at a provider that limits their rate


def test_many_calls_at_a_limited_rate(loopback, http, toy):
    """Eight threads whose calls may be retried often enough all get their responses: no hidden limit intervenes."""
    refused = http.plain(BUSY, 429, retry_after_ms="5")
    server = loopback(refused)
    server._scripts = itertools.cycle([refused, refused, http.streamed(*toy.story, toy.done)])
    inference = Inference(server.connection(retries=1000))
    with ThreadPoolExecutor(8) as workers:
        texts = list(workers.map(lambda n: inference.create(f"{n}", stream=True).text(), range(40)))
    assert texts == [STORY] * 40
    assert len(server.asked) == 120  # twice as many retries as the budget of calls without retries of their own
