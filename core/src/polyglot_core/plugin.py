"""The names for authors of drivers, presets and simulators. A driver imports this module and `polyglot_core.errors`.

- the contract: `hookimpl`, `CONTRACT_VERSION`
- a connection and its facts: `Connection`, `Preset`, `Retries`, `Timeouts`, `Secret`, `read_facts`, `import_optional`,
  `config_error`
- the request, as `encode_request` receives it: `InferenceRequest`, `Message`, `Tool`, `RawTool`, `JSONSchema`, and the
  parts of a message (`Text`, `Image`, `ToolCall`, ...)
- encoding: `url_of`, `json_request`, `merged`, `translate_options`, `cannot_express`, `annotated_schema`,
  `ConversationWriter`, `MessageWriter`, `TurnWriter`
- the wire: `WireRequest`, `WireResponse`, `Chunk`, `Follow`, `Framer` and three framers
- decoding: the events (`TextDelta`, `Finish`, ...), `finish_of`, `FinishReason`, `Usage`, `Model`,
  `json_access`, `JSONText`
- embeddings: `EmbeddingRequest`, `Embeddings`
- transports: `TransportPackage`, `SyncTransport`, `AsyncTransport`, `HTTPRequest`, `Opening`, `Reply`, `AsyncReply`,
  `TransportLayer`
- packages that admit requests: `AdmissionRequest`, `Permit`
- packages with response formats: `FormatPackage`, `DataFormat`, `DataReader`, `Mode`
- the hooks of another driver: `driver`
- errors of providers: `Failure`, `failure_from_payload`, `stated_failure`, `is_vendor_event`, `provider_error_class`
"""

from __future__ import annotations

from polyglot_core._authoring import json_access
from polyglot_core._authoring.conversation_writers import ConversationWriter, MessageWriter, TurnWriter
from polyglot_core._authoring.facts import config_error, import_optional, read_facts
from polyglot_core._authoring.formats import annotated_schema
from polyglot_core._authoring.json_requests import json_request, merged, url_of
from polyglot_core._authoring.options import cannot_express, translate_options
from polyglot_core._drivers.reused import driver
from polyglot_core._values.admission import AdmissionRequest, Permit
from polyglot_core._values.connection import Connection, Preset
from polyglot_core._values.embeddings import EmbeddingRequest, Embeddings
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
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from polyglot_core._values.formats import DataFormat, DataReader, FormatPackage, Mode
from polyglot_core._values.json_text import JSONText
from polyglot_core._values.limits import Retries, Timeouts
from polyglot_core._values.models import Model
from polyglot_core._values.parts import (
    Audio,
    Document,
    Image,
    Part,
    RawPart,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from polyglot_core._values.request import InferenceRequest, JSONSchema, Message, RawTool, Tool
from polyglot_core._values.response import FinishReason, Usage
from polyglot_core._values.secret import Secret
from polyglot_core._values.transports import (
    AsyncReply,
    AsyncTransport,
    HTTPRequest,
    Opening,
    Reply,
    SyncTransport,
    TransportLayer,
    TransportPackage,
)
from polyglot_core._wire.error_events import is_vendor_event, stated_failure
from polyglot_core._wire.finish_words import finish_of
from polyglot_core._wire.json_framers import JSONArrayFramer, NDJSONFramer
from polyglot_core._wire.messages import Chunk, Follow, Framer, WireRequest, WireResponse
from polyglot_core._wire.provider_errors import failure_from_payload, provider_error_class
from polyglot_core._wire.sse import SSEFramer
from polyglot_core.hookspecs import CONTRACT_VERSION, hookimpl

__all__ = [
    "CONTRACT_VERSION",
    "AdmissionRequest",
    "AsyncReply",
    "AsyncTransport",
    "Audio",
    "Chunk",
    "Citation",
    "Connection",
    "ConversationWriter",
    "DataFormat",
    "DataReader",
    "Details",
    "Document",
    "EmbeddingRequest",
    "Embeddings",
    "End",
    "Event",
    "Failure",
    "Finish",
    "FinishReason",
    "Follow",
    "FormatPackage",
    "Framer",
    "HTTPRequest",
    "Image",
    "InferenceRequest",
    "JSONArrayFramer",
    "JSONSchema",
    "JSONText",
    "Logprobs",
    "MediaDelta",
    "Message",
    "MessageWriter",
    "Mode",
    "Model",
    "NDJSONFramer",
    "Note",
    "Opening",
    "Part",
    "Permit",
    "Ping",
    "Preset",
    "RawPart",
    "RawTool",
    "Reasoning",
    "ReasoningDelta",
    "Refusal",
    "RefusalDelta",
    "Reply",
    "ResponseStarted",
    "Retries",
    "SSEFramer",
    "Secret",
    "ServerToolEvent",
    "SyncTransport",
    "Text",
    "TextDelta",
    "Timeouts",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolResult",
    "TransportLayer",
    "TransportPackage",
    "TurnWriter",
    "Usage",
    "UsageReport",
    "WireRequest",
    "WireResponse",
    "annotated_schema",
    "cannot_express",
    "config_error",
    "driver",
    "failure_from_payload",
    "finish_of",
    "hookimpl",
    "import_optional",
    "is_vendor_event",
    "json_access",
    "json_request",
    "merged",
    "provider_error_class",
    "read_facts",
    "stated_failure",
    "translate_options",
    "url_of",
]
