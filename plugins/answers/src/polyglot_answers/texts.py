"""Iterators of the visible text in a sequence of partials and other steps.

They are no generators: one that is left early would have to be closed, which trio warns about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from polyglot_core import PartialInferenceResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["AsyncTexts", "Texts"]


def _text_of(step: object) -> str:
    """Return the new text of choice 0; empty if a step has none."""
    return step.content_delta if isinstance(step, PartialInferenceResponse) and step.choice == 0 else ""


class Texts:
    """Iterates the pieces of text that are not empty."""

    def __init__(self, steps: Iterator[object]) -> None:
        self._steps = steps

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        while True:
            if text := _text_of(next(self._steps)):
                return text


class AsyncTexts:
    """Iterates the pieces of text that are not empty."""

    def __init__(self, steps: AsyncIterator[object]) -> None:
        self._steps = steps

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while True:
            if text := _text_of(await anext(self._steps)):
                return text
