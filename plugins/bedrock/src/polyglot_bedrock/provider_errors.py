"""AWS's errors: an error response, an exception within a stream, or an error as a plain response with status 200."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_core.plugin import failure_from_payload, hookimpl, json_access

if TYPE_CHECKING:
    from polyglot_core.plugin import Chunk, Failure, WireResponse

__all__ = ["decode_error", "exception_frame", "failure_in", "is_exception"]

_KINDS = {
    "accessdeniedexception": "permission_denied",
    "expiredtokenexception": "unauthorized",
    "incompletesignature": "unauthorized",
    "internalserverexception": "internal_server_error",
    "invalidsignatureexception": "unauthorized",
    "modelerrorexception": "server_error",
    "modelnotreadyexception": "unavailable",
    "modelstreamerrorexception": "server_error",
    "modeltimeoutexception": "server_error",
    "resourcenotfoundexception": "not_found",
    "servicequotaexceededexception": "rate_limit_exceeded",
    "serviceunavailableexception": "unavailable",
    "throttlingexception": "rate_limit_exceeded",
    "unrecognizedclientexception": "unauthorized",
    "validationexception": "invalid_request",
}
"""AWS's name of an exception, in lower case → the type by which Polyglot's errors are chosen."""


@hookimpl
def decode_error(response: WireResponse) -> Failure | None:
    """Read the body of an error response. The exception's name is in a header, followed by the URL of a schema."""
    payload = json_access.parse(response.body)
    if not isinstance(payload, dict):
        return None
    name = response.headers.get("x-amzn-errortype") or payload.get("__type")
    return _read_failure(payload, name, status=response.status, raw=response.body)


def is_exception(chunk: Chunk) -> bool:
    """Return True for a frame that is no event, whether its type or its name reports that."""
    headers = chunk.headers or {}
    if headers.get(":message-type", "event") != "event" or ":exception-type" in headers or ":error-code" in headers:
        return True
    return (chunk.event or "").lower().endswith(("exception", "error"))


def exception_frame(chunk: Chunk) -> Failure:
    """Read a frame that is no event: an exception with a payload, or an error that is described in its headers only."""
    headers = chunk.headers or {}
    name = headers.get(":exception-type") or headers.get(":error-code") or chunk.event
    payload = json_access.parse(chunk.data)
    if not isinstance(payload, dict):
        payload = {"message": headers.get(":error-message") or chunk.data.decode("utf-8", "replace")}
    status = payload.get("originalStatusCode")
    return _read_failure(payload, name, status=status if isinstance(status, int) else None, raw=chunk.data)


def failure_in(payload: object, *, raw: bytes, whole: bool = False) -> Failure | None:
    """Return the failure in an object that is no event, or no response if `whole`; None if it describes none."""
    if not isinstance(payload, dict):
        return None
    for name, value in payload.items():
        if name.lower().endswith("exception") and isinstance(value, dict):
            return _read_failure(value, name, raw=raw)
    if payload.get("__type") or payload.get("error") or (whole and payload):
        return _read_failure(payload, payload.get("__type"), raw=raw)
    return None


def _read_failure(payload: dict[str, Any], name: object, *, status: int | None = None, raw: bytes = b"") -> Failure:
    """Return the failure that an object with a message describes, by AWS's name of the exception."""
    spelled = {"message": payload["Message"]} if "Message" in payload and "message" not in payload else payload
    failure = failure_from_payload(spelled, status=status, raw=raw)
    if not isinstance(name, str) or not name:
        return failure
    code = name.partition(":")[0].rpartition("#")[2]
    kind = _KINDS.get(code.lower())
    return replace(failure, code=code, type=kind)
