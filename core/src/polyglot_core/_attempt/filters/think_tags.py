"""Extracts thinking that a server leaves in the text, between tags, even where a tag is split over two chunks.

`WireRequest.think_tags` switches it on. Only a tag at the beginning of the text counts: later on, a model may write
about the tags. An empty opening tag stands for thinking that the prompt has begun: the text is thinking up to the
closing tag, and an opening tag that the model repeats, which differs from the closing one by its slash, is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from polyglot_core._values.events import Finish, ReasoningDelta, TextDelta

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from polyglot_core._values.events import Event

__all__ = ["ThinkTags"]


class ThinkTags:
    """Separates thinking and text in the choices of one attempt."""

    def __init__(self, opening: str, closing: str) -> None:
        self._opening = opening
        self._closing = closing
        self._choices: dict[int, _Splitter] = {}

    def apply(self, events: Sequence[Event]) -> list[Event]:
        """Return the events, with thinking moved from texts to events of its own."""
        return [each for event in events for each in self._split(event)]

    def rest(self) -> list[Event]:
        """Return the texts still held back because they might have become a tag; no more events follow."""
        return [event for choice in list(self._choices) for event in self._rest(choice)]

    def _split(self, event: Event) -> Iterator[Event]:
        if isinstance(event, TextDelta):
            if event.choice not in self._choices:
                self._choices[event.choice] = _Splitter(self._opening, self._closing)
            for thinking, text in self._choices[event.choice].split(event.text):
                yield ReasoningDelta(text, choice=event.choice) if thinking else replace(event, text=text)
            if not event.text:
                yield event
            return
        if isinstance(event, Finish):
            yield from self._rest(event.choice)
        yield event

    def _rest(self, choice: int) -> Iterator[Event]:
        splitter = self._choices.get(choice)
        if splitter is not None and (kept := splitter.give_up()):
            yield ReasoningDelta(kept, choice=choice) if splitter.thinking else TextDelta(kept, choice)


class _Splitter:
    """One choice's text: before the opening tag, within, or after.

    Attributes:
        thinking: Whether the text stands within the tags.
        kept: Text that may be the start of a tag, without the white space before it.
    """

    def __init__(self, opening: str, closing: str) -> None:
        self._begun = not opening  # the text is thinking unless it is found to end
        opening = opening or closing.replace("/", "", 1)
        self.thinking = self._begun and opening == closing
        self.kept = ""
        self._space: list[str] = []  # white space before the text, in pieces, each of which is examined once
        self._tag = closing if self.thinking else opening  # the tag to find next; empty if there is none
        self._closing = closing
        self._fresh = False  # directly after the closing tag, whose white space is not part of the text

    def split(self, text: str) -> Iterator[tuple[bool, str]]:
        """Yield the pieces of thinking (True) and of text (False) that are certain by now."""
        text, self.kept = self.kept + text, ""
        if self._tag and not self.thinking:
            start = text.lstrip()
            self._space.append(text[: len(text) - len(start)])
            if self._tag.startswith(start) and start != self._tag:
                self.kept = start
                return
            if start.startswith(self._tag):
                self.thinking, text, self._tag = True, start[len(self._tag) :], self._closing
            elif self._begun:
                self.thinking, text, self._tag = True, "".join([*self._space, start]), self._closing
            else:
                text, self._tag = "".join([*self._space, start]), ""
            self._space.clear()
        if self.thinking:
            yield from self._within(text)
        elif text:
            yield from self._after(text)

    def give_up(self) -> str:
        """Return what was kept, which can no longer become a tag."""
        kept, self.kept = "".join([*self._space, self.kept]), ""
        self._space.clear()
        if kept and not self.thinking:
            self.thinking, self._tag = self._begun, self._closing if self._begun else ""
        return kept

    def _within(self, text: str) -> Iterator[tuple[bool, str]]:
        before, tag, behind = text.partition(self._closing)
        if not tag:
            keep = _overlap(before, self._closing)
            before, self.kept = before[: len(before) - keep], before[len(before) - keep :]
        if before:
            yield True, before
        if tag:
            self.thinking, self._tag, self._fresh = False, "", True
            yield from self._after(behind)

    def _after(self, text: str) -> Iterator[tuple[bool, str]]:
        if self._fresh:
            text = text.lstrip()
            self._fresh = not text
        if text:
            yield False, text


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of `text` are the beginning of `tag`."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)
