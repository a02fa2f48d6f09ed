"""The tree of errors, their facts, and the class for a provider's code or status."""

from __future__ import annotations

import copy
import pickle

import pytest

from polyglot_core import errors
from polyglot_core._values.response import Choice, InferenceResponse, Outcome, ToolCall
from polyglot_core._wire.provider_errors import provider_error_class
from polyglot_core.errors import (
    AuthenticationError,
    ConfigError,
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    PolyglotError,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    ServerError,
    TimedOut,
    TransportError,
    Truncated,
)
from polyglot_core.plugin import Usage

TREE = """
PolyglotError
  ConfigError
    NoDefault
  PluginError
  RequestError
  ProviderError
    AuthenticationError
    PermissionDenied
    NotFound
    InvalidRequest
      ContextLengthExceeded
    RateLimited
    QuotaExceeded
    Overloaded
    ServerError
  StreamError
    Truncated
    Malformed
    LimitExceeded
    ResponseFormatError
    UnexpectedContentType
  TimedOut
  TransportError
"""

CLASSES = [getattr(errors, name) for name in errors.__all__]
PARTIAL = InferenceResponse(
    outcome=Outcome.FAILED,
    choices=(Choice(index=0, content="Once", tool_calls=(ToolCall(name="sum", arguments_raw='{"a"'),)),),
    usage=Usage(input_tokens=1, raw={"in": 1}),
)


def everything(kind=PolyglotError):
    """Return a class and all its subclasses, including those outside the public tree."""
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in everything(child))]


def test_classes_match_the_tree():
    """Check the parent of each class against the tree above."""
    above = {}
    path = []
    for line in TREE.strip().splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        path[depth:] = [getattr(errors, line.strip())]
        above[path[-1]] = path[depth - 1] if depth else Exception
    assert set(above) == set(CLASSES)
    assert {kind: kind.__mro__[1] for kind in above} == above


def test_docstring_shows_the_same_tree():
    """Check that the tree at the top of the module names every class, in order."""
    drawn = [line.split("──")[-1].split()[0] for line in errors.__doc__.splitlines() if "──" in line]
    assert drawn == [line.strip() for line in TREE.strip().splitlines()][1:]


RETRYABLE = {RateLimited, Overloaded, ServerError, Truncated, TimedOut, TransportError}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_retryable_classes(kind):
    """Check which classes are retryable."""
    error = kind("x", "idle") if kind is TimedOut else kind("x")
    assert error.retryable is (kind in RETRYABLE)


def test_total_timeout_is_not_retryable():
    """Check that no retry follows when the clock of the whole call expires."""
    assert not TimedOut("x", "total").retryable


def test_timeout_is_a_builtin_timeout_error():
    """Catch `TimedOut` with ``except TimeoutError``, and check its clock."""
    with pytest.raises(TimeoutError) as caught:
        raise TimedOut("late", "idle", connection="here")
    assert (caught.value.clock, caught.value.connection, str(caught.value)) == (
        "idle",
        "here",
        "late (connection here)",
    )


@pytest.mark.parametrize("kind", everything(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("clone", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickle", "copy"])  # noqa: S301
def test_every_error_can_be_pickled(kind, clone):
    """Check message, facts and partial after pickling and copying, as between worker processes."""
    error = kind("What was wrong.")
    error.add_facts(connection="here", model="m", status=429, code="c", attempts=3, elapsed=1.5, partial=PARTIAL)
    error.add_facts(retry_after=2.0, retryable=True)
    again = clone(error)
    assert type(again) is kind
    assert again.__dict__ == error.__dict__
    assert (str(again), again.args, again.partial) == (str(error), error.args, PARTIAL)


@pytest.mark.parametrize("clock", ["connect", "first", "idle", "silence", "total"])
def test_pickled_timeout_keeps_its_clock(clock):
    """Check that the name of the clock is pickled too."""
    again = pickle.loads(pickle.dumps(TimedOut("late", clock, partial=PARTIAL)))  # noqa: S301
    assert (again.clock, again.partial) == (clock, PARTIAL)


def test_known_facts_are_not_replaced():
    """Check that a later fact does not replace one that the error has."""
    error = ProviderError("x", status=500, code="inner")
    returned = error.add_facts(status=200, code="outer", connection="here", model=None)
    assert returned is error
    assert (error.status, error.code, error.connection, error.model) == (500, "inner", "here", None)


def test_none_is_not_a_fact():
    """Check that None is ignored, so that a later fact counts."""
    error = ProviderError("x", status=None).add_facts(status=None).add_facts(status=503)
    assert error.status == 503


def test_false_retryable_is_kept():
    """Check that an explicit False is not replaced."""
    assert TransportError("x", retryable=False).add_facts(retryable=True).retryable is False


def test_errors_do_not_share_their_facts():
    """Check that a fact of one error does not appear on another of its class."""
    ProviderError("x", status=500)
    assert ProviderError("y").status is None


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({}, "No."),
        ({"connection": "here"}, "No. (connection here)"),
        (
            {"connection": "here", "model": "m", "status": 429, "code": "slow", "request_id": "r-1"},
            "No. (connection here, model m, status 429, code slow, request id r-1)",
        ),
        ({"elapsed": 1.0, "attempts": 2, "partial": PARTIAL, "provider": "p", "phase": "stream"}, "No."),
    ],
)
def test_str_shows_message_and_facts(facts, shown):
    """Check that `str` is the message with the main facts in parentheses."""
    assert str(ProviderError("No.", **facts)) == shown
    assert ProviderError("No.", **facts).message == "No."


def test_args_are_the_message():
    """Check that `args` contain the message only."""
    assert ConfigError("x", connection="here").args == ("x",)
    assert TimedOut("x", "idle").args == ("x",)


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, (), InvalidRequest),
        (401, (), AuthenticationError),
        (402, (), QuotaExceeded),
        (403, (), PermissionDenied),
        (404, (), NotFound),
        (405, (), InvalidRequest),
        (408, (), InvalidRequest),
        (413, (), InvalidRequest),
        (422, (), InvalidRequest),
        (429, (), RateLimited),
        (499, (), InvalidRequest),
        (500, (), ServerError),
        (502, (), ServerError),
        (503, (), Overloaded),
        (504, (), ServerError),
        (529, (), Overloaded),
        (599, (), ServerError),
        (600, (), ProviderError),
        (200, (), ProviderError),
        (None, (), ProviderError),
        (None, (None, None), ProviderError),
        (None, ("never heard of",), ProviderError),
        # the provider's code overrides the status
        (429, ("insufficient_quota",), QuotaExceeded),
        (400, ("context_length_exceeded", "invalid_request_error"), ContextLengthExceeded),
        (400, ("invalid_api_key",), AuthenticationError),
        (400, (None, "API_KEY", "authentication_error"), AuthenticationError),
        (500, ("overloaded_error",), Overloaded),
        (200, ("rate_limit_exceeded",), RateLimited),
        (None, ("RESOURCE_EXHAUSTED",), RateLimited),
        (None, ("ThrottlingException",), RateLimited),
        (None, ("UNAVAILABLE",), Overloaded),
        (None, ("not_found_error",), NotFound),
        (400, ("permission_denied",), PermissionDenied),
        # but a general "invalid request" does not override a more specific status
        (404, ("invalid_request_error",), NotFound),
        (401, ("invalid_request_error",), AuthenticationError),
        (429, ("invalid_request",), RateLimited),
        (400, ("invalid_request_error",), InvalidRequest),
        (None, ("invalid_request_error",), InvalidRequest),
        # the first known code counts
        (None, ("odd", "server_error", "rate_limit_exceeded"), ServerError),
    ],
)
def test_provider_error_class(status, words, kind):
    """Check that a known code or type determines the class, else the status."""
    assert provider_error_class(status, *words) is kind
