"""The clients of a benchmark: Polyglot over each transport, and an HTTP client alone with the least decoding."""

from __future__ import annotations

import asyncio
import importlib.util
import ssl
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

import httpx
from bodies import Body, received, splitter_of

from polyglot_core import AsyncInference, Connection, Inference
from polyglot_simulator import Simulator

__all__ = ["FLOOR", "TRANSPORTS", "Client", "clients_for"]

FLOOR = "httpx alone"
TRANSPORTS = tuple(name for name in ("http1", "httpx") if name == "httpx" or importlib.util.find_spec("polyglot_http1"))
_BODY = b'{"model":"m","messages":[{"role":"user","content":"Hello"}],"stream":true}'
_HEADERS = {"content-type": "application/json"}


def connection_for(driver: str, server: str, *, ca: str | None = None, transport: str | None = None) -> Connection:
    """Return a connection of a driver to a server on this machine."""
    with Simulator() as simulator:
        connection = simulator.connection_for(driver)
        path = str(connection.base_url).removeprefix(f"http://127.0.0.1:{simulator.port}")
    return connection.with_changes(base_url=server + path, ca=ca, transport=transport, limits={"response": 1 << 30})


class Client:
    """Reads streams in one way.

    Attributes:
        name: Its name in tables.
        base: The name of the client that it is compared with.
    """

    def __init__(self, name: str, base: str, body: Body, *, is_async: bool) -> None:
        self.name, self.base, self._body, self.is_async = name, base, body, is_async

    def run(self, runner: asyncio.Runner) -> None:
        """Read one stream, and check its content."""
        if self.is_async:
            runner.run(self.read_async())
        else:
            self.read()

    def read(self, take: Callable[[str], object] | None = None) -> None:
        """Read one stream; call `take` with each piece of content."""
        raise NotImplementedError

    def read_async(self, take: Callable[[str], object] | None = None) -> Awaitable[None]:
        """Do the same in an event loop."""
        raise NotImplementedError


class Floor(Client):
    """httpx, and the least decoding."""

    def __init__(self, body: Body, server: str, ca: str | None, *, is_async: bool) -> None:
        name = FLOOR + (", async" if is_async else "")
        super().__init__(name, name, body, is_async=is_async)
        self._url, self._start = f"{server}/any/path", splitter_of(body)
        self._trust = ssl.create_default_context(cafile=ca) if ca else True

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(verify=self._trust, timeout=60)

    @cached_property
    def _async_client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx.AsyncClient(verify=self._trust, timeout=60, limits=limits)

    def read(self, take: Callable[[str], object] | None = None) -> None:
        feed = self._start()
        with self._client.stream("POST", self._url, content=_BODY, headers=_HEADERS) as response:
            for data in response.iter_raw():
                feed(data)
                if take:
                    take("")

    async def read_async(self, take: Callable[[str], object] | None = None) -> None:
        feed = self._start()
        async with self._async_client.stream("POST", self._url, content=_BODY, headers=_HEADERS) as response:
            async for data in response.aiter_raw():
                feed(data)
                if take:
                    take("")


class Ours(Client):
    """Polyglot over one transport."""

    def __init__(self, body: Body, server: str, ca: str | None, transport: str, *, is_async: bool) -> None:
        ending = ", async" if is_async else ""
        super().__init__(f"{transport}{ending}", FLOOR + ending, body, is_async=is_async)
        connection = connection_for(body.driver, server, ca=ca, transport=transport)
        self._inference: Any = (AsyncInference if is_async else Inference).from_connection(connection)

    def read(self, take: Callable[[str], object] | None = None) -> None:
        pieces: list[str] = []
        take = take or pieces.append
        stream = self._inference.create("Hello", stream=True).stream()
        for partial in stream:
            if piece := received(partial):
                take(piece)
        self._check(pieces, stream.response())

    async def read_async(self, take: Callable[[str], object] | None = None) -> None:
        pieces: list[str] = []
        take = take or pieces.append
        stream = self._inference.create("Hello", stream=True).stream()
        async for partial in stream:
            if piece := received(partial):
                take(piece)
        self._check(pieces, await stream.response())

    def _check(self, pieces: list[str], response: Any) -> None:
        calls = response.tool_calls
        content = calls[0].arguments_raw if calls else response.reasoning_content or response.content
        if pieces and not calls and not "".join(pieces).startswith(content):
            raise AssertionError("the pieces are not the content")
        if len(content) != self._body.length:
            raise AssertionError("what was received is not what was sent")


def clients_for(
    body: Body, server: str, ca: str | None = None, *, styles: tuple[bool, ...] = (False, True)
) -> list[Client]:
    """Return all clients: of each style, the floor first."""
    return [
        client
        for is_async in styles
        for client in (
            Floor(body, server, ca, is_async=is_async),
            *(Ours(body, server, ca, transport, is_async=is_async) for transport in TRANSPORTS),
        )
    ]
