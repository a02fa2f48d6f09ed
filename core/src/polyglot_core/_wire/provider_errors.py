"""Parses error responses of any known shape, and chooses the class of the error."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_core._values.events import Failure
from polyglot_core._values.unreadable import UNREADABLE
from polyglot_core.errors import (
    AuthenticationError,
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    ServerError,
)

if TYPE_CHECKING:
    from polyglot_core._wire.messages import WireResponse

__all__ = [
    "failure_from_payload",
    "failure_from_response",
    "printable",
    "provider_error",
    "provider_error_class",
    "retry_after_seconds",
    "retry_override",
]

_SHOWN_BYTES = 512
_HIDDEN_ELEMENT = re.compile(rb"<(script|style)\b")  # matched at one position, on text in lower case
_SPACE = re.compile(rb"\s*")
_LOWEST_ERROR_STATUS = 400
_HIGHEST_STATUS = 599


def failure_from_payload(payload: object, *, status: int | None = None, raw: bytes = b"") -> Failure:
    """Parse an error object of any of the shapes that providers send.

    They are ``{"error": {…}}``, ``{"error": "text"}``, ``{"message": …}``, ``{"detail": …}``, ``{"errors": […]}``,
    a list of any of these, and a string. If `status` is None, a ``code`` or ``status`` from 400 to 599 is the status.

    Args:
        payload: The parsed body of the response, or the object in it.
        status: HTTP status of the response; None for an error inside a response with status 200.
        raw: The bytes that were parsed, which are kept in the failure.
    """
    error = _innermost(payload)
    if not isinstance(error, Mapping):
        return Failure(message=_text_of(error), status=status, raw=raw)
    code, kind = error.get("code"), error.get("type") or error.get("status")
    return Failure(
        message=_text_of(error),
        code=None if code is None else str(code),
        param=error["param"] if isinstance(error.get("param"), str) and error["param"] else None,
        type=None if kind is None else str(kind),
        status=status or _as_status(code) or _as_status(error.get("status")) or _as_status(error.get("status_code")),
        raw=raw,
    )


def failure_from_response(response: WireResponse) -> Failure:
    """Parse a response with an error status, whose body is JSON, HTML, plain text or empty."""
    try:
        payload = msgspec.json.decode(response.body) if response.body.strip() else ""
    except UNREADABLE:
        payload = _without_tags(response.body).decode("utf-8", "replace")
    failure = failure_from_payload(payload, status=response.status, raw=response.body)
    return msgspec.structs.replace(failure, retry_after=retry_after_seconds(response.headers))


def provider_error(failure: Failure) -> ProviderError:
    """Return the error for a failure, from an error status or from inside a response with status 200."""
    error_class = provider_error_class(failure.status, failure.code, failure.type)
    message = printable(failure.message) or "The provider returned an error without a message."
    error = error_class(
        message,
        status=failure.status,
        code=printable(str(failure.code or failure.type or "")) or None,
        param=failure.param and printable(failure.param),
        retry_after=failure.retry_after,
    )
    if (retryable := retryable_by_status(failure.status)) is not None:
        error.retryable = retryable
    return error


def retry_after_seconds(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds to wait before a retry, from the headers of a response.

    ``retry-after-ms`` takes precedence over ``retry-after``, which is a number of seconds or an HTTP date. Returns None
    for an unreadable value and for a time in the past, and infinity for a number beyond the range of a float.
    """
    milliseconds = _as_seconds(headers.get("retry-after-ms"), 0.001)
    if milliseconds is not None:
        return milliseconds
    text = headers.get("retry-after")
    seconds = _as_seconds(text, 1.0)
    if seconds is not None or not text:
        return seconds
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    wait = moment - (time.time() if now is None else now)
    return wait if wait > 0 else None


def retry_override(headers: Mapping[str, str]) -> bool | None:
    """Return the value of ``x-should-retry``, with which several providers override the status; None if absent."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def printable(text: str, limit: int = _SHOWN_BYTES) -> str:
    """Return a provider's text on one line, with control characters replaced, truncated to `limit` characters.

    A truncated text ends with ``…``, which lets `Secret.redacted` recognize a key that was truncated with it.
    """
    folded = " ".join(text[: 4 * limit].split()) + ("…" if len(text) > 4 * limit else "")
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in folded)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _without_tags(html: bytes) -> bytes:
    """Return the text of an HTML page, with a space for each tag and for each script or style with its contents.

    Each search starts where the last one ended, and none that found nothing is made twice, so the time is linear in the
    length of any input. A regular expression takes minutes for a megabyte of ``<``.
    """
    lowered, position = html.lower(), 0  # `bytes.lower` keeps every offset
    text: list[bytes] = []
    unclosed: set[bytes] = set()
    while (start := lowered.find(b"<", position)) >= 0 and (end := lowered.find(b">", start)) >= 0:
        hidden = _HIDDEN_ELEMENT.match(lowered, start)
        if hidden is not None and hidden[1] not in unclosed:
            closed = _after_closing_tag(lowered, hidden[1], hidden.end())
            if closed is None:
                unclosed.add(hidden[1])
            else:
                end = closed - 1
        text += html[position:start], b" "
        position = end + 1
    return b"".join([*text, html[position:]])


def _after_closing_tag(lowered: bytes, name: bytes, position: int) -> int | None:
    """Return the offset behind the next ``</name>``, which may hold spaces before its ``>``; None if there is none."""
    while (found := lowered.find(b"</" + name, position)) >= 0:
        space = _SPACE.match(lowered, found + len(b"</" + name))
        position = len(lowered) if space is None else space.end()
        if lowered.startswith(b">", position):
            return position + 1
    return None


def _innermost(payload: object) -> object:
    """Return the object or text that describes the error, without the objects around it."""
    for _ in range(4):  # real responses nest at most error → error
        if isinstance(payload, list) and payload:
            payload = payload[0]
        elif isinstance(payload, Mapping) and (inner := payload.get("error") or payload.get("errors")):
            payload = {**payload, "error": None, "errors": None, "message": inner} if isinstance(inner, str) else inner
        else:
            break
    return payload


def _text_of(error: object) -> str:
    if isinstance(error, str):
        return error
    if isinstance(error, Mapping):
        for name in ("message", "detail", "msg", "error_description"):
            if (text := error.get(name)) is not None:
                return text if isinstance(text, str) else _json_text(text)
    return _json_text(error)


def _json_text(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    return msgspec.json.encode(value).decode() if value else ""


def _as_status(value: object) -> int | None:
    number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) == len("429") else value
    if isinstance(number, int) and _LOWEST_ERROR_STATUS <= number <= _HIGHEST_STATUS:
        return number
    return None


def _as_seconds(text: str | None, unit: float) -> float | None:
    try:
        seconds = float(text or "") * unit
    except ValueError:
        return None
    overflowed = math.isinf(seconds) and "inf" not in (text or "").lower()
    if math.isnan(seconds) or seconds <= 0 or (math.isinf(seconds) and not overflowed):
        return None
    return seconds


# The provider's code or type is more specific than the status of the response, so it is looked up first. The codes are
# from the providers' error references and from recorded responses; they are compared in lower case.
_CLASS_BY_CODE: dict[str, type[ProviderError]] = {
    "authentication_error": AuthenticationError,
    "invalid_api_key": AuthenticationError,
    "unauthenticated": AuthenticationError,
    "unauthorized": AuthenticationError,
    "access_denied": PermissionDenied,
    "permission_denied": PermissionDenied,
    "permission_error": PermissionDenied,
    "model_not_found": NotFound,
    "not_found": NotFound,
    "not_found_error": NotFound,
    "context_length_exceeded": ContextLengthExceeded,
    "error_limit": ContextLengthExceeded,
    "too_many_tokens": ContextLengthExceeded,
    "exceed_context_size_error": ContextLengthExceeded,
    "string_above_max_length": ContextLengthExceeded,
    "billing_error": QuotaExceeded,
    "billing_hard_limit_reached": QuotaExceeded,
    "credits_exhausted": QuotaExceeded,
    "insufficient_quota": QuotaExceeded,
    "rate_limit_error": RateLimited,
    "rate_limit_exceeded": RateLimited,
    "resource_exhausted": RateLimited,
    "throttlingexception": RateLimited,
    "too_many_requests": RateLimited,
    "engine_overloaded_error": Overloaded,
    "overloaded": Overloaded,
    "overloaded_error": Overloaded,
    "unavailable": Overloaded,
    "api_error": ServerError,
    "internal": ServerError,
    "internal_error": ServerError,
    "internal_server_error": ServerError,
    "server_error": ServerError,
    "invalid_argument": InvalidRequest,
    "invalid_request": InvalidRequest,
    "invalid_request_error": InvalidRequest,
    "unsupported_parameter": InvalidRequest,
}

_CLASS_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthenticationError,
    402: QuotaExceeded,
    403: PermissionDenied,
    404: NotFound,
    429: RateLimited,
    503: Overloaded,
    529: Overloaded,
}

_RETRYABLE_BY_STATUS = {408: True, 409: True, 425: True, 501: False, 505: False}
"""Statuses that differ from their class in whether a retry may succeed."""

_GENERAL = (InvalidRequest, ServerError)

_SERVER_ERRORS = range(500, 600)

_CLIENT_ERRORS = range(400, 500)


def provider_error_class(status: int | None, *words: str | None) -> type[ProviderError]:
    """Return the class of a provider's error: by the first code or type that is known, else by the HTTP status.

    A code for a general "invalid request" or "server error" does not override a more specific status of the response: a
    404 with type ``invalid_request_error`` is `NotFound`, a 503 with ``server_error`` is `Overloaded`.
    """
    by_word = next((found for word in words if word and (found := _CLASS_BY_CODE.get(str(word).lower()))), None)
    by_status = _class_by_status(status)
    if by_word is None or (by_word in _GENERAL and status in _CLASS_BY_STATUS):
        return by_status
    return by_word


def retryable_by_status(status: int | None) -> bool | None:
    """Return whether a retry may succeed after this status; None if the class of the error determines it."""
    return None if status is None else _RETRYABLE_BY_STATUS.get(status)


def _class_by_status(status: int | None) -> type[ProviderError]:
    if status in _CLASS_BY_STATUS:
        return _CLASS_BY_STATUS[status]
    if status in _SERVER_ERRORS:
        return ServerError
    if status in _CLIENT_ERRORS:
        return InvalidRequest
    return ProviderError
