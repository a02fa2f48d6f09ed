"""White space at a seam: the text before it may end in some that the text after it begins with again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from polyglot_core._values.events import TextDelta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_core._values.events import Event

__all__ = ["ResumeWhitespace"]


class ResumeWhitespace:
    """Takes out of an answer that goes on what its beginning repeats of the white space before the seam."""

    __slots__ = ("_left",)

    def __init__(self, before: str) -> None:
        self._left = before[len(before.rstrip()) :]

    def trim(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events without the repetition; those that are not texts of choice 0 as they are."""
        if not self._left:
            return events
        return [self._trimmed(event) if type(event) is TextDelta and event.choice == 0 else event for event in events]

    def _trimmed(self, event: TextDelta) -> TextDelta:
        text = event.text
        while text and text[:1] == self._left[:1]:
            text, self._left = text[1:], self._left[1:]
        if text:  # something else has come
            self._left = ""
        return replace(event, text=text)
