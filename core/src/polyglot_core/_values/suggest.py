"""Suggestions for misspelt words, and errors in the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["config_error", "nearest", "suggestion"]

_SIMILARITY = 0.65  # from 0 to 1: below it, a suggestion misleads more often than it helps


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most similar to `word`; None if none is similar enough."""
    import difflib  # noqa: PLC0415 (only a misspelt word needs it)

    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=_SIMILARITY)
    return matches[0] if matches else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'WORD'?)`` for the nearest known word, to end a clause with; empty if there is none."""
    match = nearest(word, known)
    return f" (did you mean {match!r}?)" if match else ""


def config_error(message: str, connection: str | None = None) -> ConfigError:
    """Return an error in the configuration, of the phase ``configure``.

    Args:
        message: What is wrong, where, and what to do.
        connection: Name of the connection that cannot be made.
    """
    return ConfigError(message, connection=connection, phase="configure")
