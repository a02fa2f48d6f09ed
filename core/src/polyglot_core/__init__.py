"""One streaming API for every LLM provider: send a request, iterate partial responses, take the complete response."""

from __future__ import annotations

from polyglot_core._client.inference import AsyncInference, Inference
from polyglot_core._client.pending import AsyncPendingInference, PendingInference
from polyglot_core._client.stream import AsyncInferenceStream, InferenceStream
from polyglot_core._config.listing import connections, drivers
from polyglot_core._drivers.discovery import register
from polyglot_core._engine.observers import observe
from polyglot_core._values.calls import AttemptFailed, AttemptStarted, CallEnded, CallEvent, CallStarted, FirstEvent
from polyglot_core._values.connection import Connection
from polyglot_core._values.embeddings import Embeddings
from polyglot_core._values.limits import Limits, Rate, Retries, Timeouts
from polyglot_core._values.models import Capabilities, Model
from polyglot_core._values.options import EmbeddingOptions, Options
from polyglot_core._values.partial import PartialInferenceResponse
from polyglot_core._values.parts import Audio, Document, Image, RawPart, Reasoning, Refusal, Text, ToolCall, ToolResult
from polyglot_core._values.request import JSONSchema, Message, RawTool, Tool
from polyglot_core._values.response import FinishReason, InferenceResponse, Outcome, Usage
from polyglot_core.errors import (
    AuthenticationError,
    ConfigError,
    PluginError,
    PolyglotError,
    ProviderError,
    RateLimited,
    RequestError,
    ResponseFormatError,
    StreamError,
    TimedOut,
    TransportError,
    Truncated,
)

__all__ = [
    "AsyncInference",
    "AsyncInferenceStream",
    "AsyncPendingInference",
    "AttemptFailed",
    "AttemptStarted",
    "Audio",
    "AuthenticationError",
    "CallEnded",
    "CallEvent",
    "CallStarted",
    "Capabilities",
    "ConfigError",
    "Connection",
    "Document",
    "EmbeddingOptions",
    "Embeddings",
    "FinishReason",
    "FirstEvent",
    "Image",
    "Inference",
    "InferenceResponse",
    "InferenceStream",
    "JSONSchema",
    "Limits",
    "Message",
    "Model",
    "Options",
    "Outcome",
    "PartialInferenceResponse",
    "PendingInference",
    "PluginError",
    "PolyglotError",
    "ProviderError",
    "Rate",
    "RateLimited",
    "RawPart",
    "RawTool",
    "Reasoning",
    "Refusal",
    "RequestError",
    "ResponseFormatError",
    "Retries",
    "StreamError",
    "Text",
    "TimedOut",
    "Timeouts",
    "Tool",
    "ToolCall",
    "ToolResult",
    "TransportError",
    "Truncated",
    "Usage",
    "connections",
    "drivers",
    "observe",
    "register",
]


def __dir__() -> list[str]:
    """Return the public names only, so that autocomplete does not offer internal modules."""
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
