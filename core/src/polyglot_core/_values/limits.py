"""The clocks, retries and sizes of a call: rows of numbers."""

from __future__ import annotations

import math

from msgspec import Struct

__all__ = ["Limits", "Retries", "Timeouts", "row_problem"]


class Timeouts(Struct, frozen=True, kw_only=True):
    """The clocks of a call, in seconds; None switches one off.

    Attributes:
        connect: Until there is a connection.
        first: From the call to the first event with meaning, per attempt. Long, because a model may think in silence.
        idle: Between events with meaning.
        silence: Without a single byte, once the answer has begun.
        grace: For what may follow after the model is done; when it runs out the answer is finished.
        total: For the whole call, over all attempts and waits.
    """

    connect: float | None = 5.0
    first: float | None = 600.0
    idle: float | None = 300.0
    silence: float | None = 120.0
    grace: float | None = 2.0
    total: float | None = None


class Retries(Struct, frozen=True, kw_only=True):
    """How often, and after which waits, a request is sent again before anything of an answer has come.

    Attributes:
        max_retries: How many times at most; 0 never sends again.
        initial_backoff: Seconds before the first repetition; doubled for each further one.
        max_backoff: Seconds that a wait which nobody asked for grows to.
        max_retry_after: Seconds that a provider may ask to wait; one that asks for more is not asked again.
    """

    max_retries: int = 2
    initial_backoff: float = 0.5
    max_backoff: float = 8.0
    max_retry_after: float = 60.0


class Limits(Struct, frozen=True, kw_only=True):
    """How large an answer may be. What goes beyond is a `LimitExceeded`, and nothing of its size is kept.

    Attributes:
        event: Bytes of one line, event or frame that are kept while the rest of it is waited for. Pictures come in one
            event, so it is not small: 1 MiB, as httpx2 has it, would refuse them.
        response: Bytes of one body, after it was inflated.
        inflation: Bytes that one byte of a compressed body may become, on average, once it has become 16 MiB. Text does
            not come near; gzip itself ends at 1032.
        headers: Bytes of the head of an answer. The HTTP client's own limit, 100 KiB, stays in force.
        error_body: Bytes of an error response that are read.
        choices: Answers in one response. Servers number them, and a wrong number must not cost memory.
        tool_calls: Calls to tools in one answer.
    """

    event: int = 16 * 1024 * 1024
    response: int = 256 * 1024 * 1024
    inflation: int = 200
    headers: int = 100 * 1024
    error_body: int = 64 * 1024
    choices: int = 128
    tool_calls: int = 1024


_LONGEST = 10**9  # seconds, some thirty years; clocks of the system overflow not far beyond


def row_problem(row: Timeouts | Retries | Limits, place: str) -> str | None:
    """A sentence on the first number of a row that is of no use; None if all are well. `place` says whose it is."""
    usual = type(row)()
    for name in row.__struct_fields__:
        number, whole = getattr(row, name), isinstance(getattr(usual, name), int)
        if number is None and isinstance(row, Timeouts):
            continue
        if wrong := _number_problem(number, whole=whole):
            off = ", or None to switch the clock off" if isinstance(row, Timeouts) else ""
            wanted = "a whole number from 0" if whole else f"a number of seconds from 0 to {_LONGEST}{off}"
            return f"{name!r} in {place} is {wrong}, and should be {wanted}."
    return None


def _number_problem(number: object, *, whole: bool) -> str:
    """What is wrong with a number; empty if nothing is. Its digits are not quoted: there may be thousands."""
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        return "None" if number is None else f"of type {type(number).__name__}"
    if isinstance(number, float) and not math.isfinite(number):
        return "not a number (nan)" if math.isnan(number) else "infinite"
    if number < 0:
        return "negative"
    if whole:
        return "" if isinstance(number, int) else "not a whole number"
    return "too large" if number > _LONGEST else ""
