"""The list of models, sync and async over sockets: pages, errors, retries, clocks; and what a driver can express."""

from __future__ import annotations

import json
import time
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from msgspec.structs import replace

from polyglot_core import (
    AuthenticationError,
    Capabilities,
    Inference,
    Model,
    PluginError,
    PolyglotError,
    RateLimited,
    RequestError,
    Retries,
    TimedOut,
    Timeouts,
    TransportError,
    Truncated,
    register,
)
from polyglot_core.errors import LimitExceeded, Malformed, NotFound, ServerError, UnexpectedContentType
from polyglot_core.plugin import Secret, WireRequest, cannot_express, hookimpl, json_access, json_request

pytestmark = pytest.mark.http

KEY = "test-key-0123456789"
SOON = Retries(max_retries=2, initial_backoff=0.01)
PATHS = {"id": ("id",), "name": ("title",)}


@pytest.fixture(autouse=True)
def _listing(toy):
    """Register the toy dialect with a list of models, as the driver ``listing``."""
    with register(listing(toy), "listing"):
        yield


def listing(toy, **hooks):
    class Listing(toy.Driver):
        @hookimpl
        def list_models(self, connection, data, models):
            cursor = ""
            if data is not None:
                page = msgspec.json.decode(data)
                models += json_access.models(json_access.get(page, "data"), PATHS)
                if (cursor := json_access.get(page, "next")) is None:
                    return None
            return json_request(f"{connection.base_url}/models?after={cursor}", None, stream=False)

    for name, hook in hooks.items():
        setattr(Listing, name, hook)
    return Listing()


def page(*names, **fields):
    return json.dumps({"data": [{"id": name, "title": name.upper()} for name in names], **fields}).encode()


def models_of(flavour, connection):
    async def main():
        return await flavour.wait(flavour.Inference.from_connection(connection).models())

    return flavour.run(main)


def error_of(flavour, connection, kind=PolyglotError):
    with pytest.raises(kind) as caught:
        models_of(flavour, connection)
    assert caught.value.partial is None
    return caught.value


def connection_to(server, **fields):
    return server.connection(**{"driver": "listing", "api_key": KEY, **fields})


# Pages


@pytest.mark.parametrize("pages", [1, 2, 5])
def test_all_pages_are_read_in_order(flavour, loopback, http, pages):
    """Each page is one GET request with the key and the headers of the connection, over one kept connection."""
    bodies = [
        page(f"m{number}", f"n{number}", **({"next": number} if number < pages else {}))
        for number in range(1, pages + 1)
    ]
    server = loopback(*map(http.plain, bodies))
    models = models_of(flavour, connection_to(server, headers={"x-team": "docs"}))
    assert [model.id for model in models] == [f"{letter}{number}" for number in range(1, pages + 1) for letter in "mn"]
    assert models[0] == Model(id="m1", name="M1", raw={"id": "m1", "title": "M1"})
    assert [asked.method for asked in server.asked] == ["GET"] * pages
    assert [parse_qs(urlsplit(asked.path).query).get("after", [""]) for asked in server.asked[1:]] == [
        [str(number)] for number in range(1, pages)
    ]
    for asked in server.asked:
        assert (asked.headers["authorization"], asked.headers["x-team"], asked.body) == (f"Bearer {KEY}", "docs", b"")
    assert server.connections == 1


def test_an_empty_list_is_a_list(flavour, loopback, http):
    """A provider may have no models."""
    assert models_of(flavour, connection_to(loopback(http.plain(page())))) == []


def test_a_list_needs_no_model(flavour, loopback, http):
    """A connection without a model lists the models, from which one is then chosen."""
    assert len(models_of(flavour, connection_to(loopback(http.plain(page("m"))), model=None))) == 1


def test_pages_without_an_end_are_an_error(flavour, loopback, http):
    """A provider that repeats its cursor is not queried for ever."""
    server = loopback(http.plain(page("m", next="same")))
    error = error_of(flavour, connection_to(server), LimitExceeded)
    assert "more than 100 pages" in str(error)
    assert len(server.asked) == 100


def test_a_hundred_pages_are_read(flavour, loopback, http):
    """The limit counts pages, not requests for a further one."""
    bodies = [page(f"m{number}", next=number) for number in range(99)]
    assert len(models_of(flavour, connection_to(loopback(*map(http.plain, [*bodies, page("last")]))))) == 100


def test_credentials_of_the_driver_are_added_to_each_page(flavour, loopback, http, toy):
    """The hook `authorize` signs these requests too."""

    @hookimpl
    def authorize(self, wire):
        return replace(wire, headers={**wire.headers, "x-signature": Secret(f"{wire.method} signed")})

    server = loopback(http.plain(page("m", next=1)), http.plain(page("n")))
    with register(listing(toy, authorize=authorize), "signing"):
        models_of(flavour, connection_to(server, driver="signing"))
    assert [asked.headers["x-signature"] for asked in server.asked] == ["GET signed"] * 2


# Errors


def test_driver_without_the_hook_is_named(flavour, loopback, http):
    """Nothing is sent."""
    server = loopback(http.plain(page("m")))
    error = error_of(flavour, connection_to(server, driver="toy"), RequestError)
    assert "driver 'toy' cannot list models" in str(error)
    assert (error.connection, error.provider, error.attempts, server.asked) == ("here", "toy", 0, [])


STATUSES = {401: AuthenticationError, 404: NotFound, 429: RateLimited, 500: ServerError}


@pytest.mark.parametrize("at", ["first page", "second page"])
@pytest.mark.parametrize(("status", "kind"), STATUSES.items(), ids=map(str, STATUSES))
def test_error_status_is_the_error_of_a_call(flavour, loopback, http, status, kind, at):
    """The error has the facts of a call, except for a model and a partial, and no key."""
    refused = http.plain(b'{"error": {"message": "No, %s.", "code": "nope"}}' % KEY.encode(), status)
    server = loopback(*([http.plain(page("m", next=1))] if at == "second page" else []), refused)
    error = error_of(flavour, connection_to(server), kind)
    assert (error.status, error.code, error.connection, error.model) == (status, "nope", "here", None)
    assert KEY not in f"{error!s} {error.body}"
    assert "No, ***." in str(error)


@pytest.mark.parametrize("at", ["first page", "second page"])
@pytest.mark.parametrize("fault", ["503", "reset", "cut", "empty"])
def test_failed_request_is_retried(flavour, loopback, http, fault, at):
    """A page that fails with a retryable error is requested again, and is in the list once."""
    faults = {
        "503": http.plain(b"{}", 503),
        "reset": ("reset",),
        "cut": (http.head(content_type="application/json", content_length=100), b'{"data": [{"id": "m"}', "close"),
        "empty": http.plain(b""),
    }
    first, second = http.plain(page("m", next=1)), http.plain(page("n"))
    scripts = [faults[fault], first, second] if at == "first page" else [first, faults[fault], second]
    server = loopback(*scripts)
    assert [model.id for model in models_of(flavour, connection_to(server, retries=SOON))] == ["m", "n"]
    assert len(server.asked) == 3


BODIES = {
    "null": (b"null", "application/json", Malformed),
    "a number": (b"5", "application/json", Malformed),
    "another object": (b'{"ok": true}', "application/json", Malformed),
    "a list of texts": (b'{"data": ["m"]}', "application/json", Malformed),
    "no id": (b'{"data": [{"id": "m"}, {"title": "N"}]}', "application/json", Malformed),
    "an error": (b'{"error": {"message": "Busy.", "code": "overloaded"}}', "application/json", PolyglotError),
    "cut": (b'{"data": [{"id": "m"}', "application/json", Truncated),
    "text": (b"welcome", "application/json", Malformed),
    "an end mark": (b"[DONE]", "application/json", Truncated),
    "a mark": (b"[PING]", "application/json", Truncated),
    "a comment": (b": ping", "application/json", Truncated),
    "an event": (b'data: {"ok": true}\n\n', "application/json", Malformed),
    "a list in an event": (b'data: {"data": []}\n\ndata: [DONE]\n\n', "text/event-stream", PolyglotError),
    "a page of a proxy": (b"<html>Log in</html>", "text/html", UnexpectedContentType),
    "nothing": (b"", "application/json", Truncated),
}


@pytest.mark.parametrize(("body", "content_type", "kind"), BODIES.values(), ids=BODIES)
def test_body_without_a_list_is_an_error(flavour, loopback, http, body, content_type, kind):
    """What is no list of models is never an empty list."""
    error = error_of(flavour, connection_to(loopback(http.plain(body, 200, content_type))))
    assert isinstance(error, (kind, Truncated)), repr(error)
    assert not isinstance(error, PluginError)
    assert error.attempts == 1


def test_an_error_inside_a_200_is_the_provider_s(flavour, loopback, http):
    """The body states the failure, in a form that core knows."""
    body = http.plain(b'{"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}')
    assert "Slow down." in str(error_of(flavour, connection_to(loopback(body)), RateLimited))


def test_fallbacks_are_not_used(flavour, loopback, http):
    """The list is that of one provider."""
    other = loopback(http.plain(page("other")))
    server = loopback(http.plain(b"{}", 500))
    error_of(flavour, connection_to(server, fallbacks=[connection_to(other)]), ServerError)
    assert (len(server.asked), other.asked) == (1, [])


def test_unreachable_server_is_a_transport_error(flavour, loopback, http):
    """Nothing listens on the port any more."""
    server = loopback(http.plain(page("m")))
    server.close()
    error_of(flavour, connection_to(server), TransportError)


# Clocks


@pytest.mark.parametrize("clock", ["first", "total"])
def test_clock_ends_the_wait(flavour, loopback, http, clock):
    """The clocks of the connection run, as in a call."""
    server = loopback(("hang",))
    error = error_of(flavour, connection_to(server, timeouts=Timeouts(**{clock: 0.2})), TimedOut)
    assert clock in str(error)
    assert server.gone.wait(5)


def test_one_clock_runs_over_all_pages(flavour, loopback, http):
    """Pages of 0.15 s each exceed a total of 0.4 s together."""
    server = loopback((0.15, *http.plain(page("m", next="same"))))
    begun = time.perf_counter()
    error_of(flavour, connection_to(server, timeouts=Timeouts(total=0.4)), TimedOut)
    assert time.perf_counter() - begun < 1.0
    assert len(server.asked) in {2, 3}  # fewer on a busy machine


# Broken hooks


def _raises(self, data):
    raise ValueError("odd")


def _raises_late(self, connection, data):
    if data is None:
        return json_request(f"{connection.base_url}/models", None, stream=False)
    raise KeyError("odd")


def _no_request(self, data, models):
    return None


def _text(self, connection, data):
    return "GET /models"


def _framed(self, connection, data):
    return WireRequest(url=connection.base_url, body=b"", framing="lines")


BROKEN = {
    "raises": (_raises, "raised ValueError in list_models: odd"),
    "raises for a body": (_raises_late, "raised KeyError in list_models"),
    "no first request": (_no_request, "returned NoneType from list_models instead of a WireRequest"),
    "a text": (_text, "returned str from list_models instead of a WireRequest"),
    "unknown framing": (_framed, "set framing='lines'"),
}


@pytest.mark.parametrize(("hook", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_hook_is_the_driver_s_fault(flavour, loopback, http, toy, hook, message):
    """The error names the driver and the hook."""
    hook.__name__ = "list_models"
    with register(listing(toy, list_models=hookimpl(hook)), "broken"):
        error = error_of(flavour, connection_to(loopback(http.plain(page("m"))), driver="broken"), PluginError)
    assert message in str(error)


def test_a_stream_framing_is_ignored(flavour, loopback, http, toy):
    """A list is one whole body, whatever framing its request has by default."""

    @hookimpl
    def list_models(self, connection, data, models):
        if data is None:
            return WireRequest(url=f"{connection.base_url}/models", body=b"", method="GET")
        models += json_access.models(msgspec.json.decode(data)["data"], PATHS)
        return None

    with register(listing(toy, list_models=list_models), "plain"):
        server = loopback(http.plain(page("m")))
        assert [model.id for model in models_of(flavour, connection_to(server, driver="plain"))] == ["m"]


# What a driver can express


def test_capabilities_are_what_the_driver_encodes(toy):
    """Each is a small request that the driver encodes or rejects. Nothing is sent."""

    @hookimpl
    def encode_request(self, connection, request):
        for field in ("tools", "response_format"):
            if getattr(request, field):
                cannot_express(request, field, driver="picky")
        return WireRequest(url="http://127.0.0.1:9/", body=b"")

    with register(listing(toy, encode_request=encode_request), "picky"):
        found = Inference.using("picky", model="m").capabilities()
    names = {name for name in Capabilities.__struct_fields__ if getattr(found, name)}
    rejected = {"tools", "tool_choice", "parallel_tool_calls", "json", "json_schema", "prefill", "resume", "embeddings"}
    assert names == set(Capabilities.__struct_fields__) - rejected


def test_capabilities_know_the_optional_hooks(toy):
    """A driver without the hooks has none of the three."""
    with register(toy.Driver(), "bare"):
        found = Inference.using("bare", model="m").capabilities()
    assert (found.prefill, found.resume, found.models) == (False, False, False)


def test_capabilities_know_a_connection_without_a_list(toy):
    """A driver may have the hook and reject it for a connection."""

    @hookimpl
    def list_models(self, connection):
        raise RequestError("There is no list of models here.")

    with register(listing(toy, list_models=list_models), "here"):
        assert Inference.using("here", model="m").capabilities().models is False


def test_capabilities_depend_on_the_model(toy):
    """The model of the call precedes that of the connection."""

    @hookimpl
    def encode_request(self, request):
        if request.model == "blind" and any(part != request.messages[0].parts[0] for part in request.messages[0].parts):
            cannot_express(request, "parts", driver="seeing")
        return WireRequest(url="http://127.0.0.1:9/", body=b"")

    with register(listing(toy, encode_request=encode_request), "seeing"):
        inference = Inference.using("seeing", model="sharp")
        assert (inference.capabilities().images, inference.capabilities("blind").images) == (True, False)


def test_capabilities_of_a_connection_that_encodes_nothing(toy):
    """A driver that rejects any request has no capabilities to report: its error passes."""

    @hookimpl
    def encode_request(self, request):
        raise RequestError("The name of the model is wrong.")

    with register(listing(toy, encode_request=encode_request), "nothing"), pytest.raises(RequestError, match="wrong"):
        Inference.using("nothing", model="m").capabilities()
