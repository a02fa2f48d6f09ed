"""One attempt, without a socket: what it reads, what it emits, and how it ends."""

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
from polyglot_core._values.events import Seam
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

# The lifecycle, written a second time in a form of its own: state → signal → state. Other pairs are impossible.
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
    """Each signal leads from each state to the expected one, or is impossible there."""
    expected = EXPECTED_LIFE[state].get(signal)
    if signal in ENDINGS and state is not State.ENDED:
        expected = "ended"
    assert LIFE.get((state, signal)) == expected


@pytest.mark.parametrize("complete_on", ["finish", "end", "both"])
@pytest.mark.parametrize("signal", ENDINGS)
@pytest.mark.parametrize("state", [state for state in State if state is not State.ENDED])
def test_outcome_of_every_ending(state, signal, complete_on):
    """The outcome follows from state, signal and `complete_on`, and only a finish makes a cut response complete."""
    done = state is State.FINISHING
    expected = {
        "end": "finished" if done or (state is State.COMMITTED and complete_on != "both") else "truncated",
        "eof": "finished" if done and complete_on == "finish" else "truncated",
        "broken": "finished" if done and complete_on == "finish" else "failed",
        "clock": "finished" if done else "timed_out",
        "failure": "failed",
        "cancel": "cancelled",
    }
    assert outcome_of(state, Signal(signal), complete_on) == expected[signal]


# A whole stream


def test_whole_stream(toy):
    """A stream emits its text piece by piece and a closing partial, and makes the complete response."""
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
    """Names and usage hold the stream, text commits it, the finish finishes it, the end ends it."""
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


def test_only_content_commits(toy):
    """Names, usage, pings and the start of a choice leave the request free to be retried."""
    attempt = toy.attempt()
    for quiet in (ResponseStarted("1"), UsageReport({"in": 1}), Ping(), TextDelta("")):
        list(attempt.feed(toy.say(quiet), 0.0))
        assert not attempt.committed
    list(attempt.feed(toy.say(TextDelta("a")), 0.0))
    assert attempt.committed


def test_whole_body_is_a_stream_of_one_chunk(toy):
    """A body that is not streamed makes the same response as its stream."""
    streamed, whole = toy.attempt(), toy.attempt(framing="whole", headers={"content-type": "application/json"})
    said = (ResponseStarted("1", "m"), TextDelta("Hi"), STOP, UsageReport({"in": 1}))
    toy.read(streamed, *(toy.say(event) for event in said), toy.done)
    first, closing = toy.read(whole, toy.body(*said))
    assert (first.content, closing.finish_reason) == ("Hi", FinishReason.STOP)
    assert whole.response.choices == streamed.response.choices
    assert whole.response.usage == streamed.response.usage
    assert whole.outcome is Outcome.FINISHED


def test_whole_body_without_finish(toy):
    """A whole body that can be decoded is complete, with or without a finish."""
    attempt = toy.attempt(framing="whole", headers={"content-type": "application/json"})
    toy.read(attempt, toy.body(TextDelta("Hi")))
    assert attempt.outcome is Outcome.FINISHED
    assert attempt.response.finish_reason is FinishReason.UNKNOWN


@pytest.mark.parametrize(
    "said", [[TextDelta("")], [STOP], [ToolCallDelta(name="f", complete=True)], [ReasoningDelta("hm")]]
)
def test_whole_body_without_text(toy, said):
    """A whole body with only an empty text, a finish, a tool call or reasoning is a response."""
    attempt = toy.attempt(framing="whole", headers={"content-type": "application/json"})
    toy.read(attempt, toy.body(UsageReport({"in": 1}), *said))
    assert (attempt.outcome, attempt.response.content) == (Outcome.FINISHED, "")


def test_whole_body_that_ends_within_a_tag(toy):
    """A whole body that is only the beginning of a tag has that as its text."""
    attempt = toy.attempt(framing="whole", headers={}, think_tags=("<think>", "</think>"))
    toy.read(attempt, toy.body(TextDelta("<thi")))
    assert (attempt.outcome, attempt.response.content) == (Outcome.FINISHED, "<thi")


class Lax:
    """A driver that decodes any JSON, as those do that skip unknown fields."""

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
    ("body", "kind", "quoted"),
    [
        (b'{"message": "Forbidden"}', UnexpectedContentType, '{"message": "Forbidden"}'),
        (b"{}", UnexpectedContentType, "{}"),
        (b'{"choices": [], "usage": {}}', UnexpectedContentType, '"choices"'),
        (b'{"error": {"message": "Sorry, no."}}', ProviderError, "Sorry, no."),
        (b'{"base": {"code": 1002}}', errors.RateLimited, "Too fast."),
    ],
)
def test_whole_body_without_content_is_an_error(toy, body, kind, quoted):
    """JSON of a proxy, or of a failure, is rejected, not returned as an empty success, streamed or not."""
    for framing in ("whole", "sse"):
        attempt = toy.attempt(module=Lax(), framing=framing, headers={"content-type": "application/json"})
        with pytest.raises(kind) as caught:
            toy.read(attempt, body)
        assert type(caught.value) is kind
        assert quoted in caught.value.message
        assert attempt.outcome is caught.value.partial.outcome is Outcome.FAILED
        assert caught.value.partial.choices == ()


def test_end_without_finish(toy):
    """A provider's end finishes the response, with an unknown reason."""
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
def test_end_of_the_body(toy, complete_on, said, expected):
    """The end of the body completes a response whose every choice has a finish, if the dialect allows it."""
    attempt = toy.attempt(complete_on=complete_on)
    pieces = [toy.say(event) for event in said]
    if expected == "finished":
        assert toy.read(attempt, *pieces)[-1].finish_reason is not None
    else:
        with pytest.raises(Truncated) as caught:
            toy.read(attempt, *pieces)
        assert caught.value.partial.outcome is Outcome.TRUNCATED
    assert attempt.outcome == expected


def test_truncated_stream_has_no_closing_partial(toy):
    """The content of a cut stream is in the error's partial, and no partial looks like an end."""
    attempt = toy.attempt()
    seen = [partial for block in toy.story[:2] for partial in attempt.feed(block, 0.0)]
    with pytest.raises(Truncated) as caught:
        list(attempt.finish(0.0))
    assert all(partial.finish_reason is None for partial in seen)
    assert caught.value.partial.content == "Once upon "
    assert caught.value.partial.finish_reason is None
    assert caught.value.retryable


@pytest.mark.parametrize("late", [b"data: garbage\n\n", b"\xff\xfe", b'data: [["TextDelta", {"text": "x"}]]\n\n'])
def test_data_after_the_end_is_ignored(toy, late):
    """Data after the end is counted, not decoded, and changes nothing."""
    attempt = toy.attempt()
    list(attempt.feed(toy.story[0], 0.0))
    list(attempt.feed(toy.done, 0.0))
    before = attempt.response
    assert not list(attempt.feed(late, 0.0))
    assert not list(attempt.finish(0.0))
    assert attempt.response == before
    assert attempt.ignored_bytes == len(late)


def test_data_after_the_end_in_the_same_read(toy):
    """Data after the end in one read is ignored, too."""
    attempt = toy.attempt()
    partials = toy.read(attempt, toy.story[0] + toy.done + toy.say(TextDelta("more")) + b"data: garbage\n\n")
    assert attempt.response.content == "Once "
    assert len(partials) == 2
    assert attempt.ignored_bytes > 0


def test_events_after_the_end_in_one_chunk(toy):
    """An end in the middle of a chunk's events ends the response there."""
    attempt = toy.attempt()
    toy.read(attempt, toy.say(TextDelta("a"), STOP, End(), TextDelta("b")))
    assert (attempt.outcome, attempt.response.content) == (Outcome.FINISHED, "a")


def test_blank_chunks_are_skipped(toy):
    """A block with empty data cannot be decoded and has no meaning."""
    attempt = toy.attempt()
    toy.read(attempt, b"data:\n\n", b"data:  \n\n", *toy.story, b"data:\n\n", toy.done)
    assert attempt.outcome is Outcome.FINISHED


def test_cut_block_at_the_end(toy):
    """If the dialect lets an unfinished block count, half of one means that the stream was cut."""
    attempt = toy.attempt(flush_at_eof=True)
    with pytest.raises(Truncated):
        toy.read(attempt, toy.story[0], toy.say(STOP)[:-8])
    whole = toy.attempt(flush_at_eof=True)
    toy.read(whole, toy.story[0], toy.say(STOP)[:-2])
    assert whole.outcome is Outcome.FINISHED


@pytest.mark.parametrize("length", [1, 10, 30])
def test_cut_whole_body_is_truncated(toy, length):
    """A whole body that breaks off is `Truncated`; one that is wrong from the start is `Malformed`."""
    body = toy.body(TextDelta("Once upon a time"), STOP)
    attempt = toy.attempt(framing="whole", headers={"content-type": "application/json"})
    with pytest.raises(Truncated):
        toy.read(attempt, body[:length])
    assert attempt.outcome is Outcome.TRUNCATED


@pytest.mark.parametrize("body", [b"no JSON", b"[1, 2", b'{"a": 1}', b"\xff\xfe\x00", b"[" * 100_000])
def test_malformed_chunk(toy, body):
    """Malformed data ends the stream, with the content before it in the error and the start of the data quoted."""
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
def test_error_within_a_stream(toy, before):
    """A failure among the events is the provider's error, with its code and the content received so far."""
    attempt = toy.attempt(headers={"content-type": "text/event-stream", "retry-after": "7"})
    failure = Failure("Too fast.", code="rate_limit_exceeded", status=429)
    with pytest.raises(errors.RateLimited) as caught:
        toy.read(attempt, *(toy.say(event) for event in before), toy.say(failure))
    error = caught.value
    assert (error.code, error.status, error.phase, error.retry_after) == ("rate_limit_exceeded", 429, "stream", 7.0)
    assert error.partial.content == "".join(event.text for event in before)
    assert error.partial.outcome is Outcome.FAILED
    assert attempt.committed is bool(before)


def test_error_in_the_same_chunk_as_text(toy):
    """Text before a failure in one chunk is emitted, then the error is raised."""
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
def test_error_status(toy, status, body, kind, message):
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


def test_large_error_body(toy):
    """Only 64 KB of an endless error body are read, then the error is raised."""
    attempt = toy.attempt(status=500, headers={})
    fed = 0
    with pytest.raises(errors.ServerError):
        for _ in range(1000):
            list(attempt.feed(b"x" * 1024, 0.0))
            fed += 1024
    assert fed < 64 * 1024


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_an_error(toy, status):
    """A redirect is an error that names its target and the remedy; it is not followed."""
    attempt = toy.attempt(status=status, headers={"location": "https://elsewhere.example/v1"})
    with pytest.raises(ProviderError, match=r"https://elsewhere\.example/v1.*base_url") as caught:
        toy.read(attempt)
    assert (caught.value.status, caught.value.retryable) == (status, False)


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b""), (200, b" \n")])
@pytest.mark.parametrize("content_type", [None, "text/html", "text/event-stream"])
def test_no_content_is_truncated(toy, status, body, content_type):
    """A 204 and an empty 200 are responses that ended before any content."""
    attempt = toy.attempt(status=status, headers={"content-type": content_type} if content_type else {})
    with pytest.raises(Truncated, match="before any content"):
        toy.read(attempt, body)
    assert attempt.outcome is Outcome.TRUNCATED


@pytest.mark.parametrize("framing", ["sse", "whole"])
def test_html_page_instead_of_a_response(toy, framing):
    """A 200 of another content type is rejected, and the error quotes its beginning."""
    attempt = toy.attempt(framing=framing, headers={"content-type": "text/html; charset=utf-8"})
    with pytest.raises(UnexpectedContentType, match="Log in") as caught:
        toy.read(attempt, b"<html>\x1b[31mLog in", b" here</html>")
    assert (caught.value.status, caught.value.retryable) == (200, False)
    assert "\x1b" not in str(caught.value)


def test_error_object_instead_of_a_stream(toy):
    """A 200 that is a JSON error in place of a stream is the provider's error."""
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
        ("sse", "application/json", True),
        ("sse", "text/plain", True),
        ("whole", "application/json", True),
        ("whole", "application/vnd.example+json; v=1", True),
        ("whole", None, True),
        ("whole", "text/event-stream", False),
    ],
)
def test_content_types(toy, framing, content_type, fits):
    """A body is read if its content type fits the framing, or if its first bytes show what it is."""
    attempt = toy.attempt(framing=framing, headers={"content-type": content_type} if content_type else {})
    said = (TextDelta("a"), STOP)
    body = toy.body(*said) if framing == "whole" else toy.say(*said)
    if fits:
        toy.read(attempt, body)
    else:
        with pytest.raises(UnexpectedContentType):
            toy.read(attempt, body)


@pytest.mark.parametrize(
    "name",
    [
        *("x-request-id", "request-id", "x-amzn-requestid", "x-goog-request-id", "apim-request-id", "x-ms-request-id"),
        *("x-litellm-call-id", "x-portkey-trace-id", "cf-aig-log-id", "x-correlation-id", "x-trace-id", "cf-ray"),
        "x-garden-request-id",
    ],
)
def test_request_id(toy, name):
    """The provider's id of the request is found under each of its usual names."""
    assert toy.attempt(headers={"content-type": "text/event-stream", name: "r-1"}).request_id == "r-1"


ORDERED = ["x-request-id", "request-id", "x-garden-request-id", "x-garden-call-id", "x-correlation-id", "cf-ray"]


@pytest.mark.parametrize("number", range(len(ORDERED)), ids=ORDERED)
def test_first_request_id(toy, number):
    """The provider's own id comes before those of gateways and proxies, in any order of the headers."""
    headers = {name: name for name in reversed(ORDERED[number:])}
    assert toy.attempt(headers={"content-type": "text/event-stream", **headers}).request_id == ORDERED[number]


def test_request_id_in_a_header_that_the_request_names(toy):
    """A name without stars counts if it is that of an id, and if no usual header has one."""
    named = ("x-garden-*", "x-rose", "rose-id")
    headers = {"content-type": "text/event-stream", "x-garden-model-id": "m", "x-rose": "r", "rose-id": "r-1"}
    assert toy.attempt(headers=headers, response_headers=named).request_id == "r-1"
    assert toy.attempt(headers=headers).request_id is None
    assert toy.attempt(headers={**headers, "cf-ray": "c-1"}, response_headers=named).request_id == "c-1"


# The driver fails


class Raising:
    """A driver whose hooks raise, or return, the given objects."""

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
def test_driver_that_raises_in_decode_chunk(toy, error):
    """Any exception of a driver becomes a `PluginError` that names it, with the content so far and the cause."""
    attempt = toy.attempt(module=Raising(error))
    list(attempt.feed(b"data: good\n\n", 0.0))
    with pytest.raises(PluginError, match=rf"'toy'.*{type(error).__name__} in decode_chunk") as caught:
        list(attempt.feed(b"data: bad\n\n", 0.0))
    assert caught.value.__cause__ is error
    assert caught.value.partial.content == "good"
    assert attempt.outcome is Outcome.FAILED


def test_driver_that_raises_a_polyglot_error(toy):
    """An error of our own that a driver raises in decoding is kept, and gets the content so far."""
    attempt = toy.attempt(module=Raising(Malformed("A checksum is wrong.")))
    list(attempt.feed(b"data: good\n\n", 0.0))
    with pytest.raises(Malformed, match="A checksum is wrong") as caught:
        list(attempt.feed(b"data: bad\n\n", 0.0))
    assert caught.value.partial.content == "good"


@pytest.mark.parametrize(
    ("returned", "kind"),
    [
        (None, "NoneType"),
        (5, "int"),
        ((event for event in ()), "generator"),
        (TextDelta("a"), "TextDelta"),
        ({"text": "a"}, "dict"),
        ({TextDelta}, "set"),
    ],
    ids=["None", "number", "generator", "event", "dict", "set"],
)
def test_driver_that_returns_no_sequence(toy, returned, kind):
    """A driver that returns something other than a sequence of events is reported, and nothing else is raised."""
    attempt = toy.attempt(module=Raising(returned))
    said = f"returned {kind} from decode_chunk instead of a list or another sequence of events"
    with pytest.raises(PluginError, match=said):
        list(attempt.feed(b"data: bad\n\n", 0.0))


@pytest.mark.parametrize(("returned", "kind"), [(None, "NoneType"), (5, "int"), (TextDelta("a"), "TextDelta")])
def test_driver_that_returns_no_sequence_to_a_filter(toy, returned, kind):
    """A filter between decoder and assembler changes nothing about the error."""
    attempt = toy.attempt(module=Raising(returned), think_tags=("<a>", "</a>"))
    with pytest.raises(PluginError, match=f"returned {kind} from decode_chunk instead of a list"):
        list(attempt.feed(b"data: bad\n\n", 0.0))


@pytest.mark.parametrize("said", [["text"], [None], [msgspec.UNSET]])
def test_driver_that_returns_unknown_objects(toy, said):
    """An object that is not an event is reported."""
    attempt = toy.attempt(module=Raising(said))
    with pytest.raises(PluginError, match="decode_chunk"):
        list(attempt.feed(b"data: bad\n\n", 0.0))


def test_driver_that_cannot_read_usage(toy):
    """Usage that the driver cannot read fails the stream at its end, with the response in the error's partial."""
    attempt = toy.attempt(module=Raising([Finish("stop", "stop"), End()]))
    list(attempt.feed(b"data: good\n\n", 0.0))
    with pytest.raises(PluginError, match="KeyError in extract_usage") as caught:
        list(attempt.feed(b"data: end\n\n", 0.0))
    assert attempt.outcome is Outcome.FAILED
    assert (caught.value.partial.content, caught.value.partial.usage) == ("good", None)
    assert caught.value.partial.outcome is Outcome.FAILED


# Interruptions


@pytest.mark.parametrize(
    ("signal", "error", "outcome"),
    [
        (Signal.BROKEN, TransportError("reset"), Outcome.FAILED),
        (Signal.CLOCK, TimedOut("late", "idle"), Outcome.TIMED_OUT),
    ],
)
def test_interruption_before_the_finish(toy, signal, error, outcome):
    """An interruption raises the transport's own error, with the content so far."""
    attempt = toy.attempt()
    list(attempt.feed(toy.story[0], 0.0))
    with pytest.raises(type(error)) as caught:
        list(attempt.interrupt(signal, error, 1.0))
    assert caught.value is error
    assert error.partial.content == "Once "
    assert (attempt.outcome, error.partial.outcome) == (outcome, outcome)


@pytest.mark.parametrize("signal", [Signal.BROKEN, Signal.CLOCK])
def test_interruption_after_the_finish(toy, signal):
    """Once every choice has a finish, a broken connection or the grace clock only ends the attempt."""
    attempt = toy.attempt()
    list(attempt.feed(b"".join(toy.story), 0.0))
    (closing,) = attempt.interrupt(signal, TransportError("reset"), 1.0)
    assert closing.finish_reason is FinishReason.STOP
    assert attempt.outcome is Outcome.FINISHED


def test_interruption_of_an_error_body(toy):
    """An error status takes precedence over the interruption of its body."""
    attempt = toy.attempt(status=401, headers={})
    list(attempt.feed(b"Who are", 0.0))
    with pytest.raises(errors.AuthenticationError, match="Who are"):
        list(attempt.interrupt(Signal.BROKEN, TransportError("reset"), 0.0))


def test_interruption_after_the_end(toy):
    """After the outcome no error is raised."""
    attempt = toy.attempt()
    toy.read(attempt, *toy.story, toy.done)
    assert not list(attempt.interrupt(Signal.BROKEN, TransportError("reset"), 0.0))
    attempt.cancel(0.0)
    assert attempt.outcome is Outcome.FINISHED


@pytest.mark.parametrize("blocks", [0, 1, 3, 4])
def test_cancelled_stream(toy, blocks):
    """A cancelled stream has the content so far, and never looks finished."""
    attempt = toy.attempt()
    for block in toy.story[:blocks]:
        list(attempt.feed(block, 0.0))
    attempt.cancel(1.0)
    assert attempt.response.outcome is Outcome.CANCELLED
    assert not list(attempt.feed(toy.say(TextDelta("late")), 0.0))
    assert not list(attempt.finish(0.0))
    assert "late" not in attempt.response.content


def test_timing(toy):
    """The response has the time of the first event with meaning and its duration, both from the call on."""
    clocks = Clocks(Timeouts(), 100.0)
    attempt = toy.attempt(clocks=clocks)
    list(attempt.feed(toy.say(ResponseStarted("1")), 101.0))
    list(attempt.feed(toy.say(TextDelta("a")), 102.0))
    list(attempt.feed(toy.say(TextDelta("b")), 103.0))
    list(attempt.feed(toy.done, 104.0))
    timing = attempt.response.timing
    assert (timing.first_event, timing.duration) == (2.0, 4.0)


def test_empty_text_does_not_restart_idle(toy):
    """Empty deltas, which some servers send to keep a connection alive, do not restart the idle clock."""
    clocks = Clocks(Timeouts(idle=10.0, silence=None), 0.0)
    attempt = toy.attempt(clocks=clocks)
    list(attempt.feed(toy.say(TextDelta("a")), 1.0))
    list(attempt.feed(toy.say(TextDelta("")), 8.0))
    assert clocks.meaning == 1.0


# Recorded events


def test_events_are_held_until_committed(toy):
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


def test_held_events_are_shown_at_an_early_end(toy):
    """A response that ends before any content shows the events held so far."""
    attempt = toy.attempt()
    seen = toy.watch_events(attempt)
    toy.read(attempt, toy.say(ResponseStarted("1")), toy.say(STOP), toy.done)
    assert list(seen) == [ResponseStarted("1"), STOP, End()]


def test_events_are_shown_from_the_call_on(toy):
    """An observer that begins late sees the events from then on."""
    attempt = toy.attempt()
    list(attempt.feed(toy.story[0], 0.0))
    seen = toy.watch_events(attempt)
    list(attempt.feed(toy.story[1], 0.0))
    assert list(seen) == [TextDelta("upon ")]


def test_framer_of_a_driver(toy):
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
    """A framer that returns each read as a chunk, until it does something that a framer must not."""

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
    """Raise an error that framers should not raise."""
    raise ValueError("ouch")


def reject():
    """Raise an error that framers may raise."""
    raise Malformed("It cannot be read.")


def broken_attempt(toy, does):
    """Return an attempt whose framer does this."""
    framing = type("Own", (Breaking,), {"does": does})
    attempt = Attempt(
        WireRequest(url="http://localhost", body=b"", framing=framing), toy.bound(), Clocks(Timeouts(), 0.0)
    )
    attempt.begin(200, {})
    return attempt


@pytest.mark.parametrize("method", ["feed", "finish"])
@pytest.mark.parametrize(
    ("does", "message"),
    [
        (fail, r"raised ValueError in {} of its framer: ouch"),
        (lambda: None, r"raised TypeError in {} of its framer"),
        (lambda: [b"x"], r"returned bytes from {} of its framer, which is not a Chunk"),
    ],
)
def test_broken_framer_of_a_driver(toy, method, does, message):
    """Whatever a driver's framer raises or returns is reported as the driver's fault, with the content so far."""
    attempt = broken_attempt(toy, (method, does))
    with pytest.raises(PluginError, match=message.format(method)) as caught:
        toy.read(attempt, toy.body(TextDelta("a")), *([b"x"] if method == "feed" else []))
    assert (caught.value.partial.content, caught.value.partial.outcome) == ("a", Outcome.FAILED)
    assert caught.value.provider == "toy"


def test_framer_that_raises_a_polyglot_error(toy):
    """An error of our own that a driver's framer raises is kept."""
    attempt = broken_attempt(toy, ("feed", reject))
    with pytest.raises(Malformed, match="It cannot be read"):
        toy.read(attempt, b"x")


def test_framer_that_cannot_be_created(toy):
    """A framer class that raises is reported as the driver's fault."""
    with pytest.raises(PluginError, match="raised ValueError in its framer: no framer"):
        broken_attempt(toy, "no framer")


def test_decode_error_of_a_successful_status(toy):
    """The driver's `decode_error` reads a status 200, too, before the content type is rejected."""

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
        (TextDelta("x", []), "a TextDelta from decode_chunk whose choice is list and not int"),
        (TextDelta("x", "0"), "whose choice is str and not int"),
        (TextDelta("x", block="y"), "whose block is str and not int"),
        (TextDelta("x", extra=3), "whose extra is int and not dict or None"),
        (ToolCallDelta(arguments={"a": 1}), "a ToolCallDelta from decode_chunk whose arguments is dict and not str"),
        (ToolCallDelta(id=7), "whose id is int and not str or None"),
        (UsageReport(5), "whose payload is int and not Mapping"),
    ],
)
@pytest.mark.parametrize("committed", [False, True])
def test_event_with_a_wrong_type(toy, event, wrong, committed):
    """A value of a wrong type is reported where the event enters, and not where it is used."""

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


@pytest.mark.parametrize("first", [[], [ReasoningDelta("hm")]], ids=["text", "reasoning"])
def test_repeated_whitespace_after_a_prefill_is_dropped(toy, first):
    """White space that ends the text before a resume point is not repeated after it, wherever the text begins."""
    before = toy.attempt()
    list(before.feed(toy.say(TextDelta("Once\n\n")), 0.0))
    wire = WireRequest(url="http://localhost", body=b"")
    seam = Seam(how="prefill", error="TransportError", message="", wait=0.0, connection="here", keeps=True)
    attempt = Attempt(wire, toy.bound(), Clocks(Timeouts(), 0.0), seam=seam, before=before)
    attempt.begin(200, {})
    toy.read(attempt, *(toy.say(event) for event in [*first, TextDelta("\n"), TextDelta("\n upon"), STOP]))
    assert attempt.response.content == "Once\n\n upon"
