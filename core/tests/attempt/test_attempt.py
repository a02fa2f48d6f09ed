"""One attempt without a socket: what comes, what is handed out, and how it ends."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from polyglot_core import errors
from polyglot_core._attempt.attempt import Attempt
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._attempt.lifecycle import LIFE, Signal, State, outcome_of
from polyglot_core._drivers.bound import Driver
from polyglot_core._values.connection import Connection
from polyglot_core._values.limits import Timeouts
from polyglot_core._values.response import FinishReason, Outcome
from polyglot_core._wire.messages import Chunk
from polyglot_core.errors import (
    Malformed,
    PluginError,
    ProviderError,
    TimedOut,
    TransportError,
    Truncated,
    UnexpectedContentType,
)
from polyglot_core.plugin import (
    End,
    Failure,
    Finish,
    Ping,
    ReasoningDelta,
    ResponseStarted,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    WireRequest,
    hookimpl,
)

STOP = Finish("stop", "stop")

# The life of a stream, once more in a form of its own: state → signal → state. What is not here cannot happen.
EXPECTED_LIFE = {
    "opening": {"headers": "held"},
    "held": {"quiet": "held", "content": "committed", "finish": "finishing"},
    "committed": {"quiet": "committed", "content": "committed", "finish": "finishing"},
    "finishing": {"quiet": "finishing", "content": "committed", "finish": "finishing"},
    "ended": {},
}
ENDINGS = ("end", "eof", "failure", "broken", "clock", "cancel")


@pytest.mark.parametrize(("state", "signal"), list(itertools.product(State, Signal)))
def test_every_pair_of_state_and_signal(state, signal):
    """Each signal leads from each state where the plan says, or cannot happen there."""
    expected = EXPECTED_LIFE[state].get(signal)
    if signal in ENDINGS and state is not State.ENDED:
        expected = "ended"
    assert LIFE.get((state, signal)) == expected


@pytest.mark.parametrize("complete_on", ["finish", "end", "both"])
@pytest.mark.parametrize("signal", ENDINGS)
@pytest.mark.parametrize("state", [state for state in State if state is not State.ENDED])
def test_how_an_attempt_has_ended(state, signal, complete_on):
    """The outcome follows from state, signal and what the dialect calls complete, and only a finish saves a cut."""
    done = state is State.FINISHING
    expected = {
        "end": "finished" if done or complete_on != "both" else "truncated",
        "eof": "finished" if done and complete_on == "finish" else "truncated",
        "broken": "finished" if done and complete_on == "finish" else "failed",
        "clock": "finished" if done else "timed_out",
        "failure": "failed",
        "cancel": "cancelled",
    }
    assert outcome_of(state, Signal(signal), complete_on) == expected[signal]


# A whole stream


def test_a_story_is_told(toy):
    """A stream gives its text piece by piece, a closing partial, and the complete response."""
    attempt = toy.attempt(headers={"content-type": "text/event-stream", "x-request-id": "r-1"})
    started = toy.say(ResponseStarted("id-1", "m-1"))
    partials = toy.read(attempt, started, *toy.story, toy.say(UsageReport({"in": 3, "out": 4})), toy.done)
    assert [partial.content_delta for partial in partials] == ["Once ", "upon ", "a time", ""]
    assert [partial.finish_reason for partial in partials] == [None, None, None, FinishReason.STOP]
    response = attempt.response
    assert (response.outcome, response.content) == (Outcome.FINISHED, "Once upon a time")
    assert (response.id, response.model, response.request_id) == ("id-1", "m-1", "r-1")
    assert response.connection == "here"
    assert (response.usage.input_tokens, response.usage.output_tokens) == (3, 4)
    assert partials[-1].usage == response.usage


def test_states_along_a_stream(toy):
    """Names and usage hold the stream back, text commits it, the finish finishes it, the end ends it."""
    attempt = toy.attempt()
    states = []
    for block in (
        toy.say(ResponseStarted("1")),
        toy.say(Ping()),
        toy.say(UsageReport({})),
        toy.say(TextDelta("")),
        toy.say(TextDelta("a")),
        toy.say(Finish("stop", "stop")),
        toy.say(UsageReport({})),
        toy.say(TextDelta("b")),
        toy.done,
    ):
        list(attempt.feed(block, 0.0))
        states.append(attempt.state.value)
    assert states == ["held"] * 4 + ["committed"] + ["finishing"] * 3 + ["ended"]


def test_only_what_has_meaning_commits(toy):
    """Names, usage, pings and the beginning of a choice leave the request open to be sent again."""
    attempt = toy.attempt()
    for quiet in (ResponseStarted("1"), UsageReport({"in": 1}), Ping(), TextDelta("")):
        list(attempt.feed(toy.say(quiet), 0.0))
        assert not attempt.committed
    list(attempt.feed(toy.say(TextDelta("a")), 0.0))
    assert attempt.committed


def test_a_plain_answer_is_a_stream_of_one_chunk(toy):
    """A whole body goes the same way and gives the same response as its stream."""
    streamed, whole = toy.attempt(), toy.attempt(framing="whole", headers={"content-type": "application/json"})
    said = (ResponseStarted("1", "m"), TextDelta("Hi"), STOP, UsageReport({"in": 1}))
    toy.read(streamed, *(toy.say(event) for event in said), toy.done)
    first, closing = toy.read(whole, toy.body(*said))
    assert (first.content, closing.finish_reason) == ("Hi", FinishReason.STOP)
    assert whole.response.choices == streamed.response.choices
    assert whole.response.usage == streamed.response.usage
    assert whole.outcome is Outcome.FINISHED


def test_a_whole_body_is_complete_without_a_finish(toy):
    """A plain answer that can be read is complete, whatever it says of its end."""
    attempt = toy.attempt(framing="whole", headers={"content-type": "application/json"})
    toy.read(attempt, toy.body(TextDelta("Hi")))
    assert attempt.outcome is Outcome.FINISHED
    assert attempt.response.finish_reason is FinishReason.UNKNOWN


@pytest.mark.parametrize(
    "said", [[TextDelta("")], [STOP], [ToolCallDelta(name="f", complete=True)], [ReasoningDelta("hm")], [End()]]
)
def test_a_whole_body_without_text_may_be_an_answer(toy, said):
    """A plain answer with an empty text, a finish, a tool call or thinking alone is complete; it says that it is one."""
    attempt = toy.attempt(framing="whole", headers={"content-type": "application/json"})
    toy.read(attempt, toy.body(UsageReport({"in": 1}), *said))
    assert (attempt.outcome, attempt.response.content) == (Outcome.FINISHED, "")


def test_what_think_tags_keep_back_of_a_whole_body_is_an_answer(toy):
    """A plain answer that is the beginning of a tag and nothing else is that text."""
    attempt = toy.attempt(framing="whole", headers={}, think_tags=("<think>", "</think>"))
    toy.read(attempt, toy.body(TextDelta("<thi")))
    assert (attempt.outcome, attempt.response.content) == (Outcome.FINISHED, "<thi")


class Lax:
    """Reads any JSON, as drivers do that pass over what they do not know."""

    @hookimpl
    def encode_request(self, request):
        raise NotImplementedError

    @hookimpl
    def extract_usage(self, payload):
        return Usage(input_tokens=payload.get("in"))

    @hookimpl
    def decode_chunk(self, chunk):
        return [UsageReport({"in": 1}), ResponseStarted("1")] if b"usage" in chunk.data else []

    @hookimpl
    def decode_error(self, response):
        return Failure("Too fast.", "1002", status=429) if b"1002" in response.body else None


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b'{"message": "Forbidden"}', UnexpectedContentType, '{"message": "Forbidden"}'),
        (b"{}", UnexpectedContentType, "{}"),
        (b'{"choices": [], "usage": {}}', UnexpectedContentType, '"choices"'),
        (b'{"error": {"message": "Sorry, no."}}', ProviderError, "Sorry, no."),
        (b'{"base": {"code": 1002}}', errors.RateLimited, "Too fast."),
    ],
)
def test_a_whole_body_that_says_nothing_is_no_answer(toy, body, kind, says):
    """JSON of somebody else, or of a failure, is no empty success: it is refused as where a stream was asked for."""
    for framing in ("whole", "sse"):
        attempt = toy.attempt(module=Lax(), framing=framing, headers={"content-type": "application/json"})
        with pytest.raises(kind) as caught:
            toy.read(attempt, body)
        assert type(caught.value) is kind
        assert says in caught.value.message
        assert attempt.outcome is caught.value.partial.outcome is Outcome.FAILED
        assert caught.value.partial.choices == ()


def test_an_end_without_a_finish_is_finished(toy):
    """Where the provider says that it is over, it is, and the reason is unknown."""
    attempt = toy.attempt()
    partials = toy.read(attempt, toy.say(TextDelta("a")), toy.done)
    assert attempt.outcome is Outcome.FINISHED
    assert partials[-1].finish_reason is FinishReason.UNKNOWN


@pytest.mark.parametrize(
    ("complete_on", "said", "expected"),
    [
        ("finish", [TextDelta("a"), STOP], "finished"),
        ("end", [TextDelta("a"), STOP], "truncated"),
        ("end", [TextDelta("a"), STOP, End()], "finished"),
        ("finish", [TextDelta("a")], "truncated"),
        ("both", [TextDelta("a"), STOP], "truncated"),
        ("both", [TextDelta("a"), End()], "truncated"),
        ("both", [TextDelta("a"), STOP, End()], "finished"),
        ("finish", [STOP], "finished"),
        ("finish", [TextDelta("a", 0), TextDelta("b", 1), Finish("stop", "stop", 0)], "truncated"),
        (
            "finish",
            [TextDelta("a", 0), TextDelta("b", 1), Finish("stop", "stop", 0), Finish("stop", "stop", 1)],
            "finished",
        ),
        ("finish", [TextDelta("a", 0), Finish("stop", "stop", 0), TextDelta("b", 1)], "truncated"),
        ("finish", [TextDelta("a", 0), Finish("stop", "stop", 0), TextDelta("", 1)], "truncated"),
        (
            "finish",
            [TextDelta("a", 0), Finish("stop", "stop", 0), TextDelta("b", 1), Finish("stop", "stop", 1)],
            "finished",
        ),
        ("finish", [], "truncated"),
        ("finish", [ResponseStarted("1"), UsageReport({})], "truncated"),
    ],
)
def test_the_end_of_the_body(toy, complete_on, said, expected):
    """The end of the body completes an answer whose every choice has finished, where the dialect says so."""
    attempt = toy.attempt(complete_on=complete_on)
    pieces = [toy.say(event) for event in said]
    if expected == "finished":
        assert toy.read(attempt, *pieces)[-1].finish_reason is not None
    else:
        with pytest.raises(Truncated) as caught:
            toy.read(attempt, *pieces)
        assert caught.value.partial.outcome is Outcome.TRUNCATED
    assert attempt.outcome == expected


def test_a_truncated_stream_gives_no_closing_partial(toy):
    """What a cut stream had is in the error's partial, and nothing looks like an end."""
    attempt = toy.attempt()
    seen = [partial for block in toy.story[:2] for partial in attempt.feed(block, 0.0)]
    with pytest.raises(Truncated) as caught:
        list(attempt.finish(0.0))
    assert all(partial.finish_reason is None for partial in seen)
    assert caught.value.partial.content == "Once upon "
    assert caught.value.partial.finish_reason is None
    assert caught.value.retryable


@pytest.mark.parametrize("late", [b"data: garbage\n\n", b"\xff\xfe", b'data: [["TextDelta", {"text": "x"}]]\n\n'])
def test_what_follows_the_end_is_ignored_and_counted(toy, late):
    """After the end, data changes nothing: it is counted, and the rest of the body is not read for meaning."""
    attempt = toy.attempt()
    list(attempt.feed(toy.story[0], 0.0))
    list(attempt.feed(toy.done, 0.0))
    before = attempt.response
    assert not list(attempt.feed(late, 0.0))
    assert not list(attempt.finish(0.0))
    assert attempt.response == before
    assert attempt.ignored_bytes == len(late)


def test_what_follows_the_end_in_the_same_read(toy):
    """Data behind the end in one read is ignored too."""
    attempt = toy.attempt()
    partials = toy.read(attempt, toy.story[0] + toy.done + toy.say(TextDelta("more")) + b"data: garbage\n\n")
    assert attempt.response.content == "Once "
    assert len(partials) == 2
    assert attempt.ignored_bytes > 0


def test_events_behind_the_end_in_one_chunk(toy):
    """An end in the middle of a chunk's events ends the answer there."""
    attempt = toy.attempt()
    toy.read(attempt, toy.say(TextDelta("a"), STOP, End(), TextDelta("b")))
    assert (attempt.outcome, attempt.response.content) == (Outcome.FINISHED, "a")


def test_empty_and_blank_chunks_are_passed_over(toy):
    """A block with empty data cannot be decoded and means nothing."""
    attempt = toy.attempt()
    toy.read(attempt, b"data:\n\n", b"data:  \n\n", *toy.story, b"data:\n\n", toy.done)
    assert attempt.outcome is Outcome.FINISHED


def test_a_flushed_block_that_is_cut_is_a_cut_stream(toy):
    """Where the dialect lets an unfinished block count, half of one means that the stream was cut."""
    attempt = toy.attempt(flush_at_eof=True)
    with pytest.raises(Truncated):
        toy.read(attempt, toy.story[0], toy.say(STOP)[:-8])
    whole = toy.attempt(flush_at_eof=True)
    toy.read(whole, toy.story[0], toy.say(STOP)[:-2])
    assert whole.outcome is Outcome.FINISHED


@pytest.mark.parametrize("length", [1, 10, 30])
def test_a_whole_body_that_is_cut_is_truncated(toy, length):
    """A plain answer that breaks off is `Truncated`; one that is wrong from the start is `Malformed`."""
    body = toy.body(TextDelta("Once upon a time"), STOP)
    attempt = toy.attempt(framing="whole", headers={"content-type": "application/json"})
    with pytest.raises(Truncated):
        toy.read(attempt, body[:length])
    assert attempt.outcome is Outcome.TRUNCATED


@pytest.mark.parametrize("body", [b"no JSON", b"[1, 2", b'{"a": 1}', b"\xff\xfe\x00", b"[" * 100_000])
def test_a_chunk_that_cannot_be_read(toy, body):
    """Unreadable data ends the stream as `Malformed`, with what came before it and the beginning of the data."""
    attempt = toy.attempt()
    list(attempt.feed(toy.story[0], 0.0))
    with pytest.raises(Malformed) as caught:
        list(attempt.feed(b"data: " + body + b"\n\n", 0.0))
    assert caught.value.partial.content == "Once "
    assert caught.value.phase == "stream"
    assert attempt.outcome is Outcome.FAILED
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


# The provider fails


@pytest.mark.parametrize("before", [(), (TextDelta("a"),)], ids=["first", "later"])
def test_an_error_inside_a_200(toy, before):
    """An error among the events is the provider's error, with its code and what had come."""
    attempt = toy.attempt(headers={"content-type": "text/event-stream", "retry-after": "7"})
    failure = Failure("Too fast.", code="rate_limit_exceeded", status=429)
    with pytest.raises(errors.RateLimited) as caught:
        toy.read(attempt, *(toy.say(event) for event in before), toy.say(failure))
    error = caught.value
    assert (error.code, error.status, error.phase, error.retry_after) == ("rate_limit_exceeded", 429, "stream", 7.0)
    assert error.partial.content == "".join(event.text for event in before)
    assert error.partial.outcome is Outcome.FAILED
    assert attempt.committed is bool(before)


def test_an_error_in_the_chunk_of_a_text(toy):
    """Text before the error in one chunk is handed out, then the error comes."""
    attempt = toy.attempt()
    reading = attempt.feed(toy.say(TextDelta("a"), Failure("No."), TextDelta("b")), 0.0)
    assert next(reading).content_delta == "a"
    with pytest.raises(ProviderError) as caught:
        next(reading)
    assert caught.value.partial.content == "a"


HTML = b"<html><style>x{}</style><body><h1>502 Bad Gateway</h1></body></html>"


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (
            401,
            b'{"error": {"message": "Who are you?", "code": "invalid_api_key"}}',
            errors.AuthenticationError,
            "Who are you?",
        ),
        (
            400,
            b'{"error": {"message": "Too long", "code": "context_length_exceeded"}}',
            errors.ContextLengthExceeded,
            "Too long",
        ),
        (404, b'{"error": {"message": "x", "type": "invalid_request_error"}}', errors.NotFound, "x"),
        (429, b'{"error": {"message": "No money", "code": "insufficient_quota"}}', errors.QuotaExceeded, "No money"),
        (502, HTML, errors.ServerError, "502 Bad Gateway"),
        (503, b"", errors.Overloaded, "without a message"),
        (500, b" \n ", errors.ServerError, "without a message"),
        (418, b"I am a teapot", errors.InvalidRequest, "I am a teapot"),
        (500, b"\xff\xfe\x00", errors.ServerError, "\N{REPLACEMENT CHARACTER}"),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Busy"}}', errors.Overloaded, "Busy"),
        (500, b"[" * 50_000, errors.ServerError, "["),
        (600, b"odd", ProviderError, "odd"),
    ],
)
def test_an_error_status(toy, status, body, kind, message):
    """An error status becomes the error of its class, with the provider's text, whatever the body is."""
    attempt = toy.attempt(status=status, headers={"content-type": "text/html", "request-id": "r-9"})
    with pytest.raises(ProviderError) as caught:
        toy.read(attempt, body)
    error = caught.value
    assert type(error) is kind
    assert message in error.message
    assert (error.status, error.phase, error.request_id) == (status, "headers", "r-9")
    assert attempt.outcome is Outcome.FAILED
    assert error.partial.outcome is Outcome.FAILED
    assert len(error.message) <= 512


def test_a_huge_error_body_is_not_read_to_its_end(toy):
    """Of an endless error body 64 KB are read, then the error comes."""
    attempt = toy.attempt(status=500, headers={})
    fed = 0
    with pytest.raises(errors.ServerError):
        for _ in range(1000):
            list(attempt.feed(b"x" * 1024, 0.0))
            fed += 1024
    assert fed < 64 * 1024


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused(toy, status):
    """A redirect is an error that names its target and says what to do; nothing follows it."""
    attempt = toy.attempt(status=status, headers={"location": "https://elsewhere.example/v1"})
    with pytest.raises(ProviderError, match=r"https://elsewhere\.example/v1.*base_url") as caught:
        toy.read(attempt)
    assert (caught.value.status, caught.value.retryable) == (status, False)


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b""), (200, b" \n")])
@pytest.mark.parametrize("content_type", [None, "text/html", "text/event-stream"])
def test_no_content_is_a_truncated_answer(toy, status, body, content_type):
    """A 204 and an empty 200 are answers that ended before anything had come."""
    attempt = toy.attempt(status=status, headers={"content-type": content_type} if content_type else {})
    with pytest.raises(Truncated, match="before anything"):
        toy.read(attempt, body)
    assert attempt.outcome is Outcome.TRUNCATED


@pytest.mark.parametrize("framing", ["sse", "whole"])
def test_a_page_instead_of_an_answer(toy, framing):
    """A 200 of another kind is refused, and the error shows how it begins."""
    attempt = toy.attempt(framing=framing, headers={"content-type": "text/html; charset=utf-8"})
    with pytest.raises(UnexpectedContentType, match="Log in") as caught:
        toy.read(attempt, b"<html>\x1b[31mLog in", b" here</html>")
    assert (caught.value.status, caught.value.retryable) == (200, False)
    assert "\x1b" not in str(caught.value)


def test_an_error_object_instead_of_a_stream(toy):
    """A 200 that is a JSON error where a stream was asked for is the provider's error."""
    attempt = toy.attempt(headers={"content-type": "application/json"})
    with pytest.raises(errors.RateLimited, match=r"Slow down\.") as caught:
        toy.read(attempt, b'{"error": {"message": "Slow down.", "code": 429}}')
    assert caught.value.status == 429


@pytest.mark.parametrize(
    ("framing", "content_type", "fits"),
    [
        ("sse", "text/event-stream", True),
        ("sse", "TEXT/EVENT-STREAM;charset=x", True),
        ("sse", None, True),
        ("sse", "application/json", False),
        ("sse", "text/plain", False),
        ("whole", "application/json", True),
        ("whole", "application/vnd.example+json; v=1", True),
        ("whole", None, True),
        ("whole", "text/event-stream", False),
    ],
)
def test_which_content_types_fit(toy, framing, content_type, fits):
    """A body is read if its content type fits the framing, or if it has none."""
    attempt = toy.attempt(framing=framing, headers={"content-type": content_type} if content_type else {})
    said = (TextDelta("a"), STOP)
    body = toy.body(*said) if framing == "whole" else toy.say(*said)
    if fits:
        toy.read(attempt, body)
    else:
        with pytest.raises(UnexpectedContentType):
            toy.read(attempt, body)


@pytest.mark.parametrize("name", ["x-request-id", "request-id", "x-amzn-requestid", "x-goog-request-id", "cf-ray"])
def test_the_request_id_is_kept(toy, name):
    """The id to quote to the provider's support is found under each of its usual names."""
    assert toy.attempt(headers={"content-type": "text/event-stream", name: "r-1"}).request_id == "r-1"


# The driver fails


class Raising:
    """A driver whose hooks raise, or return, what they are told."""

    def __init__(self, decode=None, usage=None):
        self.decode, self.usage = decode, usage

    @hookimpl
    def encode_request(self):
        return WireRequest(url="http://localhost", body=b"")

    @hookimpl
    def decode_chunk(self, chunk):
        if chunk.data == b"good":
            return [TextDelta("good"), UsageReport({"in": 1})]
        if isinstance(self.decode, BaseException):
            raise self.decode
        return self.decode

    @hookimpl
    def extract_usage(self):
        raise self.usage or KeyError("prompt_tokens")


@pytest.mark.parametrize(
    "error", [KeyError("choices"), AttributeError("x"), TypeError("y"), ZeroDivisionError("z"), OSError("o")]
)
def test_a_driver_that_raises_in_decode(toy, error):
    """Whatever a driver raises becomes a `PluginError` that names it, with what had come; the cause is kept."""
    attempt = toy.attempt(module=Raising(error))
    list(attempt.feed(b"data: good\n\n", 0.0))
    with pytest.raises(PluginError, match=rf"'toy'.*{type(error).__name__} in decode_chunk") as caught:
        list(attempt.feed(b"data: bad\n\n", 0.0))
    assert caught.value.__cause__ is error
    assert caught.value.partial.content == "good"
    assert attempt.outcome is Outcome.FAILED


def test_a_driver_may_raise_our_errors(toy):
    """An error of our own that a driver raises in decoding stays what it is, and gets what had come."""
    attempt = toy.attempt(module=Raising(Malformed("A checksum is wrong.")))
    list(attempt.feed(b"data: good\n\n", 0.0))
    with pytest.raises(Malformed, match="A checksum is wrong") as caught:
        list(attempt.feed(b"data: bad\n\n", 0.0))
    assert caught.value.partial.content == "good"


@pytest.mark.parametrize("returned", [None, 5, (event for event in ())], ids=["None", "number", "generator"])
def test_a_driver_that_returns_no_events(toy, returned):
    """A driver that returns something other than a sequence of events is named, and nothing else is raised."""
    attempt = toy.attempt(module=Raising(returned))
    with pytest.raises(PluginError, match="decode_chunk"):
        list(attempt.feed(b"data: bad\n\n", 0.0))


@pytest.mark.parametrize("said", [["text"], [None], [msgspec.UNSET]])
def test_a_driver_that_returns_something_unknown(toy, said):
    """What is no event is not passed over in silence."""
    attempt = toy.attempt(module=Raising(said))
    with pytest.raises(PluginError, match="decode_chunk"):
        list(attempt.feed(b"data: bad\n\n", 0.0))


def test_a_driver_that_cannot_read_usage(toy):
    """Usage that the driver cannot read fails the stream at its end, with the answer in the error's partial."""
    attempt = toy.attempt(module=Raising([Finish("stop", "stop"), End()]))
    list(attempt.feed(b"data: good\n\n", 0.0))
    with pytest.raises(PluginError, match="KeyError in extract_usage") as caught:
        list(attempt.feed(b"data: end\n\n", 0.0))
    assert attempt.outcome is Outcome.FAILED
    assert (caught.value.partial.content, caught.value.partial.usage) == ("good", None)
    assert caught.value.partial.outcome is Outcome.FAILED


# The bytes stop


@pytest.mark.parametrize(
    ("signal", "error", "outcome"),
    [
        (Signal.BROKEN, TransportError("reset"), Outcome.FAILED),
        (Signal.CLOCK, TimedOut("late", "idle"), Outcome.TIMED_OUT),
    ],
)
def test_a_break_in_the_middle(toy, signal, error, outcome):
    """A break raises the transport's own error, with what had come."""
    attempt = toy.attempt()
    list(attempt.feed(toy.story[0], 0.0))
    with pytest.raises(type(error)) as caught:
        list(attempt.interrupt(signal, error, 1.0))
    assert caught.value is error
    assert error.partial.content == "Once "
    assert (attempt.outcome, error.partial.outcome) == (outcome, outcome)


@pytest.mark.parametrize("signal", [Signal.BROKEN, Signal.CLOCK])
def test_a_break_after_the_finish_is_no_error(toy, signal):
    """Once every choice has finished, a break or the grace clock only ends the waiting."""
    attempt = toy.attempt()
    list(attempt.feed(b"".join(toy.story), 0.0))
    (closing,) = attempt.interrupt(signal, TransportError("reset"), 1.0)
    assert closing.finish_reason is FinishReason.STOP
    assert attempt.outcome is Outcome.FINISHED


def test_a_break_in_an_error_body(toy):
    """An error status says more than the break in its body."""
    attempt = toy.attempt(status=401, headers={})
    list(attempt.feed(b"Who are", 0.0))
    with pytest.raises(errors.AuthenticationError, match="Who are"):
        list(attempt.interrupt(Signal.BROKEN, TransportError("reset"), 0.0))


def test_a_break_after_the_end_means_nothing(toy):
    """After the outcome nothing is raised any more."""
    attempt = toy.attempt()
    toy.read(attempt, *toy.story, toy.done)
    assert not list(attempt.interrupt(Signal.BROKEN, TransportError("reset"), 0.0))
    attempt.cancel(0.0)
    assert attempt.outcome is Outcome.FINISHED


@pytest.mark.parametrize("blocks", [0, 1, 3, 4])
def test_a_cancelled_stream(toy, blocks):
    """A cancelled stream has what had come, and never looks finished."""
    attempt = toy.attempt()
    for block in toy.story[:blocks]:
        list(attempt.feed(block, 0.0))
    attempt.cancel(1.0)
    assert attempt.response.outcome is Outcome.CANCELLED
    assert not list(attempt.feed(toy.say(TextDelta("late")), 0.0))
    assert not list(attempt.finish(0.0))
    assert "late" not in attempt.response.content


def test_when_things_came(toy):
    """The response knows when the first event with meaning came and how long it took, from the call on."""
    clocks = Clocks(Timeouts(), 100.0)
    attempt = toy.attempt(clocks=clocks)
    list(attempt.feed(toy.say(ResponseStarted("1")), 101.0))
    list(attempt.feed(toy.say(TextDelta("a")), 102.0))
    list(attempt.feed(toy.say(TextDelta("b")), 103.0))
    list(attempt.feed(toy.done, 104.0))
    timing = attempt.response.timing
    assert (timing.first_event, timing.duration) == (2.0, 4.0)


def test_an_empty_text_is_no_event_with_meaning(toy):
    """Empty deltas, which some servers send to keep a connection alive, do not set the idle clock back."""
    clocks = Clocks(Timeouts(idle=10.0, silence=None), 0.0)
    attempt = toy.attempt(clocks=clocks)
    list(attempt.feed(toy.say(TextDelta("a")), 1.0))
    list(attempt.feed(toy.say(TextDelta("")), 8.0))
    assert clocks.meaning == 1.0


# The events view


def test_events_are_held_until_something_has_come(toy):
    """Pings are shown at once; names and usage only with the first event that has meaning."""
    attempt = toy.attempt()
    seen = toy.watch_events(attempt)
    started, usage, text = ResponseStarted("1", "m"), UsageReport({"in": 1}), TextDelta("a")
    list(attempt.feed(toy.say(started), 0.0))
    list(attempt.feed(toy.say(Ping(), usage), 0.0))
    assert list(seen) == [Ping()]
    list(attempt.feed(toy.say(text), 0.0))
    assert list(seen) == [Ping(), started, usage, text]


def test_all_events_are_shown_in_order(toy):
    """Every event is shown, in order, whether it makes a partial or not, up to the end."""
    said = [TextDelta("a"), TextDelta(""), TextDelta("b"), UsageReport({}), Ping(), STOP, End()]
    attempt = toy.attempt()
    seen = toy.watch_events(attempt)
    toy.read(attempt, *(toy.say(event) for event in said))
    assert list(seen) == said


def test_held_events_come_with_an_early_end(toy):
    """An answer that ends before anything with meaning shows what it had said of itself."""
    attempt = toy.attempt()
    seen = toy.watch_events(attempt)
    toy.read(attempt, toy.say(ResponseStarted("1")), toy.done)
    assert list(seen) == [ResponseStarted("1"), End()]


def test_events_are_shown_from_where_the_stream_stands(toy):
    """Who begins to watch later sees what comes from then on."""
    attempt = toy.attempt()
    list(attempt.feed(toy.story[0], 0.0))
    seen = toy.watch_events(attempt)
    list(attempt.feed(toy.story[1], 0.0))
    assert list(seen) == [TextDelta("upon ")]


def test_a_framing_of_the_drivers_own(toy):
    """A driver's framer cuts the body, and any content type fits it."""

    class Lines:
        def __init__(self, *, limit):
            self._rest = b""

        def feed(self, data):
            from polyglot_core._wire.messages import Chunk

            *lines, self._rest = (self._rest + data).split(b"\n")
            return [Chunk(line, line) for line in lines]

        def finish(self):
            return ()

    wire = WireRequest(url="http://localhost", body=b"", framing=Lines)
    attempt = Attempt(wire, toy.bound(), Clocks(Timeouts(), 0.0))
    attempt.begin(200, {"content-type": "application/x-lines"})
    toy.read(attempt, toy.body(TextDelta("a")) + b"\n" + toy.body(STOP) + b"\n")
    assert attempt.response.content == "a"


class Breaking:
    """A framer that hands out chunks as they come, until it is to do something that a framer must not."""

    does: Any = None

    def __init__(self, *, limit):
        if self.does == "no framer":
            raise ValueError(self.does)

    def feed(self, data):
        return self._chunks("feed", data)

    def finish(self):
        return self._chunks("finish", b"")

    def _chunks(self, method, data):
        if self.does is not None and self.does[0] == method and not data.startswith(b"["):
            return self.does[1]()
        return [Chunk(data, data)] if data else []


def fail():
    """Raise what no framer should."""
    raise ValueError("ouch")


def refuse():
    """Raise what a framer may."""
    raise Malformed("It cannot be read.")


def broken_session(toy, does):
    """A session whose framer does this."""
    framing = type("Own", (Breaking,), {"does": does})
    attempt = Attempt(
        WireRequest(url="http://localhost", body=b"", framing=framing), toy.bound(), Clocks(Timeouts(), 0.0)
    )
    attempt.begin(200, {})
    return attempt


@pytest.mark.parametrize("method", ["feed", "finish"])
@pytest.mark.parametrize(
    ("does", "says"),
    [
        (fail, r"raised ValueError in {} of its framer: ouch"),
        (lambda: None, r"raised TypeError in {} of its framer"),
        (lambda: [b"x"], r"returned bytes from {} of its framer, which is no Chunk"),
    ],
)
def test_a_framer_of_the_drivers_own_that_is_broken(toy, method, does, says):
    """Whatever a driver's framer raises or returns, it is the driver's fault, and what came is kept."""
    attempt = broken_session(toy, (method, does))
    with pytest.raises(PluginError, match=says.format(method)) as caught:
        toy.read(attempt, toy.body(TextDelta("a")), *([b"x"] if method == "feed" else []))
    assert (caught.value.partial.content, caught.value.partial.outcome) == ("a", Outcome.FAILED)
    assert caught.value.provider == "toy"


def test_a_framer_of_the_drivers_own_may_raise_our_errors(toy):
    """What a driver's framer finds wrong in our own words is raised as it is."""
    attempt = broken_session(toy, ("feed", refuse))
    with pytest.raises(Malformed, match="It cannot be read"):
        toy.read(attempt, b"x")


def test_a_framer_of_the_drivers_own_that_cannot_be_made(toy):
    """A framer class that raises is the driver's fault as well."""
    with pytest.raises(PluginError, match="raised ValueError in its framer: no framer"):
        broken_session(toy, "no framer")


def test_an_object_where_a_stream_should_be_may_be_a_failure_in_the_drivers_own_words(toy):
    """A driver that knows its provider's envelope is asked of a status 200 too, before the type is found wanting."""

    class Enveloped(toy.Driver):
        @hookimpl
        def decode_error(self, response):
            return Failure("Too fast.", "1002", status=429) if b"1002" in response.body else None

    headers = {"content-type": "application/json"}
    for body, kind in ((b'{"base": {"code": 1002}}', errors.RateLimited), (b'{"base": {}}', UnexpectedContentType)):
        attempt = toy.attempt(module=Enveloped(), headers=headers)
        with pytest.raises(kind):
            toy.read(attempt, body)


@pytest.mark.parametrize(
    ("event", "wrong"),
    [
        (TextDelta(b"x"), "a TextDelta from decode_chunk whose text is bytes and not str"),
        (ToolCallDelta(arguments={"a": 1}), "a ToolCallDelta from decode_chunk whose arguments is dict and not str"),
        (ToolCallDelta(id=7), "whose id is int and not str or None"),
        (UsageReport(5), "whose payload is int and not dict"),
    ],
)
@pytest.mark.parametrize("committed", [False, True])
def test_an_event_with_a_value_of_a_wrong_type_is_the_drivers_fault(toy, event, wrong, committed):
    """It is found where it comes in, and not where somebody joins it to the rest."""

    class Wrong(toy.Driver):
        @hookimpl
        def decode_chunk(self, chunk):
            return [TextDelta("a")] if b"a" in chunk.data else [event]

    wire = WireRequest(url="http://localhost", body=b"")
    attempt = Attempt(
        wire, Driver("wrong", Wrong()).bind(Connection(name="here", driver="wrong")), Clocks(Timeouts(), 0.0)
    )
    attempt.begin(200, {})
    if committed:
        list(attempt.feed(b"data: a\n\n", 0.0))
    with pytest.raises(PluginError, match=wrong) as caught:
        list(attempt.feed(b"data: b\n\n", 0.0))
    assert caught.value.partial.content == ("a" if committed else "")
