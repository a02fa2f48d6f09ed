"""Which calls this transport serves, and which it leaves to httpx."""

import asyncio
import subprocess
import sys

import httpx
import pytest
import trio

from polyglot_core import AsyncInference, Inference
from polyglot_core.errors import NotFound
from polyglot_simulator import Simulator

STYLES = {"sync": None, "asyncio": asyncio.run, "trio": lambda main: trio.run(lambda: main)}


@pytest.fixture(scope="module")
def simulator():
    """A simulated provider."""
    with Simulator("Hello.") as running:
        yield running


def served(style, connection, **how):
    """Return the transport that served a call."""
    if STYLES[style] is None:
        return Inference.from_connection(connection, **how).create("Hi").response().transport

    async def main():
        return (await AsyncInference.from_connection(connection, **how).create("Hi").response()).transport

    return STYLES[style](main())


@pytest.fixture(autouse=True)
def _no_choice(monkeypatch):
    for name in ("POLYGLOT_TRANSPORT", "POLYGLOT_DRIVERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("style", "transport"), [("sync", "http1"), ("asyncio", "http1"), ("trio", "httpx")])
def test_it_serves_threads_and_asyncio(simulator, style, transport):
    """Without any setting; trio uses httpx."""
    assert served(style, simulator.connection) == transport


@pytest.mark.parametrize("style", ["sync", "asyncio"])
def test_it_can_be_switched_off(simulator, style, monkeypatch):
    """By the connection, by a variable, and by an allow list without it."""
    assert served(style, simulator.connection.with_changes(transport="httpx")) == "httpx"
    with Simulator("Hello.") as another:  # the variables are read when an origin is used for the first time
        monkeypatch.setenv("POLYGLOT_TRANSPORT", "httpx")
        assert served(style, another.connection) == "httpx"
        assert served(style, another.connection.with_changes(transport="http1")) == "http1"
    with Simulator("Hello.") as another:
        monkeypatch.delenv("POLYGLOT_TRANSPORT")
        monkeypatch.setenv("POLYGLOT_DRIVERS", "polyglot-openai")
        assert served(style, another.connection) == "httpx"


def test_a_client_of_the_user_and_a_proxy_use_httpx(simulator):
    """They are what it does not know."""
    with httpx.Client() as client:
        assert served("sync", simulator.connection, client=client) == "httpx"
    through = simulator.connection.with_changes(proxy=simulator.base_url.removesuffix("/v1"))
    with pytest.raises(NotFound, match="Unknown request URL: POST http://"):  # the simulator is no proxy
        served("sync", through)


def test_httpx_is_not_imported(simulator):
    """Nor is this package where httpx serves."""
    program = (
        "import sys; from polyglot_core import Inference, Connection; "
        "c = Connection(name='s', driver='openai', model='m', api_key='test-key', base_url=sys.argv[1], transport=sys.argv[2]); "
        "Inference.from_connection(c).create('Hi').text(); print(*sorted({'httpx', 'polyglot_http1'} & sys.modules.keys()))"
    )
    for transport, expected in (("http1", "polyglot_http1"), ("httpx", "httpx")):
        run = subprocess.run(
            [sys.executable, "-c", program, simulator.base_url, transport], capture_output=True, text=True, check=True
        )
        assert run.stdout.split() == [expected]
