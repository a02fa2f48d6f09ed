"""Values within JSON values: found by path, removed or replaced."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Path", "keys_and_texts", "leaves", "numbers", "paths_of", "texts", "with_value", "without"]

Path = tuple[Any, ...]
"""Names and indexes that lead to a value."""


def paths_of(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yield every value in a JSON value, itself first, with the names and indexes that lead to it."""
    yield path, value
    inner = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    )
    for name, each in inner:
        yield from paths_of(each, (*path, name))


def leaves(value: object) -> list[tuple[Path, object]]:
    """Return the values in a JSON value that are no objects and no lists."""
    return [(path, each) for path, each in paths_of(value) if not isinstance(each, (Mapping, list, tuple))]


def texts(value: object) -> list[str]:
    """Return the strings in a JSON value, in order."""
    return [each for _, each in leaves(value) if isinstance(each, str)]


def keys_and_texts(value: object) -> list[str]:
    """Return the names and the strings in a JSON value, in order."""
    return [each for path, found in paths_of(value) for each in (*path[-1:], found) if isinstance(each, str)]


def numbers(value: object) -> dict[Path, int]:
    """Return the whole numbers in a JSON value by their paths."""
    return {path: each for path, each in leaves(value) if isinstance(each, int) and not isinstance(each, bool)}


def with_value(value: Any, path: Path, new: object) -> Any:  # noqa: ANN401 (a JSON value)
    """Return a copy of a JSON value with another value at a path."""
    changed = copy.deepcopy(value)
    if not path:
        return new
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = new
    return changed


def without(value: Any, path: Path) -> Any:  # noqa: ANN401 (as above)
    """Return a copy of a JSON value without the field at a path."""
    changed = copy.deepcopy(value)
    place = changed
    for name in path[:-1]:
        place = place[name]
    del place[path[-1]]
    return changed
