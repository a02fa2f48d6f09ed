"""Assigns pieces of tool calls to their tool call, by index and id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_core._values.partial import ToolCallPiece
from polyglot_core.errors import LimitExceeded

if TYPE_CHECKING:
    from polyglot_core._values.events import ToolCallDelta

__all__ = ["ToolCallMatcher", "too_many"]


def too_many(what: str, most: int) -> LimitExceeded:
    """Return the error for a response with more than `most` choices or tool calls; `what` is the field of `Limits`."""
    return LimitExceeded(
        f"The response has more than {most} {what.replace('_', ' ')}. Raise limits.{what} to accept more."
    )


class OpenToolCall:
    """What is known of a tool call, to match later pieces against.

    Attributes:
        index: The number that the provider gave it; None if it gave none.
        id: The first id that is not empty.
        name: The first name that is not empty.
        arguments: Whether any arguments were received.
        complete: Whether no further pieces follow.
    """

    __slots__ = ("arguments", "complete", "id", "index", "name")

    def __init__(self, index: int | None, id_: str | None, name: str | None) -> None:
        self.index = index
        self.id = id_
        self.name = name
        self.arguments = False
        self.complete = False


class ToolCallMatcher:
    """Finds the tool call that a piece belongs to, by index and id, for every way in which servers number them.

    Observed on the wire: interleaved tool calls; index 0 on every tool call; no index at all; the id on the first piece
    only, on every piece, changing from piece to piece, or empty on later ones; whole tool calls in one piece;
    placeholders without a name.
    """

    def __init__(self, most: int) -> None:
        self._calls: list[OpenToolCall] = []
        self._most = most

    def match(self, event: ToolCallDelta) -> ToolCallPiece | None:
        """Return the piece with the slot of its tool call; None if it contains nothing new.

        Raises:
            LimitExceeded: It would begin one tool call too many.
        """
        slot = self._slot(event)
        if slot is None:
            if not (event.id or event.name or event.arguments):
                return None
            slot = len(self._calls)
            if slot >= self._most:
                raise too_many("tool_calls", self._most)
            self._calls.append(OpenToolCall(event.index, event.id, event.name))
            return self._piece(slot, event, event.id or None, event.name or None)
        call = self._calls[slot]
        new_id = event.id if event.id and not call.id else None
        new_name = event.name if event.name and not call.name else None
        if not (new_id or new_name or event.arguments or event.complete):
            return None
        call.id, call.name = call.id or event.id, call.name or event.name
        return self._piece(slot, event, new_id, new_name)

    def closing(self) -> list[ToolCallPiece]:
        """Return a piece for each tool call that is still open, which marks it as complete: the stream has finished."""
        pieces = []
        for slot, call in enumerate(self._calls):
            if not call.complete:
                call.complete = True
                pieces.append(ToolCallPiece(slot, None, None, "", complete=True))
        return pieces

    def _piece(self, slot: int, event: ToolCallDelta, id_: str | None, name: str | None) -> ToolCallPiece:
        call = self._calls[slot]
        arguments = "" if event.complete and call.arguments else event.arguments
        call.arguments = call.arguments or bool(event.arguments)
        call.complete = call.complete or event.complete
        return ToolCallPiece(slot, id_, name, arguments, event.complete, event.signature)

    def _slot(self, event: ToolCallDelta) -> int | None:
        """Return the slot of the tool call that this piece continues; None for a new one."""
        if event.index is None:
            return self._without_index(event)
        for slot in range(len(self._calls) - 1, -1, -1):
            call = self._calls[slot]
            if call.index == event.index:
                return self._under_index(slot, event)
        return None

    def _under_index(self, slot: int, event: ToolCallDelta) -> int | None:
        """Return the slot of a piece with a known index: by its id, else that index; None for a new id with a name."""
        call = self._calls[slot]
        if not event.id or not call.id or event.id == call.id:
            return slot
        owner = self._by_id(event.id)
        if owner is not None and self._calls[owner].index == event.index:
            return owner
        return None if event.name else slot

    def _without_index(self, event: ToolCallDelta) -> int | None:
        """Return the slot of a piece without index: by its id, else the last one, unless it has a name or a new id."""
        if event.complete:
            return self._by_id(event.id) if event.id else None
        if event.id and (owner := self._by_id(event.id)) is not None:
            return owner
        if event.id or event.name:
            last = self._calls[-1] if self._calls else None
            late_id = bool(event.id and last and not last.id and not event.name)
            return len(self._calls) - 1 if late_id else None
        return len(self._calls) - 1 if self._calls else None

    def _by_id(self, id_: str | None) -> int | None:
        for slot in range(len(self._calls) - 1, -1, -1):
            if self._calls[slot].id == id_:
                return slot
        return None
