"""A provider on loopback: a test double that streams scripted replies, with scripted faults.

::

    with Simulator(reply="Once upon a time", fault=Drop(after_events=3)) as simulator:
        client = OpenAI(base_url=simulator.base_url, api_key="simulator-key")
"""

from __future__ import annotations

from polyglot_simulator.faults import (
    ByteAtATime,
    Comments,
    ContentType,
    Cut,
    Drop,
    ErrorEvent,
    Fault,
    Garbage,
    Gzip,
    LeaveOpen,
    Reset,
    SlowHeaders,
    Stall,
    Status,
)
from polyglot_simulator.pace import Pace
from polyglot_simulator.recorded_request import RecordedRequest
from polyglot_simulator.reply import RawReply, Reply, ToolCall
from polyglot_simulator.simulator import Simulator

__all__ = [
    "ByteAtATime",
    "Comments",
    "ContentType",
    "Cut",
    "Drop",
    "ErrorEvent",
    "Fault",
    "Garbage",
    "Gzip",
    "LeaveOpen",
    "Pace",
    "RawReply",
    "RecordedRequest",
    "Reply",
    "Reset",
    "Simulator",
    "SlowHeaders",
    "Stall",
    "Status",
    "ToolCall",
]
