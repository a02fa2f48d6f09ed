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
