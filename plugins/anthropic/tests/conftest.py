"""Fixtures that bind the driver to a connection and decode bodies without a socket."""

from __future__ import annotations

from pathlib import Path

import pytest

import polyglot_anthropic.driver
from polyglot_testkit import DriverHarness
from polyglot_testkit.fixtures import bodies, body, decode, encode

__all__ = ["bodies", "body", "decode", "encode", "harness"]

BODIES = Path(__file__).parent / "bodies"


@pytest.fixture
def harness():
    """Return the driver; the fixtures that are imported here use it."""
    return DriverHarness(polyglot_anthropic.driver, BODIES, driver="anthropic", name="garden", model="claude-garden-1")
