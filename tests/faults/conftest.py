"""What the scenarios of all tests here have in common."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def quick_collections() -> Iterator[None]:
    """What the whole run keeps anyway is left out of the collections that follow each scenario."""
    gc.collect()
    gc.freeze()
    yield
    gc.collect()
    gc.unfreeze()
