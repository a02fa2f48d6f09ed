"""Google's errors: a google.rpc.Status, as an error response or inside a 200."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_core.plugin import failure_from_payload, hookimpl, json_access

if TYPE_CHECKING:
    from polyglot_core.plugin import Failure, WireResponse

__all__ = ["decode_error", "read_failure"]


@hookimpl
def decode_error(response: WireResponse) -> Failure | None:
    """Read the body of an error response; None if it has no google.rpc.Status."""
    payload = json_access.parse(response.body)
    return read_failure(payload, raw=response.body, status=response.status) if _status_of(payload) else None


def read_failure(payload: object, *, raw: bytes, status: int | None = None) -> Failure:
    """Read an error object. The name of its status is the code, unless a detail names a more specific one.

    Args:
        payload: The object, or a list of it.
        raw: The bytes of it.
        status: HTTP status, if there is one.
    """
    failure = failure_from_payload(payload, status=status, raw=raw)
    word = _status_of(payload).get("status")
    numeric = failure.code is None or failure.code.isdecimal()
    return replace(failure, code=word) if numeric and isinstance(word, str) and word else failure


def _status_of(payload: object) -> dict[str, Any]:
    """Return the google.rpc.Status of an envelope; empty if there is none."""
    error = json_access.get(payload, "error") or json_access.get(payload, "0.error")
    return error if isinstance(error, dict) else {}
