"""What all tests that span packages share."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """Leave the collected tests out of garbage collections, each of which would take a tenth of a second."""
    gc.collect()
    gc.freeze()
