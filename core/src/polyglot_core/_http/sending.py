"""How a request is sent, whatever the transport: the options, the checks, and the wait for the headers."""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from polyglot_core._values.secret import Secret
from polyglot_core._values.transports import HTTPRequest

if TYPE_CHECKING:
    from polyglot_core._attempt.clocks import Clocks
    from polyglot_core._http.opening import OpeningState
    from polyglot_core._values.limits import Limits, Timeouts
    from polyglot_core._wire.messages import WireRequest

__all__ = ["LONGEST_WAIT", "SendOptions", "begin", "revealed"]

LONGEST_WAIT = 2_000_000.0
"""Seconds, about 23 days, that anything waits at most in the operating system; a socket cannot wait for 25."""


class SendOptions(NamedTuple):
    """How a request is sent.

    Attributes:
        timeouts: The timeouts of its call.
        clocks: The state of their clocks.
        limits: The limits on its response.
        resend: True if a request that was written to a connection that was being closed is sent once more.
    """

    timeouts: Timeouts
    clocks: Clocks
    limits: Limits
    resend: bool = True


def begin(opening: OpeningState, options: SendOptions, *, bounded: bool) -> str:
    """Start the wait for the headers. Return the name of the clock that ends it.

    Args:
        opening: The state of the request.
        options: How it is sent.
        bounded: False if the caller ends the wait when the clock runs out.
    """
    clocks = options.clocks
    now = perf_counter()
    if bounded:
        clocks.asked = now
    moment, clock = clocks.due(now)
    longest = max(moment - now, 0.001) if bounded else math.inf
    connect = options.timeouts.connect
    connect = longest if connect is None or connect > longest else connect
    opening.begin(_wait(connect), _wait(longest), resend=options.resend)
    return clock


def _wait(seconds: float) -> float | None:
    """Return how long something waits in the operating system; None for ever."""
    return None if seconds == math.inf else min(seconds, LONGEST_WAIT)


def revealed(wire: WireRequest) -> HTTPRequest:
    """Return a request with every secret revealed. Only a transport may hold it."""
    headers, secrets = {"accept-encoding": "identity", "user-agent": "polyglot"}, []
    for name, value in wire.headers.items():
        if isinstance(value, Secret):
            secrets.append(value)
            headers[name.lower()] = value.reveal()
        else:
            headers[name.lower()] = value
    return HTTPRequest(wire.method, wire.url, headers, wire.body, tuple(secrets))
