"""A server with a model created at run time, and clients for it, sync and async."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from .asking import AsyncClient, SyncClient
from .serving import KEY, serve
from .tiny_model import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .serving import Server


class Connecting(Protocol):
    """Makes a client; settings are those of a connection, instead of the right ones."""

    def __call__(self, **settings: Any) -> SyncClient | AsyncClient: ...


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a model file of random weights."""
    file = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_tiny_model(file)
    return file


@pytest.fixture(scope="session")
def server(model: Path) -> Iterator[Server]:
    """Start a server that serves requests one after the other, each to its end."""
    with serve(model, model.with_name("server.log")) as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def connect(
    request: pytest.FixtureRequest, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connecting]:
    """Make clients of the preset, without the machine's configuration, and check for leaks after the test."""
    monkeypatch.delenv("POLYGLOT_DRIVERS", raising=False)
    config = tmp_path / "polyglot.toml"
    config.touch()
    usual = {"config": config, "base_url": server.base_url, "model": "tiny", "api_key": KEY}
    if request.param == "sync":
        with ExitStack() as scope:
            yield lambda **settings: SyncClient(scope, "llamacpp", **usual | settings)
    else:
        with asyncio.Runner() as runner:
            scope = AsyncExitStack()
            yield lambda **settings: AsyncClient(runner, scope, "llamacpp", **usual | settings)
            runner.run(scope.aclose())
    gc.collect()  # what was forgotten warns now, and a warning is an error


@pytest.fixture
def client(connect: Connecting) -> SyncClient | AsyncClient:
    """Return a client of the server."""
    return connect()
