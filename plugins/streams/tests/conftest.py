"""Simulators that tests of this package share, each with its own story."""

from __future__ import annotations

import gc
import json
import threading
from typing import TYPE_CHECKING

import hypothesis
import pytest

from polyglot_simulator import RawReply, Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

hypothesis.settings.register_profile("checks", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("checks")

STORY = "Once upon a time a fox looked up at the stars, and one of them looked back."
TOLD = ["Once ", "upon ", "a ", "time ", "a ", "fox ", "looked"]
"""What is received of a story that stops in the middle: one partial each."""


@pytest.fixture(scope="session")
def story() -> Iterator[Simulator]:
    """A simulator that tells the whole story."""
    with Simulator(STORY) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def endless() -> Iterator[Simulator]:
    """A simulator that stops in the middle of the story and stays silent."""
    chunks = [{"choices": [{"index": 0, "delta": {"content": delta}, "finish_reason": None}]} for delta in TOLD]
    writes = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    with Simulator(RawReply(writes=writes, headers=[("content-type", "text/event-stream")], end="open")) as simulator:
        yield simulator


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """Check that no thread of this package is left after the test. Other tests may have kept responses for a while."""
    before = set(threading.enumerate())
    yield
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "polyglot-streams" and thread not in before:
            thread.join(5)
            assert not thread.is_alive()
