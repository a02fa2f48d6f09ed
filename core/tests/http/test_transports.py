"""Which transport serves a call, where none but httpx is installed or chosen."""

import pytest

from polyglot_core import ConfigError

pytestmark = [pytest.mark.http, pytest.mark.httpx]


async def answered(flavour, connection):
    """Return the response of a call over a connection."""
    return await flavour.wait(flavour.Inference(connection).create("Hi", stream=True).response())


@pytest.mark.parametrize("transport", [None, "httpx"])
def test_httpx_serves(flavour, loopback, http, toy, transport):
    """The response names the transport."""
    server = loopback(http.streamed(*toy.story, toy.done))
    response = flavour.run(lambda: answered(flavour, server.connection(transport=transport)))
    assert response.transport == "httpx"
    assert response.to_dict()["transport"] == "httpx"


def test_an_unknown_transport_is_named(flavour, loopback, http, toy, monkeypatch):
    """Whether the connection names it or the variable; nothing is sent."""
    server = loopback(http.streamed(*toy.story, toy.done))
    with pytest.raises(ConfigError, match="The connection names the transport 'carrier', which is not installed"):
        flavour.run(lambda: answered(flavour, server.connection(transport="carrier")))
    monkeypatch.setenv("POLYGLOT_TRANSPORT", "pigeon")
    with pytest.raises(ConfigError, match="POLYGLOT_TRANSPORT names the transport 'pigeon'"):
        flavour.run(lambda: answered(flavour, server.connection()))
    assert server.asked == []


def test_a_transport_has_a_name(loopback):
    """Anything else is an error of the connection."""
    with pytest.raises(ConfigError, match="transport"):
        loopback(("close",)).connection(transport=5)


class Layer:
    """A layer that counts requests and reads, and passes everything on."""

    name = "counting"

    def __init__(self, under=None):
        self.under = under
        self.origins, self.requests, self.named = [], [], []

    def wrap(self, origin, below):
        return self._over(origin, below)

    wrap_async = wrap

    def _over(self, origin, below):
        self.origins.append(origin)
        name, transport = below()
        self.named.append(name)
        return Counted(transport, self.requests)


class Counted:
    """A transport that notes the requests of another one."""

    def __init__(self, transport, requests):
        self._transport, self._requests = transport, requests

    def open(self, request, opening):
        self._requests.append(request)
        return self._transport.open(request, opening)

    def __getattr__(self, name):
        return getattr(self._transport, name)


def test_a_layer_is_over_the_transport(flavour, loopback, http, toy):
    """It makes the one beneath, sees the requests with their secrets, and has the name in the response."""
    server = loopback(http.streamed(*toy.story, toy.done))
    layer = Layer("httpx")
    connection = server.connection(transport=layer, api_key="sk-garden-1234")
    response = flavour.run(lambda: answered(flavour, connection))
    assert response.transport == "counting"
    assert layer.named == ["httpx"]
    assert layer.origins == [server.url]
    (request,) = layer.requests
    assert [secret.reveal() for secret in request.secrets] == ["Bearer sk-garden-1234"]
    assert "garden" not in repr(request)


def test_layers_are_over_each_other(flavour, loopback, http, toy):
    """The outer one has the name; each sees the request."""
    server = loopback(http.streamed(*toy.story, toy.done))
    inner = Layer("httpx")
    outer = Layer(inner)
    response = flavour.run(lambda: answered(flavour, server.connection(transport=outer)))
    assert response.transport == "counting"
    assert (outer.named, inner.named) == (["counting"], ["httpx"])
    assert len(inner.requests) == len(outer.requests) == 1


def test_an_inference_with_changes_keeps_client_and_observers(flavour, loopback, http, toy):
    """The connection has the changes, and the key is in no text."""
    server = loopback(http.streamed(*toy.story, toy.done))
    seen = []
    inference = flavour.Inference.from_connection(server.connection(), observers=[seen.append])
    changed = inference.with_changes(transport=Layer("httpx"), api_key="sk-garden-1234")
    assert type(changed) is type(inference)
    assert inference.connection.transport is None
    assert "garden" not in repr(changed.connection)

    async def call():
        return await flavour.wait(changed.create("Hi", stream=True).response())

    assert flavour.run(call).transport == "counting"
    assert type(seen[-1]).__name__ == "CallEnded"
