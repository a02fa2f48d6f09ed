"""The decoder of one attempt and the filters that its events pass, in a fixed order.

The order is: thinking tags, surrogate pairs, white space after a resume point. Each filter sees what the one before it
returned. Filters that an attempt does not need are absent; with none at all, `decode` is the driver's own function, so
that a stream without filters costs nothing for them.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from polyglot_core._attempt.filters.json_repair import SurrogateJoiner
from polyglot_core._attempt.filters.resume_whitespace import ResumeWhitespace
from polyglot_core._attempt.filters.think_tags import ThinkTags

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyglot_core._drivers.bound import BoundDriver
    from polyglot_core._values.events import Event
    from polyglot_core._wire.messages import Chunk

__all__ = ["Filter", "Pipeline"]


class Filter(Protocol):
    """A stage between the decoder and the assembler. It may hold back events, and changes those that it passes on."""

    def apply(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return what to pass on for the events of one chunk."""
        ...

    def rest(self) -> Sequence[Event]:
        """Return what is still held back; no more events follow."""
        ...


class Pipeline:
    """Decodes the chunks of one attempt and filters the events.

    Args:
        driver: The driver that decodes.
        state: What the driver's `decode_chunk` keeps between chunks.
        think_tags: The opening and the closing tag of thinking within the text, if the dialect has them.
        text_before: The text that the response continues, if the model was given it as a prefill.

    Attributes:
        state: As above.
        before: A copy of the state at the beginning of the current response.
        decode: Returns the filtered events of a chunk; raises whatever the driver raises. It is replaced when a filter
            is added, so it must be read anew for each chunk.
    """

    __slots__ = ("_driver", "_joiner", "_think_tags", "_whitespace", "before", "decode", "state")

    def __init__(
        self, driver: BoundDriver, state: dict[str, Any], think_tags: tuple[str, str] | None, text_before: str
    ) -> None:
        self.state = state
        self.before = deepcopy(state) if state else {}
        self._driver = driver
        begun = text_before and not (think_tags and think_tags[0])  # the thinking ended before the resume point
        self._think_tags = ThinkTags(*think_tags) if think_tags and not begun else None
        self._joiner: SurrogateJoiner | None = None
        self._whitespace = ResumeWhitespace(text_before) if text_before != text_before.rstrip() else None
        self.decode = self._connected()

    def decode_again(self, chunk: Chunk, data: bytes) -> Sequence[Event]:
        """Decode a chunk again, from other data in its place. Raises whatever the driver raises."""
        if chunk.kind == "whole":
            self.state = deepcopy(self.before)  # what the driver noted when it decoded the body first must not count
            self.decode = self._connected()
        return self.decode(replace(chunk, data=data))

    def decode_repaired(self, chunk: Chunk, data: bytes) -> Sequence[Event]:
        """Decode a chunk again, from data that `json_repair.repaired` returned.

        From here on, all events pass a `SurrogateJoiner`: the repaired data may contain marks for it.
        """
        if chunk.kind == "whole" or self._joiner is None:
            self._joiner = SurrogateJoiner()
            self.decode = self._connected()
        return self.decode_again(chunk, data)

    def rest(self) -> Sequence[Event]:
        """Return the events that the filters still hold back; no more chunks follow."""
        held: list[Event] = []
        for each in self._filters():
            held = [*each.apply(held), *each.rest()]
        return held

    def _filters(self) -> list[Filter]:
        return [each for each in (self._think_tags, self._joiner, self._whitespace) if each is not None]

    def _connected(self) -> Callable[[Chunk], Sequence[Event]]:
        decode, filters = self._driver.decoder(self.state), self._filters()
        return _filtered(decode, filters) if filters else decode


def _filtered(
    decode: Callable[[Chunk], Sequence[Event]], filters: Sequence[Filter]
) -> Callable[[Chunk], Sequence[Event]]:
    def decode_and_filter(chunk: Chunk) -> Sequence[Event]:
        events = decode(chunk)
        for each in filters:
            events = each.apply(events)
        return events

    return decode_and_filter
