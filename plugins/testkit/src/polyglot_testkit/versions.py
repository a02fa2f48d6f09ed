"""Versions of the exam: a new check warns in the minor version that adds it, and counts from the next one on."""

from __future__ import annotations

import functools
import re
from importlib.metadata import PackageNotFoundError, version

__all__ = ["FIRST", "counts", "exam_version", "pinned_version"]

FIRST = (1, 0)
"""The first version of the exam; its checks always count."""

_VERSION = re.compile(r"(\d+)\.(\d+)")


@functools.cache
def exam_version() -> tuple[int, int]:
    """Return the version of the exam: major and minor version of the installed testkit."""
    try:
        found = _VERSION.match(version("polyglot-testkit"))
    except PackageNotFoundError:  # from a checkout that is not installed
        found = None
    return FIRST if found is None else (int(found[1]), int(found[2]))


def pinned_version(stated: str | None, current: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return the version whose checks count: the stated one, else the minor version before the installed one.

    Args:
        stated: A version such as ``1.0``.
        current: The version of the exam; by default that of the installed testkit.

    Raises:
        ValueError: It is no version of the exam, or a later one than the installed.
    """
    now = exam_version() if current is None else current
    if stated is None:
        return max(FIRST, (now[0], now[1] - 1)) if now[1] else now
    found = _VERSION.fullmatch(stated)
    if found is None or not FIRST <= (pinned := (int(found[1]), int(found[2]))) <= now:
        first, last = (".".join(map(str, each)) for each in (FIRST, now))
        msg = f"There is no version {stated!r} of the exam; the versions are {first} to {last}."
        raise ValueError(msg)
    return pinned


def counts(since: str, pinned: tuple[int, int]) -> bool:
    """Return whether a check that was added with the version `since` fails the exam, and not only warns."""
    major, _, minor = since.partition(".")
    return (int(major), int(minor)) <= pinned
