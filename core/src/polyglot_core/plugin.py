"""The driver authors' door: everything that a driver, a preset or a simulator needs, and nothing more."""

from __future__ import annotations

from polyglot_core.connection import Connection, Preset, Retries, Timeouts
from polyglot_core.events import (
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
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from polyglot_core.failures import failure_from_payload
from polyglot_core.framing import JSONArrayFramer, NDJSONFramer, SSEFramer
from polyglot_core.hookspecs import CONTRACT_VERSION, hookimpl
from polyglot_core.options import cannot_express, translate_options
from polyglot_core.parts import Audio, Document, Image, RawPart, Reasoning, Text, ToolCall, ToolResult
from polyglot_core.request import InferenceRequest, JSONSchema, Message, Tool
from polyglot_core.response import FinishReason, Usage
from polyglot_core.wire import Chunk, Framer, Secret, WireRequest, WireResponse

__all__ = [
    "CONTRACT_VERSION",
    "Audio",
    "Chunk",
    "Citation",
    "Connection",
    "Document",
    "End",
    "Event",
    "Failure",
    "Finish",
    "FinishReason",
    "Framer",
    "Image",
    "InferenceRequest",
    "JSONArrayFramer",
    "JSONSchema",
    "Logprobs",
    "MediaDelta",
    "Message",
    "NDJSONFramer",
    "Ping",
    "Preset",
    "RawPart",
    "Reasoning",
    "ReasoningDelta",
    "RefusalDelta",
    "ResponseStarted",
    "Retries",
    "SSEFramer",
    "Secret",
    "ServerToolEvent",
    "Text",
    "TextDelta",
    "Timeouts",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolResult",
    "Usage",
    "UsageReport",
    "WireRequest",
    "WireResponse",
    "cannot_express",
    "failure_from_payload",
    "hookimpl",
    "translate_options",
]
