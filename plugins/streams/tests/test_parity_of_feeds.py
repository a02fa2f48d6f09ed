"""The async classes that send streams are the sync ones with ``await``."""

from __future__ import annotations

import pytest

from polyglot_streams import frames, replays

from .test_parity import methods

TWINS = [(frames, "Feed"), (replays, "Kept")]
MAY_DIFFER = {
    ("Feed", "close"): "a cancelled task closes within a shield",
    ("Kept", "__init__"): "a lock of anyio, and the event loop in which the stream is closed",
    ("Kept", "cancel"): "as above",
    ("Kept", "_acquired"): "a wait for a lock of anyio ends by a cancellation",
}


@pytest.mark.parametrize(("module", "sync"), TWINS, ids=lambda value: getattr(value, "__name__", value))
def test_async_class_is_its_sync_twin(module, sync):
    """Check that each method equals its twin, but for those that differ for a stated reason."""
    one, other = methods(module, sync), methods(module, f"Async{sync}")
    differing = {name for name in one | other if one.get(name) != other.get(name)}
    assert differing == {name for cls, name in MAY_DIFFER if cls == sync}
