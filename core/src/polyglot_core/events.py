"""The event types that `stream.events()` yields, for users who read a stream event by event."""

from __future__ import annotations

from polyglot_core._values.events import (
    Citation,
    Details,
    End,
    Event,
    Failure,
    Finish,
    Logprobs,
    MediaDelta,
    Note,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    ResponseStarted,
    Seam,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)

__all__ = [
    "Citation",
    "Details",
    "End",
    "Event",
    "Failure",
    "Finish",
    "Logprobs",
    "MediaDelta",
    "Note",
    "Ping",
    "ReasoningDelta",
    "RefusalDelta",
    "ResponseStarted",
    "Seam",
    "ServerToolEvent",
    "TextDelta",
    "ToolCallDelta",
    "UsageReport",
]
