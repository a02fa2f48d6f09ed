"""A server in a process of its own for all tests here, and collections that take no longer than they must."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from .serving import Provider, serving


@pytest.fixture(scope="package")
def provider() -> Iterator[Provider]:
    """The server that the soak asks."""
    with serving() as provider:
        yield provider


@pytest.fixture(scope="package", autouse=True)
def quick_collections() -> Iterator[None]:
    """What the whole run keeps anyway is left out of the collections."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
