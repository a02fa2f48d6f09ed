"""The public names of each public module, listed here so that they change only on purpose."""

from __future__ import annotations

import importlib
import importlib.resources
import inspect
import pkgutil

import pytest

import polyglot_core
from polyglot_core import errors, events, plugin, testing

USERS = """
AsyncInference AsyncInferenceStream AsyncPendingInference AttemptFailed AttemptStarted Audio AuthenticationError CallEnded CallEvent CallStarted Capabilities ConfigError Connection Document EmbeddingOptions Embeddings
FinishReason FirstEvent Image Inference InferenceResponse InferenceStream JSONSchema Limits Message Model Options Outcome
PartialInferenceResponse PendingInference PluginError PolyglotError ProviderError Rate RateLimited RawPart RawTool Reasoning Refusal
RequestError ResponseFormatError Retries StreamError Text TimedOut Timeouts Tool ToolCall ToolResult TransportError Truncated Usage connections drivers observe register
"""
AUTHORS = """
CONTRACT_VERSION AdmissionRequest AsyncReply AsyncTransport Audio Chunk Citation Connection ConversationWriter DataFormat DataReader
Details Document EmbeddingRequest Embeddings End Event Failure Finish FinishReason Follow FormatPackage Framer HTTPRequest Image InferenceRequest
JSONArrayFramer JSONSchema JSONText Logprobs MediaDelta Message MessageWriter Mode Model NDJSONFramer Note Opening
Part Permit Ping Preset RawPart RawTool Reasoning ReasoningDelta Refusal RefusalDelta Reply ResponseStarted Retries SSEFramer
Secret ServerToolEvent SyncTransport Text TextDelta Timeouts Tool ToolCall ToolCallDelta ToolResult TransportLayer TransportPackage
TurnWriter Usage UsageReport WireRequest WireResponse annotated_schema cannot_express config_error driver
failure_from_payload finish_of hookimpl import_optional is_vendor_event json_access json_request merged
provider_error_class read_facts stated_failure translate_options url_of
"""
ERRORS = """
AuthenticationError ConfigError ContextLengthExceeded InvalidRequest LimitExceeded Malformed NoDefault NotFound Overloaded
PermissionDenied PluginError PolyglotError ProviderError QuotaExceeded RateLimited RequestError ResponseFormatError
ServerError StreamError TimedOut TransportError Truncated UnexpectedContentType
"""
EVENTS = """
Citation Details End Event Failure Finish Logprobs MediaDelta Note Ping ReasoningDelta RefusalDelta ResponseStarted Seam
ServerToolEvent TextDelta ToolCallDelta UsageReport
"""
TESTING = "OPTIONS BoundDriver Replay bind chunks replay"
PUBLIC = {polyglot_core: USERS, plugin: AUTHORS, errors: ERRORS, events: EVENTS, testing: TESTING}
MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(polyglot_core.__path__, "polyglot_core.")
    if not found.ispkg
]


@pytest.mark.parametrize(("module", "names"), PUBLIC.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_public_names_of_a_module(module, names):
    """Check that a module exports exactly the names above, sorted, and that each exists."""
    assert module.__all__ == names.split()
    assert module.__all__ == sorted(module.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(hasattr(module, name) for name in module.__all__)


def test_dir_lists_public_names_only():
    """Check that `dir` of the package lists what it exports, and no internal modules."""
    assert [name for name in dir(polyglot_core) if not name.startswith("__")] == sorted(USERS.split())


@pytest.mark.parametrize("module", [polyglot_core, *MODULES], ids=lambda module: module.__name__)
def test_every_module_has_docstring_and_all(module):
    """Check that every module has a docstring and an `__all__` of names that exist."""
    assert module.__doc__
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_every_public_name_has_a_docstring(module):
    """Check docstrings of all public names, and of their public methods and properties."""
    missing = []
    for name in module.__all__:
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not value.__doc__ or len(value.__doc__) < 10:
            missing.append(name)
        if inspect.isclass(value):
            missing += [
                f"{name}.{member}"
                for member, part in vars(value).items()
                if not member.startswith("_") and (callable(part) or isinstance(part, property)) and not part.__doc__
            ]
    assert missing == []


def test_partials_and_responses_share_field_names():
    """Check that fields of a partial have the names of the response's fields."""
    shared = {"content", "reasoning_content", "tool_calls", "finish_reason", "usage"}
    for kind in (polyglot_core.PartialInferenceResponse, polyglot_core.InferenceResponse):
        assert shared <= set(dir(kind))


def test_core_is_typed():
    """Check that the package has a ``py.typed`` file."""
    assert (importlib.resources.files(polyglot_core) / "py.typed").is_file()
