"""Fixtures for pytest that a driver's ``conftest.py`` can import. They work on a fixture `harness` of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from polyglot_core.plugin import WireRequest
    from polyglot_testkit.harness import Decoded, DriverHarness

__all__ = ["bodies", "body", "decode", "encode"]


@pytest.fixture
def encode(harness: DriverHarness) -> Callable[..., WireRequest]:
    """Return a function that encodes a request: see `DriverHarness.encode`."""
    return harness.encode


@pytest.fixture
def body(harness: DriverHarness) -> Callable[..., Any]:
    """Return a function that encodes a request and parses its body: see `DriverHarness.body`."""
    return harness.body


@pytest.fixture
def bodies(harness: DriverHarness) -> Path | None:
    """Return the folder of bodies."""
    return harness.folder


@pytest.fixture
def decode(harness: DriverHarness) -> Callable[..., Decoded]:
    """Return a function that decodes a body: see `DriverHarness.decode`."""
    return harness.decode
