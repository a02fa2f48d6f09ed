"""The event types that `stream.events()` yields, for users who read a stream event by event."""

from __future__ import annotations

from polyglot_core._values.events import (
    Citation,
    End,
    Event,
    Failure,
    Finish,
    Logprobs,
    MediaDelta,
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
    "End",
    "Event",
    "Failure",
    "Finish",
    "Logprobs",
    "MediaDelta",
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
