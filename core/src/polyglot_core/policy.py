"""What to do after an error: send again after a wait, or raise. Pure: no clock, no socket, no sleep."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core.connection import Retries
    from polyglot_core.errors import PolyglotError

__all__ = ["Decision", "Resend", "Surface", "decide"]


class Resend(Struct, frozen=True):
    """Send the request again after `wait` seconds."""

    wait: float


class Surface(Struct, frozen=True):
    """Raise the error."""


Decision = Resend | Surface

_JITTER = 0.25  # waits are shortened by up to a quarter, so that clients that failed together do not return together


def decide(
    error: PolyglotError,
    *,
    attempt: int,
    committed: bool,
    retries: Retries,
    draw: Callable[[], float] = random.random,
) -> Decision:
    """Decide after attempt number `attempt` (from 1) has failed with `error`.

    Nothing is sent again once an event with meaning has reached the caller (`committed`), when the error says that it
    would not help, or when the provider asks for a longer wait than the caller allows.
    """
    if committed or not error.retryable or attempt > retries.limit:
        return Surface()
    if error.retry_after is not None:
        return Surface() if error.retry_after > retries.longest_wait else Resend(error.retry_after)
    wait = min(retries.first_wait * 2 ** (attempt - 1), retries.longest_wait)
    return Resend(wait * (1 - _JITTER * draw()))
