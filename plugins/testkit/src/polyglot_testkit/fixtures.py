"""Fixtures for pytest that a driver's ``conftest.py`` can import. They work on a fixture `bench` of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from polyglot_core.plugin import WireRequest
    from polyglot_testkit.bench import Bench, Heard

__all__ = ["bodies", "body", "encode", "listen"]


@pytest.fixture
def encode(bench: Bench) -> Callable[..., WireRequest]:
    """Encodes a request: see `Bench.encode`."""
    return bench.encode


@pytest.fixture
def body(bench: Bench) -> Callable[..., Any]:
    """Encodes a request, and parses its body: see `Bench.body`."""
    return bench.body


@pytest.fixture
def bodies(bench: Bench) -> Path | None:
    """The folder of bodies."""
    return bench.folder


@pytest.fixture
def listen(bench: Bench) -> Callable[..., Heard]:
    """Feeds a body to the driver: see `Bench.listen`."""
    return bench.listen
