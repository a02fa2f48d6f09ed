"""Numbers of a call: timeouts, retries, limits and rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from polyglot_core._values.suggest import config_error, suggestion

__all__ = ["NUMBERS", "WAITS", "Limits", "Retries", "Timeouts", "as_retries", "folded_numbers"]


class Timeouts(Struct, frozen=True, kw_only=True):
    """The clocks of a call, in seconds; None switches one off.

    Where timeouts are given, a number n limits each single wait: it stands for
    ``Timeouts(connect=n, first=n, idle=n, silence=n)``.

    Attributes:
        connect: Until the connection is established.
        first: From sending the request to the first event with content, per attempt. Long, because a model may reason
            before it emits anything.
        idle: Between two events with content.
        silence: Without a single byte received, once the response has begun.
        grace: For what may follow the last event of the model, such as usage; then the response is complete.
        total: For the whole call, including all attempts and backoff.
    """

    connect: float | None = 5.0
    first: float | None = 600.0
    idle: float | None = 300.0
    silence: float | None = 120.0
    grace: float | None = 2.0
    total: float | None = None


class Retries(Struct, frozen=True, kw_only=True):
    """Retries of a request that failed before any content of the response was received.

    Where retries are given, a number n stands for ``Retries(max_retries=n)``. Where none are, and where single other
    numbers of them are changed, `budget` is 35.

    Attributes:
        max_retries: Maximum number of retries; 0 switches them off.
        budget: Maximum number of retries that all calls to one origin make together; a retry that a 429
            requests after a wait is not counted. Within a minute, or by sixteen complete responses for each, they are
            regained. None for no such limit.
        initial_backoff: Seconds before the first retry; doubled for each further one.
        max_backoff: Maximum seconds of backoff that the provider did not request.
        max_retry_after: Maximum seconds that a response may request in ``Retry-After``; beyond it, no retry is made.
    """

    max_retries: int = 2
    budget: int | None = None
    initial_backoff: float = 0.5
    max_backoff: float = 8.0
    max_retry_after: float = 60.0


class Rate(Struct, frozen=True, kw_only=True):
    """What an account of the provider allows. All connections with the same origin and credentials share it.

    Requests wait until they are within it. Numbers that are None are learnt from the headers of responses, and from
    responses that reject a request because of its rate.

    Attributes:
        requests_per_minute: Requests that may be sent in a minute.
        tokens_per_minute: Tokens of prompts and responses in a minute.
        concurrency: Requests that may be in progress at the same time.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


class Limits(Struct, frozen=True, kw_only=True):
    """Maximum sizes of a response. Beyond them `LimitExceeded` is raised, and the excess is not kept in memory.

    Attributes:
        event: Bytes of one line, event or frame that are buffered until it is complete. An image is sent in one event,
            so the limit is not small: 1 MiB, as in httpx2, would reject images.
        response: Bytes of one response body after decompression.
        inflation: Decompressed bytes for each compressed byte, on average, once 16 MiB were decompressed. Text stays
            far below; the maximum of gzip is 1032.
        headers: Bytes of the response headers. The HTTP client's own limit, 100 KiB, stays in force.
        error_body: Bytes of an error response that are read.
        choices: Choices in one response. Servers number them, and a wrong number must not cost memory.
        tool_calls: Tool calls in one choice.
    """

    DEFAULT: ClassVar[Limits]

    event: int = 16 * 1024 * 1024
    response: int = 256 * 1024 * 1024
    inflation: int = 200
    headers: int = 100 * 1024
    error_body: int = 64 * 1024
    choices: int = 128
    tool_calls: int = 1024


Limits.DEFAULT = Limits()

NUMBERS: dict[str, Any] = {"timeouts": Timeouts(), "retries": Retries(budget=35), "limits": Limits(), "rate": Rate()}
"""Default of each field of a connection that holds numbers."""


def as_retries(given: object) -> object:
    """Return ``Retries(max_retries=n)`` for an integer n; return anything else, booleans included, unchanged.

    But a dict that sets `max_retries` and no `budget` removes that: what is set explicitly wins.
    """
    if isinstance(given, Mapping) and "max_retries" in given:
        return {"budget": None, **given}
    return Retries(max_retries=given) if isinstance(given, int) and not isinstance(given, bool) else given


WAITS = ("connect", "first", "idle", "silence")
"""The clocks of a wait for the provider. A number means these, as a single number means all waits in httpx."""


def _waits(given: object) -> object:
    """Return the clocks of all waits, as a dict, for a number; return anything else, booleans included, unchanged."""
    return dict.fromkeys(WAITS, given) if isinstance(given, (int, float)) and not isinstance(given, bool) else given


_LONGEST = 10**9  # seconds, about thirty years; system clocks overflow not far beyond


def _row_problem(row: Timeouts | Retries | Limits | Rate, owner: str) -> str | None:
    """Return a sentence on the first number that cannot be used; None if all can.

    Args:
        row: The numbers.
        owner: What they belong to, for the sentence.
    """
    usual, least = NUMBERS[type(row).__name__.lower()], int(isinstance(row, Rate))
    for name in row.__struct_fields__:
        number, whole = getattr(row, name), bool(least) or isinstance(getattr(usual, name), int)
        if number is None and (isinstance(row, (Timeouts, Rate)) or name == "budget"):
            continue
        if wrong := _number_problem(number, whole=whole, least=least):
            off = ", or None to switch the clock off" if isinstance(row, Timeouts) else ""
            wanted = f"a whole number from {least}" if whole else f"a number of seconds from 0 to {_LONGEST}{off}"
            return f"{name!r} in {owner} is {wrong}, and should be {wanted}."
    return None


def _number_problem(number: object, *, whole: bool, least: int) -> str:
    """Return what is wrong with a number; empty if nothing is. Its digits are not quoted: there may be thousands."""
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        return "None" if number is None else f"of type {type(number).__name__}"
    if isinstance(number, float) and not math.isfinite(number):
        return "not a number (nan)" if math.isnan(number) else "infinite"
    if number < least:
        return "negative" if number < 0 else "0"
    if whole:
        return "" if isinstance(number, int) else "not a whole number"
    return "too large" if number > _LONGEST else ""


NumbersT = TypeVar("NumbersT", bound=Timeouts | Retries | Limits | Rate)


def folded_numbers(row: NumbersT, field: str, name: str, *layers: Any) -> NumbersT:  # noqa: ANN401 (checked here)
    """Merge rows of numbers of a connection or a call: a whole row replaces what is below, a dict changes some numbers.

    A number n stands for ``Retries(max_retries=n)``, and for the clocks of all waits, which leaves `grace` and `total`.

    Args:
        row: The lowest row.
        field: The field of the connection, for messages.
        name: Name of the connection, for messages.
        layers: Rows, dicts, numbers and None, which changes nothing.

    Raises:
        ConfigError: A layer is none of these, has a name that the row does not have, or a number that cannot be used.
    """
    for given in layers:
        layer = _waits(given) if isinstance(row, Timeouts) else as_retries(given) if isinstance(row, Retries) else given
        if layer is None:
            continue
        row = layer if isinstance(layer, type(row)) else replace(row, **_known(layer, row, field, name))
        if problem := _row_problem(row, f"{field} of connection {name!r}"):
            raise config_error(problem, name)
    return row


def _known(layer: object, row: Timeouts | Retries | Limits | Rate, field: str, name: str) -> Mapping[str, Any]:
    """Return a layer of single numbers.

    Raises:
        ConfigError: It is not a mapping, or has a name that the row does not have.
    """
    known = row.__struct_fields__
    if not isinstance(layer, Mapping):
        kind, given, example = type(row).__name__, type(layer).__name__, known[-1]
        raise config_error(
            f"{field} of connection {name!r} is a {kind}, or a dict such as {{{example!r}: 30}}, not {given}.", name
        )
    for key in layer:
        if key not in known:
            hint = suggestion(str(key), known) or f": known are {', '.join(known)}"
            raise config_error(f"Connection {name!r} has no {key!r} in {field}{hint}.", name)
    return layer
