"""The events of a call, which observers are called with. None of them has a prompt, a response or a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from polyglot_core._values.events import Seam
from polyglot_core._values.request import InferenceRequest
from polyglot_core._values.response import FinishReason, InferenceResponse, Outcome, Timing, Usage

__all__ = ["AttemptFailed", "AttemptStarted", "CallEnded", "CallEvent", "CallStarted", "FirstEvent", "Observers"]


class _CallFacts(Struct, frozen=True):
    """What every event of a call says.

    Attributes:
        call_id: Id of the call, which all its events have in common. It is unique across processes.
        connection: Name of the connection in use.
        driver: Name of its driver.
        model: Model that is requested.
    """

    call_id: str
    connection: str
    driver: str
    model: str


class CallStarted(_CallFacts, frozen=True, kw_only=True):
    """A call has started: its response is read for the first time.

    Attributes:
        stream: Whether a stream is requested.
        origin: Scheme, host and port of the connection; empty if it has no `base_url`.
        options: The options of the request.
        request: The request, for observers that have a true attribute `wants_content`; None for all others.
    """

    stream: bool
    origin: str = ""
    options: Mapping[str, Any] = {}
    request: InferenceRequest | None = None


class _AttemptFacts(_CallFacts, frozen=True, kw_only=True):
    """What every event of an attempt says.

    Attributes:
        attempt: Number of the attempt in the call, from 1.
    """

    attempt: int


class AttemptStarted(_AttemptFacts, frozen=True, kw_only=True):
    """A request of the call is about to be encoded, authorized and sent."""


class FirstEvent(_AttemptFacts, frozen=True, kw_only=True):
    """The first content of an attempt was received.

    Attributes:
        seconds: Seconds since the start of the call.
    """

    seconds: float


class AttemptFailed(_AttemptFacts, frozen=True, kw_only=True):
    """An attempt has failed, or has ended at the limit of tokens and is continued.

    Attributes:
        error: Name of the error's class.
        status: HTTP status of the response, or None if there was none.
        code: The provider's code of the error.
        request_id: The provider's id of the request.
        how: What follows: ``retry``, ``fallback``, or the mode in which the response is resumed; None if the call
            ends.
        wait: Seconds until then.
        seam: The same with the text of the error, for observers that have a true attribute `wants_content` if another
            attempt follows; None for all others.
    """

    error: str
    status: int | None = None
    code: str | None = None
    request_id: str | None = None
    how: Literal["retry", "fallback", "restart", "prefill", "provider"] | None = None
    wait: float = 0.0
    seam: Seam | None = None


class CallEnded(_CallFacts, frozen=True, kw_only=True):
    """A call has ended, in whichever way.

    Attributes:
        outcome: How it ended. ``cancelled`` is also that of a stream which was left, closed, or garbage collected.
        timing: How long it took.
        attempts: How many attempts were started.
        usage: Token counts, or None if the provider has not reported any.
        error: Name of the class of the error that the call ended with, or None.
        request_id: The provider's id of the HTTP request.
        response_id: The provider's id of the response.
        response_model: Model that generated the response, by the provider's name.
        finish_reasons: Why the model stopped, for each choice that says so.
        chunk_gaps: Seconds between each chunk of a stream and the one before; chunks that were read together are 0
            apart.
        response: The response, for observers that have a true attribute `wants_content`; None for all others.
    """

    outcome: Outcome
    timing: Timing
    attempts: int
    usage: Usage | None = None
    error: str | None = None
    request_id: str | None = None
    response_id: str | None = None
    response_model: str | None = None
    finish_reasons: tuple[FinishReason, ...] = ()
    chunk_gaps: tuple[float, ...] = ()
    response: InferenceResponse | None = None


CallEvent = CallStarted | AttemptStarted | FirstEvent | AttemptFailed | CallEnded
"""An event of a call."""

Observers = Sequence[Callable[[CallEvent], object] | str]
"""Observers: plain functions, or other callables, which are called with each event of the calls that they observe. Each
is given as itself, as the name of an installed one, or as ``module:function``."""
