"""Imports of modules on first use, which a fork in another thread waits for."""

from __future__ import annotations

import importlib
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["import_module"]

# A child that is forked while another thread imports a module inherits the module half imported, and its lock held by a
# thread that the child does not have: its own import would wait for ever. So a fork waits until no import of ours is
# under way.
_importing = threading.RLock()  # reentrant, for a module that forks while it is imported

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_importing.acquire, after_in_parent=_importing.release, after_in_child=_importing.release
    )


def import_module(name: str) -> ModuleType:
    """Import a module by its absolute name and return it. Exceptions of the import pass."""
    with _importing:
        return importlib.import_module(name)
