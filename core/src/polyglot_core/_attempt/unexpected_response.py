"""Answers that are none: refusals, redirects, what something in between has put in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from polyglot_core._wire.framings import FRAMERS, media_type
from polyglot_core._wire.provider_errors import (
    failure_from_payload,
    failure_from_response,
    printable,
    provider_error,
    retry_override,
)
from polyglot_core.errors import PolyglotError, ProviderError, Truncated, UnexpectedContentType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from polyglot_core._values.events import Failure
    from polyglot_core._wire.messages import WireRequest, WireResponse

__all__ = ["OK", "UNREADABLE", "fits", "nothing_came", "quoted", "refusal"]

OK = range(200, 300)
"""Statuses of an answer."""

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What msgspec raises for data that is no such JSON."""

_REDIRECT = range(300, 400)
_NO_CONTENT = 204
_SHOWN_BODY = 200  # characters of a body that a message quotes
_BYTES_OF_A_CHARACTER = 4  # at most, in UTF-8


def fits(wire: WireRequest, headers: Mapping[str, str]) -> bool:
    """Whether the content type of an answer fits the framing that its request names; a missing one does.

    For a framer of a driver's own any does, unless its class says in `media_types` which.
    """
    found = media_type(headers.get("content-type"))
    named = FRAMERS[wire.framing] if isinstance(wire.framing, str) else wire.framing
    expected: frozenset[str] | None = getattr(named, "media_types", None)
    if found is None or expected is None:
        return True
    return found in expected or (wire.framing == "whole" and found.endswith("+json"))


def refusal(response: WireResponse, decode_error: Callable[[WireResponse], Failure | None]) -> PolyglotError:
    """The error that an answer is which is no stream; `decode_error` is the driver's."""
    if response.status in _REDIRECT:
        return ProviderError(
            f"The provider redirects to {printable(response.headers.get('location', 'nowhere'))}. Redirects are not "
            "followed, because a key must not travel; set base_url to the address that is meant.",
            status=response.status,
        )
    if response.status not in OK:
        error = provider_error(decode_error(response) or failure_from_response(response))
        if (told := retry_override(response.headers)) is not None:
            error.retryable = told
        return error
    if response.status == _NO_CONTENT or not response.body.strip():
        return nothing_came()
    failure = _failure_in(response, decode_error)
    return _something_else(response) if failure is None else provider_error(failure)


def nothing_came() -> Truncated:
    """The error for an answer without a body."""
    return Truncated("The answer ended before anything of it had come.")


def quoted(body: bytes) -> str:
    """The beginning of a body, for a message."""
    shown = body[: _BYTES_OF_A_CHARACTER * (_SHOWN_BODY + 1)]  # one more, so that a cut is seen and marked
    return printable(shown.decode("utf-8", "replace"), _SHOWN_BODY)


def _failure_in(response: WireResponse, decode_error: Callable[[WireResponse], Failure | None]) -> Failure | None:
    """What a JSON object with status 200 says of a failure, where an answer was asked for."""
    try:
        payload = msgspec.json.decode(response.body)
    except UNREADABLE:
        return None
    if not isinstance(payload, dict):
        return None
    return failure_from_payload(payload, raw=response.body) if payload.get("error") else decode_error(response)


def _something_else(response: WireResponse) -> UnexpectedContentType:
    found = printable(response.headers.get("content-type") or "unknown")
    return UnexpectedContentType(
        f"The answer, of type {found}, is not what was asked for; something between here and the provider may have "
        f"answered. It begins: {quoted(response.body)}",
        status=response.status,
    )
