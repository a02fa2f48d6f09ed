"""Recognizes events that report a failure in another form than the dialect's: by their name, or by their fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from polyglot_core._values.unreadable import UNREADABLE
from polyglot_core._wire.provider_errors import failure_from_payload

if TYPE_CHECKING:
    from polyglot_core._values.events import Failure
    from polyglot_core._wire.messages import Chunk

__all__ = ["Suspicion", "is_error_name", "is_keep_alive", "is_neutral", "named_failure", "suspicion"]

_ERROR_NAMES = frozenset({"error", "errors", "exception", "stream_error", "server_error", "api_error", "fatal"})

_NEUTRAL_NAMES = frozenset({"", "message", "data", "chunk", "delta", "completion", "chat.completion.chunk", "response"})
"""Names of events that say nothing about the data."""

_KEEP_ALIVES = frozenset({"ping", "pong", "heartbeat", "keepalive", "keep-alive", "keep_alive", "alive", "ok", "noop"})

_CONTENT = (
    *("choices", "candidates", "delta", "content", "content_block", "output", "outputs", "response", "item", "part"),
    *("text", "completion", "generation", "results"),
)
"""Fields that hold content in some dialect. An object with one of them is no mere error."""

_STRONG = ("error", "errors", "error_code", "error_message", "errorCode", "errorMessage", "error_msg")
_MESSAGES = ("message", "detail", "msg", "error_message", "errorMessage", "error_msg", "Message", "error_description")
_CODES = ("code", "error_code", "errorCode", "status_code", "statusCode", "err_code")
_MARK = re.compile(rb'"(?:' + b"|".join(name.encode() for name in (*_STRONG, *_MESSAGES, "success", "ok")) + rb')"')
_NO_ERRORS = frozenset({"", "0", "success", "null", "none"})
_SUCCESSES = frozenset(map(str, range(200, 300)))
_ERROR_WORDS = re.compile(
    r"error|exception|invalid|denied|unauthorized|forbidden|exceeded|unavailable|fail", re.ASCII | re.IGNORECASE
)


class Suspicion(NamedTuple):
    """What an event without content seems to be.

    Attributes:
        degree: ``certain`` for an error; ``possible`` for an object that is one only if no finish is received.
        failure: The failure that it describes.
    """

    degree: Literal["certain", "possible"]
    failure: Failure


def is_error_name(event: str | None) -> bool:
    """Return whether the name of an event says that the response has failed."""
    return event is not None and event.strip().lower() in _ERROR_NAMES


def is_neutral(event: str | None) -> bool:
    """Return whether an event has no name, or one that says nothing about its data."""
    return event is None or event.strip().lower() in _NEUTRAL_NAMES


def is_keep_alive(data: bytes) -> bool:
    """Return whether data without JSON is a word that servers send to keep a connection open."""
    return data.strip().strip(b":. ").lower().decode("ascii", "replace") in _KEEP_ALIVES


def named_failure(data: bytes) -> Failure:
    """Return the failure in an event that is named an error, whatever its data: an object, a text or nothing."""
    try:
        payload = msgspec.json.decode(data)
    except UNREADABLE:
        payload = data.decode("utf-8", "replace").strip()
    return _failure(payload, data)


def suspicion(chunk: Chunk) -> Suspicion | None:
    """Return what a chunk without content of the dialect seems to report; None if it seems to be no error.

    Raises nothing: what is not a JSON object is no error.
    """
    if not _MARK.search(chunk.data):
        return None
    try:
        payload = msgspec.json.decode(chunk.data)
    except UNREADABLE:
        return None
    if not isinstance(payload, Mapping) or any(payload.get(name) for name in _CONTENT):
        return None
    degree = _degree(payload)
    if degree is None:
        return None
    # a name that is not known belongs to an event of the vendor's, which is no part of the response
    sure = degree == "certain" and is_neutral(chunk.event)
    return Suspicion("certain" if sure else "possible", _failure(payload, chunk.data))


def _degree(payload: Mapping[str, Any]) -> Literal["certain", "possible"] | None:
    if any(_is_told(payload.get(name)) for name in _STRONG):
        return "certain"
    kinds = [value for name in ("object", "type", "status", "event") if isinstance(value := payload.get(name), str)]
    if "error" in kinds or payload.get("success") is False or payload.get("ok") is False:
        return "certain"
    codes = [payload[name] for name in _CODES if payload.get(name) is not None]
    silent = not any(_is_told(payload.get(name)) and not isinstance(payload[name], Mapping) for name in _MESSAGES)
    if silent or (codes and not any(map(_is_error_code, codes))):
        return None
    return "possible" if kinds and not codes and not any(map(_ERROR_WORDS.search, kinds)) else "certain"


def _is_told(value: object) -> bool:
    """Return whether a field of an error has a value; a word such as "success" or "ping" is none."""
    if isinstance(value, str):
        return (plain := value.strip().lower()) not in _NO_ERRORS and plain not in _KEEP_ALIVES
    return bool(value)


def _is_error_code(value: object) -> bool:
    return _is_told(value) and str(value) not in _SUCCESSES


def _failure(payload: object, data: bytes) -> Failure:
    if isinstance(payload, Mapping) and not payload.get("error"):
        message = next((payload[name] for name in _MESSAGES if _is_told(payload.get(name))), None)
        code = next((payload[name] for name in _CODES if _is_told(payload.get(name))), None)
        named = {"message": message, "code": code}
        payload = {**payload, **{name: value for name, value in named.items() if value is not None}}
    return failure_from_payload(payload, raw=data)
