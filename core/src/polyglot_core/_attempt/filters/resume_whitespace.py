"""Removes white space that is repeated where a response is resumed.

The text before a resume point may end in white space. A model that continues it as a prefill often begins with the same
white space, because the text is sent to it without that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from polyglot_core._values.events import TextDelta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_core._values.events import Event

__all__ = ["ResumeWhitespace"]


class ResumeWhitespace:
    """Drops white space from the beginning of the continued text, as far as it repeats the end of `before`."""

    __slots__ = ("_left",)

    def __init__(self, before: str) -> None:
        self._left = before[len(before.rstrip()) :]

    def apply(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events without the repetition. Only texts of choice 0 are changed: no other can be resumed."""
        if not self._left:
            return events
        return [self._trimmed(event) if type(event) is TextDelta and event.choice == 0 else event for event in events]

    def rest(self) -> Sequence[Event]:
        """Return no events: this filter holds back none."""
        return ()

    def _trimmed(self, event: TextDelta) -> TextDelta:
        text = event.text
        while text and text[:1] == self._left[:1]:
            text, self._left = text[1:], self._left[1:]
        if text:  # the repetition ends with the first other character
            self._left = ""
        return replace(event, text=text)
