"""Embeddings, sync and async over sockets: batches, order, errors, retries, clocks, observers, keys."""

from __future__ import annotations

import json
import pickle
import traceback

import msgspec
import pytest
from msgspec.structs import replace

from polyglot_core import (
    AuthenticationError,
    CallEnded,
    CallStarted,
    ConfigError,
    Embeddings,
    Inference,
    Outcome,
    PluginError,
    PolyglotError,
    RateLimited,
    RequestError,
    Retries,
    TimedOut,
    Timeouts,
    Truncated,
    Usage,
    register,
)
from polyglot_core.errors import Malformed, NotFound, ServerError, UnexpectedContentType
from polyglot_core.plugin import (
    Chunk,
    EmbeddingRequest,
    Finish,
    Message,
    Secret,
    TextDelta,
    hookimpl,
    json_request,
    merged,
    translate_options,
)

pytestmark = pytest.mark.http

KEY = "test-key-0123456789"
SOON = Retries(max_retries=2, initial_backoff=0.01)


class Body(msgspec.Struct):
    """What the toy dialect returns."""

    vectors: list[list[float]]
    tokens: int | None = None
    model: str | None = None


def embedding(toy, **hooks):
    """Return the toy dialect with embeddings: up to three texts, or thirty bytes, in a request."""

    class Embedding(toy.Driver):
        @hookimpl
        def embedding_limits(self):
            return 3, 30

        @hookimpl
        def encode_embeddings(self, connection, request):
            options = translate_options(request, {"dimensions": "size"}, driver="embedding")
            body = {"model": request.model, "texts": request.texts, **options}
            return json_request(f"{connection.base_url}/embed", merged(body, request.extra), stream=False)

        @hookimpl
        def decode_embeddings(self, data):
            body = msgspec.json.decode(data, type=Body)
            usage = None if body.tokens is None else Usage(input_tokens=body.tokens, raw={"tokens": body.tokens})
            return Embeddings(vectors=body.vectors, usage=usage, model=body.model, raw=({"tokens": body.tokens},))

    for name, hook in hooks.items():
        setattr(Embedding, name, hook)
    return Embedding()


@pytest.fixture(autouse=True)
def _embedding(toy):
    """Register the toy dialect with embeddings as the driver ``embedding``."""
    with register(embedding(toy), "embedding"):
        yield


def vectors(*firsts, **fields):
    """Return a response with vectors that begin with these numbers."""
    return json.dumps({"vectors": [[first, 0.5] for first in firsts], **fields}).encode()


def connection_to(server, **fields):
    return server.connection(**{"driver": "embedding", "api_key": KEY, **fields})


def embedded(flavour, connection, texts, observers=(), **arguments):
    async def main():
        inference = flavour.Inference.from_connection(connection, observers=observers)
        return await flavour.wait(inference.embed(texts, **arguments))

    return flavour.run(main)


def error_of(flavour, connection, texts=("a",), kind=PolyglotError, **arguments):
    with pytest.raises(kind) as caught:
        embedded(flavour, connection, list(texts), **arguments)
    assert caught.value.partial is None
    return caught.value


# Batches


@pytest.mark.parametrize(
    ("texts", "batch_size", "expected"),
    [
        (["a"], None, [["a"]]),
        (list("abcdefg"), None, [["a", "b", "c"], ["d", "e", "f"], ["g"]]),
        (list("abcd"), 2, [["a", "b"], ["c", "d"]]),
        (list("abcd"), 100, [["a", "b", "c", "d"]]),
        (["a" * 20, "b" * 20, "c"], None, [["a" * 20], ["b" * 20, "c"]]),
        (["a" * 20, "b" * 20, "c" * 20], None, [["a" * 20], ["b" * 20], ["c" * 20]]),
        (["a" * 50, "b"], None, [["a" * 50], ["b"]]),
        (["ä" * 15, "b"], None, [["ä" * 15], ["b"]]),
    ],
    ids=["one", "seven", "two each", "all", "by size", "by size again", "one is too large", "by bytes"],
)
def test_texts_are_sent_in_batches(flavour, loopback, http, texts, batch_size, expected):
    """The limits of the driver count, unless the call has a size; requests follow one another over one connection."""
    server = loopback(*(http.plain(vectors(*range(len(batch)))) for batch in expected))
    found = embedded(flavour, connection_to(server, headers={"x-team": "docs"}), texts, batch_size=batch_size)
    assert [asked.json["texts"] for asked in server.asked] == expected
    assert [vector[0] for vector in found.vectors] == [
        float(place) for batch in expected for place in range(len(batch))
    ]
    assert server.connections == 1
    for asked in server.asked:
        assert (asked.method, asked.path, asked.json["model"]) == ("POST", "/embed", "m")
        assert (asked.headers["authorization"], asked.headers["x-team"]) == (f"Bearer {KEY}", "docs")


def test_string_is_one_text(flavour, loopback, http):
    """A string is no list of letters."""
    server = loopback(http.plain(vectors(1)))
    assert len(embedded(flavour, connection_to(server), "abc").vectors) == 1
    assert server.asked[0].json["texts"] == ["abc"]


def test_driver_without_limits_gets_one_text(flavour, loopback, http, toy):
    """Every endpoint takes one."""
    driver = embedding(toy)
    del type(driver).embedding_limits
    with register(driver, "one"):
        server = loopback(http.plain(vectors(1)))
        embedded(flavour, connection_to(server, driver="one"), ["a", "b"])
    assert [asked.json["texts"] for asked in server.asked] == [["a"], ["b"]]


def test_results_are_joined(flavour, loopback, http):
    """Usage is summed, objects are kept, and the model is that of the responses."""
    server = loopback(*(http.plain(vectors(1, 2, 3, tokens=5, model="m-1")), http.plain(vectors(4, tokens=2))))
    found = embedded(flavour, connection_to(server), list("abcd"))
    assert found == Embeddings(
        vectors=[[1.0, 0.5], [2.0, 0.5], [3.0, 0.5], [4.0, 0.5]],
        usage=Usage(input_tokens=7),
        model="m-1",
        raw=({"tokens": 5}, {"tokens": 2}),
    )
    assert all(type(number) is float for vector in found.vectors for number in vector)


def test_usage_of_one_response_keeps_the_object(flavour, loopback, http):
    """There is nothing to sum."""
    found = embedded(flavour, connection_to(loopback(http.plain(vectors(1, tokens=5)))), "a")
    assert found.usage == Usage(input_tokens=5, raw={"tokens": 5})


def test_response_without_usage(flavour, loopback, http):
    """What is not stated is None, not 0."""
    assert embedded(flavour, connection_to(loopback(http.plain(vectors(1)))), "a").usage is None


def test_arguments_of_the_call_are_sent(flavour, loopback, http):
    """Model, options, extra and headers; options of the connection are for messages."""
    server = loopback(http.plain(vectors(1)))
    connection = connection_to(server, options={"temperature": 1}, headers={"x-team": "docs"})
    headers = {"X-Team": "mine", "x-more": "yes"}
    embedded(flavour, connection, "a", model="n", options={"dimensions": 2}, extra={"user": "u"}, headers=headers)
    (asked,) = server.asked
    assert asked.json == {"model": "n", "texts": ["a"], "size": 2, "user": "u"}
    assert (asked.headers["x-team"], asked.headers["x-more"]) == ("mine", "yes")


def test_option_that_is_not_set_is_not_sent(flavour, loopback, http):
    """None stands for an option that is not set."""
    server = loopback(http.plain(vectors(1)))
    embedded(flavour, connection_to(server), "a", options={"dimensions": None})
    assert server.asked[0].json == {"model": "m", "texts": ["a"]}


def test_unsupported_option_is_handled_as_in_a_call(flavour, loopback, http):
    """An error, or left out."""
    server = loopback(http.plain(vectors(1)))
    error = error_of(flavour, connection_to(server), kind=RequestError, options={"input_type": "query"})
    assert "The driver 'embedding' cannot express option 'input_type'" in str(error)
    embedded(flavour, connection_to(server), "a", options={"input_type": "query"}, unsupported="drop")
    assert [asked.json for asked in server.asked] == [{"model": "m", "texts": ["a"]}]


# Arguments that are wrong


class Shout(str):
    """A text of another class."""

    __slots__ = ()


WRONG = {
    "none": ([], {}, r"texts must be a list of 1 to 100000 texts, not \[\]"),
    "too many": (["a"] * 100_001, {}, "texts must be a list of 1 to 100000 texts"),
    "bytes": (b"abc", {}, r"texts\[0\] must be text"),
    "no list": (5, {}, "texts must be a list of 1 to 100000 texts, not 5"),
    "empty": (["a", ""], {}, r"texts\[1\] must be text that is not blank"),
    "blank": (["a", " \n"], {}, r"texts\[1\] must be text that is not blank"),
    "a number": (["a", "b", 5], {}, r"texts\[2\] must be text that is not blank and can be sent as UTF-8, not 5"),
    "a surrogate": (["\ud800"], {}, r"texts\[0\] must be text that is not blank and can be sent"),
    "unknown option": (["a"], {"options": {"dimension": 5}}, "no option 'dimension'; did you mean 'dimensions'"),
    "option of a call": (["a"], {"options": {"temperature": 1}}, "There is no option 'temperature'"),
    "wrong option": (["a"], {"options": {"dimensions": 0}}, r"options\['dimensions'\] is 0, and should be a whole"),
    "wrong word": (["a"], {"options": {"input_type": "Query"}}, "Did you mean 'query'"),
    "batch size": (["a"], {"batch_size": 0}, "batch_size must be a whole number from 1, not 0"),
    "batch size of another type": (["a"], {"batch_size": True}, "batch_size must be a whole number from 1, not True"),
    "unsupported": (["a"], {"unsupported": "ignore"}, "unsupported must be 'raise', 'warn' or 'drop'"),
    "unknown argument": (["a"], {"dimensions": 5}, r"embed has no argument 'dimensions'; pass it as options="),
    "argument of create": (["a"], {"tools": []}, "embed has no argument 'tools'"),
    "model": (["a"], {"model": ""}, "model is empty"),
    "extra": (["a"], {"extra": [1]}, "extra must be a dict"),
}


@pytest.mark.parametrize(("texts", "arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_argument_is_named(flavour, loopback, http, texts, arguments, message):
    """The error has the place, and nothing is sent."""
    server = loopback(http.plain(vectors(1)))
    with pytest.raises(RequestError, match=message):
        embedded(flavour, connection_to(server), texts, **arguments)
    assert server.asked == []


def test_text_of_another_class_is_sent_as_text(flavour, loopback, http):
    """A template may return one."""
    server = loopback(http.plain(vectors(1)))
    embedded(flavour, connection_to(server), [Shout("a")])
    assert server.asked[0].json["texts"] == ["a"]


def test_model_is_needed(flavour, loopback, http):
    """Neither the call nor the connection has one."""
    server = loopback(http.plain(vectors(1)))
    with pytest.raises(ConfigError, match="has no model"):
        embedded(flavour, connection_to(server, model=None), "a")


def test_driver_without_embeddings_names_those_that_have(flavour, loopback, http):
    """Nothing is sent."""
    server = loopback(http.plain(vectors(1)))
    error = error_of(flavour, connection_to(server, driver="toy"), kind=RequestError)
    assert "driver 'toy' has no embeddings. Drivers that have:" in str(error)
    assert "embedding" in str(error).partition("Drivers that have:")[2]
    assert (error.connection, error.provider, error.embeddings, server.asked) == ("here", "toy", None, [])


# Errors


STATUSES = {401: AuthenticationError, 404: NotFound, 429: RateLimited, 500: ServerError}


@pytest.mark.parametrize("at", ["first batch", "second batch"])
@pytest.mark.parametrize(("status", "kind"), STATUSES.items(), ids=map(str, STATUSES))
def test_error_status_keeps_what_was_received(flavour, loopback, http, status, kind, at):
    """The error has the facts of a call, no key, and the vectors of the batches before."""
    refused = http.plain(b'{"error": {"message": "No, %s.", "code": "nope"}}' % KEY.encode(), status)
    second = at == "second batch"
    server = loopback(*([http.plain(vectors(1, 2, 3, tokens=4))] if second else []), refused)
    error = error_of(flavour, connection_to(server), "abcd", kind)
    assert (error.status, error.code, error.connection, error.model) == (status, "nope", "here", "m")
    assert KEY not in f"{error!s} {error.body}"
    assert [vector[0] for vector in error.embeddings.vectors] == ([1.0, 2.0, 3.0] if second else [])
    assert error.embeddings.usage == (Usage(input_tokens=4, raw={"tokens": 4}) if second else None)
    assert pickle.loads(pickle.dumps(error)).embeddings == error.embeddings  # noqa: S301 (our own)


@pytest.mark.parametrize("fault", ["429", "503", "reset", "cut", "empty"])
def test_failed_batch_is_retried(flavour, loopback, http, fault):
    """A batch that fails with a retryable error is sent again, and is in the result once."""
    faults = {
        "429": http.plain(b"{}", 429),
        "503": http.plain(b"{}", 503),
        "reset": ("reset",),
        "cut": (http.head(content_type="application/json", content_length=100), b'{"vectors": [[1.0', "close"),
        "empty": http.plain(b""),
    }
    server = loopback(http.plain(vectors(1, 2, 3)), faults[fault], http.plain(vectors(4)))
    found = embedded(flavour, connection_to(server, retries=SOON), list("abcd"))
    assert [vector[0] for vector in found.vectors] == [1.0, 2.0, 3.0, 4.0]
    assert [asked.json["texts"] for asked in server.asked] == [["a", "b", "c"], ["d"], ["d"]]


def test_retries_of_the_call(flavour, loopback, http):
    """The argument counts, as in `create`."""
    server = loopback(http.plain(b"{}", 503))
    error_of(flavour, connection_to(server, retries=SOON), kind=PolyglotError, retries=0)
    assert len(server.asked) == 1


BODIES = {
    "too few": (vectors(1), Malformed, "1 vectors for the 2 texts from texts[3] on"),
    "too many": (vectors(1, 2, 3), Malformed, "3 vectors for the 2 texts"),
    "none": (vectors(), Malformed, "0 vectors for the 2 texts"),
    "another length": (b'{"vectors": [[1, 2], [1]]}', Malformed, "The vector of texts[4] has 1 numbers, and not 2"),
    "another length than before": (b'{"vectors": [[1], [1]]}', Malformed, "The vector of texts[3] has 1 numbers"),
    "empty vectors": (b'{"vectors": [[], []]}', Malformed, "The vector of texts[3] has 0 numbers"),
    "NaN": (b'{"vectors": [[1, 2], [1, NaN]]}', Malformed, "cannot be read"),
    "null": (b'{"vectors": [[1, 2], [1, null]]}', Malformed, "cannot be read"),
    "an infinity": (b'{"vectors": [[1, 2], [1, 1e999]]}', Malformed, "cannot be read"),
    "text in a vector": (b'{"vectors": [[1, 2], [1, "2"]]}', Malformed, "cannot be read"),
    "null for a vector": (b'{"vectors": [[1, 2], null]}', Malformed, "cannot be read"),
    "another object": (b'{"ok": true}', Malformed, ""),
    "a list": (b"[]", Malformed, ""),
    "text": (b"welcome", Malformed, ""),
    "cut": (b'{"vectors": [[1, 2], [1', Truncated, ""),
    "an error": (b'{"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}', RateLimited, "Slow down."),
}


@pytest.mark.parametrize(("body", "kind", "message"), BODIES.values(), ids=BODIES)
def test_body_with_other_vectors_is_an_error(flavour, loopback, http, body, kind, message):
    """Never a short list, and never a vector that a repair has shortened. Vectors received before are kept."""
    server = loopback(http.plain(vectors(1, 2, 3)), http.plain(body))
    error = error_of(flavour, connection_to(server), "abcde", kind)
    assert message in str(error)
    assert not isinstance(error, PluginError)
    assert len(error.embeddings.vectors) == 3
    assert error.attempts == 1


def test_vector_with_an_infinity_of_the_driver(flavour, loopback, http, toy):
    """A driver may compute one."""

    @hookimpl
    def decode_embeddings(self, request):
        return Embeddings(vectors=[[1.0, float("inf")] for _ in request.texts])

    with register(embedding(toy, decode_embeddings=decode_embeddings), "odd"):
        error = error_of(flavour, connection_to(loopback(http.plain(b"{}")), driver="odd"), kind=Malformed)
    assert "The vector of texts[0] has 2 numbers, and not 2 that are finite" in str(error)


def test_dimensions_that_were_not_requested_are_an_error(flavour, loopback, http):
    """A server that ignores the option is found out."""
    server = loopback(http.plain(vectors(1)))
    error = error_of(flavour, connection_to(server), kind=Malformed, options={"dimensions": 3})
    assert "The vector of texts[0] has 2 numbers, and not 3" in str(error)


def test_page_of_a_proxy_is_no_response(flavour, loopback, http):
    """It is named as one."""
    error_of(flavour, connection_to(loopback(http.plain(b"<p>Log in", 200, "text/html"))), kind=UnexpectedContentType)


def test_fallbacks_are_not_used(flavour, loopback, http):
    """Vectors of another model are in another space."""
    other = loopback(http.plain(vectors(1)))
    server = loopback(http.plain(b"{}", 500))
    error_of(flavour, connection_to(server, fallbacks=[connection_to(other)]), kind=ServerError)
    assert (len(server.asked), other.asked) == (1, [])


# Clocks


@pytest.mark.parametrize("clock", ["first", "total"])
def test_clock_ends_the_wait(flavour, loopback, clock):
    """The clocks of the call run, over those of the connection."""
    server = loopback(("hang",))
    error = error_of(flavour, connection_to(server), kind=TimedOut, timeouts=Timeouts(**{clock: 0.2}))
    assert clock in str(error)
    assert server.gone.wait(5)


def test_one_clock_runs_over_all_batches(flavour, loopback, http):
    """Ten batches of 0.15 s each exceed a total of 0.5 s together; those before the end are kept."""
    server = loopback((0.15, *http.plain(vectors(1))))
    error = error_of(flavour, connection_to(server), "a" * 10, TimedOut, batch_size=1, timeouts={"total": 0.5})
    assert error.clock == "total"
    assert len(error.embeddings.vectors) == len(server.asked) - 1 < 9


def test_body_that_is_decoded_twice_counts_once(toy):
    """Core may decode a body more than once, to find out what it is."""
    request = EmbeddingRequest(model="m", messages=(Message(role="user", content="a"),))
    decode = toy.bound(embedding(toy)).for_batch(request).decoder({})
    for number in (1, 2):
        decode(Chunk(vectors(number), b"", "whole"))
    assert [each.vectors for each in request.received] == [[[2.0, 0.5]]]


# Observers and keys


def test_observers_see_a_call_for_each_batch(flavour, loopback, http):
    """Each call has its usage and its model; its content is for those that want it."""
    events, contents = [], []

    class Watching:
        wants_content = True

        def __call__(self, event):
            contents.append(event)

    server = loopback(http.plain(vectors(1, 2, 3, tokens=4, model="m-1")), http.plain(vectors(4, tokens=1)))
    options = {"dimensions": 2}
    embedded(flavour, connection_to(server), list("abcd"), observers=[events.append, Watching()], options=options)
    started = [event for event in events if isinstance(event, CallStarted)]
    ended = [event for event in events if isinstance(event, CallEnded)]
    assert [(event.operation, event.model, event.stream, event.options) for event in started] == [
        ("embeddings", "m", False, options)
    ] * 2
    assert [(event.outcome, event.usage.input_tokens, event.response_model, event.attempts) for event in ended] == [
        (Outcome.FINISHED, 4, "m-1", 1),
        (Outcome.FINISHED, 1, None, 1),
    ]
    assert all(event.request is None for event in started)
    requests = [event.request for event in contents if isinstance(event, CallStarted)]
    assert [[message.text for message in request.messages] for request in requests] == [["a", "b", "c"], ["d"]]


def test_call_with_messages_is_a_chat(flavour, loopback, http, toy):
    """Observers distinguish it from embeddings by its operation."""
    events = []

    async def main():
        inference = flavour.Inference.from_connection(connection_to(server), observers=[events.append])
        return await flavour.wait(inference.text("Hi"))

    body = toy.body(TextDelta("Hi"), Finish("stop", "stop"))
    server = loopback(http.plain(body))
    flavour.run(main)
    assert events[0].operation == "chat"


def test_failed_batch_is_reported(flavour, loopback, http):
    """Observers see the error of the batch that failed."""
    events = []
    with pytest.raises(ServerError):
        embedded(flavour, connection_to(loopback(http.plain(b"{}", 500))), "a", observers=[events.append])
    assert (events[-1].error, events[-1].outcome) == ("ServerError", Outcome.FAILED)


@pytest.mark.parametrize("wrong", ["argument", "status", "option"])
def test_keys_of_headers_are_in_no_frame(flavour, loopback, http, wrong):
    """A header that carries a key is guarded before anything can fail."""
    arguments = {"argument": {"tool": 1}, "status": {}, "option": {"options": {"size": 1}}}[wrong]
    headers = {"x-api-key": f"{KEY}-of-the-call"}
    with pytest.raises(PolyglotError) as caught:
        embedded(flavour, connection_to(loopback(http.plain(b"{}", 401))), "a", headers=headers, **arguments)
    walked = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    own = [frame.f_locals for frame in walked if "polyglot_core" in frame.f_code.co_filename]
    assert f"{KEY}-of-the-call" not in repr(own) + str(caught.value)


def test_credentials_of_the_driver_are_added_to_each_batch(flavour, loopback, http, toy):
    """The hook `authorize` signs these requests too."""

    @hookimpl
    def authorize(self, wire):
        return replace(wire, headers={**wire.headers, "x-signature": Secret(f"{len(wire.body)} signed")})

    server = loopback(http.plain(vectors(1)))
    with register(embedding(toy, authorize=authorize), "signing"):
        embedded(flavour, connection_to(server, driver="signing"), ["a", "b"], batch_size=1)
    assert [asked.headers["x-signature"] for asked in server.asked] == [
        f"{len(asked.body)} signed" for asked in server.asked
    ]


# Broken hooks


def _raises(self, request):
    raise ValueError("odd")


def _raises_late(self, data):
    raise KeyError("odd")


def _text(self, request):
    return "POST /embed"


def _list(self, data):
    return [[1.0]]


def _number(self):
    return 5


BROKEN = {
    "encoding raises": ("encode_embeddings", _raises, "raised ValueError in encode_embeddings: odd"),
    "encoding returns text": ("encode_embeddings", _text, "returned str from encode_embeddings instead of a WireReq"),
    "decoding raises": ("decode_embeddings", _raises_late, "raised KeyError in decode_embeddings"),
    "decoding returns a list": ("decode_embeddings", _list, "returned list from decode_embeddings instead of a Embed"),
    "limits are a number": ("embedding_limits", _number, "returned int from embedding_limits instead of a tuple"),
}


@pytest.mark.parametrize(("name", "hook", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_hook_is_the_driver_s_fault(flavour, loopback, http, toy, name, hook, message):
    """The error names the driver and the hook."""
    hook.__name__ = name
    with register(embedding(toy, **{name: hookimpl(hook)}), "broken"):
        error = error_of(flavour, connection_to(loopback(http.plain(b"{}")), driver="broken"), kind=PluginError)
    assert message in str(error)


def test_request_has_its_texts():
    """A driver reads them from there."""
    request = EmbeddingRequest(model="m", messages=tuple(Message(role="user", content=text) for text in "ab"))
    assert request.texts == ["a", "b"]


def test_capabilities_know_embeddings():
    """They need both hooks."""
    assert Inference.using("embedding", model="m", base_url="http://127.0.0.1:9").capabilities().embeddings is True
