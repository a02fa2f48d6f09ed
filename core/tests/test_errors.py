"""The tree of errors, what they carry, and which class a provider's word or status becomes."""

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
    """A class and all that derive from it, those outside the public tree too."""
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in everything(child))]


def test_the_tree_is_as_it_is_drawn():
    """Each class stands under the one that the picture shows it under."""
    above = {}
    path = []
    for line in TREE.strip().splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        path[depth:] = [getattr(errors, line.strip())]
        above[path[-1]] = path[depth - 1] if depth else Exception
    assert set(above) == set(CLASSES)
    assert {kind: kind.__mro__[1] for kind in above} == above


def test_the_module_draws_the_same_tree():
    """The picture at the top of the module names every class, in the order of the tree."""
    drawn = [line.split("──")[-1].split()[0] for line in errors.__doc__.splitlines() if "──" in line]
    assert drawn == [line.strip() for line in TREE.strip().splitlines()][1:]


RETRYABLE = {RateLimited, Overloaded, ServerError, Truncated, TimedOut, TransportError}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_what_may_be_sent_again(kind):
    """Only errors that another try can help with say that they are retryable."""
    error = kind("x", "idle") if kind is TimedOut else kind("x")
    assert error.retryable is (kind in RETRYABLE)


def test_a_total_that_ran_out_is_not_tried_again():
    """When the clock of the whole call has run out, there is no time for another try."""
    assert not TimedOut("x", "total").retryable


def test_a_timeout_is_pythons_too():
    """`TimedOut` is caught by ``except TimeoutError``, and says which clock it was."""
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
    """An error comes through a pickle whole: message, facts and partial; a worker process can hand it on."""
    error = kind("What was wrong.")
    error.add_facts(connection="here", model="m", status=429, code="c", attempts=3, elapsed=1.5, partial=PARTIAL)
    error.add_facts(retry_after=2.0, retryable=True)
    again = clone(error)
    assert type(again) is kind
    assert again.__dict__ == error.__dict__
    assert (str(again), again.args, again.partial) == (str(error), error.args, PARTIAL)


@pytest.mark.parametrize("clock", ["connect", "first", "idle", "silence", "total"])
def test_a_pickled_timeout_knows_its_clock(clock):
    """The name of the clock comes through a pickle too."""
    again = pickle.loads(pickle.dumps(TimedOut("late", clock, partial=PARTIAL)))  # noqa: S301
    assert (again.clock, again.partial) == (clock, PARTIAL)


def test_what_an_error_knows_is_kept():
    """What is filled in further out never replaces what the error already says."""
    error = ProviderError("x", status=500, code="inner")
    returned = error.add_facts(status=200, code="outer", connection="here", model=None)
    assert returned is error
    assert (error.status, error.code, error.connection, error.model) == (500, "inner", "here", None)


def test_nothing_that_is_unknown_is_filled_in():
    """None says that something is not known, so a later fact still counts."""
    error = ProviderError("x", status=None).add_facts(status=None).add_facts(status=503)
    assert error.status == 503


def test_a_false_retryable_is_kept():
    """An error that says it is not retryable stays so."""
    assert TransportError("x", retryable=False).add_facts(retryable=True).retryable is False


def test_errors_do_not_share_their_facts():
    """What one error is told does not appear on another of its class."""
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
def test_an_error_reads_well(facts, shown):
    """`str` is the message and the facts that a person needs, in brackets."""
    assert str(ProviderError("No.", **facts)) == shown
    assert ProviderError("No.", **facts).message == "No."


def test_a_message_alone_is_the_args():
    """`args` hold the message and nothing else, as with any exception."""
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
        # the provider's word says more than the status
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
        # but a mere "invalid request" does not outrank a status that says more
        (404, ("invalid_request_error",), NotFound),
        (401, ("invalid_request_error",), AuthenticationError),
        (429, ("invalid_request",), RateLimited),
        (400, ("invalid_request_error",), InvalidRequest),
        (None, ("invalid_request_error",), InvalidRequest),
        # the first known word counts
        (None, ("odd", "server_error", "rate_limit_exceeded"), ServerError),
    ],
)
def test_the_class_of_a_providers_no(status, words, kind):
    """A known word of the provider's decides, else the status."""
    assert provider_error_class(status, *words) is kind
