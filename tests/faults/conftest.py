"""Fixtures of all fault scenarios."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def quick_collections() -> Iterator[None]:
    """Freeze the objects of the whole run, so that the garbage collection after each scenario stays fast."""
    gc.collect()
    gc.freeze()
    yield
    gc.collect()
    gc.unfreeze()
