"""The driver authors' door: everything that a driver, a preset or a simulator needs, and nothing more."""

from __future__ import annotations

from polyglot_core._authoring import json_access
from polyglot_core._authoring.conversation_writers import ConversationWriter, MessageWriter, TurnWriter
from polyglot_core._authoring.facts import imported, misconfigured, read_facts
from polyglot_core._authoring.json_requests import json_request, merged
from polyglot_core._authoring.options import cannot_express, translate_options
from polyglot_core._values.connection import Connection, Preset
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
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from polyglot_core._values.limits import Retries, Timeouts
from polyglot_core._values.parts import Audio, Document, Image, Part, RawPart, Reasoning, Text, ToolCall, ToolResult
from polyglot_core._values.request import InferenceRequest, JSONSchema, Message, Tool
from polyglot_core._values.response import FinishReason, Usage
from polyglot_core._values.secret import Secret
from polyglot_core._wire.json_framers import JSONArrayFramer, NDJSONFramer
from polyglot_core._wire.messages import Chunk, Framer, WireRequest, WireResponse
from polyglot_core._wire.provider_errors import failure_from_payload, provider_error_class
from polyglot_core._wire.sse import SSEFramer
from polyglot_core.hookspecs import CONTRACT_VERSION, hookimpl

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
    "cannot_express",
    "failure_from_payload",
    "hookimpl",
    "imported",
    "json_access",
    "json_request",
    "merged",
    "misconfigured",
    "provider_error_class",
    "read_facts",
    "translate_options",
]
