"""The words and settings that a caller chooses for one call."""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

from polyglot_core._values.limits import Timeouts
from polyglot_core.errors import RequestError

__all__ = [
    "MOST_CONTINUATIONS",
    "UNSUPPORTED",
    "CallOptions",
    "OnLength",
    "OnTruncated",
    "ResumeMode",
    "Unsupported",
    "continuations",
]

Unsupported = Literal["raise", "warn", "drop"]
"""What to do with an option or a part of a message that a driver cannot express."""

OnTruncated = Literal["raise", "mark"]
"""What to do with a truncated response: raise `Truncated`, or return it with the outcome ``truncated``."""

ResumeMode = Literal["restart", "prefill", "provider"]
"""How to resume a response that was interrupted: send the request anew, send the text received so far as a prefill for
the model to continue, or let the provider send the rest of the response that it stored.
"""

OnLength = Literal["stop", "continue"] | int
"""What to do with a response of text that reaches its limit of tokens: ``stop`` returns it, with that finish reason;
``continue`` lets the model continue it, up to `MOST_CONTINUATIONS` times; a number continues it as many times at most.
"""

MOST_CONTINUATIONS = 8

UNSUPPORTED: tuple[Unsupported, ...] = get_args(Unsupported)


class CallOptions(Struct, frozen=True):
    """How one call is to be carried out.

    Attributes:
        timeouts: The clocks of the call, in seconds.
        on_truncated: What to do with a truncated response.
        resume: How to resume a response that was interrupted; None to raise.
        continuations: How often a response that reaches its limit of tokens is continued.
    """

    timeouts: Timeouts
    on_truncated: OnTruncated = "raise"
    resume: ResumeMode | None = None
    continuations: int = 0


def continuations(on_length: OnLength) -> int:
    """Return how often a response that reaches its limit of tokens is continued.

    Raises:
        RequestError: The argument is none of the words, and no number from 0.
    """
    if isinstance(on_length, str) and on_length in _CONTINUATIONS:
        return _CONTINUATIONS[on_length]
    if isinstance(on_length, int) and not isinstance(on_length, bool) and on_length >= 0:
        return on_length
    msg = f"on_length must be 'stop', 'continue' or the greatest number of continuations, not {on_length!r:.40}."
    raise RequestError(msg, phase="encode")


_CONTINUATIONS: dict[str, int] = {"stop": 0, "continue": MOST_CONTINUATIONS}
