"""Responses that are not the requested stream: HTTP errors, redirects, and bodies that a proxy put in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from polyglot_core._attempt.wrong_address import WRONG_ADDRESS, about_the_url
from polyglot_core._values.events import Failure
from polyglot_core._values.unreadable import parse
from polyglot_core._wire.messages import WireResponse
from polyglot_core._wire.provider_errors import (
    failure_from_payload,
    failure_from_response,
    kept_body,
    printable,
    provider_error,
    retry_override,
    with_wait,
)
from polyglot_core.errors import PolyglotError, ProviderError, Truncated, UnexpectedContentType

__all__ = ["OK", "UnexpectedResponse", "nothing_received", "quoted"]

OK = range(200, 300)
"""HTTP statuses of a successful response."""

_REDIRECT = range(300, 400)
_NO_CONTENT = 204
_SHOWN_BODY = 200  # characters of a body that a message quotes
_BYTES_OF_A_CHARACTER = 4  # at most, in UTF-8


class UnexpectedResponse(Struct):
    """A response that is not the requested stream, while its body is received.

    Args:
        status: HTTP status.
        headers: Response headers, with lower-case names.
        limit: Bytes of the body that are read at most.
        decode_error: The driver's own reader of error bodies.
        url: URL of the request.
    """

    status: int
    headers: Mapping[str, str]
    limit: int
    decode_error: Callable[[WireResponse], Failure | None]
    url: str = ""
    _body: bytearray = msgspec.field(default_factory=bytearray)

    def feed(self, data: bytes) -> bool:
        """Append `data` to the body; return True once as much as is read at most has been received."""
        self._body += data
        return len(self._body) >= self.limit

    def error(self) -> PolyglotError:
        """Return the error that the response stands for, read from status, headers and the body received so far."""
        body = bytes(self._body[: self.limit])
        response = WireResponse(status=self.status, headers=self.headers, body=body)
        if self.status in _REDIRECT:
            return _redirected(response, self.limit)
        if self.status not in OK:
            return _http_error(response, self.decode_error, self.limit, self.url)
        if self.status == _NO_CONTENT or not body.strip():
            return nothing_received()
        failure = _failure_in(response, self.decode_error)
        if failure is None:
            return _wrong_content(response)
        return provider_error(with_wait(failure, response), response.body, self.limit)


def nothing_received() -> Truncated:
    """Return the error for a response without content."""
    return Truncated("The response body ended before any content was received.")


def quoted(body: bytes) -> str:
    """Return the beginning of a body, printable, for an error message."""
    shown = body[: _BYTES_OF_A_CHARACTER * (_SHOWN_BODY + 1)]  # one more, so that a cut is seen and marked
    return printable(shown.decode("utf-8", "replace"), _SHOWN_BODY)


def _redirected(response: WireResponse, limit: int) -> ProviderError:
    target = printable(response.headers.get("location", "nowhere"))
    return ProviderError(
        f"The provider redirects to {target}. Redirects are not followed, because they could send the key to another "
        "host; set base_url to the intended URL.",
        status=response.status,
        body=kept_body(response.body, limit),
    )


def _http_error(
    response: WireResponse, decode_error: Callable[[WireResponse], Failure | None], limit: int, url: str
) -> PolyglotError:
    failure = decode_error(response) or failure_from_response(response)
    error = provider_error(with_wait(failure, response), response.body, limit)
    if (override := retry_override(response.headers)) is not None:
        error.retryable = override
    if response.status in WRONG_ADDRESS and url:
        error.explain(about_the_url(url, error.message))
    return error


def _failure_in(response: WireResponse, decode_error: Callable[[WireResponse], Failure | None]) -> Failure | None:
    """Return the failure that a JSON object with status 200 reports in place of a response; None if it reports none."""
    payload = parse(response.body)
    if not isinstance(payload, dict):
        return None
    return failure_from_payload(payload, raw=response.body) if payload.get("error") else decode_error(response)


def _wrong_content(response: WireResponse) -> UnexpectedContentType:
    found = printable(response.headers.get("content-type") or "unknown")
    return UnexpectedContentType(
        f"The response, of type {found}, is not the requested stream or JSON; a proxy or gateway may have sent it. "
        f"It begins: {quoted(response.body)}",
        status=response.status,
    )
