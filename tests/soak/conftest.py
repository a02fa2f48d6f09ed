"""A server in a separate process for all tests here, and fast garbage collections."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from .serving import Provider, serving


@pytest.fixture(scope="package")
def provider() -> Iterator[Provider]:
    """Start the server of the soak."""
    with serving() as provider:
        yield provider


@pytest.fixture(scope="package", autouse=True)
def quick_collections() -> Iterator[None]:
    """Freeze the objects of the whole run, so that garbage collections stay fast."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
