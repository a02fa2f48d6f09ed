"""The three doors of the package: what is behind each is written here, so that it changes only on purpose."""

from __future__ import annotations

import importlib
import importlib.resources
import inspect
import pkgutil

import pytest

import polyglot_core
from polyglot_core import errors, plugin

USERS = """
AsyncInference AsyncInferenceStream AsyncPendingInference AuthenticationError ConfigError Connection FinishReason
Inference InferenceResponse InferenceStream Limits Message Outcome PartialInferenceResponse PendingInference PluginError
PolyglotError ProviderError RateLimited RequestError Retries StreamError TimedOut Timeouts Tool ToolCall TransportError
Truncated Usage connections drivers register
"""
AUTHORS = """
CONTRACT_VERSION Audio Chunk Citation Connection ConversationWriter Document End Event Failure Finish FinishReason
Framer Image InferenceRequest JSONArrayFramer JSONSchema Logprobs MediaDelta Message MessageWriter
NDJSONFramer Part Ping Preset RawPart Reasoning ReasoningDelta RefusalDelta ResponseStarted Retries SSEFramer Secret
ServerToolEvent Text TextDelta Timeouts Tool ToolCall ToolCallDelta ToolResult TurnWriter Usage UsageReport
WireRequest WireResponse at cannot_express count failure_from_payload hookimpl imported json_request json_text
laid_over misconfigured objects provider_error_class read_columns read_json translate_options
"""
ERRORS = """
AuthenticationError ConfigError ContextLengthExceeded InvalidRequest LimitExceeded Malformed NoDefault NotFound Overloaded
PermissionDenied PluginError PolyglotError ProviderError QuotaExceeded RateLimited RequestError ServerError StreamError
TimedOut TransportError Truncated UnexpectedContentType
"""
DOORS = [(polyglot_core, USERS), (plugin, AUTHORS), (errors, ERRORS)]
MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(polyglot_core.__path__, "polyglot_core.")
    if not found.ispkg
]


@pytest.mark.parametrize(("door", "names"), DOORS, ids=["users", "authors", "errors"])
def test_what_is_behind_a_door(door, names):
    """A door offers exactly the names that are written here, sorted, and each of them is there."""
    assert door.__all__ == names.split()
    assert door.__all__ == sorted(door.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(hasattr(door, name) for name in door.__all__)


@pytest.mark.parametrize("module", [polyglot_core, *MODULES], ids=lambda module: module.__name__)
def test_every_module_says_what_it_offers(module):
    """Every module has a docstring and an `__all__` of names that are there."""
    assert module.__doc__
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("door", [polyglot_core, plugin, errors], ids=["users", "authors", "errors"])
def test_every_public_name_has_a_docstring(door):
    """Everything behind a door is documented, its public methods and properties too."""
    missing = []
    for name in door.__all__:
        value = getattr(door, name)
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


def test_partials_and_responses_share_their_words():
    """What a partial shows so far has the names that the response has."""
    shared = {"content", "reasoning_content", "tool_calls", "finish_reason", "usage"}
    for kind in (polyglot_core.PartialInferenceResponse, polyglot_core.InferenceResponse):
        assert shared <= set(dir(kind))


def test_core_is_typed():
    """The package says that it has types."""
    assert (importlib.resources.files(polyglot_core) / "py.typed").is_file()
