"""Records the events of one attempt for observers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_core._values.events import Ping

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from polyglot_core._values.events import Event

__all__ = ["EventLog"]


class EventLog:
    """Appends events to `events`, from where an observer takes them.

    Until an attempt is committed, only pings are shown: the request may be sent again, and then the ids and counts that
    this response began with no longer apply.
    """

    __slots__ = ("_events", "_held")

    def __init__(self, events: deque[Event]) -> None:
        self._events = events
        self._held: list[Event] = []

    def record(self, events: Sequence[Event], *, committed: bool) -> None:
        """Show events, after those held so far; hold all but pings if the attempt is not committed."""
        if committed:
            self._events.extend(self._held)
            self._events.extend(events)
            self._held.clear()
            return
        self._events.extend(event for event in events if type(event) is Ping)
        self._held.extend(event for event in events if type(event) is not Ping)
