"""Google's errors: a google.rpc.Status, as an error response or inside a 200."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_core.plugin import failure_from_payload, hookimpl, json_access

if TYPE_CHECKING:
    from polyglot_core.plugin import Failure, WireResponse

__all__ = ["decode_error", "read_failure"]

_BAD_KEY = "API_KEY_INVALID"
_TOO_LONG = re.compile(r"exceeds the maximum number of (input )?tokens", re.IGNORECASE)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


@hookimpl
def decode_error(response: WireResponse) -> Failure | None:
    """Read the body of an error response; None if it has no google.rpc.Status."""
    payload = json_access.parse(response.body)
    return read_failure(payload, raw=response.body, status=response.status) if _status_of(payload) else None


def read_failure(payload: object, *, raw: bytes, status: int | None = None) -> Failure:
    """Read an error object. Its status name takes precedence over its number, and some details over the name.

    Args:
        payload: The object, or a list of it.
        raw: The bytes of it.
        status: HTTP status, if there is one.
    """
    failure = failure_from_payload(payload, status=status, raw=raw)
    error = _status_of(payload)
    details = json_access.objects(error.get("details"))
    waits = [match for detail in details if (match := _SECONDS.fullmatch(str(detail.get("retryDelay"))))]
    word = error.get("status")
    code, kind = word if isinstance(word, str) and word else failure.code, failure.type
    if any(detail.get("reason") == _BAD_KEY for detail in details):  # sent as INVALID_ARGUMENT
        code, kind = _BAD_KEY, "authentication_error"
    elif _TOO_LONG.search(failure.message):  # sent as INVALID_ARGUMENT, too
        code, kind = failure.code, "context_length_exceeded"
    return replace(failure, code=code, type=kind, retry_after=float(waits[0][1]) if waits else None)


def _status_of(payload: object) -> dict[str, Any]:
    """Return the google.rpc.Status of an envelope; empty if there is none."""
    error = json_access.get(payload, "error") or json_access.get(payload, "0.error")
    return error if isinstance(error, dict) else {}
