"""Fixtures for calls to a simulator, sync and async, which check that a test leaves nothing open."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from polyglot_simulator import Simulator

from .calling import PATIENCE, AsyncCall, Call, SyncCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXT = "One two three"
"""What the simulator says: a role, three pieces, the finish, the usage and the end are seven events."""


class Asking(Protocol):
    """Makes a call to a simulator with the given faults."""

    def __call__(self, *faults: Any, clocks: dict[str, float] | None = None, **asked: Any) -> Call: ...


@pytest.fixture(scope="session", autouse=True)
def quick_collections() -> Iterator[None]:
    """Freeze the objects of the whole run, so that the garbage collection after each test stays fast."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(params=["sync", "async"])
def style(request: pytest.FixtureRequest) -> str:
    """Return the API under test, sync or async."""
    return request.param


@pytest.fixture
def simulate() -> Iterator[Callable[..., Simulator]]:
    """Start simulators that return `TEXT` by default, and close them after the test."""
    with ExitStack() as scope:
        yield lambda reply=TEXT, **settings: scope.enter_context(Simulator(reply, **settings))


@pytest.fixture
def call_to(style: str) -> Iterator[Callable[..., Call]]:
    """Make calls over a connection in the style of the test; afterwards close everything and check for leaks."""
    if style == "sync":
        with ExitStack() as scope:
            yield lambda connection, **asked: SyncCall(scope, connection, **_patient(asked))
    else:
        with asyncio.Runner() as runner:
            scope = AsyncExitStack()
            yield lambda connection, **asked: AsyncCall(runner, scope, connection, **_patient(asked))
            runner.run(scope.aclose())
    gc.collect()  # unclosed objects warn now, and a warning is an error


def _patient(asked: dict[str, Any]) -> dict[str, Any]:
    return {"stream": True, **asked, "timeouts": {**PATIENCE, **asked.get("timeouts", {})}}


@pytest.fixture
def ask(simulate: Callable[..., Simulator], call_to: Callable[..., Call]) -> Asking:
    """Make a call to a new simulator with the given faults."""

    def ask_one(*faults: Any, clocks: dict[str, float] | None = None, **asked: Any) -> Call:
        simulator = simulate(asked.pop("reply", TEXT), fault=faults)
        return call_to(simulator.connection, timeouts=clocks or {}, **asked)

    return ask_one
