"""Simulators that tests of this package share, each with its own story."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING

import hypothesis
import pytest

from polyglot_simulator import Simulator, Stall

if TYPE_CHECKING:
    from collections.abc import Iterator

hypothesis.settings.register_profile("checks", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("checks")

STORY = "Once upon a time a fox looked up at the stars, and one of them looked back."


@pytest.fixture(scope="session")
def story() -> Iterator[Simulator]:
    """A simulator that tells the whole story."""
    with Simulator(STORY) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def endless() -> Iterator[Simulator]:
    """A simulator that stops in the middle of the story and stays silent."""
    with Simulator(STORY, fault=Stall(after_events=8)) as simulator:
        yield simulator


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """Check that no thread of this package is left after the test."""
    yield
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "polyglot-streams":
            thread.join(5)
            assert not thread.is_alive()
