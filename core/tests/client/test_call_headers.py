"""Headers of one call: sent over the connection's, checked, and kept from other origins if they carry a key."""

from __future__ import annotations

import inspect
import pickle

import pytest

from polyglot_core import ConfigError, Connection, RequestError, Timeouts
from polyglot_core.plugin import Finish, Secret, TextDelta

pytestmark = pytest.mark.http

KEYED = {"x-tenant-token": "tenant-1234", "Cookie": "a=1234567", "X-Tenant": "blue"}


@pytest.fixture
def server(loopback, http, toy):
    """A server that sends plain responses."""
    return loopback(http.plain(toy.body(TextDelta("Hi."), Finish("stop", "stop"))))


def ask(flavour, connection, **asked):
    async def main():
        return await flavour.wait(flavour.Inference(connection).create("Hi", **asked).response())

    return flavour.run(main)


def test_headers_of_a_call_are_sent(flavour, server):
    """Over those of the driver and of the connection, whose names may be written otherwise."""
    connection = server.connection(headers={"X-Team": "a", "X-Other": "b", "Content-Type": "x/y"})
    ask(flavour, connection, headers={"x-TEAM": "c", "Content-type": "z/z", **KEYED})
    ask(flavour, connection)
    sent, after = (asked.headers for asked in server.asked)
    assert (sent["x-team"], sent["x-other"], sent["content-type"]) == ("c", "b", "z/z")
    assert (sent["x-tenant-token"], sent["cookie"], sent["x-tenant"]) == ("tenant-1234", "a=1234567", "blue")
    assert sent["authorization"] == "Bearer test-key"
    assert (after["x-team"], "cookie" in after) == ("a", False)


def test_connections_are_not_shared_between_keys(flavour, server):
    """A call with another key in its headers opens a TCP connection of its own."""

    async def main():
        inference = flavour.Inference(server.connection())
        for token in ("a-1234", "b-1234", "a-1234"):
            await flavour.wait(inference.create("Hi", headers={"x-token": token}).response())

    flavour.run(main)
    assert server.connections == 2


def test_keys_in_headers_are_shown_nowhere(flavour, server):
    """They are secrets in the request, and redacted in errors."""
    inference = flavour.Inference(server.connection())
    request = inference.create("Hi", headers=KEYED).request
    assert {name: type(text) for name, text in request.headers.items()} == {
        "x-tenant-token": Secret, "cookie": Secret, "x-tenant": str,
    }  # fmt: skip
    assert "1234" not in repr(request)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(request)
    for wrong in ({"x-token": "tenant-1234\n"}, {"x-token": "tenant-1234", "a": 5}, {"x-token": "tenant-1234", 5: "a"}):
        with pytest.raises(RequestError) as caught:
            inference.create("Hi", headers=wrong)
        assert "1234" not in str(caught.value)
        frames = [frame.frame for frame in inspect.getinnerframes(caught.tb)][1:]
        assert frames
        assert "1234" not in repr([frame.f_locals for frame in frames])


def test_keys_in_headers_stay_at_their_origin(flavour, server, loopback):
    """A fallback elsewhere gets the other headers; one at the same origin gets all."""
    broken = loopback([b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"])
    elsewhere = server.connection(name="elsewhere", api_key="other-key")
    here = broken.connection(name="same", api_key="same-key")
    connection = broken.connection(fallbacks=(here, elsewhere))
    assert ask(flavour, connection, headers=KEYED).connection == "elsewhere"
    for sent, key in zip(broken.asked, ("test-key", "same-key"), strict=True):
        assert (sent.headers["cookie"], sent.headers["authorization"]) == ("a=1234567", f"Bearer {key}")
    (sent,) = server.asked
    assert (sent.headers["x-tenant"], sent.headers["authorization"]) == ("blue", "Bearer other-key")
    assert not {"cookie", "x-tenant-token"} & sent.headers.keys()


def test_header_of_the_key_cannot_be_set(flavour, server):
    """Under whatever name the connection has it; without a key it can be."""
    for connection, name in (
        (server.connection(), "AUTHORIZATION"),
        (server.connection(auth_header="X-Key", auth_scheme=""), "x-key"),
    ):
        with pytest.raises(RequestError, match="would replace the key of the connection"):
            flavour.Inference(connection).create("Hi", headers={name: "a"})
    ask(flavour, server.connection(api_key=None), headers={"authorization": "Basic 1234"})
    assert server.asked[0].headers["authorization"] == "Basic 1234"


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length",
        "transfer-encoding",
        "HOST",
        "Connection",
        "te",
        "trailer",
        "Accept-Encoding",
        "content-encoding",
    ],
)
def test_header_of_the_transport_cannot_be_set_in_a_connection(name):
    """The HTTP client writes it."""
    with pytest.raises(ConfigError, match=rf"Header '{name}' of connection 'a' is written by the HTTP client"):
        Connection(name="a", driver="toy", headers={name: "1"})


# One number for the timeouts

WAITS = Timeouts(connect=7, first=7, idle=7, silence=7)


def test_a_number_limits_each_wait(flavour, server):
    """In a connection and in a call; the clocks of the whole call stay."""
    assert server.connection(timeouts=7).timeouts == WAITS
    inference = flavour.Inference(server.connection(timeouts=Timeouts(total=30, grace=1)))
    assert inference.create("Hi", timeouts=7).stream()._pump.call.options.timeouts == Timeouts(
        connect=7, first=7, idle=7, silence=7, grace=1, total=30
    )


@pytest.mark.parametrize("timeouts", [True, "7", [7], -1, float("nan")])
def test_odd_timeouts_are_refused(flavour, server, timeouts):
    """By `create`, as in a connection."""
    with pytest.raises(ConfigError, match="timeouts"):
        flavour.Inference(server.connection()).create("Hi", timeouts=timeouts)
    with pytest.raises(ConfigError, match="timeouts"):
        server.connection(timeouts=timeouts)
