"""Checks of error responses: the class of the error, its status, message and wait, whatever the body is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from polyglot_core.errors import PluginError, ProviderError
from polyglot_core.plugin import provider_error_class
from polyglot_testkit.check import ExamFailed, expect, nothing_to_check
from polyglot_testkit.recording import Recording, replay

if TYPE_CHECKING:
    from polyglot_testkit.check import Exam

__all__ = ["error_statuses_give_their_errors", "recorded_errors_have_their_class"]

_STATUSES = (400, 401, 403, 404, 429, 500, 503, 529)
_MESSAGE = "The model is resting."
_BODIES = {
    "an empty body": b"",
    "text": _MESSAGE.encode(),
    "a page": b"<html><body><h1>%b</h1></body></html>" % _MESSAGE.encode(),
    "an object with error": json.dumps({"error": {"message": _MESSAGE}}).encode(),
    "an object with an error text": json.dumps({"error": _MESSAGE}).encode(),
    "an object with message": json.dumps({"message": _MESSAGE}).encode(),
    "a list": json.dumps([{"error": {"message": _MESSAGE}}]).encode(),
    "null": b"null",
    "odd types": b'{"error": {"message": {"x": 1}, "code": [1], "type": 7, "status": {}}, "message": [], "detail": 3}',
    "truncated JSON": b'{"error": {"message": "The mod',
}
_WITHOUT_MESSAGE = ("an empty body", "null", "odd types", "truncated JSON")


def error_statuses_give_their_errors(exam: Exam) -> bool:
    """Check that an error status gives the class of that status, with the message and the wait, for any body.

    The bodies have no code of the provider, so that the status decides.
    """
    for status in _STATUSES:
        for streamed in (True, False):
            for what, body in _BODIES.items():
                headers = {"content-type": "application/json", "retry-after": "7"}
                seen = replay(
                    exam.driver, Recording(name=what, body=body, status=status, streamed=streamed, headers=headers)
                )
                _is_right(seen.error, status, what)
    return True


def _is_right(error: Exception | None, status: int, what: str) -> None:
    where = f"status {status} with {what}"
    if not isinstance(error, ProviderError):
        msg = f"{where}: instead of a ProviderError: {type(error).__name__}: {error}"
        raise ExamFailed(msg)
    wanted = provider_error_class(status)
    expect(isinstance(error, wanted), f"{where}: the error is {type(error).__name__} and not {wanted.__name__}")
    expect(error.status == status, f"{where}: the status of the error is {error.status}")
    expect(error.retry_after == 7, f"{where}: retry_after is {error.retry_after}, and the header states 7 seconds")
    lost = what not in _WITHOUT_MESSAGE and _MESSAGE not in error.message
    expect(not lost, f"{where}: the message is lost: {error.message!r}")


def recorded_errors_have_their_class(exam: Exam) -> bool:
    """Check that a recorded error status gives an error of the class of that status, or of the provider's code."""
    failures = [each for each in exam.recordings if each.fails and each.status >= 400]
    if not failures:
        nothing_to_check("no recording has an error status")
    for recording in failures:
        error = replay(exam.driver, recording).error
        fits = error is not None and isinstance(error, _classes(recording))
        names = " or ".join(each.__name__ for each in _classes(recording))
        expect(fits, f"{recording.name}: the error is {type(error).__name__} and not {names}")
        expect(not isinstance(error, PluginError), f"{recording.name}: {error}")
        status = getattr(error, "status", None)
        expect(status == recording.status, f"{recording.name}: the status of the error is {status}")
    return True


def _classes(recording: Recording) -> tuple[type[ProviderError], ...]:
    """Return the classes that an error may have: that of the status, and that of the code."""
    by_status = provider_error_class(recording.status)
    by_code = provider_error_class(recording.status, recording.code)
    return tuple(dict.fromkeys((by_status, by_code)))
