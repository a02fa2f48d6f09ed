"""Fixtures for pytest, which finds them by itself where this package is installed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from polyglot_simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["polyglot_simulator", "polyglot_simulators"]


@pytest.fixture
def polyglot_simulators() -> Generator[Callable[..., Simulator]]:
    """Yield a function that starts simulators with the arguments of `Simulator`; they are closed after the test."""
    with ExitStack() as opened:

        def start(*arguments: Any, **keywords: Any) -> Simulator:  # noqa: ANN401 (those of Simulator)
            return opened.enter_context(Simulator(*arguments, **keywords))

        yield start


@pytest.fixture
def polyglot_simulator(polyglot_simulators: Callable[..., Simulator]) -> Simulator:
    """Yield a simulator that returns one short text to every request."""
    return polyglot_simulators("Hello from the simulator.")
