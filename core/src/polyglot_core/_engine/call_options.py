"""The words and settings that a caller chooses for one call."""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

from polyglot_core._values.limits import Timeouts

__all__ = ["UNSUPPORTED", "CallOptions", "OnTruncated", "ResumeMode", "Unsupported"]

Unsupported = Literal["raise", "warn", "drop"]
"""What to do with an option or a part of a message that a driver cannot express."""

OnTruncated = Literal["raise", "mark"]
"""What to do with a truncated response: raise `Truncated`, or return it with the outcome ``truncated``."""

ResumeMode = Literal["restart", "prefill", "provider"]
"""How to resume a response that was interrupted: send the request anew, send the text received so far as a prefill for
the model to continue, or let the provider send the rest of the response that it stored.
"""

UNSUPPORTED: tuple[Unsupported, ...] = get_args(Unsupported)


class CallOptions(Struct, frozen=True):
    """How one call is to be carried out.

    Attributes:
        timeouts: The clocks of the call, in seconds.
        on_truncated: What to do with a truncated response.
        resume: How to resume a response that was interrupted; None to raise.
    """

    timeouts: Timeouts
    on_truncated: OnTruncated = "raise"
    resume: ResumeMode | None = None
