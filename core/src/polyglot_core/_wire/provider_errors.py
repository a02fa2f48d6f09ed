"""Turns error responses of any known shape into failures, and failures into errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from polyglot_core._values.unreadable import parse
from polyglot_core._wire.error_classes import class_of_failure, provider_error_class, retryable_by_status
from polyglot_core._wire.error_objects import read_error
from polyglot_core._wire.retry_after import retry_after_seconds, retry_override, stated_wait

if TYPE_CHECKING:
    from polyglot_core._values.events import Failure
    from polyglot_core._wire.messages import WireResponse
    from polyglot_core.errors import ProviderError

__all__ = [
    "LARGEST_BODY",
    "failure_from_payload",
    "failure_from_response",
    "kept_body",
    "printable",
    "provider_error",
    "provider_error_class",
    "retry_after_seconds",
    "retry_override",
    "with_wait",
]

LARGEST_BODY = 64 * 1024
"""Bytes of an error's body that are kept, unless `Limits.error_body` is lower."""

_SHOWN_BYTES = 512
_HIDDEN_ELEMENT = re.compile(rb"<(script|style)\b")  # matched at one position, on text in lower case
_SPACE = re.compile(rb"\s*")
_CUT = "…"
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that count as printable and show nothing: fillers, and variation selectors but those of emoji."""


def failure_from_payload(payload: object, *, status: int | None = None, raw: bytes = b"") -> Failure:
    """Parse an error object of any of the shapes that providers send.

    They are ``{"error": {…}}``, ``{"error": "text"}``, ``{"message": …}``, ``{"detail": …}``, ``{"errors": […]}``,
    a list of any of these, and a string. A cause within the object is read too, for the message and for the code:
    fields such as ``details``, ``metadata.raw``, ``cause`` and ``inner_error``, and JSON within a text. If `status` is
    None, a ``code`` or ``status`` from 400 to 599 is the status. A wait that a field or the text states, as in "try
    again in 20s", is `retry_after`.

    Args:
        payload: The parsed body of the response, or the object in it.
        status: HTTP status of the response; None for an error inside a response with status 200.
        raw: The bytes that were parsed, which are kept in the failure.
    """
    found = read_error(payload)
    wait = found.retry_after or stated_wait(found.message)
    return replace(found, status=status or found.status, retry_after=wait, raw=raw)


def failure_from_response(response: WireResponse) -> Failure:
    """Parse a response with an error status, whose body is JSON, HTML, plain text or empty."""
    payload = parse(response.body, _NO_JSON) if response.body.strip() else ""
    if payload is _NO_JSON:
        payload = _without_tags(response.body).decode("utf-8", "replace")
    return with_wait(failure_from_payload(payload, status=response.status, raw=response.body), response)


_NO_JSON = object()


def with_wait(failure: Failure, response: WireResponse) -> Failure:
    """Return the failure with the wait that the headers state, which takes precedence over the one in the body."""
    wait = retry_after_seconds(response.headers)
    return failure if wait is None else replace(failure, retry_after=wait)


def provider_error(failure: Failure, raw: bytes = b"", limit: int = LARGEST_BODY) -> ProviderError:
    """Return the error for a failure, from an error status or from inside a response with status 200.

    Args:
        failure: The failure.
        raw: The bytes that it was read from, if the failure does not hold them.
        limit: Bytes of them that the error keeps at most, if this is less than `LARGEST_BODY`.
    """
    error_class = class_of_failure(failure)
    message = printable(failure.message) or "The provider returned an error without a message."
    error = error_class(
        message,
        status=failure.status,
        code=printable(str(failure.code or failure.type or "")) or None,
        param=failure.param and printable(failure.param),
        retry_after=failure.retry_after,
        body=kept_body(failure.raw or raw, limit),
    )
    if (retryable := retryable_by_status(failure.status, error_class)) is not None:
        error.retryable = retryable
    return error


def kept_body(raw: bytes, limit: int = LARGEST_BODY) -> str | None:
    """Return the beginning of a body as text of at most `limit` bytes, with ``…`` at its end if there may be more.

    The mark lets `Secret.redacted` recognize a key that was truncated with the text. None for an empty body.
    """
    limit = min(limit, LARGEST_BODY)
    text = raw[:limit].decode("utf-8", "replace")
    if len(raw) < limit and len(text.encode()) <= limit:
        return text or None
    encoded = text.encode()[: max(0, limit - len(_CUT.encode()))]
    return encoded.decode("utf-8", "ignore") + _CUT if encoded else None


def printable(text: str, limit: int = _SHOWN_BYTES) -> str:
    """Return a provider's text on one line, truncated to `limit` characters; control and invisible ones are replaced.

    A truncated text ends with ``…``, which lets `Secret.redacted` recognize a key that was truncated with it.
    """
    folded = " ".join(text[: 4 * limit].split()) + ("…" if len(text) > 4 * limit else "")
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in folded)
    clean = _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", clean)
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
