"""The driver on a bench: bound to a connection, and fed bodies through a session, without a socket."""

from __future__ import annotations

from pathlib import Path

import pytest

import polyglot_mistral.driver
from polyglot_testkit import Bench
from polyglot_testkit.fixtures import bodies, body, encode, listen

__all__ = ["bench", "bodies", "body", "encode", "listen"]

BODIES = Path(__file__).parent / "bodies"


@pytest.fixture
def bench():
    """The driver; the fixtures that are imported here work on it."""
    return Bench(polyglot_mistral.driver, BODIES, driver="mistral", name="garden", model="garden-1")
