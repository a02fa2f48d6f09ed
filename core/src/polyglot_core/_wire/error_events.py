"""Recognizes events that report a failure in another form than the dialect's: by their name, or by their fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from polyglot_core._values.unreadable import parse
from polyglot_core._wire.provider_errors import failure_from_payload

if TYPE_CHECKING:
    from polyglot_core._values.events import Failure
    from polyglot_core._wire.messages import Chunk

__all__ = [
    "Suspicion",
    "is_error_name",
    "is_error_text",
    "is_keep_alive",
    "is_neutral",
    "is_vendor_event",
    "named_failure",
    "stated_failure",
    "suspicion",
]

_ERROR_WORDS_OF_NAMES = frozenset({"error", "errors", "exception", "fatal", "failed", "failure"})
_PLAIN_WORDS_OF_NAMES = frozenset(
    {
        *("api", "chat", "completion", "event", "generation", "internal", "message", "model", "response", "server"),
        *("stream", "authentication", "invalid", "limit", "overloaded", "permission", "quota", "rate", "request"),
        "timeout",
    }
)
"""Words that may stand beside one for an error; with another one, as of a tool, a name is that of a vendor's event."""

_WORDS_OF_NAMES = _ERROR_WORDS_OF_NAMES | _PLAIN_WORDS_OF_NAMES
_NAME_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[^A-Za-z\W_]+")

_NEUTRAL_NAMES = frozenset({"", "message", "data", "chunk", "delta", "completion", "chat.completion.chunk", "response"})
"""Names of events that say nothing about the data."""

_KEEP_ALIVES = frozenset({"ping", "pong", "heartbeat", "keepalive", "keep-alive", "keep_alive", "alive", "ok", "noop"})

_CONTENT = (
    *("choices", "candidates", "delta", "content", "content_block", "output", "outputs", "response", "item", "part"),
    *("text", "completion", "generation", "results"),
)
"""Fields that hold content in some dialect. An object with one of them is no mere error."""

_STRONG = (
    *("error", "errors", "error_code", "error_message", "errorCode", "errorMessage", "error_msg"),
    *("Error", "err", "exception", "fault", "errmsg", "err_msg", "errMsg", "errno"),
)
_MESSAGES = (
    *("message", "detail", "msg", "error_message", "errorMessage", "error_msg", "Message", "error_description"),
    *("errmsg", "err_msg", "errMsg"),
)
_CODES = ("code", "error_code", "errorCode", "status_code", "statusCode", "err_code", "errno")
_KINDS = ("object", "type", "status", "event", "level")
_ENVELOPES = ("data", "result", "response", "body", "base_resp")
"""Fields whose object may be the error."""

_MARKS = (*_STRONG, *_MESSAGES, "success", "ok", "status_msg")
_MARK = re.compile(rb'"(?:' + b"|".join(name.encode() for name in _MARKS) + rb')\\?"')
_NO_ERRORS = frozenset({"", "0", "success", "null", "none"})
_SUCCESSES = frozenset(map(str, range(200, 300)))
_ERROR_WORDS = re.compile(
    r"error|exception|invalid|denied|unauthorized|forbidden|exceeded|unavailable|fail", re.ASCII | re.IGNORECASE
)


class Suspicion(NamedTuple):
    """What an event without content seems to be.

    Attributes:
        degree: ``certain`` for an error; ``possible`` for an object that is one only if no finish is received.
        payload: The object.
        data: The bytes of the event.
        of_vendor: Whether it is the error of an event of the vendor's, such as that of a tool.
    """

    degree: Literal["certain", "possible"]
    payload: Mapping[str, Any]
    data: bytes
    of_vendor: bool = False

    @property
    def failure(self) -> Failure:
        """The failure that it describes. Reading one takes longer than all else here, and few are needed."""
        return _failure(self.payload, self.data)


@lru_cache(maxsize=128)  # a stream repeats few names
def is_error_name(event: str | None) -> bool:
    """Return whether the name of an event says that the response has failed."""
    words = [] if event is None else [word.lower() for word in _NAME_PARTS.findall(event)]
    return not _ERROR_WORDS_OF_NAMES.isdisjoint(words) and _WORDS_OF_NAMES.issuperset(words)


def is_neutral(event: str | None) -> bool:
    """Return whether an event has no name, or one that says nothing about its data."""
    return event is None or event.strip().lower() in _NEUTRAL_NAMES


def is_vendor_event(event: str | None) -> bool:
    """Return whether the name of an event is one of the vendor's: it says neither nothing nor that the response failed.

    An error in an event that a dialect does not know by this name is that of a tool or a guard. It is not the error of
    the response, unless that ends without a finish.
    """
    return not (is_neutral(event) or is_error_name(event))


def is_keep_alive(data: bytes) -> bool:
    """Return whether data without JSON is a word that servers send to keep a connection open."""
    return data.strip().strip(b":. ").lower().decode("ascii", "replace") in _KEEP_ALIVES


def is_error_text(data: bytes) -> bool:
    """Return whether a text has a word for an error."""
    return _ERROR_WORDS.search(data.decode("utf-8", "replace")) is not None


def named_failure(data: bytes) -> Failure:
    """Return the failure in an event that is named an error, whatever its data: an object, a text or nothing."""
    return _failure(parse(data, data.decode("utf-8", "replace").strip()), data)


def stated_failure(chunk: Chunk) -> Failure | None:
    """Return the failure that a chunk without content reports, in any of the ways in which servers do.

    They are the name of the event, an error in a field of its own, and an object with the code, or only the message, of
    an error. Return None if it reports none; an object that names another type, such as ``{"type": "progress",
    "message": …}``, does not.
    """
    if is_error_name(chunk.event):
        return named_failure(chunk.data)
    found = suspicion(chunk)
    return found.failure if found is not None and found.degree == "certain" else None


def suspicion(chunk: Chunk) -> Suspicion | None:
    """Return what a chunk without content of the dialect seems to report; None if it seems to be no error.

    Raises nothing: what is not a JSON object is no error.
    """
    payload = _payload(chunk.data)
    if payload is None or any(payload.get(name) for name in _CONTENT):
        return None
    degree = _degree(payload)
    if degree is None:
        return None
    # a name that is not known belongs to an event of the vendor's, which is no part of the response
    sure = degree == "certain" and is_neutral(chunk.event)
    return Suspicion("certain" if sure else "possible", payload, chunk.data, of_vendor=degree == "certain" and not sure)


def _payload(data: bytes) -> Mapping[str, Any] | None:
    """Return the object in data, or in a text in it, without its envelope; None if it cannot be an error."""
    if not _MARK.search(data):
        return None
    payload = parse(data)
    if isinstance(payload, str):
        return _payload(payload.encode("utf-8", "replace"))
    return _unwrapped(payload) if isinstance(payload, Mapping) else None


def _unwrapped(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the error object in an envelope, or the payload itself if it is none."""
    for name in _ENVELOPES:
        inner = payload.get(name)
        if isinstance(inner, Mapping) and (any(_is_told(inner.get(each)) for each in _STRONG) or _is_result(inner)):
            return {**payload, name: None, **inner}
    return payload


def _is_result(inner: Mapping[str, Any]) -> bool:
    """Return whether an object is the result of a call, as some providers add to each chunk, and is no success."""
    return "status_msg" in inner and _is_error_code(inner.get("status_code"))


def _degree(payload: Mapping[str, Any]) -> Literal["certain", "possible"] | None:
    bare = set(payload) == {"error"} and payload["error"] in ({}, "")  # an exception without a text
    if bare or _is_result(payload) or any(_is_told(payload.get(name)) for name in _STRONG):
        return "certain"
    kinds = [value for name in _KINDS if isinstance(value := payload.get(name), str)]
    if "error" in kinds or payload.get("success") is False or payload.get("ok") is False:
        return "certain"
    codes = [payload[name] for name in _CODES if payload.get(name) is not None]
    codes += [status for status in (payload.get("status"),) if isinstance(status, int)]
    silent = not any(_is_message(payload.get(name)) for name in _MESSAGES)
    if silent or (codes and not any(map(_is_error_code, codes))):
        return None
    return "possible" if kinds and not codes and not any(map(_ERROR_WORDS.search, kinds)) else "certain"


def _is_message(value: object) -> bool:
    """Return whether a value is the message of an error: a text, a list, or an object with a text."""
    if isinstance(value, Mapping):  # one with a role is a message of the conversation
        return "role" not in value and any(_is_told(value.get(name)) for name in _MESSAGES)
    return _is_told(value)


def _is_told(value: object) -> bool:
    """Return whether a field of an error has a value; a word such as "success" or "ping" is none."""
    if isinstance(value, str):
        return (plain := value.strip().lower()) not in _NO_ERRORS and plain not in _KEEP_ALIVES
    return bool(value)


def _is_error_code(value: object) -> bool:
    return _is_told(value) and str(value) not in _SUCCESSES


def _failure(payload: object, data: bytes) -> Failure:
    if isinstance(payload, Mapping) and not payload.get("error"):
        texts = (*_MESSAGES, "status_msg", "Error", "err", "exception")
        message = next((payload[name] for name in texts if _is_told(payload.get(name))), None)
        code = next((payload[name] for name in _CODES if _is_told(payload.get(name))), None)
        named = {"message": message, "code": code}
        payload = {**payload, **{name: value for name, value in named.items() if value is not None}}
    return failure_from_payload(payload, raw=data)
