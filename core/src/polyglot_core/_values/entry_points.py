"""Entry points of the installed distributions. No module is imported for them."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from polyglot_core._values.importing import import_module

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint as EntryPoint  # noqa: PLC0414 (exported for annotations)

__all__ = ["entry_points"]


def entry_points(group: str) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a group by name. Several distributions may register one name."""
    return _entry_points(group, tuple(sys.path))


@lru_cache(maxsize=8)
def _entry_points(group: str, _path: tuple[str, ...]) -> dict[str, list[EntryPoint]]:
    # Imported here: importlib_metadata takes longer to import than all of core, and a registered driver needs none.
    metadata: Any = import_module("importlib_metadata")
    by_name: dict[str, list[EntryPoint]] = {}
    for entry in metadata.entry_points(group=group):
        by_name.setdefault(entry.name, []).append(entry)
    return by_name
