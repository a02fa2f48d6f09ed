"""The driver authors' door: everything that a driver, a preset or a simulator needs, and nothing more."""

from __future__ import annotations

from polyglot_core.columns import imported, misconfigured, read_columns
from polyglot_core.connection import Connection, Preset, Retries, Timeouts
from polyglot_core.conversation import ConversationWriter, MessageWriter, TurnWriter
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
from polyglot_core.jsonpieces import JSONPieces
from polyglot_core.jsonwire import at, count, json_request, json_text, laid_over, objects, read_json
from polyglot_core.options import cannot_express, translate_options
from polyglot_core.parts import Audio, Document, Image, Part, RawPart, Reasoning, Text, ToolCall, ToolResult
from polyglot_core.request import InferenceRequest, JSONSchema, Message, Tool
from polyglot_core.response import FinishReason, Usage
from polyglot_core.wire import Chunk, Framer, Secret, WireRequest, WireResponse

__all__ = [
    "CONTRACT_VERSION",
    "Audio",
    "Chunk",
    "Citation",
    "Connection",
    "ConversationWriter",
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
    "JSONPieces",
    "JSONSchema",
    "Logprobs",
    "MediaDelta",
    "Message",
    "MessageWriter",
    "NDJSONFramer",
    "Part",
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
    "TurnWriter",
    "Usage",
    "UsageReport",
    "WireRequest",
    "WireResponse",
    "at",
    "cannot_express",
    "count",
    "failure_from_payload",
    "hookimpl",
    "imported",
    "json_request",
    "json_text",
    "laid_over",
    "misconfigured",
    "objects",
    "read_columns",
    "read_json",
    "translate_options",
]
