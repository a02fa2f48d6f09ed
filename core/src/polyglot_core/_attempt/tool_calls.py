"""Assigns pieces of tool calls to their tool call, by index and id."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct, field

from polyglot_core._values.partial import ToolCallPiece
from polyglot_core._values.unreadable import parse
from polyglot_core._wire.json_framers import JSONArrayFramer
from polyglot_core.errors import LimitExceeded

if TYPE_CHECKING:
    from polyglot_core._values.events import ToolCallDelta

__all__ = ["ToolCallMatcher", "too_many"]


def too_many(what: str, most: int) -> LimitExceeded:
    """Return the error for a response with more than `most` choices or tool calls; `what` is the field of `Limits`."""
    return LimitExceeded(
        f"The response has more than {most} {what.replace('_', ' ')}. Raise limits.{what} to accept more."
    )


_EMPTY = frozenset({"{}", "null"})
"""Arguments with which some servers begin every tool call, before they send those that the model writes."""


class OpenToolCall(Struct):
    """What is known of a tool call, to match later pieces against.

    Attributes:
        index: The number that the provider gave it; None if it gave none.
        id: The first id that is not empty.
        name: The name received so far.
        arguments: The pieces of the arguments.
        held: Empty arguments, which are passed on only if no others follow.
        complete: Whether no further pieces follow.
    """

    index: int | None
    id: str | None
    name: str | None
    arguments: list[str] = []
    held: str = ""
    complete: bool = False
    _framer: JSONArrayFramer = field(default_factory=partial(JSONArrayFramer, limit=sys.maxsize))
    _framed: int = 0
    _objects: int = 0

    def has_whole_object(self) -> bool:
        """Return whether the arguments received so far are a whole JSON object. Each character is read once."""
        for piece in self.arguments[self._framed :]:
            self._objects += len(self._framer.feed(piece.encode("utf-8", "replace")))
        self._framed = len(self.arguments)
        return self._objects > 0 and self._framer.between

    def repeats(self, arguments: str) -> bool:
        """Return whether `arguments` are those received so far, once more, be it with other white space."""
        if not arguments.rstrip().endswith("}"):
            return False
        before = "".join(self.arguments)
        return arguments.strip() == before.strip() or parse(arguments, arguments) == parse(before, before)


class ToolCallMatcher(Struct):
    """Finds the tool call that a piece belongs to, by index and id, for every way in which servers number them.

    Observed on the wire: interleaved tool calls; index 0 on every tool call; one index and one id on every tool call;
    no index at all; the id on the first piece only, on every piece, changing from piece to piece, or empty on later
    ones; the name on every piece, in pieces, or as it is so far; whole tool calls in one piece; the arguments once
    more at the end; placeholders without a name; empty arguments before the real ones; another index on every piece of
    one id.
    """

    most: int
    _calls: list[OpenToolCall] = []
    _by_index: dict[int | None, int] = {}  # the latest slot of an index
    _by_id: dict[str, int] = {}

    def match(self, event: ToolCallDelta) -> ToolCallPiece | None:
        """Return the piece with the slot of its tool call; None if it contains nothing new.

        Raises:
            LimitExceeded: It would begin one tool call too many.
        """
        slot = self._slot(event)
        if slot is not None and self._begins_another(self._calls[slot], event):
            slot = None
        if slot is None:
            return self._begin(event) if event.id or event.name or event.arguments else None
        call = self._calls[slot]
        new_id = event.id if event.id and not call.id else None
        if new_id:
            call.id = new_id
            self._by_id[new_id] = slot
        new_name = self._new_name(call, event)
        call.name = (call.name or "") + (new_name or "") or None
        arguments = self._new_arguments(call, event)
        if not (new_id or new_name or arguments or event.complete or event.signature or event.extra):
            return None
        return self._piece(slot, event, new_id, new_name, arguments)

    def closing(self) -> list[ToolCallPiece]:
        """Return a piece for each tool call that is still open, which marks it as complete: the stream has finished."""
        pieces = []
        for slot, call in enumerate(self._calls):
            if not call.complete:
                call.complete = True
                pieces.append(ToolCallPiece(slot, None, None, call.held, complete=True))
        return pieces

    def _begin(self, event: ToolCallDelta) -> ToolCallPiece:
        slot = len(self._calls)
        if slot >= self.most:
            raise too_many("tool_calls", self.most)
        self._calls.append(OpenToolCall(event.index, event.id or None, event.name or None))
        if event.index is not None:
            self._by_index[event.index] = slot
        if event.id:
            self._by_id[event.id] = slot
        arguments = self._new_arguments(self._calls[slot], event)
        return self._piece(slot, event, event.id or None, event.name or None, arguments)

    def _piece(
        self, slot: int, event: ToolCallDelta, id_: str | None, name: str | None, arguments: str
    ) -> ToolCallPiece:
        call = self._calls[slot]
        if arguments:
            call.arguments.append(arguments)
        if event.complete and not call.arguments and call.held:
            arguments = call.held
            call.arguments.append(arguments)
        call.complete = call.complete or event.complete
        return ToolCallPiece(slot, id_, name, arguments, event.complete, event.signature, event.extra)

    def _begins_another(self, call: OpenToolCall, event: ToolCallDelta) -> bool:
        """Return whether a piece under a known index or id is the beginning of another tool call.

        It is if it has another name, or if it has a whole object's beginning where the object before is complete. A
        name without arguments, before any were received, may be the rest of a name.
        """
        if event.complete and event.id and event.id == call.id:
            return False  # the same tool call once more, as a whole
        received = bool(call.arguments or call.held)
        if event.name and call.name and event.name != call.name:
            grows = bool(event.id and event.id == call.id and event.name.startswith(call.name) and not received)
            return not grows and (received or bool(event.arguments) or bool(event.id and event.id != call.id))
        begins = event.arguments.lstrip().startswith("{")
        if call.held and not call.arguments:
            return bool(begins and event.name and event.arguments.strip() != call.held)
        return bool(begins and call.arguments and call.has_whole_object() and not call.repeats(event.arguments))

    def _new_name(self, call: OpenToolCall, event: ToolCallDelta) -> str | None:
        """Return what a piece adds to the name: all of it, or what it has more than the name received so far."""
        if not event.name or event.name == call.name:
            return None
        return event.name.removeprefix(call.name or "")

    def _new_arguments(self, call: OpenToolCall, event: ToolCallDelta) -> str:
        """Return the arguments that a piece adds: none if it repeats those received so far."""
        if not event.arguments or (event.complete and call.arguments):
            return ""
        if not (call.arguments or event.complete) and event.arguments.strip() in _EMPTY:
            call.held = event.arguments
            return ""
        if call.held:
            held, call.held = call.held, ""
            return event.arguments if event.arguments.lstrip().startswith("{") else held + event.arguments
        begins = event.arguments.lstrip().startswith("{")
        if begins and call.arguments and call.has_whole_object() and call.repeats(event.arguments):
            return ""
        return event.arguments

    def _slot(self, event: ToolCallDelta) -> int | None:
        """Return the slot of the tool call that this piece continues; None for a new one."""
        if event.index is None:
            return self._without_index(event)
        slot = self._by_index.get(event.index)
        if slot is not None:
            return self._under_index(slot, event)
        return self._by_id.get(event.id) if event.id and not event.name else None

    def _under_index(self, slot: int, event: ToolCallDelta) -> int | None:
        """Return the slot of a piece with a known index: by its id, else that index; None for a new id with a name."""
        call = self._calls[slot]
        if not event.id or not call.id or event.id == call.id:
            return slot
        owner = self._by_id.get(event.id)
        if owner is not None and self._calls[owner].index == event.index:
            return owner
        return None if event.name else slot

    def _without_index(self, event: ToolCallDelta) -> int | None:
        """Return the slot of a piece without index: by its id, else the last one, unless it has a name or a new id."""
        if event.complete:
            return self._by_id.get(event.id) if event.id else None
        if event.id and (owner := self._by_id.get(event.id)) is not None:
            return owner
        last = len(self._calls) - 1 if self._calls else None
        if last is not None and self._is_rest_of_name(self._calls[last], event):
            return last
        if event.id or event.name:
            late_id = bool(event.id and last is not None and not self._calls[last].id and not event.name)
            return last if late_id else None
        return last

    def _is_rest_of_name(self, call: OpenToolCall, event: ToolCallDelta) -> bool:
        """Return whether a piece with a name alone continues that of a call with an id: another call would have one."""
        alone = event.name and not (event.id or event.arguments)
        return bool(alone and call.id and not (call.arguments or call.held or call.complete))
